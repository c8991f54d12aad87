//! Mails, made from requests by templates.

mod money;
mod order_confirmed;

use messaging::{NotificationRequested, Template};

use crate::address::{AddressError, EmailAddress, Sender};

/// A mail that can be handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) from: Sender,
    pub(crate) to: EmailAddress,
    pub(crate) content: Content,
}

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    /// One line of ASCII.
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// Why no mail can be made from a request, now or later.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unmailable {
    #[error("the recipient is no address")]
    Recipient {
        #[from]
        source: AddressError,
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
        from: &Sender,
        default_recipient: &EmailAddress,
    ) -> Result<Self, Unmailable> {
        let to = match &request.recipient {
            Some(recipient) => EmailAddress::parse(recipient)?,
            None => default_recipient.clone(),
        };
        let content = match request.template {
            Template::OrderConfirmed => order_confirmed::content(request)?,
        };
        Ok(Self { from: from.clone(), to, content })
    }
}

/// The text on one line, at most `most` characters: nothing in a request may look like a line of the mail's own.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most).collect()
}
