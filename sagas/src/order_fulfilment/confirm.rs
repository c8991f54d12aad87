//! Promises the order to the customer.

use domain::{Order, OrderCommand, OrderStatus, decide};
use event_store::Metadata;
use futures_util::FutureExt;
use futures_util::future::join_all;

use super::{Done, Due, Kind, NAME, Outcomes, Step, StepError, Undo};
use crate::Context;

pub(super) const STEP: Step = Step {
    name: "confirm",
    kind: Kind::Pivot,
    undo: Undo::Nothing { because: "it is the pivot: a confirmed order is cancelled, not unconfirmed" },
    is_done: |order| order.status == OrderStatus::Confirmed,
    run: confirm,
};

fn confirm<'a>(context: &'a Context, orders: &'a [Due]) -> Outcomes<'a> {
    // All at once: the store's group commit makes one transaction of them.
    join_all(orders.iter().map(|due| confirm_one(context, due))).boxed()
}

async fn confirm_one(context: &Context, due: &Due) -> Result<Done, StepError> {
    let metadata = due.events.last().map(|cause| Metadata::caused_by(cause, NAME)).unwrap_or_default();
    let confirm = |order: &Order| decide(order, OrderCommand::ConfirmOrder);
    let executed = context.store.execute(&due.order_id, due.stream.clone(), &metadata, confirm).await;
    executed.map(|_| Done::Recorded).map_err(|error| StepError::new(&error))
}
