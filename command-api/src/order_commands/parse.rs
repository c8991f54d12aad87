//! The readers of each command's body.

use domain::body::InvalidBody;
use domain::ids::{ReturnId, ShipmentId};
use domain::order::event::{LineQuantity, ShipmentTrackingChanged};
use domain::order::parse::{
    parse_cancellation, parse_delivery, parse_edit, parse_hold, parse_note, parse_nothing, parse_refund, parse_release,
    parse_return, parse_return_cancellation, parse_return_receipt, parse_shipment, parse_tracking,
};
use domain::order::{DeliverShipment, OrderCommand, PlacedOrder};
use uuid::Uuid;

/// How a route's body is read. A body may leave out the id of what the command makes: then it gets the given one.
#[expect(clippy::enum_variant_names, reason = "the table of routes reads so")]
pub(super) enum BodyParser {
    /// For commands on the order in the path.
    OnOrder(fn(&[u8], &PlacedOrder, Uuid) -> Result<ParsedOrderCommand, InvalidBody>),
    /// For commands on the return in the path.
    OnReturn(fn(&[u8], &PlacedOrder, &ReturnId, Uuid) -> Result<ParsedOrderCommand, InvalidBody>),
    /// For commands on the mail in the path.
    OnMail(fn(&[u8], Uuid) -> Result<ParsedOrderCommand, InvalidBody>),
    /// For commands on the shipment in the path.
    OnShipment(fn(&[u8], &ShipmentId) -> Result<ParsedOrderCommand, InvalidBody>),
}

/// What the path of a request names within the order.
pub(super) enum CommandSubject {
    Order,
    Mail(Uuid),
    Return(ReturnId),
    Shipment(ShipmentId),
}

