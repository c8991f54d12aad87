//! Every statement on the table `bulk_actions`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgPool, Row};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::targets::{BatchReport, ItemError};
use crate::{BulkActionError, BulkActionFilter, BulkActionKind};

/// The most bulk actions that have not ended. Each process can carry on as many, so that none waits for another one.
pub(crate) const MOST_AT_ONCE: usize = 10;
/// After so many failures in a row of what all items need, the others would fail, too.
pub(crate) const MOST_FAILURES: i32 = 20;
/// How many errors are kept.
const KEPT_ERRORS: usize = 20;
/// How long bulk actions that have ended are kept.
const KEPT: &str = "90 days";

/// How a bulk action is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BulkActionState {
    Running,
    /// It is to be stopped, and will be after the batch that is in work.
    Stopping,
    /// It was stopped before its end.
    Stopped,
    Finished,
    /// What its items need failed too often in a row, or whoever carried it on broke off as often.
    Failed,
}

/// A row of `bulk_actions`.
#[derive(Debug, Clone)]
pub(crate) struct BulkActionRow {
    pub(crate) id: Uuid,
    pub(crate) kind: BulkActionKind,
    /// As it is stored.
    pub(crate) filter: Value,
    pub(crate) reason: String,
    /// The operator.
    pub(crate) actor: String,
    /// The most items in a second.
    pub(crate) rate: u32,
    pub(crate) state: BulkActionState,
    /// How many items there were at its start; `None`: too many to count.
    pub(crate) matched: Option<i64>,
    pub(crate) done: i64,
    /// Items for which there was nothing to do any more.
    pub(crate) moved_on: i64,
    pub(crate) failed: i64,
    /// The first of these.
    pub(crate) errors: Vec<ItemError>,
    /// Why it failed, or what it did not get to.
    pub(crate) note: Option<String>,
    /// Whether a process has it in work.
    pub(crate) is_held: bool,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) ended_at: Option<DateTime<Utc>>,
    /// Where its target goes on.
    pub(crate) cursor: Option<Value>,
    pub(crate) failures_in_row: i32,
    request_hash: Vec<u8>,
}

/// A bulk action that is to begin.
#[derive(Debug, Clone)]
pub(crate) struct NewBulkAction {
    pub(crate) kind: BulkActionKind,
    pub(crate) filter: BulkActionFilter,
    pub(crate) reason: String,
    pub(crate) actor: String,
    pub(crate) rate: u32,
    pub(crate) matched: Option<i64>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) request_hash: [u8; 32],
    /// By the database's clock: what came later is not meant.
    pub(crate) created_at: DateTime<Utc>,
}

/// What became of a bulk action that was to begin.
#[derive(Debug)]
pub(crate) enum Begun {
    New(BulkActionRow),
    /// The same request began it before.
    Before(BulkActionRow),
    /// Another request has its key.
    KeyReused,
    TooMany,
    /// Another one has the dead letters.
    DeadLettersInUse,
}

const COLUMNS: &str =
    "id, kind, filter, reason, actor, rate, state, matched, done, moved_on, failed, errors, note, cursor, failures_in_row,
    request_hash, coalesce(leased_until > clock_timestamp(), false), created_at, updated_at, ended_at";

impl BulkActionRow {
    fn of(row: &PgRow) -> Result<Self, sqlx::Error> {
        let unknown = |what: &str, name: &str| sqlx::Error::Decode(format!("no {what}: {name}").into());
        let (kind, rate, state): (&str, i32, &str) = (row.try_get(1)?, row.try_get(5)?, row.try_get(6)?);
        Ok(Self {
            id: row.try_get(0)?,
            kind: BulkActionKind::parse(kind).ok_or_else(|| unknown("kind", kind))?,
            filter: row.try_get::<Json<Value>, _>(2)?.0,
            reason: row.try_get(3)?,
            actor: row.try_get(4)?,
            rate: rate.unsigned_abs(),
            state: BulkActionState::parse(state).ok_or_else(|| unknown("state", state))?,
            matched: row.try_get(7)?,
            done: row.try_get(8)?,
            moved_on: row.try_get(9)?,
            failed: row.try_get(10)?,
            errors: row.try_get::<Json<Vec<ItemError>>, _>(11)?.0,
            note: row.try_get(12)?,
            cursor: row.try_get::<Option<Json<Value>>, _>(13)?.map(|cursor| cursor.0),
            failures_in_row: row.try_get(14)?,
            request_hash: row.try_get(15)?,
            is_held: row.try_get(16)?,
            created_at: row.try_get(17)?,
            updated_at: row.try_get(18)?,
            ended_at: row.try_get(19)?,
        })
    }

