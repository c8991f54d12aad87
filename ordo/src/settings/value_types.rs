//! The types of values: how the text of a setting is parsed, shown and described.

use std::collections::HashSet;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use domain::ids::LocationId;
use domain::stock::MAX_LOCATIONS;
use http::Uri;
use messaging::MessageSigningKeys;
use notification::{MAX_STAFF, NotificationSettings};
use tracing_subscriber::EnvFilter;

/// A type of values.
pub(super) struct SettingType<T> {
    /// Completes "must be …".
    pub(super) allowed: String,
    pub(super) parse: SettingParser<T>,
    pub(super) show: fn(&T) -> String,
}

type SettingParser<T> = Box<dyn Fn(&str) -> Option<T>>;

impl<T> SettingType<T> {
    pub(super) fn new(
        allowed: impl Into<String>,
        show: fn(&T) -> String,
        parse: impl Fn(&str) -> Option<T> + 'static,
    ) -> Self {
        Self { allowed: allowed.into(), parse: Box::new(parse), show }
    }
}

pub(super) fn log_filter() -> SettingType<String> {
    let allowed = "a level (error, warn, info, debug, trace, off) or directives such as info,ordo=debug";
    SettingType::new(allowed, String::clone, |text| {
        (!text.trim().is_empty() && EnvFilter::try_new(text).is_ok()).then(|| text.to_owned())
    })
}

pub(super) fn integer<T>(bounds: RangeInclusive<T>) -> SettingType<T>
where
    T: Display + PartialOrd + std::str::FromStr + 'static,
{
    let allowed = format!("a whole number from {} to {}", bounds.start(), bounds.end());
    SettingType::new(allowed, T::to_string, move |text| text.parse().ok().filter(|number| bounds.contains(number)))
}

pub(super) fn truth() -> SettingType<bool> {
    SettingType::new("true or false", bool::to_string, |text| text.parse().ok())
}

pub(super) fn seconds(bounds: RangeInclusive<u64>) -> SettingType<Duration> {
    let allowed = format!("whole seconds from {} to {}", bounds.start(), bounds.end());
    let show = |duration: &Duration| duration.as_secs().to_string();
    let parse = move |text: &str| text.parse().ok().filter(|number| bounds.contains(number)).map(Duration::from_secs);
    SettingType::new(allowed, show, parse)
}

pub(super) fn socket_address() -> SettingType<SocketAddr> {
    let allowed = "an address and a port such as 127.0.0.1:3000 or 0.0.0.0:3000 (port 0: any free one)";
    SettingType::new(allowed, SocketAddr::to_string, |text| text.parse().ok())
}

/// A comma list of hosts without their ports.
pub(super) fn host_names() -> SettingType<Vec<String>> {
    let allowed = "a comma list of hosts without ports such as api.shop.example, or *";
    let is_host = |name: &&str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        *name == "*" || (!name.is_empty() && name.bytes().all(plain))
    };
    SettingType::new(
        allowed,
        |names: &Vec<String>| names.join(","),
        move |text| {
            let names: Vec<_> = text.split(',').map(str::trim).collect();
            names.iter().all(is_host).then(|| names.into_iter().map(str::to_owned).collect())
        },
    )
}

/// The base address of a service, without a trailing slash.
pub(super) fn endpoint() -> SettingType<String> {
    let allowed = "an http:// or https:// address such as http://127.0.0.1:4566";
    SettingType::new(allowed, String::clone, |text| {
        let uri: Uri = text.parse().ok()?;
        let scheme = uri.scheme_str()?;
        // A user and password would end up in logs, and the SDKs ignore them.
        let plain =
            matches!(scheme, "http" | "https") && !uri.authority()?.as_str().contains('@') && uri.query().is_none();
        plain.then(|| text.trim_end_matches('/').to_owned())
    })
}

/// Keys for the signatures of messages.
pub(super) fn message_keys() -> SettingType<MessageSigningKeys> {
    let allowed = "ID:SECRET, or several with commas between them, each secret 32 to 64 bytes in Base64";
    SettingType::new(allowed, MessageSigningKeys::to_string, |text| text.parse().ok())
}

/// What may be part of a queue's name or a region's.
pub(super) fn name() -> SettingType<String> {
    let allowed = "1 to 40 characters of a-z A-Z 0-9 - _";
    SettingType::new(allowed, String::clone, |text| {
        let fits = (1..=40).contains(&text.len());
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        (fits && plain).then(|| text.to_owned())
    })
}

/// A comma list of locations.
pub(super) fn locations() -> SettingType<Vec<LocationId>> {
    let allowed = "a comma list of 1 to 100 locations such as berlin,hamburg, none of them twice";
    let print = |locations: &Vec<LocationId>| locations.iter().map(LocationId::as_str).collect::<Vec<_>>().join(",");
    SettingType::new(allowed, print, |text| {
        let locations: Vec<LocationId> =
            text.split(',').map(|name| LocationId::parse(name.trim()).ok()).collect::<Option<_>>()?;
        let distinct: HashSet<&LocationId> = locations.iter().collect();
        (locations.len() <= MAX_LOCATIONS && distinct.len() == locations.len()).then_some(locations)
    })
}

/// A sender that notification accepts.
pub(super) fn sender() -> SettingType<String> {
    let allowed = "a mail address in ASCII such as orders@shop.example, or `Name <orders@shop.example>`";
    SettingType::new(allowed, String::clone, |text| {
        let settings = NotificationSettings { from: text.to_owned(), ..NotificationSettings::default() };
        settings.validate().is_ok().then_some(settings.from)
    })
}

/// A recipient that notification accepts.
pub(super) fn mail_address() -> SettingType<String> {
    SettingType::new("a mail address such as customer@shop.example, with ASCII before the @", String::clone, |text| {
        let settings = NotificationSettings { default_recipient: text.to_owned(), ..NotificationSettings::default() };
        settings.validate().is_ok().then_some(settings.default_recipient)
    })
}

/// A comma list of recipients that notification accepts as staff.
pub(super) fn mail_addresses() -> SettingType<Vec<String>> {
    let allowed = format!("a comma list of up to {MAX_STAFF} mail addresses, each once, with ASCII before the @");
    SettingType::new(
        allowed,
        |addresses: &Vec<String>| addresses.join(","),
        |text| {
            let staff = text.split(',').map(|address| address.trim().to_owned()).collect();
            let settings = NotificationSettings { staff, ..NotificationSettings::default() };
            settings.validate().is_ok().then_some(settings.staff)
        },
    )
}

/// A language that mails are written in.
pub(super) fn mail_locale() -> SettingType<String> {
    let allowed = notification::locales().collect::<Vec<_>>().join(" or ");
    SettingType::new(allowed, String::clone, |text| {
        notification::locales().find(|locale| *locale == text).map(str::to_owned)
    })
}
