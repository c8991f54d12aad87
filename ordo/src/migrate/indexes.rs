//! The index that a migration leaves out where the log is long, and the earlier one whose place it takes.

use anyhow::Context;
use sqlx::{Executor, PgConnection};

/// Held by the one process that builds and drops them. The key is any fixed number.
const ALONE: &str = "select pg_catalog.pg_try_advisory_lock(7311864570230144)";
/// Whether the index is there, and whether the earlier one is. One whose drop was broken off is there, too: each append still costs for it.
const FOUND: &str = "
    select exists (select from pg_index where indexrelid = to_regclass('events_of_people') and indisvalid),
           to_regclass('events_by_people') is not null";
/// What an attempt that was broken off has left.
const DROP: &str = "drop index concurrently if exists events_of_people";
/// The condition is that of the migration, to the letter.
const BUILD: &str = r#"create index concurrently events_of_people on events (global_position)
    where split_part(metadata::text, ':', 2) in ('"operator', '"support', '"finance', '"warehouse')
       or event_type = 'OperatorIntervened'"#;
/// The index of earlier builds, which lacks some of these events.
const DROP_EARLIER: &str = "drop index concurrently if exists events_by_people";

/// Builds the index of the events by people if it is missing, beside the writers: none waits for it. It takes as long as reading the log.
/// Until then `GET /audit` looks through the log. Then the earlier index goes, also where an attempt before built the new one and got no
/// further. Where another process does it, there is nothing to do.
pub(super) async fn build_missing(owner: &mut PgConnection) -> anyhow::Result<()> {
    const FAILED: &str = "the index of the events by people cannot be built, or the earlier one cannot be dropped";
    if !sqlx::query_scalar(ALONE).fetch_one(&mut *owner).await.context(FAILED)? {
        return Ok(());
    }
    // Another process may have done it until now: so this is looked up under the lock.
    let (is_built, is_earlier_there): (bool, bool) =
        sqlx::query_as(FOUND).fetch_one(&mut *owner).await.context(FAILED)?;
    let build = (!is_built).then_some([DROP, BUILD]).into_iter().flatten();
    let drop_earlier = is_earlier_there.then_some(DROP_EARLIER);
    let statements = ["set statement_timeout = 0", "set lock_timeout = 0"].into_iter().chain(build).chain(drop_earlier);
    // Each is a statement of its own, outside of any transaction. The connection is closed afterwards, and its lock with it.
    for statement in statements {
        owner.execute(statement).await.context(FAILED)?;
    }
    Ok(())
}
