//! The settings of the publication of events.

use access_control::Role;
use domain::order::OrderEvent;
use publication::PublicationSettings;
use webhooks::ENDPOINT_ROLES;

use super::reader::SettingsReader;
use super::value_types::SettingType;

/// `None`: nothing is published.
pub(super) fn read(table: &mut SettingsReader) -> Option<PublicationSettings> {
    let queue = table.optional(
        "ORDO_EVENTS_QUEUE",
        &fifo_name(),
        "The SQS queue on which the role webhooks publishes the events of orders; without it none is published",
    );
    let event_types = table.optional(
        "ORDO_EVENTS_TYPES",
        &event_types(),
        "The events that are published there; without it all of orders",
    );
    let role = table.value(
        "ORDO_EVENTS_ROLE",
        Role::Auditor,
        &endpoint_role(),
        "Whose view of the events is published; auditor: with personal data masked",
    );
    queue.map(|queue| PublicationSettings { queue, event_types: event_types.unwrap_or_default(), role })
}

fn fifo_name() -> SettingType<String> {
    let allowed = "the name of a FIFO queue such as ordo-events.fifo: up to 80 characters of a-z A-Z 0-9 - _ and .fifo, and \
         none of Ordo's own queues";
    SettingType::new(allowed, String::clone, |text| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let name = text.strip_suffix(".fifo").filter(|name| !name.is_empty() && text.len() <= 80)?;
        // These are read by Ordo itself.
        let is_own = ["notifications", "replies", "dlq"].iter().any(|own| name.ends_with(&format!("-{own}")));
        (name.bytes().all(plain) && !is_own).then(|| text.to_owned())
    })
}

fn event_types() -> SettingType<Vec<String>> {
    let allowed = "a comma list of events of orders such as OrderConfirmed,OrderShipped";
    SettingType::new(
        allowed,
        |types: &Vec<String>| types.join(","),
        |text| {
            let types: Vec<_> = text.split(',').map(|name| name.trim().to_owned()).collect();
            types.iter().all(|name| OrderEvent::NAMES.contains(&name.as_str())).then_some(types)
        },
    )
}

fn endpoint_role() -> SettingType<Role> {
    let allowed = ENDPOINT_ROLES.map(Role::as_str).join(", ");
    SettingType::new(format!("one of {allowed}"), Role::to_string, |text| {
        text.parse().ok().filter(|role| ENDPOINT_ROLES.contains(role))
    })
}
