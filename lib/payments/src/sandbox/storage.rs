//! Loads and saves the books in Postgres. A batch of calls is one transaction.

use sqlx::postgres::{PgConnection, PgPool};

use super::book::{Book, Failures, Kind, Movement, Operation, Payment, Reply, RowState};
use crate::PaymentError;

/// The advisory lock that serializes the batches of all processes: the letters of "ordo pay".
const BATCH_LOCK: i64 = i64::from_be_bytes(*b"ordo pay");

/// Executes a batch of calls. After the error `Unavailable` none of them had an effect; after any other the outcome is
/// unknown.
///
/// The batches of all processes are serialized. So a `find` sees the calls of other processes, and no two batches write
/// the same row at once.
pub(super) async fn execute(pool: &PgPool, operations: &[Operation]) -> Result<Vec<Reply>, PaymentError> {
    if operations.is_empty() {
        return Ok(Vec::new());
    }
    let mut transaction = pool.begin().await.map_err(|error| rolled_back(&error))?;
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(BATCH_LOCK)
        .execute(&mut *transaction)
        .await
        .map_err(|error| rolled_back(&error))?;
    let mut book = load(&mut transaction, operations).await.map_err(|error| rolled_back(&error))?;
    let replies = operations.iter().map(|operation| book.execute(operation)).collect();
    save(&mut transaction, &book).await.map_err(|error| rolled_back(&error))?;
    transaction.commit().await.map_err(|error| unknown(&error))?;
    Ok(replies)
}

/// The transaction was not committed, so nothing happened.
fn rolled_back(error: &sqlx::Error) -> PaymentError {
    tracing::warn!(error = %error, "the sandbox could not reach its books");
    PaymentError::unavailable(format!("the sandbox's database: {error}"))
}

fn unknown(error: &sqlx::Error) -> PaymentError {
    tracing::warn!(error = %error, "the sandbox does not know whether its books were written");
    PaymentError::unknown(format!("the sandbox's database: {error}"))
}

/// Loads the rows that the calls are about.
async fn load(connection: &mut PgConnection, operations: &[Operation]) -> Result<Book, sqlx::Error> {
    let mut book = Book::default();
    let payments: Vec<String> = operations.iter().map(Operation::payment).collect();
    let rows: Vec<PaymentRow> = sqlx::query_as(
        "select reference, key, order_id, currency, amount, token, declined, captured, refunded, closed_at is not null as closed
           from sandbox_payments where reference = any($1)",
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
            (reference, Movement { key, payment, kind, amount, state: RowState::AsStored })
        }));
    }

    let keys: Vec<&str> = operations.iter().map(Operation::key).collect();
    let rows: Vec<(String, i16)> = sqlx::query_as("select key, failures from sandbox_failures where key = any($1)")
        .bind(keys)
        .fetch_all(connection)
        .await?;
    book.failures.extend(rows.into_iter().map(|(key, count)| (key, Failures { count, state: RowState::AsStored })));
    Ok(book)
}

async fn save(connection: &mut PgConnection, book: &Book) -> Result<(), sqlx::Error> {
    add_payments(connection, book).await?;
    change_payments(connection, book).await?;
    add_movements(connection, book).await?;
    count_failures(connection, book).await
}

async fn add_payments(connection: &mut PgConnection, book: &Book) -> Result<(), sqlx::Error> {
    let new: Vec<_> = book.payments.iter().filter(|(_, payment)| payment.state == RowState::New).collect();
    if new.is_empty() {
        return Ok(());
    }
    // A payment may have been captured or voided in the batch that authorized it.
    sqlx::query(
        "insert into sandbox_payments (reference, key, order_id, currency, amount, token, declined, captured, refunded, closed_at)
         select reference, key, order_id, currency, amount, token, declined, captured, refunded,
                case when closed then clock_timestamp() end
           from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::bigint[],
                       $9::bigint[], $10::bool[])
             as new (reference, key, order_id, currency, amount, token, declined, captured, refunded, closed)",
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
    Ok(())
}

async fn change_payments(connection: &mut PgConnection, book: &Book) -> Result<(), sqlx::Error> {
    let changed: Vec<_> = book.payments.iter().filter(|(_, payment)| payment.state == RowState::Changed).collect();
    if changed.is_empty() {
        return Ok(());
    }
    sqlx::query(
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
    Ok(())
}

async fn add_movements(connection: &mut PgConnection, book: &Book) -> Result<(), sqlx::Error> {
    let new: Vec<_> = book.movements.iter().filter(|(_, movement)| movement.state == RowState::New).collect();
    if new.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into sandbox_movements (reference, key, payment, kind, amount)
         select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])",
    )
    .bind(new.iter().map(|(reference, _)| reference.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, movement)| movement.key.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, movement)| movement.payment.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, movement)| movement.kind.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, movement)| movement.amount).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

async fn count_failures(connection: &mut PgConnection, book: &Book) -> Result<(), sqlx::Error> {
    let counted: Vec<_> = book.failures.iter().filter(|(_, failures)| failures.state != RowState::AsStored).collect();
    if counted.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into sandbox_failures (key, failures) select * from unnest($1::text[], $2::smallint[])
         on conflict (key) do update set failures = excluded.failures",
    )
    .bind(counted.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>())
    .bind(counted.iter().map(|(_, failures)| failures.count).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
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
        let state = RowState::AsStored;
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
