//! The address of the database, which hides its password.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
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

    /// How to connect. A server elsewhere has to prove by a certificate that it is the one, unless the address says otherwise by
    /// `sslmode`: else whoever is on the way could read and change everything.
    pub(crate) fn connect_options(&self) -> Result<PgConnectOptions, sqlx::Error> {
        let options = PgConnectOptions::from_str(self.expose())?;
        let names_mode = self.0.query_pairs().any(|(name, _)| matches!(&*name, "sslmode" | "ssl-mode"));
        Ok(if names_mode || is_local(&options) { options } else { options.ssl_mode(PgSslMode::VerifyFull) })
    }

    /// Whether the server is elsewhere and need not prove who it is.
    pub(crate) fn trusts_the_network(&self) -> bool {
        let is_verified = |options: &PgConnectOptions| matches!(options.get_ssl_mode(), PgSslMode::VerifyFull);
        self.connect_options().is_ok_and(|options| !is_verified(&options) && !is_local(&options))
    }

    /// The address with its password, for the driver alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }
}

/// Whether what goes there does not leave this machine.
fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || address.is_ok_and(|address| address.is_loopback())
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
    fn a_server_elsewhere_has_to_prove_who_it_is() {
        for (url, verified, trusts_the_network) in [
            ("postgres://a@db.internal/ordo", true, false),
            ("postgres://a@10.0.0.7/ordo", true, false),
            ("postgres://a@[2001:db8::1]/ordo", true, false),
            ("postgres://a@localhost.evil.example/ordo", true, false),
            ("postgres://a@127.0.0.1.evil.example/ordo", true, false),
            ("postgres://a@db.internal/ordo?sslmode=verify-full", true, false),
            ("postgres://a@db.internal/ordo?sslmode=verify-ca", false, true),
            ("postgres://a@db.internal/ordo?ssl-mode=require", false, true),
            ("postgres://a@db.internal/ordo?sslmode=disable", false, true),
            ("postgres://a@127.0.0.1/ordo", false, false),
            ("postgres://a@[::1]/ordo", false, false),
            ("postgres://a@localhost/ordo?sslmode=disable", false, false),
            ("postgres:///ordo?host=/run/postgresql", false, false),
            ("postgres://%2Frun%2Fpostgresql/ordo", false, false),
        ] {
            let url = DatabaseUrl::parse(url).unwrap();
            let mode = url.connect_options().unwrap().get_ssl_mode();
            assert_eq!(matches!(mode, PgSslMode::VerifyFull), verified, "{url}: {mode:?}");
            assert_eq!(url.trusts_the_network(), trusts_the_network, "{url}");
        }
    }

    #[test]
    fn another_database_is_refused() {
        for wrong in ["", "ordo", "mysql://root@localhost/ordo", "postgres://host:port/ordo"] {
            assert_eq!(DatabaseUrl::parse(wrong), None, "{wrong}");
        }
    }
}
