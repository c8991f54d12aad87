//! The commands on an order that exists: one table of routes, and what they have in common.
//!
//! What a command decides on an order and on units of its SKUs is stored in one append. `parse` reads each command's body;
//! `domain` has its rules. `refund_limits` bounds what a role may refund of an order.

mod parse;
mod refund_limits;
mod replay;
mod stock_moves;

use std::sync::Arc;
use std::time::Duration;

use access_control::{AuthorizedCaller, RoutePermission};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use chrono::{TimeDelta, Utc};
use cqrs_es::Aggregate;
use domain::ids::{OrderId, ReturnId, ShipmentId, Sku};
use domain::order::units::implied_stock_commands;
use domain::order::{Order, OrderCommand, PlacedOrder, evolve};
use event_store::{
    AppendError, Command, ConflictRetryPolicy, Decision, HandleError, Handled, Metadata, StreamAppend, Versioned,
};
use http::StatusCode;
use problem::{Precondition, Problem, ProblemType, Trace};
use serde::Deserialize;
use tokio::time::Instant;
use uuid::Uuid;

use self::parse::BodyParser::{self, OnMail, OnOrder, OnReturn, OnShipment};
use self::parse::{CommandSubject, ParsedOrderCommand};
pub use self::refund_limits::SupportRefundLimits;
use crate::answer::{CommandResponse, CommandTarget};
use crate::bodies::{
    NewCancellation, NewDelivery, NewEdit, NewHold, NewNote, NewReceipt, NewRefund, NewRelease, NewReturn,
    NewReturnCancellation, NewShipment, NewTracking, Nothing,
};
use crate::operations::{CommandDescription, CommandMethod};
use crate::request::BodyRequirement::{self, Optional, Required};
use crate::{CommandDependencies, metadata, order_refusal, problems};

/// The commands on an order: path, scope, success, body, parser, description.
pub(crate) static ORDER_COMMANDS: [OrderRouteDefinition; 14] = [
    route("/orders/{order_id}/cancel", "POST /orders/cancel", ACCEPTED, Optional, OnOrder(parse::cancel), CANCEL),
    route(EDITS, "POST /orders/edits", ACCEPTED, Required, OnOrder(parse::edit), EDIT),
    route("/orders/{order_id}/ship", "POST /orders/ship", ACCEPTED, Optional, OnOrder(parse::ship), SHIP),
    route("/orders/{order_id}/deliver", "POST /orders/deliver", OK, Optional, OnOrder(parse::deliver), DELIVER),
    route(
        DELIVER_SHIPMENT,
        "POST /orders/shipments/deliver",
        OK,
        Optional,
        OnShipment(parse::deliver_shipment),
        DELIVERED,
    ),
    put(TRACKING, "PUT /orders/shipments/parcels", OnShipment(parse::change_tracking), CHANGE_TRACKING),
    route("/orders/{order_id}/hold", "POST /orders/hold", CREATED, Required, OnOrder(parse::hold), HOLD),
    route("/orders/{order_id}/release", "POST /orders/release", OK, Optional, OnOrder(parse::release), RELEASE),
    route(
        "/orders/{order_id}/returns",
        "POST /orders/returns",
        CREATED,
        Required,
        OnOrder(parse::request_return),
        RETURN,
    ),
    route(CANCEL_RETURN, "POST /orders/returns/cancel", ACCEPTED, Optional, OnReturn(parse::cancel_return), NO_RETURN),
    route(RECEIVE_RETURN, "POST /orders/returns/receive", ACCEPTED, Optional, OnReturn(parse::receive_return), RECEIVE),
    route("/orders/{order_id}/refunds", "POST /orders/refunds", ACCEPTED, Optional, OnOrder(parse::refund), REFUND),
    route(RESEND_MAIL, "POST /orders/mails/resend", ACCEPTED, Optional, OnMail(parse::resend_mail), RESEND),
    route("/orders/{order_id}/notes", "POST /orders/notes", CREATED, Required, OnOrder(parse::add_note), NOTE),
];
/// How the document describes them.
const CANCEL: CommandDescription = CommandDescription::of::<NewCancellation>(
    "cancelOrder",
    "Cancels an order, or lines of it",
    r#"{"reason": "changed my mind"}"#,
);
const EDIT: CommandDescription = CommandDescription::of::<NewEdit>(
    "editOrder",
    "An order changes before it ships, once its units and its money are there",
    r#"{"editId": "edit-1", "lines": [{"lineNumber": 1, "quantity": 2}], "reason": "the customer wants two"}"#,
)
.of_one_version();
const SHIP: CommandDescription = CommandDescription::of::<NewShipment>(
    "shipOrder",
    "Some of an order, or all that is left, was sent",
    r#"{"shipmentId": "shipment-1", "parcels": [{"carrier": "UPS", "tracking": "1Z999AA10123456784"}]}"#,
);
const DELIVER: CommandDescription =
    CommandDescription::of::<Nothing>("deliverOrder", "All of an order has arrived", "{}");
