//! The answer to a command that was carried out.

use std::collections::BTreeMap;

use axum::Json;
use axum::response::{IntoResponse, Response};
use domain::ids::OrderId;
use domain::order::{Order, OrderEvent};
use event_store::{DecodeError, StoredEvent};
use http::{HeaderName, HeaderValue, StatusCode, header};
use problem::Problem;
use serde::Serialize;
use uuid::Uuid;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Accepted<'a> {
    status: &'static str,
    order_id: &'a OrderId,
    version: i64,
    position: i64,
    /// What came of it: `shipmentId`, `cancellationId`, `returnId`, `refundId` or `noteId`.
    #[serde(flatten)]
    names: BTreeMap<&'static str, &'a str>,
}

/// `names` is a field and an id, of what came of the command.
pub(super) fn accepted(
    success: StatusCode,
    order_id: &OrderId,
    version: i64,
    position: i64,
    names: Option<&(&'static str, String)>,
) -> Result<Response, Problem> {
    let headers = [
        (header::LOCATION, HeaderValue::try_from(format!("/orders/{order_id}")).map_err(Problem::internal)?),
        (header::ETAG, HeaderValue::try_from(format!("\"{version}\"")).map_err(Problem::internal)?),
        (HeaderName::from_static("event-position"), HeaderValue::from(position)),
    ];
    let names = names.into_iter().map(|(field, id)| (*field, id.as_str())).collect();
    let body = Accepted { status: "accepted", order_id, version, position, names };
    Ok((success, headers, Json(body)).into_response())
}

/// The id that was made for what came of a version's event, if its client gave none.
pub(super) fn made_before(events: &[StoredEvent], version: i64) -> Result<Option<Uuid>, DecodeError> {
    let Some(event) = events.iter().find(|event| event.version == version) else { return Ok(None) };
    let event = event.decode::<Order>()?;
    Ok(id_of(&event).and_then(|id| Uuid::parse_str(id).ok()))
}

/// The id of what came of an event.
fn id_of(event: &OrderEvent) -> Option<&str> {
    match event {
        OrderEvent::OrderShipped(shipped) => Some(shipped.shipment_id.as_str()),
        OrderEvent::LinesCancelled(cancelled) => Some(cancelled.cancellation_id.as_str()),
        OrderEvent::ReturnRequested(requested) => Some(requested.return_id.as_str()),
        OrderEvent::RefundRequested(requested) => Some(requested.refund_id.as_str()),
        OrderEvent::NoteAdded(note) => Some(note.note_id.as_str()),
        OrderEvent::OrderCreated(_)
        | OrderEvent::StockReserved(_)
        | OrderEvent::StockReservationFailed(_)
        | OrderEvent::StockReleased(_)
        | OrderEvent::PaymentAuthorized(_)
        | OrderEvent::PaymentDeclined(_)
        | OrderEvent::PaymentOutcomeUnknown(_)
        | OrderEvent::PaymentVoided(_)
        | OrderEvent::PaymentCaptured(_)
        | OrderEvent::PaymentRefunded(_)
        | OrderEvent::OrderConfirmed(_)
        | OrderEvent::OrderRejected(_)
        | OrderEvent::CancellationRequested(_)
        | OrderEvent::OrderCancelled(_)
        | OrderEvent::OrderDelivered(_)
        | OrderEvent::ReturnReceived(_)
        | OrderEvent::NotificationSent(_)
        | OrderEvent::NotificationFailed(_)
        | OrderEvent::OperatorIntervened(_) => None,
    }
}
