//! `ordo events export`.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use domain::order::OrderEvent;
use domain::stock::StockEvent;
use event_store::EventFilter;
use event_store::bulk::{CopyOutOrder, copy_out};
use indicatif::ProgressBar;
use sqlx::{Connection, PgConnection};
use tempfile::NamedTempFile;

use super::{ExportArgs, line};
use crate::output;

/// How much is collected for one write.
const CHUNK: usize = 64 * 1024;

/// What was written.
#[derive(Default)]
struct ExportSummary {
    events: u64,
    /// The first and the last position.
    positions: Option<(i64, i64)>,
}

pub(super) async fn run(connection: PgConnection, args: &ExportArgs) -> anyhow::Result<()> {
    let (since, selection) = (Instant::now(), args.selection());
    let Some(path) = &args.out else {
        return match write(connection, &selection, &mut io::stdout().lock()).await {
            // A closed pipe is no failure.
            Err(error) if is_broken_pipe(&error) => Ok(()),
            done => check_names(&args.types, &done?),
        };
    };
    ensure!(args.force || !path.is_file(), "{} is there already: --force replaces it", path.display());
    let done = if is_to_be_made(path) {
        let mut file = beside(path)?;
        let done = write(connection, &selection, file.as_file_mut()).await?;
        check_names(&args.types, &done)?;
        file.as_file().sync_all().with_context(|| cannot_write(path))?;
        file.persist(path).with_context(|| cannot_write(path))?;
        done
    } else {
        // A device or a pipe is written to directly.
        let mut file = File::options().write(true).open(path).with_context(|| cannot_write(path))?;
        write(connection, &selection, &mut file).await?
    };
    let range = done.positions.map_or_else(String::new, |(first, last)| format!(", positions {first} to {last},"));
    let seconds = since.elapsed().as_secs_f64();
    output::line(&format!("{} events{range} are in {}, after {seconds:.1} s", done.events, path.display()))?;
    Ok(())
}

/// Fails for an unknown event name if nothing was found: that is the likeliest reason.
fn check_names(asked: &[String], done: &ExportSummary) -> anyhow::Result<()> {
    let known: Vec<&str> = [OrderEvent::NAMES, StockEvent::NAMES].concat();
    let unknown = asked.iter().find(|name| !known.contains(&name.as_str()));
    match unknown {
        Some(name) if done.events == 0 => bail!("no event is called {name:?}; there are {}", known.join(", ")),
        Some(_) | None => Ok(()),
    }
}

async fn write(
    mut connection: PgConnection,
    selection: &EventFilter,
    to: &mut impl Write,
) -> anyhow::Result<ExportSummary> {
    let style = output::bar_style("{human_pos} events  {rate}  {elapsed}")?;
    let bar = ProgressBar::no_length().with_style(style);
    let (mut done, mut text) = (ExportSummary::default(), Vec::with_capacity(2 * CHUNK));
    let mut transaction = connection.begin().await?;
    let mut events = copy_out(&mut transaction, selection, CopyOutOrder::ByPosition).await?;
    while let Some(event) = events.next().await? {
        let event = event.read()?;
        line::write(&event, &mut text)?;
        done.events += 1;
        done.positions = Some((done.positions.map_or(event.position, |(first, _)| first), event.position));
        if text.len() >= CHUNK {
            to.write_all(&text)?;
            text.clear();
            bar.set_position(done.events);
        }
    }
    to.write_all(&text)?;
    to.flush()?;
    bar.finish_and_clear();
    Ok(done)
}

/// Whether the path is to become a regular file: not if it is a device or a pipe.
pub(crate) fn is_to_be_made(path: &Path) -> bool {
    path.metadata().map_or(true, |metadata| metadata.is_file())
}

/// A temporary file in the same folder, which is removed unless it replaces the path.
pub(crate) fn beside(path: &Path) -> anyhow::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    NamedTempFile::new_in(folder).with_context(|| cannot_write(path))
}

pub(crate) fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_event_has_is_said_where_nothing_was_found() {
        let asked = ["OrderCreated".to_owned(), "Nope".to_owned()];
        let refused = check_names(&asked, &ExportSummary::default()).unwrap_err().to_string();
        assert!(refused.contains("no event is called \"Nope\"; there are OrderCreated, "), "{refused}");
        // Foreign events may be in the log.
        check_names(&asked, &ExportSummary { events: 1, positions: Some((1, 1)) }).unwrap();
        check_names(&asked[..1], &ExportSummary::default()).unwrap();
    }
}
