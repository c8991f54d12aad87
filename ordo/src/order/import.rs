//! `ordo order import`: orders that another system has handled, one JSON object a line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use anyhow::{Context, bail};
use command_api::import_order;
use event_store::{EventStore, StoreSettings};
use futures_util::future::join_all;
use indicatif::ProgressBar;
use problem::Problem;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::OrderImportArgs;
use crate::output;

/// A line is bounded as the body of a request is.
const LONGEST_LINE: usize = 256 * 1024;
/// How many orders are imported at the same time.
const AT_ONCE: usize = 100;
/// How many bytes of them.
const BYTES_AT_ONCE: usize = 4 << 20;
/// Who imports, in events.
const ACTOR: &str = "shop:order-import";

/// A line of the file that holds an order.
struct OrderLine {
    number: u64,
    /// `None`: it is too long.
    order: Option<Vec<u8>>,
}

#[derive(Default)]
struct ImportedCounts {
    imported: u64,
    known: u64,
    refused: u64,
}

pub(super) async fn run(pool: &PgPool, args: &OrderImportArgs) -> anyhow::Result<()> {
    let mut lines = OrderLines { input: open(&args.file)?, number: 0 };
    let store = EventStore::start(pool.clone(), StoreSettings::default());
    let bar = ProgressBar::no_length().with_style(output::bar_style("{human_pos} orders  {rate}  {elapsed}")?);
    let mut counts = ImportedCounts::default();
    let outcome = import_all(&store, &mut lines, &mut counts, &bar).await;
    store.close().await;
    bar.finish_and_clear();
    let ImportedCounts { imported, known, refused } = counts;
    outcome.with_context(|| {
        format!("after {imported} orders; import the file again once that is mended: what is there is passed over")
    })?;
    if args.json {
        output::line(&json!({ "imported": imported, "known": known, "refused": refused }).to_string())?;
    } else {
        output::line(&format!("{imported} orders were imported, {known} were there, {refused} were refused"))?;
    }
    if refused > 0 {
        bail!("{refused} orders were refused: correct them, and import the file again");
    }
    Ok(())
}

async fn import_all(
    store: &EventStore,
    lines: &mut OrderLines,
    counts: &mut ImportedCounts,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    loop {
        let batch = lines.next_batch()?;
        if batch.is_empty() {
            return Ok(());
        }
        let is_array = |line: &OrderLine| line.order.as_ref().is_some_and(|order| order.starts_with(b"["));
        if batch.first().is_some_and(|line| line.number == 1 && is_array(line)) {
            bail!("the file is a JSON array, and not one order a line: jq -c '.[]' makes lines of it");
        }
        let import_one = async |line: &OrderLine| match &line.order {
            Some(order) => import_order(store, ACTOR, order).await,
            None => Err(Problem::malformed(format!("it has more than {LONGEST_LINE} bytes"))),
        };
        for (line, outcome) in batch.iter().zip(join_all(batch.iter().map(import_one)).await) {
            bar.inc(1);
            match outcome {
                Ok(imported) if imported.is_new => counts.imported += 1,
                Ok(_) => counts.known += 1,
                Err(problem) if problem.status().is_server_error() => {
                    bail!("line {}: {}", line.number, words(&problem.to_json()));
                }
                Err(problem) => {
                    counts.refused += 1;
                    let refused = format!("line {}: {}", line.number, words(&problem.to_json()));
                    bar.suspend(|| writeln!(io::stderr(), "{refused}")).context("what was refused can't be said")?;
                }
            }
        }
    }
}

/// A problem on one line.
fn words(problem: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let order = problem["orderId"].as_str().map_or_else(String::new, |id| format!("order {id}: "));
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    if errors.is_empty() {
        return crate::dlq::harmless(&format!("{order}{}", text(&problem["detail"])));
    }
    let errors: Vec<_> =
        errors.iter().map(|error| format!("{} {}", text(&error["pointer"]), text(&error["message"]))).collect();
    crate::dlq::harmless(&format!("{order}{}", errors.join("; ")))
}

struct OrderLines {
    input: Box<dyn BufRead + Send>,
    number: u64,
}

impl OrderLines {
    /// The next orders; none at the end. Empty lines are passed over.
    fn next_batch(&mut self) -> anyhow::Result<Vec<OrderLine>> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < AT_ONCE && bytes < BYTES_AT_ONCE {
            let mut line = Vec::new();
            let most = u64::try_from(LONGEST_LINE + 1).unwrap_or(u64::MAX);
            let read = (&mut self.input).take(most).read_until(b'\n', &mut line);
            if read.with_context(|| format!("line {} can't be read", self.number + 1))? == 0 {
                break;
            }
            self.number += 1;
            let too_long = line.len() > LONGEST_LINE && line.last() != Some(&b'\n');
            if too_long {
                self.input.skip_until(b'\n').context("a line can't be passed over")?;
            }
            if too_long || !line.trim_ascii().is_empty() {
                bytes += line.len();
                batch.push(OrderLine { number: self.number, order: (!too_long).then_some(line) });
            }
        }
        Ok(batch)
    }
}

fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Box::new(BufReader::with_capacity(64 * 1024, file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_counted() {
        let long = "x".repeat(LONGEST_LINE + 2);
        let text = format!("{{}}\n\n{long}\n  \n{{\"a\":1}}");
        let mut lines = OrderLines { input: Box::new(io::Cursor::new(text.into_bytes())), number: 0 };
        let batch = lines.next_batch().unwrap();
        let seen: Vec<_> = batch.iter().map(|line| (line.number, line.order.as_ref().map(Vec::len))).collect();
        assert_eq!(seen, [(1, Some(3)), (3, None), (5, Some(7))]);
        assert!(lines.next_batch().unwrap().is_empty());
    }

    #[test]
    fn a_file_is_taken_in_batches() {
        let text = "{}\n".repeat(AT_ONCE + 1);
        let mut lines = OrderLines { input: Box::new(io::Cursor::new(text.into_bytes())), number: 0 };
        assert_eq!([lines.next_batch().unwrap().len(), lines.next_batch().unwrap().len()], [AT_ONCE, 1]);
    }
}
