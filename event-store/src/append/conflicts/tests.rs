use std::convert::Infallible;
use std::time::Duration;

use sqlx::PgPool;

use super::*;
use crate::bulk::{ImportSource, LogImportError, copy_in};
use crate::{BorrowedEvent, NewEvent};

/// The longest wait for something that happens in the background.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until so many sessions wait for a lock.
async fn until_waiting(pool: &PgPool, count: i64) {
    let waiting = "select count(distinct pid) from pg_locks where not granted";
    let waiting = || async { sqlx::query_scalar::<_, i64>(waiting).fetch_one(pool).await.unwrap() == count };
    testkit::eventually(PATIENCE, waiting).await;
}

struct Nothing;

impl ImportSource for Nothing {
    type Error = Infallible;

    async fn next(&mut self) -> Result<Option<BorrowedEvent<'_>>, Infallible> {
        Ok(None)
    }
}

#[tokio::test]
async fn an_append_around_conflicts_and_an_import_do_not_deadlock() {
    // Given
    let database = testkit::database().await;
    let event = NewEvent {
        event_id: Uuid::now_v7(),
        event_type: "E".to_owned(),
        event_version: "1.0".to_owned(),
        payload: "{}".to_owned(),
        metadata: "{}".to_owned(),
    };
    let stream =
        StreamAppend { stream_type: "order", stream_id: "a".to_owned(), expected_version: 0, events: vec![event] };
    let command = AppendRequest { streams: vec![stream], record: None };
    let mut before = database.pool().begin().await.unwrap();
    sqlx::query("select events_lock(), set_config('idle_in_transaction_session_timeout', '0', true)")
        .execute(&mut *before)
        .await
        .unwrap();

    // When
    let pool = database.pool().clone();
    let append = tokio::spawn(async move {
        let mut connection = pool.acquire().await.unwrap();
        store_around_conflicts(&mut connection, &[&command]).await
    });
    until_waiting(database.pool(), 1).await;
    let connection = PgConnection::connect(database.url()).await.unwrap();
    let import = tokio::spawn(async move { copy_in(connection, &mut Nothing).await });
    until_waiting(database.pool(), 2).await;
    before.rollback().await.unwrap();

    // Then
    let appended = append.await.unwrap().unwrap();
    assert!(appended[0].is_ok(), "{appended:?}");
    let imported = import.await.unwrap();
    assert!(matches!(imported, Err(LogImportError::NotEmpty)), "{imported:?}");
}