    /// The latest first, those that began before `before`.
    pub(crate) async fn list(pool: &PgPool, before: Option<Uuid>, limit: i64) -> Result<Vec<Self>, sqlx::Error> {
        // The ids are drawn in the order of time.
        let query =
            format!("select {COLUMNS} from bulk_actions where $1::uuid is null or id < $1 order by id desc limit $2");
        let rows = sqlx::query(&query).bind(before).bind(limit).fetch_all(pool).await?;
        rows.iter().map(Self::of).collect()
    }

    pub(crate) async fn find(pool: &PgPool, id: Uuid) -> Result<Option<Self>, sqlx::Error> {
        let query = format!("select {COLUMNS} from bulk_actions where id = $1");
        sqlx::query(&query).bind(id).fetch_optional(pool).await?.as_ref().map(Self::of).transpose()
    }

    /// Asks for it to be stopped. One that has ended stays as it is. `None`: there is none.
    pub(crate) async fn stop(pool: &PgPool, id: Uuid) -> Result<Option<Self>, sqlx::Error> {
        let stop = "update bulk_actions set state = 'stopping', updated_at = clock_timestamp() where id = $1 and state = 'running'";
        sqlx::query(stop).bind(id).execute(pool).await?;
        Self::find(pool, id).await
    }

    /// The operator's reason, with the action that the decision is a part of.
    pub(crate) fn full_reason(&self) -> String {
        format!("{}, bulk action {}", self.reason, self.id)
    }
}

impl BulkActionState {
    const ALL: [Self; 5] = [Self::Running, Self::Stopping, Self::Stopped, Self::Finished, Self::Failed];

    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    #[must_use]
    pub(crate) fn has_ended(self) -> bool {
        match self {
            Self::Running | Self::Stopping => false,
            Self::Stopped | Self::Finished | Self::Failed => true,
        }
    }
}

/// The bulk action of a request that came before, under the same key.
pub(crate) async fn find_by_key(
    pool: &PgPool,
    actor: &str,
    key: &str,
    request_hash: &[u8; 32],
) -> Result<Option<Begun>, sqlx::Error> {
    let query = format!("select {COLUMNS} from bulk_actions where actor = $1 and idempotency_key = $2");
    let row = sqlx::query(&query).bind(actor).bind(key).fetch_optional(pool).await?;
    let row = row.as_ref().map(BulkActionRow::of).transpose()?;
    Ok(row.map(|row| if row.request_hash == request_hash { Begun::Before(row) } else { Begun::KeyReused }))
}

