//! `POST /orders/import`: up to a hundred orders that another system has handled, each for itself.

use std::sync::Arc;

use access_control::AuthorizedCaller;
use axum::extract::{Request, State};
use axum::response::Response;
use chrono::Utc;
use cqrs_es::Aggregate;
use domain::ids::OrderId;
use domain::order::Order;
use domain::order::import::{OrderImport, import};
use domain::order::parse::PostedImport;
use event_store::{
    Command, ConflictRetryPolicy, Decision, EventStore, HandleError, Handled, Metadata, StreamAppend, Versioned,
};
use futures_util::future::join_all;
use problem::{Problem, Trace};

use crate::bodies::NewOrderImportBatch;
use crate::operations::CommandDescription;
use crate::order_batch::{MOST_VIOLATIONS, OrderBatch, OrderResult, answer};
use crate::order_commands::CLOCK_TOLERANCE;
use crate::{CommandDependencies, order_refusal, problems};

pub(crate) const DESCRIPTION: CommandDescription = CommandDescription::of::<NewOrderImportBatch>(
    "importOrders",
    "Imports up to 100 orders that another system has handled: nothing is done for them",
    r#"[{
        "orderId": "old-1001", "customerId": "customer-42", "totalAmount": 129.99, "currency": "USD",
        "placedAt": "2024-11-21T18:00:00Z", "status": "delivered",
        "items": [{"sku": "sku-123", "title": "Wireless Headphones", "quantity": 1, "unitPrice": "129.99"}],
        "payments": [{"method": "card", "amount": "129.99", "reference": "ch_1001"}]
    }]"#,
);

/// An order that was imported, now or before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedOrder {
    pub order_id: OrderId,
    pub version: i64,
    /// Of the last event of the import; of the order's first one, if it was there.
    pub position: i64,
    /// Whether it was not there before.
    pub is_new: bool,
}

/// Imports an order that is given as `POST /orders/import` takes it. `actor`: who does. The problem names every mistake.
pub async fn import_order(store: &EventStore, actor: &str, order: &[u8]) -> Result<ImportedOrder, Problem> {
    let metadata =
        Metadata { actor: Some(actor.to_owned()), correlation_id: None, causation_id: None, traceparent: None };
    let posted = PostedImport::parse(order).map_err(problems::invalid_body)?;
    import_posted(store, posted, &metadata).await
}

pub(crate) async fn import_orders(
    State(commands): State<Arc<CommandDependencies>>,
    caller: AuthorizedCaller,
    trace: Trace,
    request: Request,
) -> Result<Response, Problem> {
    let batch = OrderBatch::read(&commands, request).await?;
    let metadata = crate::metadata(&caller, &trace);
    let import_one = async |order: &[u8]| {
        let posted = match PostedImport::parse(order) {
            Ok(posted) => posted,
            Err(invalid) => {
                let problem = problems::invalid_body(invalid.with_at_most(MOST_VIOLATIONS));
                return OrderResult::refused(None, &problem);
            }
        };
        let order_id = posted.order_id.clone();
        match import_posted(&commands.store, posted, &metadata).await {
            Ok(imported) => OrderResult::accepted(imported.order_id, imported.version, imported.position),
            Err(problem) => OrderResult::refused(Some(order_id), &problem),
        }
    };
    let results = join_all(batch.orders()?.into_iter().map(import_one)).await;
    Ok(answer(results))
}

async fn import_posted(
    store: &EventStore,
    posted: PostedImport,
    metadata: &Metadata,
) -> Result<ImportedOrder, Problem> {
    let PostedImport { order_id, import } = posted;
    if import.content.placed_at.is_some_and(|at| at > Utc::now() + CLOCK_TOLERANCE) {
        return Err(problems::invalid_field("/placedAt", "in_the_future", "must not be in the future"));
    }
    // Most are new. So nothing is read first: the append fails if that is wrong.
    let assumed = Some(Versioned::default());
    let mut command = ImportOrder { store, order_id: &order_id, import, metadata, assumed, version: 0 };
    let handled = store.handle(&mut command, None, ConflictRetryPolicy::default()).await;
    let version = command.version;
    let (position, is_new) = match handled {
        Ok(Handled::Appended(appended)) => (appended.position, true),
        Ok(Handled::Unchanged(first)) => (first.position, false),
        Ok(Handled::Replayed(record)) => (record.position, false),
        Err(HandleError::Refused(refused)) => return Err(refused),
        Err(error) => return Err(problems::not_handled(error)),
    };
    Ok(ImportedOrder { order_id, version, position, is_new })
}

struct ImportOrder<'a> {
    store: &'a EventStore,
    order_id: &'a OrderId,
    import: OrderImport,
    metadata: &'a Metadata,
    /// What the order is taken to be at first, without reading it.
    assumed: Option<Versioned<Order>>,
    /// The order's version after what was decided last.
    version: i64,
}

impl Command for ImportOrder<'_> {
    type Refusal = Problem;

    fn stream(&self) -> (&'static str, &str) {
        (Order::TYPE, self.order_id.as_str())
    }

    async fn decide(&mut self) -> Result<Decision<'_>, HandleError<Problem>> {
        let order = match self.assumed.take() {
            Some(assumed) => assumed,
            None => self.store.load(self.order_id.as_str()).await?,
        };
        let actor = self.metadata.actor.as_deref().unwrap_or_default();
        let events = import(&order.state, self.import.clone(), actor).map_err(|refusal| {
            let problem = order_refusal::problem(&refusal, &[], None);
            HandleError::Refused(problem.with("orderId", self.order_id.as_str()))
        })?;
        self.version = order.version + i64::try_from(events.len()).unwrap_or_default();
        if events.is_empty() {
            return Ok(Decision::Unchanged(order.first()));
        }
        let append = StreamAppend::of::<Order>(self.order_id.as_str(), order.version, &events, self.metadata)?;
        Ok(Decision::Append(vec![append].into()))
    }
}
