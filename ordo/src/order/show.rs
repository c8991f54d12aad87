//! `ordo order show`.

use chrono::Utc;
use event_store::{AppendQueueSettings, EventStore};
use projections::{OrderHistory, PointInTime};
use sqlx::PgPool;

use super::page::OrderPageData;
use crate::page::{TerminalFormat, TextTone};
use crate::{output, saga};

pub(super) async fn run(pool: &PgPool, id: &str, as_of: Option<PointInTime>, json: bool) -> anyhow::Result<()> {
    let history = OrderHistory::read(pool, id).await?;
    let last = history.last_version();
    let then = history.at(as_of.unwrap_or(PointInTime::Version(last)))?;
    if json {
        return Ok(output::line(then.view.get())?);
    }
    let style = TerminalFormat::of_stdout(Utc::now());
    let since = then.since.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let version = format!("version {} of {last}, since {since}", then.version);
    let view: OrderPageData = serde_json::from_str(then.view.get())?;
    let mut lines = view.page(&version, &style);
    // The state of sagas is known for the present only.
    if then.version == last {
        lines.extend(steps(pool, id, &style).await?);
    }
    lines.iter().try_for_each(|line| output::line(line))?;
    Ok(())
}

async fn steps(pool: &PgPool, id: &str, style: &TerminalFormat) -> anyhow::Result<Vec<String>> {
    let store = EventStore::start(pool.clone(), AppendQueueSettings::default());
    let report = sagas::report::read(&store, id).await;
    store.close().await;
    let Some(report) = report? else { return Ok(vec![]) };
    let mut lines = Vec::new();
    for of_saga in &report.sagas {
        lines.push(String::new());
        lines.push(style.paint(TextTone::Heading, of_saga.saga));
        lines.extend(saga::step_lines(of_saga, style, false));
    }
    Ok(lines)
}
