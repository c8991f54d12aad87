//! `ordo events import`.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use event_store::bulk::{LogImportError, copy_in};
use indicatif::ProgressBar;
use serde_json::json;
use sqlx::PgConnection;

use super::EventsImportArgs;
use super::import_reader::ImportReader;
use crate::output;

/// The subscriptions that begin with what is stored from then on: begun on an empty log, they would take history for new.
const BEGIN_AT_THE_END: [&str; 4] = ["order_numbers", "documents", "events-queue", "events-topic"];

pub(super) async fn run(mut connection: PgConnection, args: &EventsImportArgs) -> anyhow::Result<()> {
    let since = Instant::now();
    let style = output::bar_style("{human_pos} events  {rate}  {elapsed}")?;
    let bar = ProgressBar::no_length().with_style(style);
    let begun = "select min(subscription) from subscription_partitions where subscription = any($1)";
    let begun: Option<String> = sqlx::query_scalar(begun).bind(BEGIN_AT_THE_END).fetch_one(&mut connection).await?;
    if let Some(begun) = begun {
        bail!(
            "the subscription {begun} has begun on this store and would take all that is imported for new; \
             import into a store on which nothing ran but `ordo migrate`"
        );
    }
    let mut lines = ImportReader::of(open(&args.file)?, bar.clone());
    let done = match copy_in(connection, &mut lines).await {
        Ok(done) => done,
        Err(LogImportError::Source(error)) => return Err(error.context("nothing is imported")),
        Err(LogImportError::NotEmpty) => bail!("this store has events already; import into one that has none"),
        Err(LogImportError::Database(error)) => return Err(error).context("nothing is imported: the database failed"),
    };
    bar.finish_and_clear();
    let (events, last, streams) = (done.events, done.last_position, lines.streams());
    if args.json {
        let done = json!({ "events": events, "streams": streams, "lastPosition": last });
        return Ok(output::line(&done.to_string())?);
    }
    let seconds = since.elapsed().as_secs_f64();
    output::line(&format!(
        "{events} events of {streams} streams are in the log, up to position {last}, after {seconds:.1} s"
    ))?;
    Ok(())
}

fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Box::new(BufReader::with_capacity(64 * 1024, file)))
}
