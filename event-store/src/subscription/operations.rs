//! For operators: the state of subscriptions, and requests for parked streams.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

pub use super::stopped::{StoppedSubscription, stopped_subscriptions};
use super::{PARTITIONS, partition_of};
use crate::wake::LEASES;

/// How far a subscription is behind the log.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct SubscriptionLag {
    pub name: String,
    /// Everything up to this position is handled, except parked events.
    pub position: i64,
    /// The position of the last event of the log; 0: there is none.
    pub head: i64,
    /// How many events are still to be handled: counted up to ten thousand, beyond that estimated by positions, some of which may
    /// belong to failed appends.
    pub lag_events: i64,
    /// How long the first of them has been waiting.
    pub lag_seconds: f64,
    pub parked: i64,
}

/// The lag of every subscription that has ever begun, by name.
pub async fn lag(pool: &PgPool) -> Result<Vec<SubscriptionLag>, sqlx::Error> {
    sqlx::query_as(
        "select s.name, s.position, log.head,
                case when waiting.events < 10000 then waiting.events else log.head - s.position end as lag_events,
                coalesce(greatest(extract(epoch from clock_timestamp() - waiting.since), 0), 0)::float8 as lag_seconds,
                (select count(*) from parked_events p where p.subscription = s.name) as parked
           from (select subscription as name, min(position) as position from subscription_partitions group by 1) as s,
                (select coalesce(max(global_position), 0) as head from events) as log,
                lateral (select count(*) as events, min(recorded_at) as since
                           from (select recorded_at from events where global_position > s.position
                                  order by global_position limit 10000) as next) as waiting
          order by s.name",
    )
    .fetch_all(pool)
    .await
}

/// A stream as it was read, and an event of it.
#[derive(Debug, Clone)]
pub struct StreamPosition {
    pub stream_id: String,
    /// The stream's version then.
    pub version: i64,
    /// The position of the event.
    pub position: i64,
}

/// The ids of those streams that a subscription adds nothing more to because of their event, if it ever did: it has come past the event,
/// or has not begun, and begins at the end of the log. A stream that has moved on since it was read is none of them, and neither is one
/// that is parked: it comes past that, too, and may handle it once an operator asks for it.
pub async fn passed(
    pool: &PgPool,
    subscription: &str,
    stream_type: &str,
    streams: &[StreamPosition],
) -> Result<HashSet<String>, sqlx::Error> {
    // One statement, so that what was added before the subscription came past it is seen.
    let query = "
        select s.id from unnest($3::text[], $4::bigint[], $5::bigint[], $6::smallint[]) as s(id, version, position, partition)
          left join subscription_partitions p on p.subscription = $1 and p.partition = s.partition
         where coalesce(p.position >= s.position, true)
           and not exists (select from parked_events k
                            where k.subscription = $1 and k.stream_type = $2 and k.stream_id = s.id)
           and not exists (select from events e
                            where e.aggregate_type = $2 and e.aggregate_id = s.id and e.sequence > s.version)";
    let partition = |it: &StreamPosition| i16::try_from(partition_of(&it.stream_id)).unwrap_or(i16::MAX);
    let passed: Vec<String> = sqlx::query_scalar(query)
        .bind(subscription)
        .bind(stream_type)
        .bind(streams.iter().map(|it| it.stream_id.as_str()).collect::<Vec<_>>())
        .bind(streams.iter().map(|it| it.version).collect::<Vec<_>>())
        .bind(streams.iter().map(|it| it.position).collect::<Vec<_>>())
        .bind(streams.iter().map(partition).collect::<Vec<_>>())
        .fetch_all(pool)
        .await?;
    Ok(passed.into_iter().collect())
}

/// A copy that holds partitions of a subscription.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct PartitionAssignment {
    pub subscription: String,
    /// The copy's id, drawn when it started; `None`: nobody holds them.
    pub owner: Option<Uuid>,
    /// Held by an exclusive lease, for a rebuild.
    pub exclusive: bool,
    /// Whether its lease still runs.
    pub alive: bool,
    pub partitions: Vec<i16>,
}

