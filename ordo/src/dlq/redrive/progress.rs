//! The progress of a redrive.

use std::time::Duration;

use indicatif::ProgressBar;
use tokio::time::Instant;

use crate::dlq::RedriveArgs;
use crate::output;

/// How often a line shows the progress if there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// A bar on a terminal, lines elsewhere, and nothing if the output is JSON.
pub(super) struct RedriveProgressBar {
    bar: ProgressBar,
    lines: bool,
    next_line: Instant,
}

impl RedriveProgressBar {
    pub(super) fn start(there: u64, args: &RedriveArgs) -> anyhow::Result<Self> {
        let style = output::bar_style("{bar:40} {human_pos} of {human_len} dead letters  {rate}  {eta} left")?;
        let bar = ProgressBar::new(there).with_style(style);
        Ok(Self { lines: bar.is_hidden() && !args.json, bar, next_line: Instant::now() + LINE_EVERY })
    }

    pub(super) fn at(&mut self, looked_at: u64) {
        let there = self.bar.length().unwrap_or(0).max(looked_at);
        self.bar.set_length(there);
        self.bar.set_position(looked_at);
        if self.lines && Instant::now() >= self.next_line {
            self.next_line = Instant::now() + LINE_EVERY;
            // The output at the end will fail likewise and report it.
            let _ = output::line(&format!("{looked_at} of {there} dead letters"));
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
