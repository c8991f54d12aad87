//! Composes mails from requests and templates.

pub(crate) mod locale;
mod order;
mod postal_address;

use mail_address::EmailAddress;
use messaging::{NotificationRequested, NotificationTemplate};

use crate::address::{InvalidRecipient, SenderAddress, parse_recipient};
use locale::MailWriter;
use order::OrderInMail;

/// A mail that is ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) from: SenderAddress,
    /// At least one.
    pub(crate) to: Vec<EmailAddress>,
    pub(crate) content: MailContent,
}

/// The staff of the shop.
#[derive(Debug, Clone)]
pub(crate) struct StaffRecipients {
    /// Without any, their mails go to the default recipient.
    pub(crate) addresses: Vec<EmailAddress>,
    /// The language that they read, as a tag (BCP 47).
    pub(crate) locale: String,
}

/// What a mail says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailContent {
    /// The language that it is in, as a tag (BCP 47).
    pub language: &'static str,
    /// One line.
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// A template that could not be rendered.
#[derive(Debug, thiserror::Error)]
#[error("the mail could not be rendered")]
pub struct RenderError {
    #[from]
    source: askama::Error,
}

/// Why a request can't become a mail, now or later.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ComposeError {
    #[error("the recipient is no address")]
    Recipient {
        #[from]
        source: InvalidRecipient,
    },
    #[error("no addresses of staff are set where the mail was to be sent")]
    NoStaff,
    #[error("the template could not be rendered")]
    Template {
        #[from]
        source: askama::Error,
    },
}

impl Mail {
    pub(crate) fn compose(
        request: &NotificationRequested,
        from: &SenderAddress,
        default_recipient: &EmailAddress,
        staff: &StaffRecipients,
    ) -> Result<Self, ComposeError> {
        let is_for_staff = request.template == NotificationTemplate::StaffNewOrder;
        let to = match &request.recipient {
            Some(recipient) => vec![parse_recipient(recipient)?],
            None if is_for_staff && staff.addresses.is_empty() => return Err(ComposeError::NoStaff),
            None if is_for_staff => staff.addresses.clone(),
            None => vec![default_recipient.clone()],
        };
        let locale = if is_for_staff { Some(&*staff.locale) } else { request.locale.as_deref() };
        Ok(Self { from: from.clone(), to, content: content(request, locale)? })
    }

    /// Why it was refused, as records and answers say it. The mail service may name addresses, and those of staff are nobody else's
    /// business.
    pub(crate) fn public_reason(&self, template: NotificationTemplate, reason: String) -> String {
        match (template, reason.split_once(": ")) {
            (NotificationTemplate::StaffNewOrder, Some((public, _))) => public.to_owned(),
            _ => reason,
        }
    }

    /// Whom it goes to, as records and answers say it. The addresses of staff are nobody else's business.
    pub(crate) fn recipient(&self, template: NotificationTemplate) -> &str {
        match template {
            NotificationTemplate::StaffNewOrder => "staff",
            NotificationTemplate::OrderConfirmed
            | NotificationTemplate::OrderRejected
            | NotificationTemplate::OrderCancelled
            | NotificationTemplate::OrderShipped
            | NotificationTemplate::OrderRefunded
            | NotificationTemplate::OrderEdited
            | NotificationTemplate::PaymentReleased => self.to.first().map_or("", EmailAddress::as_str),
        }
    }
}

pub(crate) fn content(request: &NotificationRequested, locale: Option<&str>) -> Result<MailContent, askama::Error> {
    let writer = MailWriter::for_reader(locale);
    writer.mail(request.template, &OrderInMail::of(request, &writer))
}

/// The text on one line, with at most `most` characters. Nothing in a request may look like a line of the mail itself,
/// or change the direction of the text beside it.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    text.chars().map(|c| if c.is_control() || is_line_or_direction_control(c) { ' ' } else { c }).take(most).collect()
}

/// Unicode's line and paragraph separators, and its controls of text direction.
fn is_line_or_direction_control(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
