//! `GET /subscriptions`: how far each follower of the log is, who works on it, and what keeps it from going on.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use event_store::operations::{
    PartitionAssignment, StoppedSubscription, SubscriptionLag, lag, lease_holders, stopped_subscriptions,
};
use problem::Problem;
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::parked_streams;
use crate::reads::unavailable;

/// The routes about subscriptions. They need no running subscription.
pub fn subscription_routes(pool: PgPool) -> OpenApiRouter {
    router().with_state(pool)
}

/// How the OpenAPI document describes [`subscription_routes`].
pub(crate) fn description() -> OpenApi {
    router().into_openapi()
}

fn router() -> OpenApiRouter<PgPool> {
    OpenApiRouter::new().routes(routes!(list)).merge(parked_streams::router())
}

/// The subscriptions that have ever begun, by name.
#[derive(Debug, Serialize, ToSchema)]
struct SubscriptionList {
    items: Vec<SubscriptionView>,
}

/// A follower of the log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Subscription)]
#[serde(rename_all = "camelCase")]
struct SubscriptionView {
    name: String,
    /// Everything up to this position is handled, except parked events.
    position: i64,
    /// The position of the last event of the log.
    head: i64,
    /// How many events are still to be handled: beyond ten thousand an estimate.
    lag_events: i64,
    /// How long the first of them has been waiting.
    lag_seconds: f64,
    /// How many events are parked.
    parked: i64,
    /// Where it can't go on, because the build that works on it does not know an event.
    stops: Vec<SubscriptionStop>,
    /// Who has its partitions.
    owners: Vec<PartitionOwner>,
}

/// A place where a subscription can't go on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SubscriptionStop {
    partition: i16,
    /// The position of the first event that waits.
    waits_from: i64,
    /// The position of the event that is not known.
    position: i64,
    stream_id: String,
    event_type: String,
    event_version: String,
    error: String,
    since: DateTime<Utc>,
    tried_at: DateTime<Utc>,
}

/// Who has partitions of a subscription.
#[derive(Debug, Serialize, ToSchema)]
struct PartitionOwner {
    /// The copy's id, drawn when it started. `null`: nobody has them.
    owner: Option<String>,
    /// Whether its lease still runs.
    alive: bool,
    /// Whether a rebuild has them, and keeps copies out.
    rebuild: bool,
    partitions: Vec<i16>,
}

/// How far each follower of the log is
#[utoipa::path(
    get,
    path = "/subscriptions",
    tag = "operations",
    operation_id = "listSubscriptions",
    responses((status = 200, description = "The subscriptions, by name", body = SubscriptionList))
)]
async fn list(State(pool): State<PgPool>) -> Result<Json<SubscriptionList>, Problem> {
    read(&pool).await.map(Json)
}

/// What `GET /subscriptions` answers, for those who answer otherwise.
pub async fn read_subscriptions(pool: &PgPool) -> Result<impl Serialize + use<>, Problem> {
    read(pool).await
}

async fn read(pool: &PgPool) -> Result<SubscriptionList, Problem> {
    let found = lag(pool).await.map_err(unavailable)?;
    let (mut stops, mut holders) =
        (stopped_subscriptions(pool).await.map_err(unavailable)?, lease_holders(pool).await.map_err(unavailable)?);
    let view = |it: SubscriptionLag| SubscriptionView {
        stops: stops.extract_if(.., |stop| stop.subscription == it.name).map(SubscriptionStop::from).collect(),
        owners: holders.extract_if(.., |held| held.subscription == it.name).map(PartitionOwner::from).collect(),
        name: it.name,
        position: it.position,
        head: it.head,
        lag_events: it.lag_events,
        lag_seconds: it.lag_seconds,
        parked: it.parked,
    };
    Ok(SubscriptionList { items: found.into_iter().map(view).collect() })
}

impl From<StoppedSubscription> for SubscriptionStop {
    fn from(stop: StoppedSubscription) -> Self {
        Self {
            partition: stop.partition,
            waits_from: stop.waits_from,
            position: stop.position,
            stream_id: stop.stream_id,
            event_type: stop.event_type,
            event_version: stop.event_version,
            error: stop.error,
            since: stop.since,
            tried_at: stop.tried_at,
        }
    }
}

impl From<PartitionAssignment> for PartitionOwner {
    fn from(held: PartitionAssignment) -> Self {
        Self {
            owner: held.owner.map(|owner| owner.to_string()),
            alive: held.alive,
            rebuild: held.exclusive,
            partitions: held.partitions,
        }
    }
}