/// A command that was parsed from a request's body, with what the answer says of it.
pub(super) struct ParsedOrderCommand {
    pub(super) command: OrderCommand,
    /// What it makes or is about, as the answer names it: fields and ids.
    pub(super) made: Vec<(&'static str, String)>,
    /// The lines in its body, which a refusal may point to.
    pub(super) lines: Vec<LineQuantity>,
}

pub(super) fn cancel(body: &[u8], order: &PlacedOrder, new_id: Uuid) -> Result<ParsedOrderCommand, InvalidBody> {
    let command = parse_cancellation(body, &order.content.lines, new_id)?;
    let OrderCommand::CancelLines(cancellation) = &command else {
        return Ok(ParsedOrderCommand { command, made: vec![], lines: vec![] });
    };
    Ok(ParsedOrderCommand {
        made: vec![("cancellationId", cancellation.cancellation_id.to_string())],
        lines: cancellation.lines.clone(),
        command,
    })
}

pub(super) fn edit(body: &[u8], order: &PlacedOrder, new_id: Uuid) -> Result<ParsedOrderCommand, InvalidBody> {
    let edit = parse_edit(body, &order.content.lines, new_id, order.content.currency)?;
    Ok(ParsedOrderCommand {
        made: vec![("editId", edit.edit_id.to_string())],
        lines: vec![],
        command: OrderCommand::RequestEdit(edit),
    })
}

pub(super) fn ship(body: &[u8], order: &PlacedOrder, new_id: Uuid) -> Result<ParsedOrderCommand, InvalidBody> {
    let shipment = parse_shipment(body, &order.content.lines, new_id)?;
    Ok(ParsedOrderCommand {
        made: vec![("shipmentId", shipment.shipment_id.to_string())],
        lines: shipment.lines.clone().unwrap_or_default(),
        command: OrderCommand::ShipOrder(shipment),
    })
}

pub(super) fn deliver(body: &[u8], _: &PlacedOrder, _: Uuid) -> Result<ParsedOrderCommand, InvalidBody> {
    parse_nothing(body)?;
    Ok(ParsedOrderCommand { command: OrderCommand::DeliverOrder, made: vec![], lines: vec![] })
}

pub(super) fn deliver_shipment(body: &[u8], shipment_id: &ShipmentId) -> Result<ParsedOrderCommand, InvalidBody> {
    let delivered_at = parse_delivery(body)?;
    Ok(ParsedOrderCommand {
        made: vec![("shipmentId", shipment_id.to_string())],
        lines: vec![],
        command: OrderCommand::DeliverShipment(DeliverShipment { shipment_id: shipment_id.clone(), delivered_at }),
    })
}

pub(super) fn change_tracking(body: &[u8], shipment_id: &ShipmentId) -> Result<ParsedOrderCommand, InvalidBody> {
    let parcels = parse_tracking(body)?;
    let changed = ShipmentTrackingChanged { shipment_id: shipment_id.clone(), parcels };
    Ok(ParsedOrderCommand {
        made: vec![("shipmentId", shipment_id.to_string())],
        lines: vec![],
        command: OrderCommand::ChangeTracking(changed),
    })
}

pub(super) fn hold(body: &[u8], _: &PlacedOrder, new_id: Uuid) -> Result<ParsedOrderCommand, InvalidBody> {
    let held = parse_hold(body, new_id)?;
    Ok(ParsedOrderCommand {
        made: vec![("holdId", held.hold_id.to_string())],
        lines: vec![],
        command: OrderCommand::HoldOrder(held),
    })
}

pub(super) fn release(body: &[u8], _: &PlacedOrder, _: Uuid) -> Result<ParsedOrderCommand, InvalidBody> {
    let hold_id = parse_release(body)?;
    Ok(ParsedOrderCommand {
        made: hold_id.iter().map(|hold_id| ("holdId", hold_id.to_string())).collect(),
        lines: vec![],
        command: OrderCommand::ReleaseOrder(hold_id),
    })
}

pub(super) fn request_return(
    body: &[u8],
    order: &PlacedOrder,
    new_id: Uuid,
) -> Result<ParsedOrderCommand, InvalidBody> {
    let requested = parse_return(body, &order.content.lines, new_id)?;
    Ok(ParsedOrderCommand {
        made: vec![("returnId", requested.return_id.to_string())],
        lines: requested.lines.clone(),
        command: OrderCommand::RequestReturn(requested),
    })
}

pub(super) fn receive_return(
    body: &[u8],
    order: &PlacedOrder,
    return_id: &ReturnId,
    new_id: Uuid,
) -> Result<ParsedOrderCommand, InvalidBody> {
    let command = parse_return_receipt(body, &order.content.lines, return_id, new_id)?;
    let mut made = vec![("returnId", return_id.to_string())];
    made.extend(command.receipt.iter().map(|receipt| ("receiptId", receipt.receipt_id.to_string())));
    let lines = command.receipt.iter().filter_map(|receipt| receipt.lines.as_ref()).flatten();
    let lines = lines.map(|it| LineQuantity { line_number: it.line_number, quantity: it.quantity }).collect();
    Ok(ParsedOrderCommand { made, lines, command: OrderCommand::ReceiveReturn(command) })
}

pub(super) fn cancel_return(
    body: &[u8],
    _: &PlacedOrder,
    return_id: &ReturnId,
    _: Uuid,
) -> Result<ParsedOrderCommand, InvalidBody> {
    Ok(ParsedOrderCommand {
        made: vec![("returnId", return_id.to_string())],
        lines: vec![],
        command: OrderCommand::CancelReturn(parse_return_cancellation(body, return_id)?),
    })
}

pub(super) fn refund(body: &[u8], order: &PlacedOrder, new_id: Uuid) -> Result<ParsedOrderCommand, InvalidBody> {
    let refund = parse_refund(body, new_id, order.content.currency)?;
    Ok(ParsedOrderCommand {
        made: vec![("refundId", refund.refund_id.to_string())],
        lines: vec![],
        command: OrderCommand::RequestRefund(refund),
    })
}

pub(super) fn resend_mail(body: &[u8], notification_id: Uuid) -> Result<ParsedOrderCommand, InvalidBody> {
    parse_nothing(body)?;
    Ok(ParsedOrderCommand { made: vec![], lines: vec![], command: OrderCommand::ResendMail(notification_id) })
}

pub(super) fn add_note(body: &[u8], _: &PlacedOrder, new_id: Uuid) -> Result<ParsedOrderCommand, InvalidBody> {
    let note = parse_note(body, new_id)?;
    Ok(ParsedOrderCommand {
        made: vec![("noteId", note.note_id.to_string())],
        lines: vec![],
        command: OrderCommand::AddNote(note),
    })
}