const DELIVERED: CommandDescription = CommandDescription::of::<NewDelivery>(
    "deliverShipment",
    "A shipment has arrived; the last one completes the order",
    r#"{"deliveredAt": "2026-11-24T09:30:00Z"}"#,
);
const CHANGE_TRACKING: CommandDescription = CommandDescription::of::<NewTracking>(
    "changeTracking",
    "A shipment is followed by these parcels, and not by those that were named before",
    r#"{"parcels": [{"carrier": "UPS", "tracking": "1Z999AA10123456785"}]}"#,
);
const HOLD: CommandDescription = CommandDescription::of::<NewHold>(
    "holdOrder",
    "Nothing of an order is shipped until the hold is released",
    r#"{"holdId": "hold-1", "reason": "The address is unclear"}"#,
);
const RELEASE: CommandDescription =
    CommandDescription::of::<NewRelease>("releaseOrder", "A hold is over, or all are", r#"{"holdId": "hold-1"}"#);
const RETURN: CommandDescription = CommandDescription::of::<NewReturn>(
    "requestReturn",
    "Some of an order will come back",
    r#"{"returnId": "return-1", "lines": [{"lineNumber": 1, "quantity": 1}], "reason": "too loud"}"#,
);
const RECEIVE: CommandDescription = CommandDescription::of::<NewReceipt>(
    "receiveReturn",
    "A return is here, or some of it; what that cost is refunded",
    r#"{"lines": [{"lineNumber": 1, "quantity": 1, "condition": "sellable", "restock": true}]}"#,
);
const NO_RETURN: CommandDescription = CommandDescription::of::<NewReturnCancellation>(
    "cancelReturn",
    "What has not come of a return is not coming",
    r#"{"reason": "the customer keeps it"}"#,
);
const REFUND: CommandDescription = CommandDescription::of::<NewRefund>(
    "refundOrder",
    "The customer gets an amount back, or all that is left",
    r#"{"refundId": "refund-1", "amount": "5.00", "reason": "a scratch"}"#,
);
const RESEND: CommandDescription =
    CommandDescription::of::<Nothing>("resendMail", "The customer gets a mail once more, as another mail", "{}");
const NOTE: CommandDescription = CommandDescription::of::<NewNote>(
    "addNote",
    "Adds a note to an order",
    r#"{"noteId": "note-1", "text": "The customer called: leave it with the neighbour", "author": "Kim"}"#,
);
const EDITS: &str = "/orders/{order_id}/edits";
const DELIVER_SHIPMENT: &str = "/orders/{order_id}/shipments/{shipment_id}/deliver";
const CANCEL_RETURN: &str = "/orders/{order_id}/returns/{return_id}/cancel";
const RESEND_MAIL: &str = "/orders/{order_id}/mails/{notification_id}/resend";
const TRACKING: &str = "/orders/{order_id}/shipments/{shipment_id}/parcels";
const RECEIVE_RETURN: &str = "/orders/{order_id}/returns/{return_id}/receive";
const OK: StatusCode = StatusCode::OK;
const CREATED: StatusCode = StatusCode::CREATED;
const ACCEPTED: StatusCode = StatusCode::ACCEPTED;

const fn route(
    path: &'static str,
    scope: &'static str,
    success: StatusCode,
    body: BodyRequirement,
    parser: BodyParser,
    description: CommandDescription,
) -> OrderRouteDefinition {
    OrderRouteDefinition { method: CommandMethod::Post, path, scope, success, body, parser, description }
}

const fn put(
    path: &'static str,
    scope: &'static str,
    parser: BodyParser,
    description: CommandDescription,
) -> OrderRouteDefinition {
    let (method, success, body) = (CommandMethod::Put, OK, Required);
    OrderRouteDefinition { method, path, scope, success, body, parser, description }
}

/// How long a command waits for others on the same order, and is decided again because a saga or another process changes the order.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How far the clock of who records an arrival may be ahead.
pub(crate) const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// How a command on an order is called: its path, the scope of its idempotency keys, its body and its answer.
pub(crate) struct OrderRouteDefinition {
    pub(crate) method: CommandMethod,
    pub(crate) path: &'static str,
    /// The command, within which a caller's idempotency keys are unique.
    scope: &'static str,
    pub(crate) success: StatusCode,
    pub(crate) body: BodyRequirement,
    parser: BodyParser,
    pub(crate) description: CommandDescription,
}

/// The ids in a route's path.
#[derive(Deserialize)]
pub(crate) struct OrderPathIds {
    order_id: String,
    return_id: Option<String>,
    shipment_id: Option<String>,
    notification_id: Option<String>,
}

pub(crate) async fn change_order(
    route: &'static OrderRouteDefinition,
    State(commands): State<Arc<CommandDependencies>>,
    path: Result<Path<OrderPathIds>, PathRejection>,
    caller: AuthorizedCaller,
    trace: Trace,
    request: Request,
) -> Result<Response, Problem> {
    let (order_id, subject) = ids(route, path)?;
    let target = request.uri().path().to_owned();
    let request = commands.requests.read_body(request, route.body).await?;
    commands.store.ensure_capacity().map_err(problems::not_appended)?;
    let request = commands.requests.begin(&commands.store, &caller, request, route.scope, Some(&target)).await?;
    let precondition = request.precondition()?;
    let deadline = Instant::now() + TIMEOUT;
    let Some(_lock) = commands.order_locks.lock(&order_id, deadline).await else {
        let detail = "too many commands wait for this order";
        return Err(Problem::new(ProblemType::Overloaded, detail).retry_after(problems::RETRY_SOON));
    };
    let mut command = ChangeOrder {
        commands: &commands,
        route,
        order_id: &order_id,
        subject: &subject,
        body: &request.body,
        precondition,
        caller: &caller,
        metadata: metadata(&caller, &trace),
        new_id: Uuid::now_v7(),
        parsed: None,
    };
    let handled = commands.store.handle(&mut command, request.key(), ConflictRetryPolicy::until(deadline)).await;
    let (version, position, replayed) = match handled {
        Ok(Handled::Appended(appended)) => (appended.version, appended.position, false),
        Ok(Handled::Unchanged(at)) => (at.version, at.position, false),
        Ok(Handled::Replayed(record)) => {
            command.parse_as_before(record.version).await?;
            (record.version, record.position, true)
        }
        Err(HandleError::Append(error @ AppendError::Unknown(_))) => return Err(outcome_unknown(error)),
        Err(error) => return Err(problems::not_handled(error)),
    };
    tracing::debug!(%order_id, version, "{} carried out", route.scope);
    let made = command.parsed.as_ref().map_or(&[][..], |parsed| &parsed.made);
    CommandResponse { resource: CommandTarget::Order(&order_id), version, position, made, replayed }
        .into_response(route.success)
}

/// The ids in the path. A text that is no id names nothing that exists.
fn ids(
    route: &OrderRouteDefinition,
    path: Result<Path<OrderPathIds>, PathRejection>,
) -> Result<(OrderId, CommandSubject), Problem> {
    let Path(OrderPathIds { order_id, return_id, shipment_id, notification_id }) = path.map_err(|_| no_such_order())?;
    let order_id = OrderId::parse(order_id).map_err(|_| no_such_order())?;
    let subject = match &route.parser {
        OnOrder(_) => CommandSubject::Order,
        OnMail(_) => {
            let notification_id = notification_id.and_then(|id| Uuid::parse_str(&id).ok());
            CommandSubject::Mail(notification_id.ok_or_else(|| Problem::not_found("there is no such mail"))?)
        }
        OnReturn(_) => {
            let return_id = return_id.and_then(|id| ReturnId::parse(id).ok());
            CommandSubject::Return(return_id.ok_or_else(|| Problem::not_found("there is no such return"))?)
        }
        OnShipment(_) => {
            let shipment_id = shipment_id.and_then(|id| ShipmentId::parse(id).ok());
            CommandSubject::Shipment(shipment_id.ok_or_else(|| Problem::not_found("there is no such shipment"))?)
        }
    };
    Ok((order_id, subject))
}

pub(crate) fn no_such_order() -> Problem {
    order_refusal::problem(&domain::order::OrderError::NoSuchOrder, &[], None)
}

pub(crate) fn outcome_unknown(error: AppendError) -> Problem {
    let detail = "the database failed; whether this was stored is not known: look at the order before you send it again, or \
                  send it again with the same id or Idempotency-Key";
    problems::outcome_unknown(error, detail)
}

struct ChangeOrder<'a> {
    commands: &'a CommandDependencies,
    route: &'static OrderRouteDefinition,
    order_id: &'a OrderId,
    subject: &'a CommandSubject,
    body: &'a [u8],
    precondition: Precondition,
    caller: &'a AuthorizedCaller,
    metadata: Metadata,
    /// The id for what the command makes, if the request gives none.
    new_id: Uuid,
    /// The command, once its body was read.
    parsed: Option<ParsedOrderCommand>,
}

