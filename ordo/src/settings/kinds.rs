//! What a setting's text may be: parsed once here, trusted as a type from then on.

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use http::Uri;
use notification::NotificationSettings;
use tracing_subscriber::EnvFilter;

use super::{DatabaseUrl, PaymentProvider, StripeKey};

/// How one kind of value is read, shown, and described to someone who got it wrong.
pub(super) struct Kind<T> {
    /// Completes "must be …".
    pub(super) allowed: String,
    pub(super) parse: Parse<T>,
    pub(super) show: fn(&T) -> String,
}

type Parse<T> = Box<dyn Fn(&str) -> Option<T>>;

impl<T> Kind<T> {
    fn new(allowed: impl Into<String>, show: fn(&T) -> String, parse: impl Fn(&str) -> Option<T> + 'static) -> Self {
        Self { allowed: allowed.into(), parse: Box::new(parse), show }
    }
}

/// A part of the platform that runs alone or with the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Takes commands over HTTP.
    CommandApi,
    /// Keeps the read models and answers questions over HTTP.
    Projections,
    /// Moves every order to its end.
    Sagas,
    /// Sends the mails.
    Notification,
}

impl Role {
    /// Every role, in the order data flows through them.
    pub const ALL: [Self; 4] = [Self::CommandApi, Self::Projections, Self::Sagas, Self::Notification];

    /// Its name on the command line and in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CommandApi => "command-api",
            Self::Projections => "projections",
            Self::Sagas => "sagas",
            Self::Notification => "notification",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One object a line, for machines.
    Json,
}

pub(super) fn log_format() -> Kind<LogFormat> {
    let show = |format: &LogFormat| format!("{format:?}").to_lowercase();
    Kind::new("auto, text or json", show, |text| match text {
        "auto" => Some(LogFormat::Auto),
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    })
}

/// Where read models are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptIn {
    /// In the database that has the events.
    Postgres,
    /// In tables of DynamoDB's.
    Dynamodb,
}

pub(super) fn kept_in() -> Kind<KeptIn> {
    let show = |kept_in: &KeptIn| format!("{kept_in:?}").to_lowercase();
    Kind::new("postgres or dynamodb", show, |text| match text {
        "postgres" => Some(KeptIn::Postgres),
        "dynamodb" => Some(KeptIn::Dynamodb),
        _ => None,
    })
}

pub(super) fn log_filter() -> Kind<String> {
    let allowed = "a level (error, warn, info, debug, trace, off) or directives such as info,ordo=debug";
    Kind::new(allowed, String::clone, |text| {
        (!text.trim().is_empty() && EnvFilter::try_new(text).is_ok()).then(|| text.to_owned())
    })
}

/// Where the database is; shown without its password.
pub(super) fn database_url() -> Kind<DatabaseUrl> {
    Kind::new(DatabaseUrl::ALLOWED, DatabaseUrl::to_string, DatabaseUrl::parse)
}

pub(super) fn payment_provider() -> Kind<PaymentProvider> {
    let show = |provider: &PaymentProvider| format!("{provider:?}").to_lowercase();
    Kind::new("sandbox or stripe", show, |text| match text {
        "sandbox" => Some(PaymentProvider::Sandbox),
        "stripe" => Some(PaymentProvider::Stripe),
        _ => None,
    })
}

/// Never shown.
pub(super) fn stripe_key() -> Kind<StripeKey> {
    Kind::new("a secret key of Stripe's, sk_… or rk_…", StripeKey::to_string, StripeKey::parse)
}

/// A comma list, or `all`.
pub(super) fn roles() -> Kind<Vec<Role>> {
    let names = Role::ALL.map(Role::as_str).join(", ");
    let show = |roles: &Vec<Role>| roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(",");
    Kind::new(format!("all, or a comma list of {names}"), show, |text| {
        if text == "all" {
            return Some(Role::ALL.to_vec());
        }
        let mut roles = Vec::new();
        for name in text.split(',') {
            let role = Role::parse(name.trim())?;
            if !roles.contains(&role) {
                roles.push(role);
            }
        }
        Some(roles)
    })
}

/// A whole number within bounds.
pub(super) fn whole<T>(bounds: RangeInclusive<T>) -> Kind<T>
where
    T: Display + PartialOrd + std::str::FromStr + 'static,
{
    let allowed = format!("a whole number from {} to {}", bounds.start(), bounds.end());
    Kind::new(allowed, T::to_string, move |text| text.parse().ok().filter(|number| bounds.contains(number)))
}

/// A time given in whole seconds.
pub(super) fn seconds(bounds: RangeInclusive<u64>) -> Kind<Duration> {
    let allowed = format!("whole seconds from {} to {}", bounds.start(), bounds.end());
    let show = |duration: &Duration| duration.as_secs().to_string();
    let parse = move |text: &str| text.parse().ok().filter(|number| bounds.contains(number)).map(Duration::from_secs);
    Kind::new(allowed, show, parse)
}

pub(super) fn socket_address() -> Kind<SocketAddr> {
    let allowed = "an address and a port such as 127.0.0.1:3000 or 0.0.0.0:3000 (port 0: any free one)";
    Kind::new(allowed, SocketAddr::to_string, |text| text.parse().ok())
}

/// A comma list of hosts without their ports.
pub(super) fn host_names() -> Kind<Vec<String>> {
    let allowed = "a comma list of hosts without ports such as api.shop.example, or *";
    let is_host = |name: &&str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        *name == "*" || (!name.is_empty() && name.bytes().all(plain))
    };
    Kind::new(
        allowed,
        |names: &Vec<String>| names.join(","),
        move |text| {
            let names: Vec<_> = text.split(',').map(str::trim).collect();
            names.iter().all(is_host).then(|| names.into_iter().map(str::to_owned).collect())
        },
    )
}

/// The base address of a service, without a trailing slash.
pub(super) fn endpoint() -> Kind<String> {
    let allowed = "an http:// or https:// address such as http://127.0.0.1:4566";
    Kind::new(allowed, String::clone, |text| {
        let uri: Uri = text.parse().ok()?;
        let scheme = uri.scheme_str()?;
        // A user and password would end up in logs, and the SDKs ignore them.
        let plain =
            matches!(scheme, "http" | "https") && !uri.authority()?.as_str().contains('@') && uri.query().is_none();
        plain.then(|| text.trim_end_matches('/').to_owned())
    })
}

/// What may be part of a queue's name or a region's.
pub(super) fn name() -> Kind<String> {
    let allowed = "1 to 40 characters of a-z A-Z 0-9 - _";
    Kind::new(allowed, String::clone, |text| {
        let fits = (1..=40).contains(&text.len());
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        (fits && plain).then(|| text.to_owned())
    })
}

/// Whom mails come from, as notification takes it.
pub(super) fn sender() -> Kind<String> {
    let allowed = "a mail address such as orders@shop.example, or `Name <orders@shop.example>`";
    Kind::new(allowed, String::clone, |text| {
        let settings = NotificationSettings { from: text.to_owned(), ..NotificationSettings::default() };
        settings.validate().is_ok().then_some(settings.from)
    })
}

/// Whom mails go to, as notification takes it.
pub(super) fn mail_address() -> Kind<String> {
    Kind::new("a mail address such as customer@shop.example", String::clone, |text| {
        let settings = NotificationSettings { default_recipient: text.to_owned(), ..NotificationSettings::default() };
        settings.validate().is_ok().then_some(settings.default_recipient)
    })
}
