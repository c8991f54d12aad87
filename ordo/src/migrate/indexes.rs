//! The index that a migration leaves out where the log is long.

use anyhow::Context;
use sqlx::{Executor, PgConnection};

/// Held by the one process that builds it. The key is any fixed number.
const ALONE: &str = "select pg_catalog.pg_try_advisory_lock(7311864570230144)";
const IS_THERE: &str =
    "select exists (select from pg_index where indexrelid = to_regclass('events_of_people') and indisvalid)";
/// What an attempt that was broken off has left.
const DROP: &str = "drop index concurrently if exists events_of_people";
/// The condition is that of the migration, to the letter.
const BUILD: &str = r#"create index concurrently events_of_people on events (global_position)
    where split_part(metadata::text, ':', 2) in ('"operator', '"support', '"finance', '"warehouse')
       or event_type = 'OperatorIntervened'"#;
/// The index of earlier builds, which lacks some of these events.
const DROP_EARLIER: &str = "drop index concurrently if exists events_by_people";

/// Builds the index of the events by people if it is missing, beside the writers: none waits for it. It takes as long as reading the log.
/// Until then `GET /audit` looks through the log. Where another process builds it, there is nothing to do.
pub(super) async fn build_missing(owner: &mut PgConnection) -> anyhow::Result<()> {
    const FAILED: &str = "the index of the events by people cannot be built";
    if sqlx::query_scalar(IS_THERE).fetch_one(&mut *owner).await.context(FAILED)?
        || !sqlx::query_scalar(ALONE).fetch_one(&mut *owner).await.context(FAILED)?
    {
        return Ok(());
    }
    // Each is a statement of its own, outside of any transaction. The connection is closed afterwards, and its lock with it.
    for statement in ["set statement_timeout = 0", "set lock_timeout = 0", DROP, BUILD, DROP_EARLIER] {
        owner.execute(statement).await.context(FAILED)?;
    }
    Ok(())
}