pub(crate) async fn begin(pool: &PgPool, new: &NewBulkAction) -> Result<Begun, BulkActionError> {
    let mut transaction = pool.begin().await?;
    // One after the other, so that two that begin at the same time count each other.
    sqlx::query("select pg_advisory_xact_lock(7313, 0)").execute(&mut *transaction).await?;
    let unfinished: Vec<String> =
        sqlx::query_scalar("select kind from bulk_actions where ended_at is null").fetch_all(&mut *transaction).await?;
    let is_of_dead_letters =
        |kind: &String| BulkActionKind::parse(kind).is_some_and(BulkActionKind::is_of_dead_letters);
    let insert = format!(
        "insert into bulk_actions
             (id, kind, filter, reason, actor, rate, matched, idempotency_key, request_hash, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict (actor, idempotency_key) do nothing
         returning {COLUMNS}"
    );
    let inserted = sqlx::query(&insert)
        .bind(Uuid::now_v7())
        .bind(new.kind.as_str())
        .bind(Json(new.filter.to_json()?))
        .bind(&new.reason)
        .bind(&new.actor)
        .bind(i32::try_from(new.rate).unwrap_or(i32::MAX))
        .bind(new.matched)
        .bind(&new.idempotency_key)
        .bind(&new.request_hash[..])
        .bind(new.created_at)
        .fetch_optional(&mut *transaction)
        .await?;
    let Some(inserted) = inserted else {
        drop(transaction);
        let key = new.idempotency_key.as_deref().unwrap_or_default();
        let before = find_by_key(pool, &new.actor, key, &new.request_hash).await?;
        return Ok(before.unwrap_or(Begun::KeyReused));
    };
    // Neither is committed.
    if unfinished.len() >= MOST_AT_ONCE {
        return Ok(Begun::TooMany);
    }
    if new.kind.is_of_dead_letters() && unfinished.iter().any(is_of_dead_letters) {
        return Ok(Begun::DeadLettersInUse);
    }
    let begun = BulkActionRow::of(&inserted)?;
    transaction.commit().await?;
    Ok(Begun::New(begun))
}

/// Takes a bulk action that no process carries on. `claim` is drawn for this. A lease that was not let go is a failure: whoever had it
/// broke off.
pub(crate) async fn take(pool: &PgPool, claim: Uuid, lease: Duration) -> Result<Option<BulkActionRow>, sqlx::Error> {
    let take = format!(
        "update bulk_actions set claim = $1, leased_until = clock_timestamp() + make_interval(secs => $2),
                failures_in_row = failures_in_row + (leased_until is not null)::int
          where id = (select id from bulk_actions
                       where ended_at is null and (leased_until is null or leased_until < clock_timestamp())
                       order by leased_until nulls first, id limit 1 for update skip locked)
         returning {COLUMNS}"
    );
    let taken = sqlx::query(&take).bind(claim).bind(lease.as_secs_f64()).fetch_optional(pool).await?;
    taken.as_ref().map(BulkActionRow::of).transpose()
}

/// Saves what a batch came to, and renews the lease. `None`: the action is another process's by now, and nothing is saved.
pub(crate) async fn save(
    pool: &PgPool,
    (id, claim): (Uuid, Uuid),
    lease: Duration,
    batch: &BatchReport,
) -> Result<Option<BulkActionState>, sqlx::Error> {
    // An action that is through is finished, even if it was to be stopped. What disappeared before it was reached has moved on.
    let save = format!(
        "update bulk_actions set
             done = done + $3, moved_on = case when $10 then greatest(moved_on + $4, matched - done - failed - $3 - $5 - $11)
                                               else moved_on + $4 end,
             failed = failed + $5,
             errors = case when $5 = 0 then errors else
                 (select coalesce(json_agg(error), '[]') from
                     (select error from (select error, ordinal, 0 as part from json_array_elements(errors) with ordinality as it(error, ordinal)
                               union all select error, ordinal, 1 from json_array_elements($6::json) with ordinality as it(error, ordinal)) as together
                       order by part, ordinal limit {KEPT_ERRORS}) as first) end,
             failures_in_row = $7, note = case when $7 = 0 then $8 else coalesce($8, note) end, cursor = coalesce($9::json, cursor),
             state = case when $10 then 'finished' when $7 >= {MOST_FAILURES} then 'failed'
                          when state = 'stopping' then 'stopped' else state end,
             ended_at = case when $10 or $7 >= {MOST_FAILURES} or state = 'stopping' then clock_timestamp() end,
             leased_until = clock_timestamp() + make_interval(secs => $12), updated_at = clock_timestamp()
           where id = $1 and claim = $2 and ended_at is null
       returning state"
    );
    let BatchReport { done, moved_on, failed, errors, failures_in_row, note, cursor, is_end, unseen } = batch;
    let state: Option<String> = sqlx::query_scalar(&save)
        .bind(id)
        .bind(claim)
        .bind(done)
        .bind(moved_on)
        .bind(failed)
        .bind(Json(errors))
        .bind(failures_in_row)
        .bind(note)
        .bind(cursor.as_ref().map(Json))
        .bind(is_end)
        .bind(unseen)
        .bind(lease.as_secs_f64())
        .fetch_optional(pool)
        .await?;
    Ok(state.as_deref().and_then(BulkActionState::parse))
}

/// Ends the lease after a pause, and says why. The action is counted as broken off when it is taken again.
pub(crate) async fn break_off(
    pool: &PgPool,
    (id, claim): (Uuid, Uuid),
    pause: Duration,
    why: &str,
) -> Result<(), sqlx::Error> {
    let end = "update bulk_actions set note = $4, leased_until = clock_timestamp() + make_interval(secs => $3)
                where id = $1 and claim = $2 and ended_at is null";
    sqlx::query(end).bind(id).bind(claim).bind(pause.as_secs_f64()).bind(why).execute(pool).await.map(drop)
}

/// Renews the lease before something is done that can't be done twice at the same time. Whether the action is still this process's.
pub(crate) async fn renew(pool: &PgPool, (id, claim): (Uuid, Uuid), lease: Duration) -> Result<bool, sqlx::Error> {
    let renew = "update bulk_actions set leased_until = clock_timestamp() + make_interval(secs => $3)
                  where id = $1 and claim = $2 and ended_at is null";
    let renewed = sqlx::query(renew).bind(id).bind(claim).bind(lease.as_secs_f64()).execute(pool).await?;
    Ok(renewed.rows_affected() == 1)
}

/// Lets another process take it at once.
pub(crate) async fn release(pool: &PgPool, id: Uuid, claim: Uuid) -> Result<(), sqlx::Error> {
    let release = "update bulk_actions set leased_until = null where id = $1 and claim = $2";
    sqlx::query(release).bind(id).bind(claim).execute(pool).await.map(drop)
}

/// Deletes those that ended long ago, and says how many.
pub(crate) async fn prune(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let prune = format!("delete from bulk_actions where ended_at < now() - interval '{KEPT}'");
    Ok(sqlx::query(&prune).execute(pool).await?.rows_affected())
}

/// The time by the database's clock.
pub(crate) async fn now(pool: &PgPool) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar("select clock_timestamp()").fetch_one(pool).await
}

#[cfg(test)]
pub(crate) mod tests;
