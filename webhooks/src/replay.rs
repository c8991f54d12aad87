//! Replays: events of the past that an endpoint is told of again, or for the first time.
//!
//! A replay makes deliveries bit by bit, and waits while [`AHEAD`] of those up to where it is are still to be made. An order's later
//! deliveries wait until the replay has passed the order's events (`claims`), so each order is told in order. Later deliveries do not
//! count: they may wait for this replay.

use std::time::Duration;

use bounds::Budget;
use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::order::Order;
use error_chain::error_chain;
use event_store::EventFilter;
use event_store::read::{last_position, read_filtered};
use sqlx::{FromRow, PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::endpoint::{EndpointError, WebhookEndpoint, keep_endpoints};
use crate::recorder::EventColumns;

/// The most replays of an endpoint that go on at the same time.
pub(crate) const MOST_AT_ONCE: i64 = 5;
/// The most pending deliveries, of events up to where a replay is, that it adds to.
const AHEAD: i64 = 5_000;
/// Events in one transaction.
const CHUNK: usize = 500;
/// The most positions that one read passes when few events match.
const MOST_SCANNED: i64 = 50_000;
/// How often it is looked whether there is something to do.
const POLL: Duration = Duration::from_millis(500);

/// A replay, as operators see it.
#[derive(Debug, Clone, FromRow)]
pub struct WebhookReplay {
    pub id: Uuid,
    pub endpoint_id: Uuid,
    /// The positions of the first and the last event; both are included.
    pub from_position: i64,
    pub to_position: i64,
    /// The events up to here have deliveries.
    pub reached: i64,
    /// How many deliveries it has made so far.
    pub deliveries: i64,
    pub created_at: DateTime<Utc>,
    /// When the last of its deliveries was made, or when it was cancelled before that; `None`: it goes on. They are sent after that, too.
    pub ended_at: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "id, endpoint_id, from_position, to_position, reached, deliveries, created_at, ended_at";

/// Why a replay does not begin.
#[derive(Debug, thiserror::Error)]
pub enum WebhookReplayError {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error("must be a position of the log, which ends at {end}")]
    From { end: i64 },
    #[error("must be a position that is not before that of the first event")]
    To,
    #[error("{MOST_AT_ONCE} replays of the endpoint go on already")]
    TooMany,
    #[error("there is no replay {0}")]
    Unknown(Uuid),
}

impl From<sqlx::Error> for WebhookReplayError {
    fn from(error: sqlx::Error) -> Self {
        Self::Endpoint(error.into())
    }
}

impl WebhookReplay {
    /// Begins a replay of the events from a position up to another one; without that, up to the end of the log.
    pub async fn begin(pool: &PgPool, endpoint: Uuid, from: i64, to: Option<i64>) -> Result<Self, WebhookReplayError> {
        let mut transaction = pool.begin().await?;
        keep_endpoints(&mut transaction).await?;
        // One after the other, so that two that begin at the same time count each other.
        let lock = "select id from webhook_endpoints where id = $1 and deleted_at is null for update";
        let locked: Option<Uuid> = sqlx::query_scalar(lock).bind(endpoint).fetch_optional(&mut *transaction).await?;
        locked.ok_or(EndpointError::Unknown(endpoint))?;
        let end = last_position(&mut *transaction).await?;
        if !(1..=end).contains(&from) {
            return Err(WebhookReplayError::From { end });
        }
        let to = to.unwrap_or(end).min(end);
        if to < from {
            return Err(WebhookReplayError::To);
        }
        let insert = format!(
            "insert into webhook_replays (id, endpoint_id, from_position, to_position, reached, missed_from)
             select $1, $2, $3, $4, $3 - 1, (select missed_from from webhook_endpoints where id = $2 and missed_from between $3 and $4)
              where (select count(*) from webhook_replays where endpoint_id = $2 and ended_at is null) < $5
             returning {COLUMNS}"
        );
        let begun = sqlx::query_as(&insert).bind(Uuid::now_v7()).bind(endpoint).bind(from).bind(to).bind(MOST_AT_ONCE);
        let begun: Option<Self> = begun.fetch_optional(&mut *transaction).await?;
        let begun = begun.ok_or(WebhookReplayError::TooMany)?;
        // It makes up for what was missed up to its end. Whoever is missing more is noted anew.
        let made_up = "update webhook_endpoints set missed_from = case when $3 < $4 then $3 + 1 end
                        where id = $1 and missed_from between $2 and $3";
        sqlx::query(made_up).bind(endpoint).bind(from).bind(to).bind(end).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(begun)
    }

    /// Ends a replay. The deliveries that it has made are sent all the same, and what it was to make up for counts as missed again.
    /// One that has ended stays as it is. `endpoint`: whose it has to be.
    pub async fn cancel(pool: &PgPool, endpoint: Option<Uuid>, id: Uuid) -> Result<(), WebhookReplayError> {
        let mut transaction = pool.begin().await?;
        keep_endpoints(&mut transaction).await?;
        let find = "select ended_at is null from webhook_replays where id = $1 and ($2::uuid is null or endpoint_id = $2) for update";
        let goes_on = sqlx::query_scalar(find).bind(id).bind(endpoint).fetch_optional(&mut *transaction).await?;
        if !goes_on.ok_or(WebhookReplayError::Unknown(id))? {
            return Ok(());
        }
        sqlx::query("update webhook_replays set ended_at = now() where id = $1")
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        let missed = "update webhook_endpoints endpoint
                         set missed_from = least(endpoint.missed_from, greatest(replay.missed_from, replay.reached + 1))
                        from webhook_replays replay
                       where replay.id = $1 and replay.missed_from is not null and endpoint.id = replay.endpoint_id";
        sqlx::query(missed).bind(id).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The latest replays of an endpoint.
    pub async fn list(pool: &PgPool, endpoint: Uuid) -> Result<Vec<Self>, EndpointError> {
        WebhookEndpoint::find(pool, endpoint).await?;
        let query = format!(
            "select {COLUMNS} from webhook_replays where endpoint_id = $1 order by created_at desc, id desc limit 100"
        );
        Ok(sqlx::query_as(&query).bind(endpoint).fetch_all(pool).await?)
    }
}

/// Carries on the replays of all endpoints until told to stop. Copies share the work bit by bit.
pub(crate) async fn carry_on(pool: PgPool, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match one_chunk(&pool).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(error = error_chain(&error), "a replay to a webhook endpoint can't go on"),
        }
        let _ = stop.run_until_cancelled(tokio::time::sleep(POLL)).await;
    }
}

