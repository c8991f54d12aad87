//! What all reads share: their state, waiting for a position, their errors.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::{IntoResponse, Response};
use domain::ids::{OrderId, Sku};
use event_store::EventStore;
use http::{HeaderMap, StatusCode, header};
use problem::{Precondition, Problem};
use read_models::{Generation, QueryError, ReadModels, StoreError, Table};
use serde::{Deserialize, Serialize};

use crate::parameters::invalid;
use crate::{Projection, REGISTRY};

/// How long a read waits for its view to reach the asked position.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a read needs.
#[derive(Clone)]
pub(crate) struct Reads {
    pub(crate) store: EventStore,
    tables: Arc<HashMap<&'static str, Arc<dyn Table>>>,
}

/// `?minPosition=`: the view must have passed this position of the log.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ReadQuery {
    pub(crate) min_position: Option<i64>,
}

impl Reads {
    pub(crate) fn new(store: EventStore, read_models: &dyn ReadModels) -> Self {
        let live = |projection: &Projection| (projection.name, read_models.table(projection.name, Generation::Live));
        Self { store, tables: Arc::new(REGISTRY.iter().map(live).collect()) }
    }

    /// The live items of a projection, which is in the registry.
    pub(crate) fn table(&self, projection: &str) -> &dyn Table {
        &*self.tables[projection]
    }

    /// Waits until a projection has passed the position that the query or the header `Event-Position-Min` names.
    pub(crate) async fn wait_for(
        &self,
        projection: &str,
        min_position: Option<i64>,
        headers: &HeaderMap,
    ) -> Result<(), Problem> {
        let Some(wanted) = self.within_the_log(min_position, headers).await? else { return Ok(()) };
        let passed = tokio::time::timeout(PATIENCE, self.store.until_passed(projection, wanted)).await;
        let lagging = |_| {
            let detail = format!("the view has not reached position {wanted} yet");
            Problem::unavailable("projection-lagging", detail, Duration::from_secs(1))
        };
        passed.map_err(lagging)?.map_err(unavailable)
    }

    /// The position that the query or the header `Event-Position-Min` names, if one does. The log has come to it.
    pub(crate) async fn within_the_log(
        &self,
        min_position: Option<i64>,
        headers: &HeaderMap,
    ) -> Result<Option<i64>, Problem> {
        let Some(wanted) = min_position.map_or_else(|| from_header(headers), |wanted| Ok(Some(wanted)))? else {
            return Ok(None);
        };
        let end = self.store.end_up_to(wanted).await.map_err(unavailable)?;
        if wanted > end {
            // Of another log, most likely. Waiting for it would be in vain.
            let detail = format!("position {wanted} is beyond the end of the log, which is at {end}");
            return Err(Problem::malformed(detail));
        }
        Ok(Some(wanted))
    }
}

/// What is at a version: nothing but its `ETag`, where the client has that version already.
pub(crate) fn versioned(headers: &HeaderMap, version: i64, view: impl Serialize) -> Result<Response, Problem> {
    let etag = [(header::ETAG, format!("\"{version}\""))];
    Ok(match Precondition::read(headers)?.is_not_modified(version)? {
        true => (StatusCode::NOT_MODIFIED, etag).into_response(),
        false => (etag, Json(view)).into_response(),
    })
}

/// The database did not answer a read.
pub(crate) fn unavailable(error: sqlx::Error) -> Problem {
    Problem::unavailable("database-unavailable", "the database failed", Duration::from_secs(1)).caused_by(error)
}

fn from_header(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get("event-position-min") else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| Problem::malformed("header Event-Position-Min must be a position of the log"))
}

/// The order a path names. What is no id names no order.
pub(crate) fn order_id(path: Result<Path<String>, PathRejection>) -> Result<OrderId, Problem> {
    path.ok().and_then(|Path(id)| OrderId::parse(id).ok()).ok_or_else(|| Problem::not_found("there is no such order"))
}

/// The SKU a path names. What is no id names none.
pub(crate) fn sku(path: Result<Path<String>, PathRejection>) -> Result<Sku, Problem> {
    path.ok().and_then(|Path(sku)| Sku::parse(sku).ok()).ok_or_else(|| Problem::not_found("there is no such SKU"))
}

/// A page that could not be read.
pub(crate) fn page_problem(error: QueryError) -> Problem {
    match error {
        QueryError::Cursor(error) => invalid("cursor", error),
        QueryError::Store(error) => store_problem(error),
    }
}

/// Items that could not be read.
pub(crate) fn store_problem(error: StoreError) -> Problem {
    match error {
        StoreError::Database(error) => unavailable(error),
        error @ (StoreError::Conflict(_) | StoreError::NoGeneration { .. } | StoreError::Remote(_)) => {
            let detail = "the store of read models failed";
            Problem::unavailable("read-models-unavailable", detail, Duration::from_secs(1)).caused_by(error)
        }
        // Only what is written can be.
        error @ StoreError::Refused { .. } => Problem::internal(error),
    }
}
