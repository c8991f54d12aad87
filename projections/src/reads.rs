//! What all GET routes share: their state, waiting for a position, and their errors.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use access_control::AuthorizedCaller;
use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::{IntoResponse, Response};
use bounds::{CapacityShare, KeyedCapacity, KeyedSemaphore, half_of_processors};
use domain::ids::{OrderId, Sku};
use event_store::EventStore;
use http::{HeaderMap, StatusCode, header};
use problem::{ClientNetwork, Precondition, Problem, ProblemType};
use read_models::{Generation, GenerationStore, GenerationTable, QueryError, ReadModelStoreError};
use serde::{Deserialize, Serialize};

use crate::orders::{EXPORTS, EXPORTS_PER_PRINCIPAL};
use crate::parameters::invalid;
use crate::preference;
use crate::saga_reports::SagaReports;

/// How long a read waits for its read model to reach the position that the client names, unless the client prefers another time.
const WAIT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a search waits for others of its caller. A read that finds no connection to the database waits as long.
const SEARCH_PATIENCE: Duration = Duration::from_secs(5);

/// The state of all GET routes.
#[derive(Clone)]
pub(crate) struct ReadRouteState {
    pub(crate) store: EventStore,
    /// `None`: nobody is asked about sagas here.
    pub(crate) sagas: Option<Arc<dyn SagaReports>>,
    slow: SlowReads,
    tables: Arc<HashMap<&'static str, ReadModelTables>>,
}

/// The tables of a read model: live, next and previous. Not all need be there.
pub(crate) type ReadModelTables = [Arc<dyn GenerationTable>; 3];

/// The slow reads that each caller has under way: searches, exports, and what its live streams read of the past. All keep a processor busy, here
/// or in Postgres. A caller has half of the processors for them, so that others find one free.
#[derive(Debug, Clone)]
pub struct SlowReads {
    /// Of the log.
    log: KeyedSemaphore<Caller>,
    searches: KeyedSemaphore<Caller>,
    /// Documents that are printed, which reads nothing.
    printing: KeyedSemaphore<Caller>,
    /// By principal.
    exports: KeyedCapacity<Arc<str>>,
}

/// A principal, on the network that it calls from.
pub(crate) type Caller = (Option<ClientNetwork>, Option<Arc<str>>);

impl Default for SlowReads {
    /// Searches and reads of the log both read Postgres, and take turns.
    fn default() -> Self {
        let log = KeyedSemaphore::new(half_of_processors());
        let printing = KeyedSemaphore::new(half_of_processors());
        let exports = KeyedCapacity::new(EXPORTS, EXPORTS_PER_PRINCIPAL);
        Self { searches: log.clone(), log, printing, exports }
    }
}

impl SlowReads {
    /// `read_models`: where searches read.
    #[must_use]
    pub fn new(read_models: &dyn GenerationStore) -> Self {
        let both = Self::default();
        let searches = read_models.searches_at_once().map_or_else(|| both.searches.clone(), KeyedSemaphore::new);
        Self { searches, ..both }
    }

    /// Reads the log once it is the caller's turn.
    pub(crate) async fn log<T>(&self, caller: &Caller, read: impl Future<Output = T>) -> T {
        self.log.run_in_turn(caller, read).await
    }
}

/// `?minPosition=`: the read model must have passed this position of the log.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MinPositionQuery {
    /// Waits until the view has passed this position of the log.
    #[param(minimum = 0)]
    pub(crate) min_position: Option<i64>,
}

impl ReadRouteState {
    /// `tables` are the tables of all projections.
    pub(crate) fn new(
        store: EventStore,
        tables: HashMap<&'static str, ReadModelTables>,
        sagas: Option<Arc<dyn SagaReports>>,
        slow: SlowReads,
    ) -> Self {
        Self { store, sagas, slow, tables: Arc::new(tables) }
    }

    /// Searches, once enough of the caller's other searches have ended. Nobody waits for those of others.
    pub(crate) async fn search<T>(
        &self,
        caller: &AuthorizedCaller,
        peer: Option<ClientNetwork>,
        search: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        in_turn(&self.slow.searches, caller, peer, search, "searches").await
    }

