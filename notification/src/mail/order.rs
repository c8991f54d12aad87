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
}

impl OrderInMail {
    /// What the request says, as the writer's reader writes it.
    pub(super) fn of(request: &NotificationRequested, writer: &MailWriter) -> Self {
        let currency = one_line(&request.currency, MAX_CHARACTERS);
        let price = |decimal: &str| writer.money(&one_line(decimal, MAX_CHARACTERS), &currency);
        let line = |line: &messaging::OrderedLine| LineInMail {
            sku: one_line(&line.sku, MAX_CHARACTERS),
            title: one_line(&line.title, MAX_CHARACTERS),
            quantity: match &line.measure {
                Some(it) => one_line(&format!("{} {}", writer.number(&it.quantity), it.unit), MAX_CHARACTERS),
                None => writer.number(&line.quantity.to_string()),
            },
            unit: line.measure.as_ref().map(|it| one_line(&it.unit, MAX_CHARACTERS)),
            unit_price: price(&line.unit_price),
            line_total: price(&line.line_total),
        };
        let parcel = |it: &messaging::ParcelTracking| ParcelInMail {
            carrier: non_blank(it.carrier.as_deref()),
            tracking: non_blank(it.tracking.as_deref()),
        };
        let parcels = request.shipment.iter().flat_map(messaging::ShipmentTracking::parcels).map(parcel);
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
            addresses: addresses(&request.details),
        }
    }
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

/// The longest value shown, in characters. The longest title has as many.
const MAX_CHARACTERS: usize = 500;
