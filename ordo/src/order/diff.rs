//! `ordo order diff`.

use projections::{JsonLeafChange, OrderAsOf, OrderHistory, PointInTime};
use serde_json::Value;
use sqlx::PgPool;

use crate::dlq::harmless;
use crate::output;

pub(super) async fn run(
    pool: &PgPool,
    id: &str,
    moments: (PointInTime, PointInTime),
    json: bool,
) -> anyhow::Result<()> {
    let history = OrderHistory::read(pool, id).await?;
    let (old, new) = (history.at(moments.0)?, history.at(moments.1)?);
    let changes = JsonLeafChange::between(&view(&old)?, &view(&new)?);
    if json {
        return Ok(output::line(&serde_json::to_string(&changes)?)?);
    }
    output::line(&harmless(&format!("{id}  {}", headline(&history, &old, &new))))?;
    for change in &changes {
        output::line(&harmless(&format!("  {}", line(change))))?;
    }
    Ok(())
}

fn view(then: &OrderAsOf) -> serde_json::Result<Value> {
    serde_json::from_str(then.view.get())
}

fn headline(history: &OrderHistory, old: &OrderAsOf, new: &OrderAsOf) -> String {
    let (from, to) = (old.version, new.version);
    match from.cmp(&to) {
        std::cmp::Ordering::Equal => format!("was at version {from} at both"),
        std::cmp::Ordering::Less => format!("from version {from} to {to}: {}", history.between(from, to).join(", ")),
        std::cmp::Ordering::Greater => {
            format!("back from version {from} to {to}, without {}", history.between(to, from).join(", "))
        }
    }
}

fn line(change: &JsonLeafChange) -> String {
    let path = &change.path;
    match change.in_words() {
        [None, new] => format!("+ {path}  {}", new.unwrap_or_default()),
        [Some(old), None] => format!("- {path}  {old}"),
        [Some(old), Some(new)] => format!("~ {path}  {old} -> {new}"),
    }
}