/// The holders of all partitions, by subscription and first partition.
pub async fn lease_holders(pool: &PgPool) -> Result<Vec<PartitionAssignment>, sqlx::Error> {
    sqlx::query_as(
        "select subscription, owner, exclusive, coalesce(leased_until > clock_timestamp(), false) as alive,
                array_agg(partition order by partition) as partitions
           from subscription_partitions group by 1, 2, 3, 4 order by 1, min(partition)",
    )
    .fetch_all(pool)
    .await
}

/// The transaction that is appending. While it does not end, no other can append, and subscribers see nothing new.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct AppendLockHolder {
    /// The process id of its session.
    pub pid: i32,
    pub application: String,
    /// `active`, or `idle in transaction` while its client keeps it waiting.
    pub state: String,
    pub since: DateTime<Utc>,
    /// How long its transaction has lasted, by the database's clock.
    pub held_seconds: f64,
    /// Its current or last statement.
    pub query: String,
}

/// The transaction that holds the append lock; `None`: nobody is appending.
pub async fn append_lock_holder(pool: &PgPool) -> Result<Option<AppendLockHolder>, sqlx::Error> {
    // The key of events_lock().
    sqlx::query_as(
        "select a.pid, coalesce(a.application_name, '') as application, coalesce(a.state, '') as state,
                coalesce(a.xact_start, clock_timestamp()) as since,
                coalesce(greatest(extract(epoch from clock_timestamp() - a.xact_start), 0), 0)::float8 as held_seconds,
                coalesce(a.query, '') as query
           from pg_locks l join pg_stat_activity a using (pid)
          where l.locktype = 'advisory' and l.granted and l.objsubid = 1
            and l.database = (select oid from pg_database where datname = current_database())
            and (l.classid::bigint << 32) | l.objid::bigint = 7311864570230142",
    )
    .fetch_optional(pool)
    .await
}

/// How many sessions the database has of a program, and what they do.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct DatabaseSessions {
    pub application: String,
    /// `active`, `idle` or `idle in transaction`. Empty: that is not shown to this user.
    pub state: String,
    pub count: i64,
}

/// The sessions of clients in this database, by program and state, and how many the server takes of all.
pub async fn database_sessions(pool: &PgPool) -> Result<(Vec<DatabaseSessions>, i64), sqlx::Error> {
    let sessions =
        "select coalesce(application_name, '') as application, coalesce(state, '') as state, count(*) as count
                      from pg_stat_activity where datname = current_database() and backend_type = 'client backend'
                     group by 1, 2 order by 1, 2";
    let sessions = sqlx::query_as(sessions).fetch_all(pool).await?;
    let most = "select current_setting('max_connections')::bigint";
    Ok((sessions, sqlx::query_scalar(most).fetch_one(pool).await?))
}

/// An event that a subscription could not handle, or that waits behind one in its stream.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct ParkedEvent {
    pub subscription: String,
    pub stream_type: String,
    pub stream_id: String,
    pub position: i64,
    pub version: i64,
    pub event_type: String,
    /// Why it could not be handled; `None`: it waits behind another event.
    pub error: Option<String>,
    /// How often it was tried on its own.
    pub attempts: i32,
    pub parked_at: DateTime<Utc>,
    /// An operator's request that is not done yet: `retry` or `skip`.
    pub request: Option<String>,
}

/// The parked events of one subscription, or of all, in the order of the log.
pub async fn parked_events(pool: &PgPool, subscription: Option<&str>) -> Result<Vec<ParkedEvent>, sqlx::Error> {
    sqlx::query_as(
        "select subscription, stream_type, stream_id, position, version, event_type, error, attempts, parked_at, request
           from parked_events where $1::text is null or subscription = $1 order by subscription, position",
    )
    .bind(subscription)
    .fetch_all(pool)
    .await
}

/// The first parked events of all subscriptions, likewise.
pub async fn first_parked_events(pool: &PgPool, limit: u16) -> Result<Vec<ParkedEvent>, sqlx::Error> {
    sqlx::query_as(
        "select subscription, stream_type, stream_id, position, version, event_type, error, attempts, parked_at, request
           from parked_events order by subscription, position limit $1",
    )
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
}