impl Command for ChangeOrder<'_> {
    type Refusal = Problem;

    fn stream(&self) -> (&'static str, &str) {
        (Order::TYPE, self.order_id.as_str())
    }

    async fn decide(&mut self) -> Result<Decision<'_>, HandleError<Problem>> {
        let stream: Versioned<Order> = self.commands.store.load(self.order_id.as_str()).await?;
        let Order::Placed(order) = &stream.state else { return Err(HandleError::Undecidable(no_such_order())) };
        // Before anything else is looked at: a customer must not find out which orders there are.
        if self.caller.only_customer().is_some_and(|customer| !order.content.is_of(customer)) {
            return Err(HandleError::Undecidable(no_such_order()));
        }
        let parsed = self.parse(order, self.new_id).map_err(HandleError::Undecidable)?;
        if self.route.description.requires_version && !self.precondition.names_versions() {
            let detail = "If-Match must say which version of the order this is meant for: the ETag of its preview";
            return Err(HandleError::Refused(Problem::new(ProblemType::PreconditionRequired, detail)));
        }
        self.precondition.check(stream.version).map_err(HandleError::Refused)?;
        let events = self.commands.limits.decide(&stream.state, parsed.command.clone());
        let events = events.map_err(|refusal| {
            let currency = Some(order.content.currency);
            HandleError::Refused(order_refusal::problem(&refusal, &parsed.lines, currency))
        })?;
        self.parsed = Some(parsed);
        if events.is_empty() {
            return Ok(Decision::Unchanged(stream.last()));
        }
        if self.caller.grant == RoutePermission::UpToAmount {
            self.check_refund(&events, order.content.currency, stream.version).await?;
        }
        let append = StreamAppend::of::<Order>(self.order_id.as_str(), stream.version, &events, &self.metadata)?;
        let mut after = stream.state;
        let mut stock_commands = Vec::new();
        for event in events {
            evolve(&mut after, event.clone());
            if let Order::Placed(after) = &after {
                stock_commands.extend(implied_stock_commands(self.order_id, after, &event));
            }
        }
        if stock_commands.is_empty() {
            return Ok(Decision::Append(vec![append].into()));
        }
        let skus = stock_commands.iter().map(|(sku, _)| sku.to_string()).collect();
        let locked = self.commands.stock.lock(skus).await?;
        // What is not on hand may have shipped by this very request, sent before: its idempotency key is looked up.
        let pointer = |sku: &Sku| match (&after, &self.parsed) {
            (Order::Placed(order), Some(parsed)) => stock_moves::pointer_to(sku, order, &parsed.command),
            (Order::Placed(_) | Order::Absent, _) => None,
        };
        let appends = stock_moves::stock_appends(&locked, stock_commands, pointer, &self.metadata);
        let mut appends = appends.map_err(HandleError::Refused)?;
        // The answer is about the order, which comes last.
        appends.push(append);
        Ok(Decision::Append(locked.into_append(appends)))
    }
}

