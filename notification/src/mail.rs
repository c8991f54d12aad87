//! Mails, made from requests by templates.

mod money;
mod order;
mod order_cancelled;
mod order_confirmed;
mod order_refunded;
mod order_rejected;
mod order_shipped;

use messaging::{NotificationRequested, Template};

use crate::address::{AddressError, EmailAddress, Sender};
use order::Order;

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
        Ok(Self { from: from.clone(), to, content: content(request)? })
    }
}

fn content(request: &NotificationRequested) -> Result<Content, askama::Error> {
    let order = Order::from(request);
    match request.template {
        Template::OrderConfirmed => order_confirmed::content(&order),
        Template::OrderRejected => order_rejected::content(&order),
        Template::OrderCancelled => order_cancelled::content(&order),
        Template::OrderShipped => order_shipped::content(&order),
        Template::OrderRefunded => order_refunded::content(&order),
    }
}

/// The text on one line, at most `most` characters: nothing in a request may look like a line of the mail's own, or turn
/// around what stands beside it.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    text.chars().map(|c| if c.is_control() || breaks_or_turns(c) { ' ' } else { c }).take(most).collect()
}

/// Unicode's line and paragraph separators, and what overrides or isolates the direction of the text that follows.
fn breaks_or_turns(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
