//! The books in Postgres: a batch of calls is one transaction.

use sqlx::postgres::{PgConnection, PgPool};

use super::book::{Book, Failures, Kind, Movement, Operation, Payment, Reply, Row};
use crate::PaymentError;

/// How often a batch is handled again because another process got in between. Each time someone got further.
const ATTEMPTS: usize = 10;

/// What becomes of each call. After an error, none of them took effect if it is `Unavailable`; else nobody knows.
pub(super) async fn carry_out(pool: &PgPool, operations: &[Operation]) -> Result<Vec<Reply>, PaymentError> {
    if operations.is_empty() {
        return Ok(Vec::new());
    }
    for _ in 0..ATTEMPTS {
        let mut transaction = pool.begin().await.map_err(not_begun)?;
        let mut book = load(&mut transaction, operations).await.map_err(unknown)?;
        let replies = operations.iter().map(|operation| book.carry_out(operation)).collect();
        if save(&mut transaction, &book).await.map_err(unknown)? {
            transaction.commit().await.map_err(unknown)?;
            return Ok(replies);
        }
        transaction.rollback().await.map_err(unknown)?;
    }
    Err(PaymentError::unavailable("others keep using the same keys"))
}

fn not_begun(error: sqlx::Error) -> PaymentError {
    tracing::warn!(error = %error, "the sandbox's database does not answer");
    PaymentError::unavailable(format!("the sandbox's database: {error}"))
}

fn unknown(error: sqlx::Error) -> PaymentError {
    tracing::warn!(error = %error, "the sandbox's database failed in the middle of a batch");
    PaymentError::unknown(format!("the sandbox's database: {error}"))
}

/// Reads what the calls are about. Payments stay locked until the end, always in the same order: no two batches can deadlock.
async fn load(connection: &mut PgConnection, operations: &[Operation]) -> Result<Book, sqlx::Error> {
    let mut book = Book::default();
    let payments: Vec<String> = operations.iter().map(Operation::payment).collect();
    let rows: Vec<PaymentRow> = sqlx::query_as(
        "select reference, key, order_id, currency, amount, token, declined, captured, refunded, closed_at is not null as closed
           from sandbox_payments where reference = any($1) order by reference for update",
    )
    .bind(payments)
    .fetch_all(&mut *connection)
    .await?;
    book.payments.extend(rows.into_iter().map(PaymentRow::into_payment));

    let movements: Vec<String> = operations.iter().filter_map(Operation::movement).collect();
    if !movements.is_empty() {
        let rows: Vec<(String, String, String, String, i64)> = sqlx::query_as(
            "select reference, key, payment, kind, amount from sandbox_movements where reference = any($1)",
        )
        .bind(movements)
        .fetch_all(&mut *connection)
        .await?;
        book.movements.extend(rows.into_iter().map(|(reference, key, payment, kind, amount)| {
            let kind = if kind == Kind::Capture.as_str() { Kind::Capture } else { Kind::Refund };
            (reference, Movement { key, payment, kind, amount, state: Row::AsStored })
        }));
    }

    let keys: Vec<&str> = operations.iter().map(Operation::key).collect();
    let rows: Vec<(String, i16)> = sqlx::query_as("select key, failures from sandbox_failures where key = any($1)")
        .bind(keys)
        .fetch_all(connection)
        .await?;
    book.failures.extend(rows.into_iter().map(|(key, count)| (key, Failures { count, state: Row::AsStored })));
    Ok(book)
}

/// Writes what changed. `false`: another process has used one of the keys since they were read.
async fn save(connection: &mut PgConnection, book: &Book) -> Result<bool, sqlx::Error> {
    let complete = add_payments(connection, book).await?
        && change_payments(connection, book).await?
        && add_movements(connection, book).await?;
    count_failures(connection, book).await?;
    Ok(complete)
}

