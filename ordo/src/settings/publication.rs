//! The settings of the publication of events.

use std::fmt;

use access_control::Role;
use domain::order::OrderEvent;
use publication::PublicationSettings;
use webhooks::ENDPOINT_ROLES;

use super::reader::SettingsReader;
use super::value_types::SettingType;

/// Which events are published, and where.
#[derive(Debug, Clone)]
pub struct EventsSettings {
    /// The name of a FIFO queue of SQS.
    pub queue: Option<String>,
    /// A FIFO topic of SNS.
    pub topic: Option<TopicArn>,
    pub events: PublicationSettings,
}

impl EventsSettings {
    /// To how many places events are published.
    pub(crate) fn targets(&self) -> u32 {
        u32::from(self.queue.is_some()) + u32::from(self.topic.is_some())
    }
}

/// The ARN of a FIFO topic, such as `arn:aws:sns:eu-central-1:123456789012:ordo-events.fifo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicArn {
    arn: String,
    region: String,
}

impl TopicArn {
    /// The region that the topic is in.
    pub fn region(&self) -> &str {
        &self.region
    }

    fn parse(text: &str) -> Option<Self> {
        const MOST_NAME_BYTES: usize = 256;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let [arn, partition, sns, region, account, name] =
            <[&str; 6]>::try_from(text.split(':').collect::<Vec<_>>()).ok()?;
        let bare = name.strip_suffix(".fifo").filter(|_| name.len() <= MOST_NAME_BYTES)?;
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let are_plain = [partition, region, bare].iter().all(|part| !part.is_empty() && part.bytes().all(plain));
        let holds = arn == "arn" && sns == "sns" && is_account && are_plain;
        holds.then(|| Self { arn: text.to_owned(), region: region.to_owned() })
    }
}

impl fmt::Display for TopicArn {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.arn)
    }
}

pub(super) fn read(table: &mut SettingsReader) -> EventsSettings {
    let queue = table.optional(
        "ORDO_EVENTS_QUEUE",
        &fifo_name(),
        "The SQS queue on which the role webhooks publishes the events of orders",
    );
    let topic = table.optional(
        "ORDO_EVENTS_TOPIC",
        &topic_arn(),
        "The SNS topic on which the role webhooks publishes the events of orders, beside the queue if both are set",
    );
    let event_types = table.optional(
        "ORDO_EVENTS_TYPES",
        &event_types(),
        "The events that are published on the queue and the topic; without it all of orders",
    );
    let role = table.value(
        "ORDO_EVENTS_ROLE",
        Role::Auditor,
        &endpoint_role(),
        "Whose view of the events is published; auditor: with personal data masked",
    );
    EventsSettings { queue, topic, events: PublicationSettings { event_types: event_types.unwrap_or_default(), role } }
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

fn topic_arn() -> SettingType<TopicArn> {
    let allowed = "the ARN of a FIFO topic such as arn:aws:sns:eu-central-1:123456789012:ordo-events.fifo";
    SettingType::new(allowed, TopicArn::to_string, TopicArn::parse)
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
