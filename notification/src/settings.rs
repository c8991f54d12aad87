//! The settings of notification and their bounds.

use std::collections::BTreeSet;
use std::time::Duration;

use mail_address::EmailAddress;
use messaging::{
    ConsumerSettings, ExponentialBackoff, InvalidSettings, ProducerSettings, SettingError, SettingsValidator,
};

use crate::address::SenderAddress;
use crate::locales;
use crate::mail::StaffRecipients;

/// The most addresses of staff. SES takes 50 recipients a mail.
pub const MAX_STAFF: usize = 10;

/// How mails are sent.
#[derive(Debug, Clone)]
pub struct NotificationSettings {
    /// Who mails come from: an address, or `Name <address>`. SES must have verified it.
    pub from: String,
    /// The recipient of requests that name none: ASCII before its `@`, as SES has it.
    pub default_recipient: String,
    /// The staff of the shop, who get a mail about each new order: up to [`MAX_STAFF`] addresses, each once, with ASCII before the `@`.
    pub staff: Vec<String>,
    /// The language of their mails, one that mails are written in.
    pub staff_locale: String,
    /// Whether the mail service takes addresses with other characters than ASCII before the `@` (SMTPUTF8, RFC 6531). SES does not.
    pub smtputf8: bool,
    /// How long a call to SES may take, 1 s to 60 s.
    pub send_timeout: Duration,
    /// How long all handlers wait after SES throttled, longer each time in a row. Up to 5 min.
    pub throttle_backoff: ExponentialBackoff,
    /// How long all handlers wait if the account may not send, 1 s to 1 h.
    pub paused_wait: Duration,
    /// How many mails a recipient gets at once, 1 to 10,000. After that it gets one after each `recipient_spacing`. The
    /// default recipient, the shop itself, has no limit.
    pub recipient_burst: u32,
    /// After how long a recipient that used up its burst gets another mail, 0 s to 1 h.
    pub recipient_spacing: Duration,
    /// How requests are consumed.
    pub consumer: ConsumerSettings,
    /// How answers are sent.
    pub producer: ProducerSettings,
}

impl Default for NotificationSettings {
    fn default() -> Self {
        Self {
            from: "Ordo <orders@ordo.example>".into(),
            default_recipient: "customer@ordo.example".into(),
            staff: vec![],
            staff_locale: "en".into(),
            smtputf8: false,
            send_timeout: Duration::from_secs(10),
            throttle_backoff: ExponentialBackoff { first: Duration::from_millis(500), most: Duration::from_secs(30) },
            paused_wait: Duration::from_secs(60),
            recipient_burst: 30,
            recipient_spacing: Duration::from_secs(10),
            consumer: ConsumerSettings::default(),
            producer: ProducerSettings::default(),
        }
    }
}

impl NotificationSettings {
    /// The error names every invalid setting, also those of the consumer and the producer.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        let second = Duration::from_secs(1);
        let mut checks = SettingsValidator::default();
        checks.within("send_timeout", self.send_timeout, second..=60 * second);
        let ExponentialBackoff { first, most } = self.throttle_backoff;
        checks.within("throttle_backoff.most", most, Duration::from_millis(10)..=300 * second);
        checks.within("throttle_backoff.first", first, Duration::from_millis(10)..=most);
        checks.within("paused_wait", self.paused_wait, second..=3600 * second);
        checks.within("recipient_burst", self.recipient_burst, 1..=10_000);
        checks.within("recipient_spacing", self.recipient_spacing, Duration::ZERO..=3600 * second);
        let addresses = self.addresses().map(|_| ());
        let parts = [addresses, checks.done(), self.consumer.validate(), self.producer.validate()];
        let mistakes: Vec<_> = parts.into_iter().filter_map(Result::err).flat_map(|part| part.0).collect();
        if mistakes.is_empty() { Ok(()) } else { Err(InvalidSettings(mistakes)) }
    }

    /// Who sends and who receives, parsed.
    pub(crate) fn addresses(&self) -> Result<(SenderAddress, EmailAddress, StaffRecipients), InvalidSettings> {
        let mut mistakes = Vec::new();
        let mut mistake = |setting, value: String, allowed: &str| {
            mistakes.push(SettingError { setting, value, allowed: allowed.to_owned() });
        };
        let recipient = |text: &str| EmailAddress::parse(text).ok().filter(EmailAddress::has_ascii_local_part);
        let from = SenderAddress::parse(&self.from);
        if from.is_none() {
            let allowed = "an e-mail address or `Name <address>`, in ASCII";
            mistake("from", format!("{:?}", self.from), allowed);
        }
        let default_recipient = recipient(&self.default_recipient);
        if default_recipient.is_none() {
            let allowed = "an e-mail address with ASCII before the @";
            mistake("default_recipient", format!("{:?}", self.default_recipient), allowed);
        }
        let addresses: Vec<_> = self.staff.iter().filter_map(|text| recipient(text)).collect();
        let each_once = addresses.iter().map(EmailAddress::as_str).collect::<BTreeSet<_>>().len() == self.staff.len();
        if !each_once || addresses.len() > MAX_STAFF {
            let allowed = format!("up to {MAX_STAFF} e-mail addresses, each once, with ASCII before the @");
            mistake("staff", format!("{:?}", self.staff), &allowed);
        }
        let locale = self.staff_locale.clone();
        if !locales().any(|known| known == locale) {
            mistake("staff_locale", format!("{locale:?}"), &locales().collect::<Vec<_>>().join(" or "));
        }
        match (from, default_recipient, mistakes.is_empty()) {
            (Some(from), Some(to), true) => Ok((from, to, StaffRecipients { addresses, locale })),
            _ => Err(InvalidSettings(mistakes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_bounds() {
        assert_eq!(NotificationSettings::default().validate(), Ok(()));
    }

    #[test]
    fn staff_are_a_few_addresses_each_once() {
        let with = |staff: Vec<String>| NotificationSettings { staff, ..NotificationSettings::default() }.validate();
        let nth = |nth: usize| format!("staff-{nth}@shop.example");
        assert_eq!(with((0..MAX_STAFF).map(nth).collect()), Ok(()));
        assert!(with((0..=MAX_STAFF).map(nth).collect()).is_err());
        for wrong in ["", "staff", "jörg@shop.example", "a@b.example,c@d.example"] {
            assert!(with(vec![nth(1), wrong.to_owned()]).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let settings = NotificationSettings {
            from: "Ordo".into(),
            default_recipient: "a@b\r\nBcc: c@d".into(),
            staff: vec!["a@b.example".into(), "a@b.example".into()],
            staff_locale: "fr".into(),
            consumer: ConsumerSettings { batch_size: 0, ..ConsumerSettings::default() },
            ..NotificationSettings::default()
        };

        let mistakes = settings.validate().unwrap_err();

        let named: Vec<_> = mistakes.0.iter().map(|it| it.setting).collect();
        assert_eq!(named, ["from", "default_recipient", "staff", "staff_locale", "batch_size"]);
    }
}
