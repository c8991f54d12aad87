//! The figures, and the lines that say them.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use ordo::output;
use serde::Serialize;

use super::PageHistograms;
use super::bulk_action::BulkActionFigures;
use crate::args::Console;
use crate::figures::{Latencies, Spread, count};
use crate::table::{Table, millis, ratio, thousands};

/// In how many milliseconds a page should begin, 19 times of 20.
const SOON_MS: f64 = 100.0;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Figures {
    bench: &'static str,
    orders: u64,
    stuck_sagas: u64,
    dead_letters: u64,
    consoles: usize,
    rate: f64,
    /// From the request to the first byte, by page, of all runs together.
    pages: BTreeMap<String, PageTimes>,
    /// How many times as long an order waits at p99 as without consoles, run by run.
    order_p99_ratio: Option<Spread>,
    runs: Vec<Run>,
    bulk_action: Option<BulkActionFigures>,
}

/// How long orders waited for their answers in one run, in milliseconds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Run {
    pub(super) alone: Latencies,
    pub(super) with_consoles: Latencies,
    /// How often an open console was told of changes and asked for its page again.
    pub(super) refreshed: u64,
    /// While somebody went from page to page without a pause.
    pub(super) while_visited: Latencies,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct PageTimes {
    visits: u64,
    p50_ms: f64,
    p95_ms: f64,
    max_ms: f64,
}

impl PageTimes {
    fn of(micros: &Histogram<u64>) -> Self {
        let at = |quantile: f64| count(micros.value_at_quantile(quantile)) / 1_000.0;
        Self { visits: micros.len(), p50_ms: at(0.5), p95_ms: at(0.95), max_ms: count(micros.max()) / 1_000.0 }
    }
}

impl Figures {
    pub(super) fn of(
        args: &Console,
        runs: Vec<Run>,
        pages: &PageHistograms,
        bulk_action: Option<BulkActionFigures>,
    ) -> Self {
        let of = |of: fn(&Run) -> f64| runs.iter().map(of).collect::<Vec<_>>();
        Self {
            bench: "console",
            orders: args.orders,
            stuck_sagas: args.stuck,
            dead_letters: args.dead_letters,
            consoles: args.consoles,
            rate: args.rate,
            pages: pages.iter().map(|(page, times)| (page.clone(), PageTimes::of(times))).collect(),
            order_p99_ratio: Spread::of_ratios(&of(|run| run.with_consoles.p99_ms), &of(|run| run.alone.p99_ms)),
            runs,
            bulk_action,
        }
    }

    pub(super) fn say(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            return Ok(output::line(&serde_json::to_string(self)?)?);
        }
        for line in self.lines() {
            output::line(&line)?;
        }
        Ok(())
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{} orders, {} stuck sagas, {} dead letters, {} orders/s, {} consoles that follow",
            thousands(count(self.orders)),
            thousands(count(self.stuck_sagas)),
            thousands(count(self.dead_letters)),
            output::rate(self.rate),
            self.consoles
        )];
        let mut table = Table::new(&["page", "visits", "p50 ms", "p95 ms", "max ms"]);
        for (page, times) in &self.pages {
            let PageTimes { visits, p50_ms, p95_ms, max_ms } = *times;
            table.row(vec![page.clone(), visits.to_string(), millis(p50_ms), millis(p95_ms), millis(max_ms)]);
        }
        lines.extend(table.lines());
        let late: Vec<&str> =
            self.pages.iter().filter(|(_, times)| times.p95_ms >= SOON_MS).map(|(page, _)| page.as_str()).collect();
        lines.push(match late.is_empty() {
            true => format!("every page begins within {SOON_MS} ms at p95"),
            false => format!("later than {SOON_MS} ms at p95: {}", late.join(", ")),
        });
        let mut table = Table::new(&["POST /orders", "p50 ms", "p99 ms", "max ms", "asked again"]);
        for (nth, run) in self.runs.iter().enumerate() {
            let Run { alone, with_consoles, refreshed, while_visited } = run;
            for (what, latencies, asked) in [
                ("alone", alone, String::new()),
                ("consoles follow", with_consoles, refreshed.to_string()),
                ("pages are visited", while_visited, String::new()),
            ] {
                let Latencies { p50_ms, p99_ms, max_ms, .. } = *latencies;
                let name = format!("run {}, {what}", nth + 1);
                table.row(vec![name, millis(p50_ms), millis(p99_ms), millis(max_ms), asked]);
            }
        }
        lines.extend(table.lines());
        let ratio = self.order_p99_ratio.map_or_else(|| "-".to_owned(), ratio);
        lines.push(format!("p99 with consoles that follow, as a multiple of alone: {ratio}"));
        lines.extend(self.bulk_action.iter().flat_map(BulkActionFigures::lines));
        lines
    }
}