    /// Prints a document, once enough of the caller's other documents are printed. Searches keep none waiting, and wait for none.
    pub(crate) async fn print<T>(
        &self,
        caller: &AuthorizedCaller,
        peer: Option<ClientNetwork>,
        print: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        in_turn(&self.slow.printing, caller, peer, print, "documents").await
    }

    /// Reads much of the log, once enough of the caller's other reads of it have ended.
    pub(crate) async fn read_log<T>(
        &self,
        caller: &AuthorizedCaller,
        peer: Option<ClientNetwork>,
        read: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        in_turn(&self.slow.log, caller, peer, read, "searches").await
    }

    /// A place among the exports.
    pub(crate) fn export_slot(&self, caller: &AuthorizedCaller) -> Result<CapacityShare<Arc<str>>, Problem> {
        let mut slot = self.slow.exports.share(Some(caller.principal.identity().into()));
        slot.grow_to(1).map_err(|exceeded| {
            let detail = match exceeded.total {
                true => format!("{EXPORTS} exports are under way"),
                false => format!("{EXPORTS_PER_PRINCIPAL} exports of this principal are under way"),
            };
            Problem::new(ProblemType::Overloaded, detail).retry_after(Duration::from_secs(5))
        })?;
        Ok(slot)
    }

    /// The live table of a projection of the registry.
    pub(crate) fn table(&self, projection: &str) -> &dyn GenerationTable {
        self.generation(projection, Generation::Live)
    }

    /// A table of a projection of the registry, which need not be there.
    pub(crate) fn generation(&self, projection: &str, generation: Generation) -> &dyn GenerationTable {
        let [live, next, previous] = &self.tables[projection];
        &**match generation {
            Generation::Live => live,
            Generation::Next => next,
            Generation::Previous => previous,
        }
    }

    /// Waits until a projection has passed the position that the query or the header `Event-Position-Min` names.
    pub(crate) async fn wait_for_position(
        &self,
        projection: &str,
        min_position: Option<i64>,
        headers: &HeaderMap,
    ) -> Result<(), Problem> {
        let Some(wanted) = self.position_in_log(min_position, headers).await? else { return Ok(()) };
        let wait = preference::wait(headers).unwrap_or(WAIT_TIMEOUT);
        let passed = tokio::time::timeout(wait, self.store.until_passed(projection, wanted)).await;
        let lagging = |_| {
            let detail = format!("the view has not reached position {wanted} yet");
            Problem::new(ProblemType::ProjectionLagging, detail).retry_after(Duration::from_secs(1))
        };
        passed.map_err(lagging)?.map_err(unavailable)
    }

    /// The position that the query or the header `Event-Position-Min` names, if any. It is refused if the log has not
    /// reached it.
    pub(crate) async fn position_in_log(
        &self,
        min_position: Option<i64>,
        headers: &HeaderMap,
    ) -> Result<Option<i64>, Problem> {
        let Some(wanted) = wanted_position(min_position, headers)? else { return Ok(None) };
        let end = self.store.end_up_to(wanted).await.map_err(unavailable)?;
        if wanted > end {
            // Most likely a position of another log: waiting for it would be in vain.
            let detail = format!("position {wanted} is beyond the end of the log, which is at {end}");
            return Err(Problem::malformed(detail));
        }
        Ok(Some(wanted))
    }
}

/// Refuses if it was not the caller's turn within the patience of a search.
async fn in_turn<T>(
    turns: &KeyedSemaphore<Caller>,
    caller: &AuthorizedCaller,
    peer: Option<ClientNetwork>,
    read: impl Future<Output = Result<T, Problem>>,
    what: &str,
) -> Result<T, Problem> {
    let caller = (peer, Some(Arc::from(caller.principal.identity())));
    turns.run(&caller, SEARCH_PATIENCE, read).await.unwrap_or_else(|| {
        let detail = format!("too many {what} of this caller are under way");
        Err(Problem::new(ProblemType::Overloaded, detail).retry_after(Duration::from_secs(1)))
    })
}

