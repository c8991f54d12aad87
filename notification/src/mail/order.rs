//! An order as a mail shows it.

use messaging::NotificationRequested;

use super::locale::MailWriter;
use super::one_line;
use super::postal_address::address_lines;

/// An order, as a mail shows it. Every value is on one line. The templates escape them.
pub(super) struct OrderInMail {
    pub(super) id: String,
    /// Who ordered.
    pub(super) customer_name: Option<String>,
    pub(super) total: String,
    pub(super) lines: Vec<LineInMail>,
    /// That there are lines which are not in `lines`, and how many.
    pub(super) more_lines: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) parcels: Vec<ParcelInMail>,
    pub(super) refund: Option<String>,
    /// Whether some of the order was paid elsewhere.
    pub(super) is_paid_elsewhere: bool,
    /// What the total is made of, where that is more than the lines.
    pub(super) totals: Option<TotalsInMail>,
    /// The day on which the goods should arrive.
    pub(super) estimated_delivery: Option<String>,
    /// What changed, in a mail about an edit.
    pub(super) edit: Option<EditInMail>,
    /// Where the customer finds the document of what the mail tells.
    pub(super) document: Option<DocumentInMail>,
    /// Where the goods and the bill go. The latter is left out where it is the same.
    pub(super) addresses: Vec<AddressInMail>,
}

/// The parts of the total, as a mail shows them.
pub(super) struct TotalsInMail {
    pub(super) items: String,
    pub(super) discounts: Option<String>,
    pub(super) shipping: Option<String>,
    pub(super) shipping_method: Option<String>,
    pub(super) taxes: Option<String>,
    pub(super) included_taxes: Option<String>,
}

/// An address, as a mail shows it.
pub(super) struct AddressInMail {
    /// Whether the bill goes there, and not the goods.
    pub(super) is_billing: bool,
    pub(super) lines: Vec<String>,
}

/// A parcel, as a mail shows it. At least one of the two is known.
pub(super) struct ParcelInMail {
    pub(super) carrier: Option<String>,
    pub(super) tracking: Option<String>,
}

/// A line of the order, as a mail shows it.
pub(super) struct LineInMail {
    pub(super) sku: String,
    pub(super) title: String,
    /// Pieces, or how much with its unit.
    pub(super) quantity: String,
    /// The unit of measure that the price is for, if it is not for one piece.
    pub(super) unit: Option<String>,
    pub(super) unit_price: String,
    pub(super) line_total: String,
    /// That some of it is not in stock yet, in words.
    pub(super) waiting: Option<String>,
}

/// What an edit changed, as a mail shows it.
pub(super) struct EditInMail {
    pub(super) total_before: String,
    pub(super) total_after: String,
    pub(super) lines: Vec<EditedLineInMail>,
    /// That there are lines which are not in `lines`, and how many.
    pub(super) more_lines: Option<String>,
    pub(super) added_payment: Option<String>,
    pub(super) released: Option<String>,
    pub(super) refunded: Option<String>,
}

/// A line of which there is more or less now. Each quantity has its unit, if it has one.
pub(super) struct EditedLineInMail {
    pub(super) sku: String,
    pub(super) title: String,
    pub(super) before: String,
    pub(super) after: String,
}

/// A document, as a mail shows it.
pub(super) struct DocumentInMail {
    pub(super) number: String,
    /// A web address.
    pub(super) url: String,
}

