//! An order as a mail shows it.

use messaging::NotificationRequested;

use super::money::amount;
use super::one_line;

/// An order, as a mail shows it. Every value is on one line. The templates escape them.
pub(super) struct OrderInMail {
    pub(super) id: String,
    pub(super) total: String,
    pub(super) lines: Vec<LineInMail>,
    pub(super) omitted_lines: u32,
    pub(super) reason: Option<String>,
    pub(super) parcels: Vec<ParcelInMail>,
    pub(super) refund: Option<String>,
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
    pub(super) quantity: u32,
    pub(super) unit_price: String,
    pub(super) line_total: String,
}

impl From<&NotificationRequested> for OrderInMail {
    fn from(request: &NotificationRequested) -> Self {
        let currency = one_line(&request.currency, MAX_CHARACTERS);
        let price = |decimal: &str| amount(&one_line(decimal, MAX_CHARACTERS), &currency);
        let line = |line: &messaging::OrderedLine| LineInMail {
            sku: one_line(&line.sku, MAX_CHARACTERS),
            title: one_line(&line.title, MAX_CHARACTERS),
            quantity: line.quantity,
            unit_price: price(&line.unit_price),
            line_total: price(&line.line_total),
        };
        let parcel = |it: &messaging::ParcelTracking| ParcelInMail {
            carrier: non_blank(it.carrier.as_deref()),
            tracking: non_blank(it.tracking.as_deref()),
        };
        let parcels = request.shipment.iter().flat_map(messaging::ShipmentTracking::parcels).map(parcel);
        Self {
            id: one_line(&request.order_id, MAX_CHARACTERS),
            total: price(&request.total_amount),
            lines: request.lines.iter().map(line).collect(),
            omitted_lines: request.omitted_lines,
            reason: non_blank(request.reason.as_deref()),
            parcels: parcels.filter(|it| it.carrier.is_some() || it.tracking.is_some()).collect(),
            refund: non_blank(request.refund_amount.as_deref()).map(|decimal| price(&decimal)),
        }
    }
}

/// The text, unless it is blank: a mail has no line for a missing value.
fn non_blank(text: Option<&str>) -> Option<String> {
    let text = one_line(text?, MAX_CHARACTERS);
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The longest value shown, in characters. The longest title has as many.
const MAX_CHARACTERS: usize = 500;