/// An answer with an `ETag`. It has no body if the client has this version already.
pub(crate) fn with_etag(headers: &HeaderMap, version: i64, view: impl Serialize) -> Result<Response, Problem> {
    let etag = [(header::ETAG, format!("\"{version}\""))];
    Ok(match Precondition::read(headers)?.is_not_modified(version)? {
        true => (StatusCode::NOT_MODIFIED, etag).into_response(),
        false => (etag, Json(view)).into_response(),
    })
}

pub(crate) fn unavailable(error: sqlx::Error) -> Problem {
    Problem::new(ProblemType::DatabaseUnavailable, "the database failed")
        .retry_after(Duration::from_secs(1))
        .caused_by(error)
}

/// The position that the query or the header `Event-Position-Min` names. The query counts for more, and both have to be right.
pub(crate) fn wanted_position(min_position: Option<i64>, headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let in_header = from_header(headers)?;
    if min_position.is_some_and(|position| position < 0) {
        return Err(invalid("minPosition", "must be a position of the log, which is 0 or more"));
    }
    Ok(min_position.or(in_header))
}

fn from_header(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let mut values = headers.get_all("event-position-min").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok()).filter(|position| *position >= 0);
    let number = number.filter(|_| values.next().is_none());
    number.map(Some).ok_or_else(|| Problem::malformed("header Event-Position-Min must be a position of the log"))
}

/// The order that a path names. There is no order for an invalid id.
pub(crate) fn parse_order_id(path: Result<Path<String>, PathRejection>) -> Result<OrderId, Problem> {
    path.ok().and_then(|Path(id)| OrderId::parse(id).ok()).ok_or_else(|| Problem::not_found("there is no such order"))
}

/// There is no such order. It is also the answer about an order that the caller may not see.
pub(crate) fn no_order(order_id: &str) -> Problem {
    Problem::not_found(format!("there is no order {order_id}"))
}

/// Whether a caller may see an order of this customer; `None`: a guest's. A customer sees no guest's order.
pub(crate) fn may_see(caller: &AuthorizedCaller, customer_id: Option<&str>) -> bool {
    caller.only_customer().is_none_or(|own| customer_id == Some(own))
}

/// The SKU that a path names. There is no SKU for an invalid id.
pub(crate) fn parse_sku(path: Result<Path<String>, PathRejection>) -> Result<Sku, Problem> {
    path.ok().and_then(|Path(sku)| Sku::parse(sku).ok()).ok_or_else(|| Problem::not_found("there is no such SKU"))
}

pub(crate) fn page_problem(error: QueryError) -> Problem {
    match error {
        QueryError::Cursor(error) => invalid("cursor", error),
        QueryError::Store(error) => store_problem(error),
    }
}

pub(crate) fn store_problem(error: ReadModelStoreError) -> Problem {
    match error {
        ReadModelStoreError::Database(error) => unavailable(error),
        error @ (ReadModelStoreError::Conflict(_)
        | ReadModelStoreError::NoGeneration { .. }
        | ReadModelStoreError::Remote(_)) => {
            let detail = "the store of read models failed";
            Problem::new(ProblemType::ReadModelsUnavailable, detail)
                .retry_after(Duration::from_secs(1))
                .caused_by(error)
        }
        // Only writes can be refused.
        error @ ReadModelStoreError::Refused { .. } => Problem::internal(error),
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn a_document_is_printed_while_a_caller_has_as_many_searches_as_it_may() {
        let (slow, caller): (_, Caller) = (SlowReads::default(), (None, Some("support:ann".into())));
        let mut searches = Vec::new();
        for _ in 0..half_of_processors() {
            let (turns, caller) = (slow.searches.clone(), caller.clone());
            searches.push(tokio::spawn(async move { turns.run(&caller, Duration::MAX, pending::<()>()).await }));
        }
        tokio::task::yield_now().await;
        assert!(slow.searches.run(&caller, Duration::ZERO, ready(())).await.is_none());
        assert!(slow.printing.run(&caller, Duration::ZERO, ready(())).await.is_some());
        searches.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