/// What an operator can ask for a parked stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParkedStreamAction {
    /// Try its events again.
    Retry,
    /// Drop its first parked event, which is never handled then, and try the others.
    Skip,
}

impl ParkedStreamAction {
    /// Its name, as operators use it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Skip => "skip",
        }
    }
}

/// Why a request could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ParkedStreamActionError {
    /// There is no such subscription.
    #[error("there is no subscription {name}; there are: {known}")]
    UnknownSubscription { name: String, known: String },
    /// The stream has no parked events.
    #[error("nothing of stream {stream_id} is parked in {subscription}")]
    NothingParked { subscription: String, stream_id: String },
    /// Another event of the stream is the first that is parked.
    #[error(
        "the first parked event of stream {stream_id} in {subscription} is {event_type} at position {position} now: look at it first"
    )]
    NotFirst { subscription: String, stream_id: String, event_type: String, position: i64 },
    /// Something else is asked for, and not done yet.
    #[error("{request} is asked for already for stream {stream_id} in {subscription}, and not done yet")]
    OtherRequest { subscription: String, stream_id: String, request: String },
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

/// Checks that there is a subscription of this name.
pub async fn ensure_subscription_exists(pool: &PgPool, name: &str) -> Result<(), ParkedStreamActionError> {
    let known = "select distinct subscription from subscription_partitions order by 1";
    let known: Vec<String> = sqlx::query_scalar(known).fetch_all(pool).await?;
    if known.iter().any(|subscription| subscription == name) {
        return Ok(());
    }
    Err(ParkedStreamActionError::UnknownSubscription { name: name.to_owned(), known: known.join(", ") })
}

/// What a request for a parked stream depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestCondition {
    /// Nothing: it takes the place of another request.
    Always,
    /// Nothing else is asked for.
    NoOtherRequest,
    /// Nor has the stream another first parked event than the one at this position.
    First(i64),
}

/// Requests something for a parked stream. The copy that holds the stream's partition does it, at once if there is one. A request that is
/// there already stays.
pub async fn request_parked(
    pool: &PgPool,
    subscription: &str,
    stream_id: &str,
    request: ParkedStreamAction,
    condition: RequestCondition,
) -> Result<(), ParkedStreamActionError> {
    ensure_subscription_exists(pool, subscription).await?;
    let mut transaction = pool.begin().await?;
    let first = "select position, event_type, request from parked_events
                  where subscription = $1 and stream_id = $2
                    and (stream_type, position) in (select stream_type, min(position) from parked_events
                                                     where subscription = $1 and stream_id = $2 group by 1)
                  order by position for update";
    let mut rows: Vec<(i64, String, Option<String>)> = Vec::new();
    // The first time, the first event may have been handled while the statement waited for its row.
    for _ in 0..2 {
        rows = sqlx::query_as(first).bind(subscription).bind(stream_id).fetch_all(&mut *transaction).await?;
        if !rows.is_empty() {
            break;
        }
    }
    let (subscription_name, stream_id) = (subscription.to_owned(), stream_id.to_owned());
    let Some((first, event_type, _)) = rows.first().cloned() else {
        return Err(ParkedStreamActionError::NothingParked { subscription: subscription_name, stream_id });
    };
    if let RequestCondition::First(seen) = condition {
        // Streams of several types may have the same id.
        rows.retain(|(position, _, _)| *position == seen);
        if rows.is_empty() {
            let subscription = subscription_name;
            return Err(ParkedStreamActionError::NotFirst { subscription, stream_id, event_type, position: first });
        }
    }
    let other = rows.iter().find_map(|(_, _, open)| open.clone().filter(|open| open != request.as_str()));
    if let Some(other) = other.filter(|_| condition != RequestCondition::Always) {
        let subscription = subscription_name;
        return Err(ParkedStreamActionError::OtherRequest { subscription, stream_id, request: other });
    }
    let positions: Vec<i64> = rows.iter().map(|(position, _, _)| *position).collect();
    let ask = "update parked_events set request = $3 where subscription = $1 and position = any($2)";
    let ask = sqlx::query(ask).bind(subscription).bind(positions).bind(request.as_str());
    ask.execute(&mut *transaction).await?;
    sqlx::query("select pg_notify($1, '')").bind(LEASES).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// Which parked streams: those whose first parked event is so. All conditions that are given must hold.
#[derive(Debug, Clone, Copy)]
pub struct ParkedStreamFilter<'a> {
    pub subscription: &'a str,
    /// Its error contains this.
    pub error: Option<&'a str>,
    pub event_type: Option<&'a str>,
    pub stream_ids: Option<&'a [String]>,
    /// It was parked then or before.
    pub until: Option<DateTime<Utc>>,
}

