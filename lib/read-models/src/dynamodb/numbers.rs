//! Which table is which generation, as Postgres knows it.

use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};

use crate::{Generation, StoreError};

/// The numbers of a read model's tables.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers {
    pub(super) live: Option<i64>,
    next: Option<i64>,
    previous: Option<i64>,
    pub(super) dropped: Vec<i64>,
}

const OF: &str = "select live, next, previous, dropped from read_model_generations where read_model = $1";

impl Numbers {
    /// As everybody sees them.
    pub(super) async fn committed(read_model: &str, pool: &PgPool) -> Result<Self, StoreError> {
        Self::read(sqlx::query(OF).bind(read_model).fetch_optional(pool).await?)
    }

    /// As this connection's transaction sees them, which may have changed them.
    pub(super) async fn seen_by(read_model: &str, connection: &mut PgConnection) -> Result<Self, StoreError> {
        Self::read(sqlx::query(OF).bind(read_model).fetch_optional(connection).await?)
    }

    /// To be changed by this transaction only.
    pub(super) async fn locked(read_model: &str, transaction: &mut PgConnection) -> Result<Self, StoreError> {
        make(read_model, transaction).await?;
        let locked = format!("{OF} for update");
        Self::read(sqlx::query(&locked).bind(read_model).fetch_optional(transaction).await?)
    }

    pub(super) fn of(&self, generation: Generation) -> Option<i64> {
        match generation {
            Generation::Live => self.live,
            Generation::Next => self.next,
            Generation::Previous => self.previous,
        }
    }

    pub(super) fn needed(&self, read_model: &str, generation: Generation) -> Result<i64, StoreError> {
        self.of(generation).ok_or_else(|| missing(read_model, generation))
    }

    fn read(row: Option<PgRow>) -> Result<Self, StoreError> {
        let Some(row) = row else { return Ok(Self::default()) };
        Ok(Self { live: row.try_get(0)?, next: row.try_get(1)?, previous: row.try_get(2)?, dropped: row.try_get(3)? })
    }
}

/// Looks numbers up for readers. A reader must not be told less than was committed before it came: it may have waited for a position
/// that only the new generation has. So nothing is remembered; but those who come while somebody is asking are all told what
/// is asked next.
#[derive(Debug)]
pub(super) struct Lookup {
    read_model: String,
    pool: PgPool,
    begun: AtomicU64,
    answer: tokio::sync::Mutex<(u64, Numbers)>,
}

impl Lookup {
    pub(super) fn new(read_model: &str, pool: PgPool) -> Self {
        Self { read_model: read_model.to_owned(), pool, begun: AtomicU64::new(0), answer: Default::default() }
    }

    pub(super) async fn number(&self, generation: Generation) -> Result<i64, StoreError> {
        // One that has begun already may have missed what this reader knows.
        let wanted = self.begun.load(Ordering::SeqCst) + 1;
        let mut answer = self.answer.lock().await;
        if answer.0 < wanted {
            let nth = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            *answer = (nth, Numbers::committed(&self.read_model, &self.pool).await?);
        }
        answer.1.needed(&self.read_model, generation)
    }
}

/// The next number, for a table that is being made.
pub(super) async fn next(read_model: &str, connection: &mut PgConnection) -> Result<i64, StoreError> {
    make(read_model, connection).await?;
    let next = "update read_model_generations set last = last + 1 where read_model = $1 returning last";
    Ok(sqlx::query_scalar(next).bind(read_model).fetch_one(connection).await?)
}

/// A table is this generation from now on.
pub(super) async fn set(
    read_model: &str,
    generation: Generation,
    number: i64,
    connection: &mut PgConnection,
) -> Result<(), StoreError> {
    let set = format!("update read_model_generations set {generation} = $2 where read_model = $1");
    sqlx::query(&set).bind(read_model).bind(number).execute(connection).await?;
    Ok(())
}

/// Nobody needs this generation any more.
pub(super) async fn let_go(
    read_model: &str,
    generation: Generation,
    connection: &mut PgConnection,
) -> Result<(), StoreError> {
    let drop = format!(
        "update read_model_generations set dropped = dropped || {generation}, {generation} = null
          where read_model = $1 and {generation} is not null"
    );
    sqlx::query(&drop).bind(read_model).execute(connection).await?;
    Ok(())
}

/// Tables that were dropped have been deleted.
pub(super) async fn forget(read_model: &str, gone: &[i64], connection: &mut PgConnection) -> Result<(), StoreError> {
    if gone.is_empty() {
        return Ok(());
    }
    let forget =
        "update read_model_generations set dropped = array(select unnest(dropped) except select unnest($2::bigint[]))
                   where read_model = $1";
    sqlx::query(forget).bind(read_model).bind(gone).execute(connection).await?;
    Ok(())
}

/// The next becomes the live one, and that the previous one.
pub(super) async fn advance(read_model: &str, transaction: &mut PgConnection) -> Result<(), StoreError> {
    let advance = "update read_model_generations
                      set dropped = dropped || array_remove(array[previous], null), previous = live, live = next, next = null
                    where read_model = $1 and next is not null";
    let advanced = sqlx::query(advance).bind(read_model).execute(transaction).await?.rows_affected();
    if advanced == 1 { Ok(()) } else { Err(missing(read_model, Generation::Next)) }
}

/// The live and the previous one change places.
pub(super) async fn roll_back(read_model: &str, transaction: &mut PgConnection) -> Result<(), StoreError> {
    let swap = "update read_model_generations set previous = live, live = previous
                 where read_model = $1 and previous is not null";
    let swapped = sqlx::query(swap).bind(read_model).execute(transaction).await?.rows_affected();
    if swapped == 1 { Ok(()) } else { Err(missing(read_model, Generation::Previous)) }
}

pub(super) fn missing(read_model: &str, generation: Generation) -> StoreError {
    StoreError::NoGeneration { read_model: read_model.to_owned(), generation }
}

async fn make(read_model: &str, connection: &mut PgConnection) -> Result<(), StoreError> {
    let make = "insert into read_model_generations (read_model) values ($1) on conflict do nothing";
    sqlx::query(make).bind(read_model).execute(connection).await?;
    Ok(())
}
