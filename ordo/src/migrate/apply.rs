//! Migrations that do not hold up those who append.

use std::time::Duration;

use anyhow::Context;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Executor, PgConnection};

/// How long a migration waits for those who use a table. Behind it everybody waits, appends too.
const LOCK_TIMEOUT: Duration = Duration::from_millis(300);
/// How often it is tried, and the pause in between: two minutes or so behind somebody who uses a table for long.
pub(super) const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(300);
/// Whoever waits learns early what it waits for.
const SAY_AFTER: u32 = 5;

/// Applies what is missing, each migration in a transaction of its own. One that gets no lock in time is rolled back and tried again.
pub(super) async fn all(migrations: &Migrator, owner: &mut PgConnection, tries: u32) -> anyhow::Result<()> {
    owner.execute(&*format!("set lock_timeout = {}", LOCK_TIMEOUT.as_millis())).await?;
    for tried in 1.. {
        match migrations.run_direct(owner).await {
            Ok(()) => break,
            Err(error) if !is_locked_out(&error) => {
                return Err(error).context("the schema cannot be brought up to date");
            }
            Err(error) if tried >= tries => {
                return Err(error).context(
                    "the schema is not up to date yet: somebody uses a table for long, or migrates as well. pg_stat_activity shows who. \
                     Run `ordo migrate` again; it goes on where it stopped",
                );
            }
            Err(_) => {
                if tried == SAY_AFTER {
                    tracing::warn!("somebody uses a table that a migration changes, or migrates as well; trying on");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    Ok(())
}

/// Whether the lock was not there in time, or there was a deadlock.
fn is_locked_out(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else { return false };
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == "55P03" || code == "40P01")
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use sqlx::Connection;
    use sqlx::migrate::{Migration, MigrationType};

    use super::*;

    /// The migrations of this build and one more, which changes the table of the events.
    fn and_a_column() -> Migrator {
        let sql = "alter table events add column tried text";
        let one = Migration::new(999_999, "a column".into(), MigrationType::Simple, sql.into(), false);
        let migrations: Vec<_> = migrations::MIGRATIONS.iter().cloned().chain([one]).collect();
        Migrator { migrations: Cow::Owned(migrations), ..Migrator::DEFAULT }
    }

    const APPENDS: &str = "lock table events in row exclusive mode";

    #[tokio::test]
    async fn writers_go_on_while_a_migration_waits_for_a_reader() {
        // Given
        let database = testkit::database().await;
        let mut reader = database.pool().begin().await.unwrap();
        sqlx::query("select count(*) from events").execute(&mut *reader).await.unwrap();
        let mut owner = PgConnection::connect(database.url()).await.unwrap();

        // When
        let migrating = tokio::spawn(async move { all(&and_a_column(), &mut owner, TRIES).await });
        let waits = "select exists (select from pg_locks where not granted and relation = 'events'::regclass)";
        let is_waiting = || async { sqlx::query_scalar(waits).fetch_one(database.pool()).await.unwrap() };
        testkit::eventually(Duration::from_secs(30), is_waiting).await;

        // Then
        let mut writer = database.pool().begin().await.unwrap();
        writer.execute(APPENDS).await.unwrap();
        writer.rollback().await.unwrap();
        assert!(!migrating.is_finished());
        reader.rollback().await.unwrap();
        migrating.await.unwrap().unwrap();
        sqlx::query("select tried from events").execute(database.pool()).await.unwrap();
    }

    #[tokio::test]
    async fn a_migration_gives_up_behind_a_reader_and_says_so() {
        let database = testkit::database().await;
        let mut reader = database.pool().begin().await.unwrap();
        sqlx::query("select count(*) from events").execute(&mut *reader).await.unwrap();
        let mut owner = PgConnection::connect(database.url()).await.unwrap();

        let given_up = all(&and_a_column(), &mut owner, 2).await.unwrap_err();
        assert!(given_up.to_string().contains("somebody uses a table for long"), "{given_up:#}");

        reader.rollback().await.unwrap();
        all(&and_a_column(), &mut owner, 1).await.unwrap();
    }
}
