//! The table `read_model_generations`: which table in DynamoDB is which generation.

use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};

use crate::{Generation, ReadModelStoreError};

/// The numbers of the DynamoDB tables that hold a read model's generations.
#[derive(Debug, Clone, Default)]
pub(super) struct GenerationTableNumbers {
    pub(super) live: Option<i64>,
    next: Option<i64>,
    previous: Option<i64>,
    pub(super) dropped: Vec<i64>,
}

const OF: &str = "select live, next, previous, dropped from read_model_generations where read_model = $1";

impl GenerationTableNumbers {
    /// The committed numbers.
    pub(super) async fn committed(read_model: &str, pool: &PgPool) -> Result<Self, ReadModelStoreError> {
        Self::read(sqlx::query(OF).bind(read_model).fetch_optional(pool).await?)
    }

    /// The numbers that this connection's transaction sees, with its own changes.
    pub(super) async fn seen_by(read_model: &str, connection: &mut PgConnection) -> Result<Self, ReadModelStoreError> {
        Self::read(sqlx::query(OF).bind(read_model).fetch_optional(connection).await?)
    }

    /// The numbers, locked until the transaction ends.
    pub(super) async fn locked(read_model: &str, transaction: &mut PgConnection) -> Result<Self, ReadModelStoreError> {
        ensure_row(read_model, transaction).await?;
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

    pub(super) fn require(&self, read_model: &str, generation: Generation) -> Result<i64, ReadModelStoreError> {
        self.of(generation).ok_or_else(|| missing(read_model, generation))
    }

    fn read(row: Option<PgRow>) -> Result<Self, ReadModelStoreError> {
        let Some(row) = row else { return Ok(Self::default()) };
        Ok(Self { live: row.try_get(0)?, next: row.try_get(1)?, previous: row.try_get(2)?, dropped: row.try_get(3)? })
    }
}

/// Looks numbers up for readers. A reader must see what was committed before it came: it may have waited for a position
/// that only the new generation has. So nothing is cached, but readers that come during a lookup share the next one.
#[derive(Debug)]
pub(super) struct CoalescedTableNumberLookup {
    read_model: String,
    pool: PgPool,
    begun: AtomicU64,
    answer: tokio::sync::Mutex<(u64, GenerationTableNumbers)>,
}

impl CoalescedTableNumberLookup {
    pub(super) fn new(read_model: &str, pool: PgPool) -> Self {
        Self { read_model: read_model.to_owned(), pool, begun: AtomicU64::new(0), answer: Default::default() }
    }

    pub(super) async fn number(&self, generation: Generation) -> Result<i64, ReadModelStoreError> {
        // A lookup that has begun before may be too old for this reader.
        let wanted = self.begun.load(Ordering::SeqCst) + 1;
        let mut answer = self.answer.lock().await;
        if answer.0 < wanted {
            let nth = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            *answer = (nth, GenerationTableNumbers::committed(&self.read_model, &self.pool).await?);
        }
        answer.1.require(&self.read_model, generation)
    }
}

/// The number of a new table.
pub(super) async fn next(read_model: &str, connection: &mut PgConnection) -> Result<i64, ReadModelStoreError> {
    ensure_row(read_model, connection).await?;
    let next = "update read_model_generations set last = last + 1 where read_model = $1 returning last";
    Ok(sqlx::query_scalar(next).bind(read_model).fetch_one(connection).await?)
}

/// Makes a table this generation.
pub(super) async fn assign(
    read_model: &str,
    generation: Generation,
    number: i64,
    connection: &mut PgConnection,
) -> Result<(), ReadModelStoreError> {
    let set = format!("update read_model_generations set {generation} = $2 where read_model = $1");
    sqlx::query(&set).bind(read_model).bind(number).execute(connection).await?;
    Ok(())
}

/// Marks a generation's table as dropped.
pub(super) async fn drop_generation(
    read_model: &str,
    generation: Generation,
    connection: &mut PgConnection,
) -> Result<(), ReadModelStoreError> {
    let drop = format!(
        "update read_model_generations set dropped = dropped || {generation}, {generation} = null
          where read_model = $1 and {generation} is not null"
    );
    sqlx::query(&drop).bind(read_model).execute(connection).await?;
    Ok(())
}

/// Forgets dropped tables that are deleted.
pub(super) async fn forget_deleted(
    read_model: &str,
    gone: &[i64],
    connection: &mut PgConnection,
) -> Result<(), ReadModelStoreError> {
    if gone.is_empty() {
        return Ok(());
    }
    let forget =
        "update read_model_generations set dropped = array(select unnest(dropped) except select unnest($2::bigint[]))
                   where read_model = $1";
    sqlx::query(forget).bind(read_model).bind(gone).execute(connection).await?;
    Ok(())
}

/// Makes the next generation the live one, and the live one the previous one.
pub(super) async fn promote(read_model: &str, transaction: &mut PgConnection) -> Result<(), ReadModelStoreError> {
    let advance = "update read_model_generations
                      set dropped = dropped || array_remove(array[previous], null), previous = live, live = next, next = null
                    where read_model = $1 and next is not null";
    let advanced = sqlx::query(advance).bind(read_model).execute(transaction).await?.rows_affected();
    if advanced == 1 { Ok(()) } else { Err(missing(read_model, Generation::Next)) }
}

/// Exchanges the live and the previous generation.
pub(super) async fn roll_back(read_model: &str, transaction: &mut PgConnection) -> Result<(), ReadModelStoreError> {
    let swap = "update read_model_generations set previous = live, live = previous
                 where read_model = $1 and previous is not null";
    let swapped = sqlx::query(swap).bind(read_model).execute(transaction).await?.rows_affected();
    if swapped == 1 { Ok(()) } else { Err(missing(read_model, Generation::Previous)) }
}

pub(super) fn missing(read_model: &str, generation: Generation) -> ReadModelStoreError {
    ReadModelStoreError::NoGeneration { read_model: read_model.to_owned(), generation }
}

async fn ensure_row(read_model: &str, connection: &mut PgConnection) -> Result<(), ReadModelStoreError> {
    let make = "insert into read_model_generations (read_model) values ($1) on conflict do nothing";
    sqlx::query(make).bind(read_model).execute(connection).await?;
    Ok(())
}
