//! The figures of intake as a person reads them.

use ordo::output::rate;

use super::contenders::{NOTHING, PLATFORM, PRELOADED};
use super::overload::Overload;
use super::{Figures, Row};
use crate::figures::{Latencies, Spread};
use crate::table::{Table, known, millis, ratio, spread};

pub(super) fn lines(figures: &Figures) -> Vec<String> {
    let Figures { loop_kind, runs, seconds, warm_up_seconds, order_bytes, .. } = figures;
    let mut lines = vec![format!(
        "POST /orders, {order_bytes} bytes each, {loop_kind} loop: medians of {runs} runs of {seconds} s after {warm_up_seconds} s of \
         warm-up, [least..most]"
    )];
    let mut table = Table::new(&[
        "conns",
        "what",
        "orders/s",
        "p50 ms",
        "p90",
        "p99",
        "p99.9",
        "max",
        "refused",
        "missed",
        "errors",
        "server µs",
        "postgres µs",
        "load µs",
        "RSS MiB",
    ]);
    for row in &figures.rows {
        table.row(cells(row));
    }
    lines.extend(table.lines());
    lines.push("µs: processor time for each order. RSS: the server's most.".to_owned());
    if let Some(best) = &figures.pgbench {
        let inserts = spread(Spread::of(best.per_second.iter().copied()));
        lines.push(format!(
            "pgbench, one insert a transaction, at best with {} clients: {inserts} rows/s",
            best.clients
        ));
    }
    if !figures.left_out.is_empty() {
        lines.push(format!("left out: {}", figures.left_out.join(", ")));
    }
    if !figures.ratios.is_empty() {
        lines.push("the platform's orders/s are".to_owned());
    }
    for one in &figures.ratios {
        lines.push(format!("  {} those of {}, {} connections", ratio(one.times), one.to, one.connections));
    }
    if figures.rows.iter().any(|row| row.contender == NOTHING) {
        lines.push(
            "stock postgres-es and pgbench write to postgres-es's own table: seven columns, a primary key, no trigger."
                .to_owned(),
        );
    }
    let errors = figures.rows.iter().flat_map(|row| &row.runs).filter_map(|run| run.first_error.as_deref());
    lines.extend(errors.take(1).map(|error| format!("the first error: {error}")));
    lines.extend(figures.rows.iter().filter(|row| is_ours(row)).find_map(stored));
    lines.extend(figures.overload.iter().flat_map(overload));
    lines
}

fn cells(row: &Row) -> Vec<String> {
    let sum = |of: fn(&super::Run) -> u64| row.runs.iter().map(of).sum::<u64>().to_string();
    let median =
        |of: fn(&super::Run) -> Option<f64>| Spread::of(row.runs.iter().filter_map(of)).map(|spread| spread.median);
    let memory = row.runs.iter().filter_map(|run| run.peak_memory_bytes).max();
    let Latencies { p50_ms, p90_ms, p99_ms, p999_ms, max_ms } = row.latencies;
    let mut cells = vec![row.connections.to_string(), row.contender.to_owned(), spread(row.orders_per_second)];
    cells.extend([p50_ms, p90_ms, p99_ms, p999_ms, max_ms].map(millis));
    cells.extend([sum(|run| run.refused), sum(|run| run.missed), sum(|run| run.errors)]);
    cells.extend(
        [median(|run| run.server_micros), median(|run| run.database_micros), median(|run| run.load_micros)].map(known),
    );
    cells.push(memory.map_or_else(|| "-".to_owned(), |bytes| (bytes >> 20).to_string()));
    cells
}

fn is_ours(row: &Row) -> bool {
    [PLATFORM, PRELOADED].contains(&row.contender)
}

/// Every order that was accepted is looked for; one that is missing ends the benchmark.
fn stored(row: &Row) -> Option<String> {
    row.runs.first()?.stored_in_all.map(|_| "every order that was accepted is stored".to_owned())
}

fn overload(of: &Overload) -> Vec<String> {
    let Overload { refusals, usual, latencies, .. } = of;
    let memory = of.peak_memory_bytes.map_or_else(|| "-".to_owned(), |bytes| (bytes >> 20).to_string());
    let recovered = match of.recovered_after_seconds {
        Some(after) => format!("as before {after:.1} s after the end"),
        None => "not as before within a minute".to_owned(),
    };
    vec![
        format!("overload: {} times the peak from {} connections", of.factor, of.connections),
        format!(
            "  {} orders/s were due; {} orders/s were accepted, {:.0} % of the peak, p50 {} ms, p99 {} ms",
            rate(of.offered_per_second),
            rate(of.accepted_per_second),
            of.accepted_percent,
            millis(latencies.p50_ms),
            millis(latencies.p99_ms)
        ),
        format!(
            "  {} refused with 503, p50 {} ms, p99 {} ms; for {} no connection was free; {} errors{}",
            of.refused,
            millis(refusals.p50_ms),
            millis(refusals.p99_ms),
            of.missed,
            of.errors,
            of.first_error.as_ref().map(|error| format!(", the first: {error}")).unwrap_or_default()
        ),
        format!("  the server had {memory} MiB at most"),
        format!("  half the peak (p99 {} ms before): {recovered}", millis(usual.p99_ms)),
    ]
}
