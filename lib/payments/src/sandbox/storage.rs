//! The books in Postgres: a batch of calls is one transaction.

use sqlx::postgres::{PgConnection, PgPool};

use super::book::{Book, Failures, Kind, Movement, Operation, Payment, Reply, Row};
use crate::PaymentError;

/// What all batches of all processes take turns by: the letters of "ordo pay".
const TURN: i64 = i64::from_be_bytes(*b"ordo pay");

/// What becomes of each call. After an error, none of them took effect if it is `Unavailable`; else nobody knows.
///
/// Batches of all processes take turns. So whoever asks about a call that another process has made is told what came of it, not
/// that it was never seen; and no two of them meet at a row.
pub(super) async fn carry_out(pool: &PgPool, operations: &[Operation]) -> Result<Vec<Reply>, PaymentError> {
    if operations.is_empty() {
        return Ok(Vec::new());
    }
    let mut transaction = pool.begin().await.map_err(|error| undone(&error))?;
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(TURN)
        .execute(&mut *transaction)
        .await
        .map_err(|error| undone(&error))?;
    let mut book = load(&mut transaction, operations).await.map_err(|error| undone(&error))?;
    let replies = operations.iter().map(|operation| book.carry_out(operation)).collect();
    save(&mut transaction, &book).await.map_err(|error| undone(&error))?;
    transaction.commit().await.map_err(|error| unknown(&error))?;
    Ok(replies)
}

/// Without a commit there is nothing.
fn undone(error: &sqlx::Error) -> PaymentError {
    tracing::warn!(error = %error, "the sandbox could not reach its books");
    PaymentError::unavailable(format!("the sandbox's database: {error}"))
}

fn unknown(error: &sqlx::Error) -> PaymentError {
    tracing::warn!(error = %error, "the sandbox does not know whether its books were written");
    PaymentError::unknown(format!("the sandbox's database: {error}"))
}

/// Reads what the calls are about.
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

/// Writes what changed.
async fn save(connection: &mut PgConnection, book: &Book) -> Result<(), sqlx::Error> {
    add_payments(connection, book).await?;
    change_payments(connection, book).await?;
    add_movements(connection, book).await?;
    count_failures(connection, book).await
}

async fn add_payments(connection: &mut PgConnection, book: &Book) -> Result<(), sqlx::Error> {
    let new: Vec<_> = book.payments.iter().filter(|(_, payment)| payment.state == Row::New).collect();
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
    let changed: Vec<_> = book.payments.iter().filter(|(_, payment)| payment.state == Row::Changed).collect();
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
    let new: Vec<_> = book.movements.iter().filter(|(_, movement)| movement.state == Row::New).collect();
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
    let counted: Vec<_> = book.failures.iter().filter(|(_, failures)| failures.state != Row::AsStored).collect();
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