impl ChangeOrder<'_> {
    /// Reads the body. What the command makes gets `new_id`, if the body gives no id.
    fn parse(&self, order: &PlacedOrder, new_id: Uuid) -> Result<ParsedOrderCommand, Problem> {
        let parsed = match (&self.route.parser, self.subject) {
            (OnOrder(parse), _) => parse(self.body, order, new_id),
            (OnReturn(parse), CommandSubject::Return(return_id)) => parse(self.body, order, return_id, new_id),
            (OnShipment(parse), CommandSubject::Shipment(shipment_id)) => parse(self.body, shipment_id),
            (OnMail(parse), CommandSubject::Mail(notification_id)) => parse(self.body, *notification_id),
            (OnMail(_) | OnReturn(_) | OnShipment(_), _) => return Err(no_such_order()),
        };
        let parsed = parsed.map_err(problems::invalid_body)?;
        if let OrderCommand::AddNote(note) = &parsed.command
            && note.author.is_some()
            && self.caller.only_customer().is_some()
        {
            let message = "must be left out: the note is the customer's";
            return Err(problems::invalid_field("/author", "not_for_customers", message));
        }
        if let OrderCommand::DeliverShipment(delivery) = &parsed.command
            && delivery.delivered_at.is_some_and(|at| at > Utc::now() + CLOCK_TOLERANCE)
        {
            return Err(problems::invalid_field("/deliveredAt", "in_the_future", "must not be in the future"));
        }
        Ok(parsed)
    }
}
