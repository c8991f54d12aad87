//! `ordo order show`.

use projections::{History, Moment};
use serde_json::Value;
use sqlx::PgPool;

use super::changes::{changes, in_words};
use crate::dlq::harmless;
use crate::output;

pub(super) async fn run(pool: &PgPool, id: &str, as_of: Option<Moment>, json: bool) -> anyhow::Result<()> {
    let history = History::read(pool, id).await?;
    let last = history.last_version();
    let then = history.at(as_of.unwrap_or(Moment::Version(last)))?;
    if json {
        return Ok(output::line(then.view.get())?);
    }
    let (version, since) = (then.version, then.since.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
    output::line(&harmless(&format!("{id}  version {version} of {last}, since {since}")))?;
    let view: Value = serde_json::from_str(then.view.get())?;
    for part in changes(&Value::Null, &view) {
        output::line(&harmless(&format!("  {}  {}", part.path, in_words(&part.new))))?;
    }
    Ok(())
}
