//! What is asked about an order's sagas. Read models know no sagas: whoever has both answers it.

use std::fmt;

use async_trait::async_trait;
use domain::ids::OrderId;
use problem::Problem;
use serde_json::value::RawValue;

/// The reports on the sagas of orders.
#[async_trait]
pub trait SagaReports: fmt::Debug + Send + Sync {
    /// The report on an order's sagas, as `GET /orders/{id}/saga` answers it. `None`: there is no such order.
    async fn read(&self, order_id: &OrderId) -> Result<Option<Box<RawValue>>, Problem>;
}
