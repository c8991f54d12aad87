//! Gives the read models what they ask about sagas.

use std::fmt;

use async_trait::async_trait;
use domain::ids::OrderId;
use event_store::EventStore;
use problem::Problem;
use projections::SagaReports;
use serde_json::value::{RawValue, to_raw_value};

/// The reports on sagas, made of the log.
pub(crate) struct StoredSagas(pub(crate) EventStore);

impl fmt::Debug for StoredSagas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StoredSagas").finish_non_exhaustive()
    }
}

#[async_trait]
impl SagaReports for StoredSagas {
    async fn read(&self, order_id: &OrderId) -> Result<Option<Box<RawValue>>, Problem> {
        let report = sagas::read_report(&self.0, order_id).await?;
        report.map(|report| to_raw_value(&report).map_err(Problem::internal)).transpose()
    }
}
