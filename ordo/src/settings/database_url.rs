//! The address of the database, which hides its password.

use std::fmt;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use url::Url;

use super::value_types::SettingType;

/// Where the database is and how to log in. Shown anywhere, it hides the password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(Url);

impl DatabaseUrl {
    /// Reads an address that the database driver takes as well.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let valid = matches!(url.scheme(), "postgres" | "postgresql") && PgConnectOptions::from_str(text).is_ok();
        valid.then_some(Self(url))
    }

    /// Whether it is the same database, whoever logs in.
    #[must_use]
    pub(crate) fn is_at(&self, other: &Self) -> bool {
        let place = |url: &Self| {
            let options = PgConnectOptions::from_str(url.expose()).ok()?;
            let host = if options.get_host() == "localhost" { "127.0.0.1" } else { options.get_host() };
            Some((host.to_owned(), options.get_port(), options.get_database()?.to_owned()))
        };
        self == other || (place(self).is_some() && place(self) == place(other))
    }

    /// Whether it is the same login at the same database, whatever the password.
    #[must_use]
    pub(crate) fn is_login_of(&self, other: &Self) -> bool {
        let user = |url: &Self| Some(PgConnectOptions::from_str(url.expose()).ok()?.get_username().to_owned());
        self.is_at(other) && user(self) == user(other)
    }

    /// The address with its password, for the driver alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }
}

pub(super) fn database_url() -> SettingType<DatabaseUrl> {
    let allowed = "a postgres:// address such as postgres://user:password@127.0.0.1:5432/ordo";
    SettingType::new(allowed, DatabaseUrl::to_string, DatabaseUrl::parse)
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        // Setting it fails only where there can be no password.
        if shown.password().is_some() && shown.set_password(Some("***")).is_err() {
            return f.write_str("postgres://***");
        }
        if self.0.query().is_some() {
            let hide = |(name, value): (_, _)| if name == "password" { (name, "***".into()) } else { (name, value) };
            let pairs: Vec<_> = self.0.query_pairs().map(hide).collect();
            shown.query_pairs_mut().clear().extend_pairs(pairs);
        }
        f.write_str(shown.as_str())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_never_shown() {
        for url in [
            "postgres://shop:s3cret@db.internal:5432/ordo",
            "postgresql://shop@db.internal/ordo?password=s3cret&sslmode=require",
            "postgres://shop:s3cret@/ordo?host=/run/postgresql",
        ] {
            let Some(parsed) = DatabaseUrl::parse(url) else { continue };
            for shown in [parsed.to_string(), format!("{parsed:?}")] {
                assert!(!shown.contains("s3cret"), "{shown}");
                assert!(shown.contains("ordo"), "{shown}");
            }
            assert!(parsed.expose().contains("s3cret"));
        }
        assert_eq!(
            DatabaseUrl::parse("postgres://shop:s3cret@db.internal:5432/ordo").unwrap().to_string(),
            "postgres://shop:***@db.internal:5432/ordo"
        );
    }

    #[test]
    fn another_database_is_refused() {
        for wrong in ["", "ordo", "mysql://root@localhost/ordo", "postgres://host:port/ordo"] {
            assert_eq!(DatabaseUrl::parse(wrong), None, "{wrong}");
        }
    }
}
