//! `POST /orders`: an order is stored, and only then acknowledged.

use std::sync::Arc;

use access_control::AuthorizedCaller;
use axum::extract::{Request, State};
use axum::response::Response;
use cqrs_es::Aggregate;
use domain::ids::OrderId;
use domain::order::event::OrderCreated;
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderCommand, decide};
use event_store::{
    Command, ConflictRetryPolicy, Decision, EventStore, HandleError, Handled, IdempotencyKey, Metadata, StreamAppend,
    Versioned,
};
use http::StatusCode;
use problem::{Precondition, Problem, Trace};
use uuid::Uuid;

use crate::answer::{CommandResponse, CommandTarget};
use crate::bodies::NewOrder;
use crate::operations::CommandDescription;
use crate::request::BodyRequirement;
use crate::{CommandDependencies, metadata, order_refusal, problems};

/// The command, within which a caller's idempotency keys are unique.
const SCOPE: &str = "POST /orders";
/// The version of an order that was just created, which every answer names.
pub(crate) const FIRST_VERSION: i64 = 1;

pub(crate) const DESCRIPTION: CommandDescription = CommandDescription::of::<NewOrder>(
    "placeOrder",
    "Places an order: it is stored once it is answered",
    r#"{
        "orderId": "order-1001", "customerId": "customer-42", "customerEmail": "customer-42@example.com",
        "totalAmount": 129.99, "currency": "USD",
        "items": [{"sku": "sku-123", "title": "Wireless Headphones", "quantity": 1, "unitPrice": "129.99"}],
        "notes": "Please ring twice", "metadata": {"channel": "web"}, "createdAtIso": "2026-11-21T18:00:00Z"
    }"#,
);

pub(crate) async fn create_order(
    State(commands): State<Arc<CommandDependencies>>,
    caller: AuthorizedCaller,
    trace: Trace,
    request: Request,
) -> Result<Response, Problem> {
    let request = commands.requests.read_body(request, BodyRequirement::Required).await?;
    // Parsing an order that has to be refused would take time from those that were accepted.
    commands.store.ensure_capacity().map_err(problems::not_appended)?;
    let request = commands.requests.begin(&commands.store, &caller, request, SCOPE, None).await?;
    let posted = PostedOrder::parse(&request.body).map_err(problems::invalid_body)?;
    let order_id = match posted.order_id {
        Some(given) => given,
        None => OrderId::parse(Uuid::now_v7().to_string()).map_err(Problem::internal)?,
    };
    let precondition = request.precondition()?;
    let metadata = metadata(&caller, &trace);
    let placement =
        OrderPlacement { order_id: &order_id, content: posted.content, key: request.key(), precondition, metadata };
    let placed = place(&commands.store, placement).await?;
    accepted(placed.replayed_as.as_ref().unwrap_or(&order_id), placed.position, placed.replayed_as.is_some())
}

/// An order to be placed.
pub(crate) struct OrderPlacement<'a> {
    pub(crate) order_id: &'a OrderId,
    pub(crate) content: OrderCreated,
    pub(crate) key: Option<&'a IdempotencyKey>,
    pub(crate) precondition: Precondition,
    pub(crate) metadata: Metadata,
}

/// An order that is stored.
pub(crate) struct PlacedAt {
    pub(crate) position: i64,
    /// The id of the order that was placed before under the idempotency key.
    pub(crate) replayed_as: Option<OrderId>,
}

/// Stores an order, unless it is stored already.
pub(crate) async fn place(store: &EventStore, placement: OrderPlacement<'_>) -> Result<PlacedAt, Problem> {
    let OrderPlacement { order_id, content, key, precondition, metadata } = placement;
    // Most orders are new. So nothing is read first: the append fails if that is wrong.
    let assumed = precondition.accepts_any_version().then(Versioned::default);
    let mut command = CreateOrder { store, order_id, content, precondition, metadata, assumed };
    let handled = match store.handle(&mut command, key, ConflictRetryPolicy::default()).await {
        Ok(handled) => handled,
        Err(HandleError::Refused(refused)) => return Err(refused),
        // The id was made for a request that is not the one the key stands for.
        Err(error @ HandleError::KeyReused) => return Err(problems::not_handled(error)),
        // If it is not known whether the order is stored, it can be sent again under the id that was made for it.
        Err(error) => return Err(problems::not_handled(error).with("orderId", order_id.as_str())),
    };
    tracing::debug!(%order_id, "order accepted");
    let (position, replayed_as) = match handled {
        Handled::Appended(appended) => (appended.position, None),
        Handled::Unchanged(first) => (first.position, None),
        Handled::Replayed(record) => {
            (record.position, Some(OrderId::parse(record.stream_id).map_err(Problem::internal)?))
        }
    };
    Ok(PlacedAt { position, replayed_as })
}

fn accepted(order_id: &OrderId, position: i64, replayed: bool) -> Result<Response, Problem> {
    let resource = CommandTarget::Order(order_id);
    CommandResponse { resource, version: FIRST_VERSION, position, made: &[], replayed }
        .into_response(StatusCode::CREATED)
}

struct CreateOrder<'a> {
    store: &'a EventStore,
    order_id: &'a OrderId,
    content: OrderCreated,
    precondition: Precondition,
    metadata: Metadata,
    /// What the order is taken to be at first, without reading it.
    assumed: Option<Versioned<Order>>,
}

impl Command for CreateOrder<'_> {
    type Refusal = Problem;

    fn stream(&self) -> (&'static str, &str) {
        (Order::TYPE, self.order_id.as_str())
    }

    async fn decide(&mut self) -> Result<Decision<'_>, HandleError<Problem>> {
        let order = match self.assumed.take() {
            Some(assumed) => assumed,
            None => self.store.load(self.order_id.as_str()).await?,
        };
        self.precondition.check(order.version).map_err(HandleError::Refused)?;
        let events = decide(&order.state, OrderCommand::CreateOrder(self.content.clone()))
            .map_err(|refusal| HandleError::Refused(self.refused(&refusal)))?;
        if events.is_empty() {
            // Posted again, an order gets the answer that it got the first time.
            return Ok(Decision::Unchanged(order.first()));
        }
        let append = StreamAppend::of::<Order>(self.order_id.as_str(), order.version, &events, &self.metadata)?;
        Ok(Decision::Append(vec![append].into()))
    }
}

impl CreateOrder<'_> {
    fn refused(&self, refusal: &domain::order::OrderError) -> Problem {
        order_refusal::problem(refusal, &[], None).with("orderId", self.order_id.as_str())
    }
}