/// Makes the next deliveries of one replay. Returns whether there was something to do.
async fn one_chunk(pool: &PgPool) -> Result<bool, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    keep_endpoints(&mut transaction).await?;
    // A replay of a disabled endpoint waits, and so does one that is far ahead of what was sent.
    let next = format!(
        "select {COLUMNS} from webhook_replays replay
          where ended_at is null
            and exists (select from webhook_endpoints where id = endpoint_id and disabled_at is null)
            and (select count(*) from (select from webhook_deliveries
                                        where endpoint_id = replay.endpoint_id and state = 'pending'
                                          and position <= replay.reached limit $1) as ahead) < $1
          order by created_at, id limit 1 for update skip locked"
    );
    let next: Option<WebhookReplay> = sqlx::query_as(&next).bind(AHEAD).fetch_optional(&mut *transaction).await?;
    let Some(replay) = next else { return Ok(false) };
    let (made, reached) = make_deliveries(&mut transaction, &replay).await?;
    let advance = "update webhook_replays
                      set reached = $2, deliveries = deliveries + $3, ended_at = case when $2 >= to_position then now() end
                    where id = $1";
    sqlx::query(advance).bind(replay.id).bind(reached).bind(made).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Returns how many deliveries were made, and the position up to which they are.
async fn make_deliveries(connection: &mut PgConnection, replay: &WebhookReplay) -> Result<(i64, i64), sqlx::Error> {
    let wanted = "select event_types from webhook_endpoints where id = $1";
    let event_types = sqlx::query_scalar(wanted).bind(replay.endpoint_id).fetch_one(&mut *connection).await?;
    let up_to = replay.to_position.min(replay.reached.saturating_add(MOST_SCANNED));
    let filter = EventFilter {
        up_to: Some(up_to),
        stream_types: vec![Order::TYPE.to_owned()],
        event_types,
        ..EventFilter::after(replay.reached)
    };
    let page = read_filtered(connection, &filter, Budget::of(CHUNK)).await?;
    let reached = page.events.last().filter(|_| page.more).map_or(up_to, |last| last.position);
    let made = EventColumns::of(&page.events).record_again(connection, replay.endpoint_id).await?;
    Ok((i64::try_from(made).unwrap_or(i64::MAX), reached))
}