const FIRST_OF_STREAM: &str = "from parked_events first
      where error is not null and subscription = $1 and ($2::text is null or strpos(error, $2) > 0)
        and ($3::text is null or event_type = $3) and ($4::text[] is null or stream_id = any($4))
        and ($5::timestamptz is null or parked_at <= $5)
        and not exists (select from parked_events earlier
                         where (earlier.subscription, earlier.stream_type, earlier.stream_id)
                             = (first.subscription, first.stream_type, first.stream_id)
                           and earlier.position < first.position)";

impl<'a> ParkedStreamFilter<'a> {
    fn bind<O>(
        self,
        query: sqlx::query::QueryAs<'a, sqlx::Postgres, O, sqlx::postgres::PgArguments>,
    ) -> sqlx::query::QueryAs<'a, sqlx::Postgres, O, sqlx::postgres::PgArguments> {
        let Self { subscription, error, event_type, stream_ids, until } = self;
        query.bind(subscription).bind(error).bind(event_type).bind(stream_ids).bind(until)
    }
}

/// The first parked events of a subscription's parked streams, each stream once: by type and id, after those of another one.
pub async fn parked_streams(
    pool: &PgPool,
    filter: ParkedStreamFilter<'_>,
    after: (&str, &str),
    limit: i64,
) -> Result<Vec<ParkedEvent>, sqlx::Error> {
    let query = format!(
        "select subscription, stream_type, stream_id, position, version, event_type, error, attempts, parked_at, request
           {FIRST_OF_STREAM} and (stream_type, stream_id) > ($6, $7) order by stream_type, stream_id limit $8"
    );
    filter.bind(sqlx::query_as(&query)).bind(after.0).bind(after.1).bind(limit).fetch_all(pool).await
}

/// How many streams of a subscription are parked.
pub async fn count_parked_streams(pool: &PgPool, filter: ParkedStreamFilter<'_>) -> Result<i64, sqlx::Error> {
    let query = format!("select count(*) {FIRST_OF_STREAM}");
    let (count,) = filter.bind(sqlx::query_as(&query)).fetch_one(pool).await?;
    Ok(count)
}

/// Requests something for a parked stream if this event is still the first that is parked of it, and nothing else is requested already.
/// `false`: nothing is requested. So a skip that is asked for twice skips one event.
pub async fn request_parked_at(
    pool: &PgPool,
    event: &ParkedEvent,
    request: ParkedStreamAction,
) -> Result<bool, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let ask = "update parked_events set request = $5
                where (subscription, stream_type, stream_id, position) = ($1, $2, $3, $4)
                  and (request is null or request = $5)
                  and not exists (select from parked_events earlier
                                   where (earlier.subscription, earlier.stream_type, earlier.stream_id) = ($1, $2, $3)
                                     and earlier.position < $4)";
    let ask = sqlx::query(ask).bind(&event.subscription).bind(&event.stream_type).bind(&event.stream_id);
    let asked = ask.bind(event.position).bind(request.as_str()).execute(&mut *transaction).await?;
    sqlx::query("select pg_notify($1, '')").bind(LEASES).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(asked.rows_affected() > 0)
}

/// The position of each subscription; one that has not begun is missing.
pub async fn checkpoints(pool: &PgPool) -> Result<HashMap<String, i64>, sqlx::Error> {
    // One whose rows are incomplete has partitions that have not begun.
    let positions = "select subscription, case when count(*) < $1 then 0 else min(position) end
                       from subscription_partitions group by 1";
    let partitions = i64::try_from(PARTITIONS).unwrap_or(i64::MAX);
    let positions: Vec<(String, i64)> = sqlx::query_as(positions).bind(partitions).fetch_all(pool).await?;
    Ok(positions.into_iter().collect())
}
