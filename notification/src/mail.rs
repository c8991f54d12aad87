//! Composes mails from requests and templates.

mod locale;
mod order;
mod postal_address;

use mail_address::EmailAddress;
use messaging::NotificationRequested;

use crate::address::{InvalidRecipient, SenderAddress, parse_recipient};
use locale::MailWriter;
use order::OrderInMail;

/// A mail that is ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) from: SenderAddress,
    pub(crate) to: EmailAddress,
    pub(crate) content: MailContent,
}

/// What a mail says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MailContent {
    /// The language that it is in, as a tag (BCP 47).
    pub(crate) language: &'static str,
    /// One line.
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// Why a request can't become a mail, now or later.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ComposeError {
    #[error("the recipient is no address")]
    Recipient {
        #[from]
        source: InvalidRecipient,
    },
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
    ) -> Result<Self, ComposeError> {
        let to = match &request.recipient {
            Some(recipient) => parse_recipient(recipient)?,
            None => default_recipient.clone(),
        };
        Ok(Self { from: from.clone(), to, content: content(request)? })
    }
}

fn content(request: &NotificationRequested) -> Result<MailContent, askama::Error> {
    let writer = MailWriter::for_reader(request.locale.as_deref());
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
