//! Links in mails to the shop's pages.

use domain::order::mail_triggers::OwedMail;
use domain::order::{DocumentCause, OrderDocument, PlacedOrder};
use messaging::DocumentLink;

use super::MailSubject;

/// The longest address, in bytes. The ids that it gets are short.
const MAX_BYTES: usize = 1_000;
const ORDER_ID: &str = "{orderId}";
const DOCUMENT_ID: &str = "{documentId}";
const NUMBER: &str = "{number}";

/// The address of the shop's page of a document, with places for what names the document: `{orderId}`, `{documentId}` and `{number}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentUrl(String);

impl DocumentUrl {
    /// `None`: it is no address of a web page, has other places, or does not name the document. All places come after the host.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme))?;
        let (host, path) = rest.split_once('/')?;
        let fixed = [ORDER_ID, DOCUMENT_ID, NUMBER].iter().fold(path.to_owned(), |path, place| path.replace(place, ""));
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte));
        let is_host = !host.is_empty() && is_plain(host) && !host.contains(['@', '?', '#']);
        let names_document = path.contains(DOCUMENT_ID) || path.contains(NUMBER);
        (is_host && is_plain(&fixed) && names_document && text.len() <= MAX_BYTES).then(|| Self(text.to_owned()))
    }

    /// As it was set.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The page of a document.
    fn of(&self, order_id: &str, document: &OrderDocument) -> String {
        let places = [(ORDER_ID, order_id), (DOCUMENT_ID, document.id.as_str()), (NUMBER, &document.number)];
        // No value has a brace once it is encoded.
        places.iter().fold(self.0.clone(), |url, (place, value)| url.replace(place, &percent_encoded(value)))
    }
}

/// The page of the document of what the mail tells: the invoice of a shipment, the credit note of a refund. `None`: there is none, or
/// not yet.
pub(super) fn document_link(
    (order_id, order): (&str, &PlacedOrder),
    mail: &OwedMail,
    url: &DocumentUrl,
) -> Option<DocumentLink> {
    let document = document(order, mail)?;
    Some(DocumentLink { number: document.number.clone(), url: url.of(order_id, document) })
}

fn document<'a>(order: &'a PlacedOrder, mail: &OwedMail) -> Option<&'a OrderDocument> {
    let cause = document_cause(order, mail)?;
    order.documents.iter().rev().find(|document| document.cause == cause)
}

/// What of the mail calls for a document. `None`: nothing does.
fn document_cause(order: &PlacedOrder, mail: &OwedMail) -> Option<DocumentCause> {
    match MailSubject::of(order, mail) {
        MailSubject { shipment: Some(shipment), .. } => Some(DocumentCause::Shipment(shipment.id.clone())),
        MailSubject { refund: Some(refund), .. } => Some(DocumentCause::Refund(refund.id.clone())),
        MailSubject { .. } => None,
    }
}

/// Whether the document of what the mail tells is still to be issued.
pub(super) fn lacks_document(order: &PlacedOrder, mail: &OwedMail) -> bool {
    let is_due = || order.next_due_document(true).is_some();
    document_cause(order, mail).is_some() && document(order, mail).is_none() && is_due()
}

/// As a part of an address (RFC 3986).
fn percent_encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encoded = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encoded).collect()
}

#[cfg(test)]
mod tests {
    use domain::ids::{DocumentId, ShipmentId};

    use super::*;

    #[test]
    fn an_address_names_the_document_after_its_host() {
        for text in [
            "https://shop.example/orders/{orderId}/documents/{documentId}",
            "http://127.0.0.1:8080/invoice?number={number}",
        ] {
            assert_eq!(DocumentUrl::parse(text).map(|url| url.as_str().to_owned()).as_deref(), Some(text));
        }
        for wrong in [
            "",
            "shop.example/{number}",
            "javascript:alert({number})",
            "https://{number}/",
            "https://{number}.shop.example/{number}",
            "https:///{number}",
            "https://user@shop.example/{number}",
            "https://shop.example/orders/{orderId}",
            "https://shop.example/{customerId}/{number}",
            "https://shop.example/{number} or so",
            "https://shop.example/\"{number}",
            &format!("https://shop.example/{}/{{number}}", "a".repeat(MAX_BYTES)),
        ] {
            assert_eq!(DocumentUrl::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_names_a_document_stays_in_its_place() {
        let url = DocumentUrl::parse("https://shop.example/{orderId}/{documentId}?n={number}").unwrap();
        let document = OrderDocument {
            id: DocumentId::parse("d:1").unwrap(),
            cause: DocumentCause::Shipment(ShipmentId::parse("s").unwrap()),
            number: "INV-2026-000042".to_owned(),
            series: "INV-2026".to_owned(),
            sequence: 42,
            issued_on: chrono::NaiveDate::from_ymd_opt(2026, 11, 30).unwrap(),
            total_minor: 100,
        };
        assert_eq!(
            url.of("a/{number}?é", &document),
            "https://shop.example/a%2F%7Bnumber%7D%3F%C3%A9/d%3A1?n=INV-2026-000042"
        );
    }
}
