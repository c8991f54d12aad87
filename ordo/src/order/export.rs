//! `ordo order export`: what `GET /orders/export` answers, in a file.

use std::fs::File;
use std::io::{self, Write};

use access_control::{Principal, Role, RoutePermission};
use anyhow::{Context, bail, ensure};
use axum::body::Body;
use axum::{Extension, Router};
use event_store::{AppendQueueSettings, EventStore};
use futures_util::TryStreamExt;
use http::{Request, Uri};
use indicatif::ProgressBar;
use projections::SlowReads;
use serde_json::Value;
use sqlx::PgPool;
use tower::ServiceExt;

use super::{OrderExportArgs, OrderExportFormat};
use crate::events::export::{beside, cannot_write, is_broken_pipe, is_to_be_made};
use crate::settings::Settings;
use crate::{connections, output};

/// A longer refusal is none of ours.
const LONGEST_REFUSAL: usize = 1 << 20;

pub(super) async fn run(settings: &Settings, pool: &PgPool, args: &OrderExportArgs) -> anyhow::Result<()> {
    let store = EventStore::start(pool.clone(), AppendQueueSettings::default());
    let read_models = connections::read_models(settings, pool).await?;
    // Whoever has the database may see all of it.
    let routes = Router::from(projections::routes(store.clone(), &*read_models, None, SlowReads::new(&*read_models)))
        .layer(Extension(Principal::new(Role::Operator, "cli", None)))
        .layer(Extension(RoutePermission::All));
    let exported = export(routes, args).await;
    store.close().await;
    exported
}

async fn export(routes: Router, args: &OrderExportArgs) -> anyhow::Result<()> {
    let Some(path) = &args.out else {
        return match write(routes, args, &mut io::stdout()).await {
            // A closed pipe is no failure.
            Err(error) if is_broken_pipe(&error) => Ok(()),
            done => done.map(drop),
        };
    };
    ensure!(args.force || !path.is_file(), "{} is there already: --force replaces it", path.display());
    let orders = if is_to_be_made(path) {
        let mut file = beside(path)?;
        let orders = write(routes, args, file.as_file_mut()).await?;
        file.as_file().sync_all().with_context(|| cannot_write(path))?;
        file.persist(path).with_context(|| cannot_write(path))?;
        orders
    } else {
        // A device or a pipe is written to directly.
        let mut file = File::options().write(true).open(path).with_context(|| cannot_write(path))?;
        write(routes, args, &mut file).await?
    };
    output::line(&format!("{orders} orders are in {}", path.display()))?;
    Ok(())
}

/// Writes all of the export, and returns how many orders it has. It fails if they are not all there.
async fn write(routes: Router, args: &OrderExportArgs, to: &mut impl Write) -> anyhow::Result<u64> {
    let format = match args.format {
        OrderExportFormat::Ndjson => "ndjson",
        OrderExportFormat::Csv => "csv",
    };
    let uri = format!("/orders/export?format={format}&{}", args.query.trim_start_matches('?').replace(' ', "%20"));
    let uri = Uri::try_from(uri).context("--query is no query of a URL")?;
    let answer = routes.oneshot(Request::get(uri).body(Body::empty())?).await?;
    if !answer.status().is_success() {
        let refusal = axum::body::to_bytes(answer.into_body(), LONGEST_REFUSAL).await?;
        let problem: Value = serde_json::from_slice(&refusal)?;
        bail!("{}", in_words(&problem));
    }
    let bar = ProgressBar::no_length().with_style(output::bar_style("{human_pos} orders  {rate}  {elapsed}")?);
    let mut pieces = answer.into_body().into_data_stream();
    let (mut last, mut lines, mut is_quoted) = (axum::body::Bytes::new(), 0_u64, false);
    while let Some(piece) = pieces.try_next().await.context("the export ended before its time")? {
        to.write_all(&piece)?;
        for byte in &piece {
            // A text in CSV may have several lines.
            is_quoted ^= args.format == OrderExportFormat::Csv && *byte == b'"';
            lines += u64::from(*byte == b'\n' && !is_quoted);
        }
        bar.set_position(lines);
        // Pieces end where lines end, and the last line is one of its own.
        last = piece;
    }
    to.flush()?;
    bar.finish_and_clear();
    let last = last.strip_suffix(b"\n").unwrap_or(&last).rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    match args.format {
        OrderExportFormat::Csv => Ok(lines.saturating_sub(1)),
        OrderExportFormat::Ndjson => {
            let end: Value = serde_json::from_slice(last).context("the export has no end")?;
            ensure!(end["complete"] == true, "the export ended before its time: {}", in_words(&end["problem"]));
            Ok(end["exported"].as_u64().unwrap_or_default())
        }
    }
}

/// What a problem says.
fn in_words(problem: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let errors = problem["errors"].as_array().into_iter().flatten();
    let mut said: Vec<String> =
        errors.map(|error| format!("{} {}", text(&error["pointer"]), text(&error["message"]))).collect();
    if said.is_empty() {
        said.push(text(&problem["detail"]));
    }
    said.join("; ")
}