impl OrderInMail {
    /// What the request says, as the writer's reader writes it.
    pub(super) fn of(request: &NotificationRequested, writer: &MailWriter) -> Self {
        let currency = one_line(&request.currency, MAX_CHARACTERS);
        let price = |decimal: &str| writer.money(&one_line(decimal, MAX_CHARACTERS), &currency);
        let quantity = |decimal: &str, unit: Option<&String>| match unit {
            Some(unit) => one_line(&format!("{} {unit}", writer.number(decimal)), MAX_CHARACTERS),
            None => one_line(&writer.number(decimal), MAX_CHARACTERS),
        };
        let line = |line: &messaging::OrderedLine| LineInMail {
            sku: one_line(&line.sku, MAX_CHARACTERS),
            title: one_line(&line.title, MAX_CHARACTERS),
            quantity: match &line.measure {
                Some(it) => quantity(&it.quantity, Some(&it.unit)),
                None => quantity(&line.quantity.to_string(), None),
            },
            waiting: line.waiting.as_ref().map(|it| {
                let unit = line.measure.as_ref().map(|measure| &measure.unit);
                writer.waiting(quantity(&it.quantity, unit), it.expected_at.as_deref())
            }),
            unit: line.measure.as_ref().map(|it| one_line(&it.unit, MAX_CHARACTERS)),
            unit_price: price(&line.unit_price),
            line_total: price(&line.line_total),
        };
        let parcel = |it: &messaging::ParcelTracking| ParcelInMail {
            carrier: non_blank(it.carrier.as_deref()),
            tracking: non_blank(it.tracking.as_deref()),
        };
        let parcels = request.shipment.iter().flat_map(messaging::ShipmentTracking::parcels).map(parcel);
        let edited = |it: &messaging::EditedLine| EditedLineInMail {
            sku: one_line(&it.sku, MAX_CHARACTERS),
            title: one_line(&it.title, MAX_CHARACTERS),
            before: quantity(&it.quantity_before, it.unit.as_ref()),
            after: quantity(&it.quantity, it.unit.as_ref()),
        };
        let edit = request.details.edit.as_ref().map(|edit| EditInMail {
            total_before: price(&edit.total_before),
            total_after: price(edit.total_after.as_ref().unwrap_or(&request.total_amount)),
            lines: edit.lines.iter().map(edited).collect(),
            more_lines: writer.more_lines(edit.omitted_lines),
            added_payment: edit.added_payment.as_deref().map(price),
            released: edit.released.as_deref().map(price),
            refunded: edit.refunded.as_deref().map(price),
        });
        let cause = request.rejection.as_ref().and_then(|cause| writer.rejection(cause));
        Self {
            id: one_line(request.order_number.as_ref().unwrap_or(&request.order_id), MAX_CHARACTERS),
            customer_name: non_blank(request.details.customer_name.as_deref()),
            total: price(&request.total_amount),
            lines: request.lines.iter().map(line).collect(),
            more_lines: writer.more_lines(request.omitted_lines),
            reason: non_blank(cause.as_deref().or(request.reason.as_deref())),
            parcels: parcels.filter(|it| it.carrier.is_some() || it.tracking.is_some()).collect(),
            refund: non_blank(request.refund_amount.as_deref()).map(|decimal| price(&decimal)),
            is_paid_elsewhere: request.paid_elsewhere,
            totals: request.details.totals.as_ref().map(|totals| TotalsInMail {
                items: price(&totals.items),
                discounts: totals.discounts.as_deref().map(price),
                shipping: totals.shipping.as_deref().map(price),
                shipping_method: non_blank(request.details.shipping_method.as_deref()),
                taxes: totals.taxes.as_deref().map(price),
                included_taxes: totals.included_taxes.as_deref().map(price),
            }),
            estimated_delivery: request.details.estimated_delivery.as_deref().and_then(|day| writer.date(day)),
            edit,
            document: request.details.document.as_ref().and_then(document),
            addresses: addresses(&request.details),
        }
    }
}

impl OrderInMail {
    /// Whether some of it is not in stock yet.
    pub(super) fn is_waiting(&self) -> bool {
        self.lines.iter().any(|line| line.waiting.is_some())
    }
}

/// `None`: what should be a web address is none, and nobody is to follow it.
fn document(document: &messaging::DocumentLink) -> Option<DocumentInMail> {
    let is_web = ["https://", "http://"].iter().any(|scheme| document.url.starts_with(scheme));
    let is_whole =
        document.url.len() <= MAX_URL && !document.url.contains(|c: char| c.is_control() || c.is_whitespace());
    let number = non_blank(Some(&document.number))?;
    (is_web && is_whole).then(|| DocumentInMail { number, url: document.url.clone() })
}

fn addresses(order: &messaging::OrderDetails) -> Vec<AddressInMail> {
    let billing = order.billing_address.as_ref().filter(|billing| order.shipping_address.as_ref() != Some(*billing));
    let shipping = order.shipping_address.as_ref().map(|address| (false, address));
    let both = shipping.into_iter().chain(billing.map(|address| (true, address)));
    both.map(|(is_billing, address)| AddressInMail { is_billing, lines: address_lines(address) }).collect()
}

/// The text, unless it is blank: a mail has no line for a missing value.
pub(super) fn non_blank(text: Option<&str>) -> Option<String> {
    let text = one_line(text?, MAX_CHARACTERS);
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The longest address that is linked, in bytes.
const MAX_URL: usize = 2_000;
/// The longest value shown, in characters. The longest title has as many.
const MAX_CHARACTERS: usize = 500;
