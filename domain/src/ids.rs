//! One type for each kind of id, so that no two can be swapped by mistake.

mod location;
mod sku;

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::location::LocationId;
pub use self::sku::{InvalidSku, Sku};

/// Ids are 1 to 128 characters of `A-Z a-z 0-9 . _ : -`. They appear unescaped in URLs, message attributes and mail subjects.
const MAX_CHARS: usize = 128;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Nothing was given.
    #[error("must not be empty")]
    Empty,
    /// More than 128 characters.
    #[error("must have at most {MAX_CHARS} characters")]
    TooLong,
    /// A character outside `A-Z a-z 0-9 . _ : -`.
    #[error("may only contain A-Z a-z 0-9 . _ : -")]
    Character,
}

fn check(text: &str) -> Result<(), InvalidId> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-');
    match text {
        "" => Err(InvalidId::Empty),
        _ if text.chars().count() > MAX_CHARS => Err(InvalidId::TooLong),
        _ if !text.bytes().all(allowed) => Err(InvalidId::Character),
        _ => Ok(()),
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        #[cfg_attr(test, schemars(extend("pattern" = "^[A-Za-z0-9._:-]{1,128}$")))]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The id, if the text is 1 to 128 characters of `A-Z a-z 0-9 . _ : -`.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                check(&text)?;
                Ok(Self(text))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        /// A generated id, for what a client posts without one.
        impl From<Uuid> for $name {
            fn from(generated: Uuid) -> Self {
                Self(generated.to_string())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

id! {
    /// An order, and its event stream. The client chooses it; otherwise it is a generated UUIDv7.
    OrderId
}
id! {
    /// Who ordered.
    CustomerId
}
id! {
    /// The payment provider's token for a customer's means of payment.
    PaymentToken
}

id! {
    /// One shipment of an order.
    ShipmentId
}
id! {
    /// One return of an order.
    ReturnId
}
id! {
    /// Goods of a return that arrived together.
    ReceiptId
}
id! {
    /// One refund of an order. The first refund of a return has the return's id.
    RefundId
}
id! {
    /// One cancellation of lines of an order.
    CancellationId
}
id! {
    /// One hold on an order.
    HoldId
}
id! {
    /// One edit of an order.
    EditId
}
id! {
    /// One note on an order.
    NoteId
}
id! {
    /// An invoice or a credit note.
    DocumentId
}

impl CancellationId {
    /// The cancellation of all that was left of an order. It happens at most once.
    pub(crate) fn of_the_rest() -> Self {
        Self("the-rest".to_owned())
    }
}

impl ShipmentId {
    /// The shipment of an imported order.
    pub(crate) fn of_import() -> Self {
        Self("import".to_owned())
    }
}

impl ReceiptId {
    /// The receipt of all that had not arrived of a return. It happens at most once.
    pub(crate) fn of_the_rest() -> Self {
        Self("the-rest".to_owned())
    }
}

impl RefundId {
    /// The first refund of a return.
    pub fn of_return(return_id: &ReturnId) -> Self {
        Self(return_id.0.clone())
    }

    /// The refund of a further receipt of a return. It is the same whenever it is asked for.
    pub(crate) fn of_receipt(return_id: &ReturnId, receipt_id: &ReceiptId) -> Self {
        // No id has a slash.
        Self::from(Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("returns/{return_id}/receipts/{receipt_id}").as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_every_allowed_character_is_taken() {
        assert_eq!(OrderId::parse("aZ09._:-").unwrap().as_str(), "aZ09._:-");
        assert!(OrderId::parse("x".repeat(128)).is_ok());
    }

    #[test]
    fn an_id_outside_the_bounds_is_refused() {
        assert_eq!(OrderId::parse(""), Err(InvalidId::Empty));
        assert_eq!(OrderId::parse("x".repeat(129)), Err(InvalidId::TooLong));
        for text in ["a/b", "a b", "a\r\nb", "ä", "a\0"] {
            assert_eq!(OrderId::parse(text), Err(InvalidId::Character), "{text:?}");
        }
    }
}
