//! A progress line on a terminal.

use std::time::Duration;

use indicatif::ProgressBar;

#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn start() -> Self {
        let bar = ProgressBar::new_spinner();
        // Seldom: it must not take the processor from what is measured.
        bar.enable_steady_tick(Duration::from_secs(1));
        Self(bar)
    }

    pub(crate) fn say(&self, text: &str) {
        self.0.set_message(text.to_owned());
    }

    pub(crate) fn end(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