async fn add_payments(connection: &mut PgConnection, book: &Book) -> Result<bool, sqlx::Error> {
    let mut new: Vec<_> = book.payments.iter().filter(|(_, payment)| payment.state == Row::New).collect();
    if new.is_empty() {
        return Ok(true);
    }
    new.sort_unstable_by_key(|(reference, _)| *reference);
    // A payment may have been captured or voided in the batch that authorized it.
    let added = sqlx::query(
        "insert into sandbox_payments (reference, key, order_id, currency, amount, token, declined, captured, refunded, closed_at)
         select reference, key, order_id, currency, amount, token, declined, captured, refunded,
                case when closed then clock_timestamp() end
           from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::bigint[],
                       $9::bigint[], $10::bool[])
             as new (reference, key, order_id, currency, amount, token, declined, captured, refunded, closed)
         on conflict (reference) do nothing",
    )
    .bind(new.iter().map(|(reference, _)| reference.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, payment)| payment.key.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, payment)| payment.order_id.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, payment)| payment.currency.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, payment)| payment.amount).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, payment)| payment.token.as_deref()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, payment)| payment.declined.as_deref()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, payment)| payment.captured).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, payment)| payment.refunded).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, payment)| payment.closed).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(complete(added.rows_affected(), new.len()))
}

async fn change_payments(connection: &mut PgConnection, book: &Book) -> Result<bool, sqlx::Error> {
    let changed: Vec<_> = book.payments.iter().filter(|(_, payment)| payment.state == Row::Changed).collect();
    if changed.is_empty() {
        return Ok(true);
    }
    let written = sqlx::query(
        "update sandbox_payments
            set captured = new.captured, refunded = new.refunded,
                closed_at = case when new.closed then coalesce(closed_at, clock_timestamp()) end
           from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bool[]) as new (reference, captured, refunded, closed)
          where sandbox_payments.reference = new.reference",
    )
    .bind(changed.iter().map(|(reference, _)| reference.as_str()).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, payment)| payment.captured).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, payment)| payment.refunded).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, payment)| payment.closed).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(complete(written.rows_affected(), changed.len()))
}

async fn add_movements(connection: &mut PgConnection, book: &Book) -> Result<bool, sqlx::Error> {
    let mut new: Vec<_> = book.movements.iter().filter(|(_, movement)| movement.state == Row::New).collect();
    if new.is_empty() {
        return Ok(true);
    }
    new.sort_unstable_by_key(|(reference, _)| *reference);
    let added = sqlx::query(
        "insert into sandbox_movements (reference, key, payment, kind, amount)
         select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
         on conflict (reference) do nothing",
    )
    .bind(new.iter().map(|(reference, _)| reference.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, movement)| movement.key.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, movement)| movement.payment.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, movement)| movement.kind.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, movement)| movement.amount).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(complete(added.rows_affected(), new.len()))
}

async fn count_failures(connection: &mut PgConnection, book: &Book) -> Result<(), sqlx::Error> {
    let mut counted: Vec<_> = book.failures.iter().filter(|(_, failures)| failures.state != Row::AsStored).collect();
    if counted.is_empty() {
        return Ok(());
    }
    counted.sort_unstable_by_key(|(key, _)| *key);
    sqlx::query(
        "insert into sandbox_failures (key, failures) select * from unnest($1::text[], $2::smallint[])
         on conflict (key) do update set failures = greatest(sandbox_failures.failures, excluded.failures)",
    )
    .bind(counted.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>())
    .bind(counted.iter().map(|(_, failures)| failures.count).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

fn complete(written: u64, expected: usize) -> bool {
    usize::try_from(written) == Ok(expected)
}

#[derive(sqlx::FromRow)]
struct PaymentRow {
    reference: String,
    key: String,
    order_id: String,
    currency: String,
    amount: i64,
    token: Option<String>,
    declined: Option<String>,
    captured: i64,
    refunded: i64,
    closed: bool,
}

impl PaymentRow {
    fn into_payment(self) -> (String, Payment) {
        let Self { reference, key, order_id, currency, amount, token, declined, captured, refunded, closed } = self;
        let state = Row::AsStored;
        (reference, Payment { key, order_id, currency, amount, token, declined, captured, refunded, closed, state })
    }
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Refund => "refund",
        }
    }
}
