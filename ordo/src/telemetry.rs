//! Log lines: to standard error, readable on a terminal, one JSON object a line elsewhere.

use std::io::{self, IsTerminal, stderr, stdout};
#[cfg(any(feature = "inbox", feature = "queues"))]
use std::net::SocketAddr;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

use crate::output;
use crate::settings::{LogFormat, Settings};

/// Chatter of libraries that says nothing about the platform at `info`. A directive of the setting goes before these.
const QUIETER: &str = "sqlx::postgres::notice=warn,rustack_sqs_core=warn,rustack_sqs_http=warn,aws_config=error";

/// Whether the settings say that log lines are JSON, wherever they go.
static JSON_IS_ASKED_FOR: OnceLock<bool> = OnceLock::new();

/// Installs the process's one log writer. Does nothing when one is installed already.
pub(crate) fn init(settings: &Settings) {
    // The setting was read as a filter before; nothing is left that could fail.
    let filter = EnvFilter::new(format!("{QUIETER},{}", settings.log));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    let terminal = stderr().is_terminal();
    let json = match settings.log_format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    let installed = if json {
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    } else {
        builder.with_ansi(terminal).try_init()
    };
    // Only tests run twice in one process.
    installed.unwrap_or_default();
    JSON_IS_ASKED_FOR.get_or_init(|| settings.log_format == LogFormat::Json);
}

/// Whether an error that ends the process is a log line, too: the settings ask for JSON, and let errors through.
pub(crate) fn logs_last_words() -> bool {
    JSON_IS_ASKED_FOR.get().copied().unwrap_or(false) && tracing::enabled!(tracing::Level::ERROR)
}

/// Whether a server says everything in its log: log lines are JSON, and nobody looks at a terminal.
pub(crate) fn is_for_machines(settings: &Settings) -> bool {
    match settings.log_format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !stderr().is_terminal() && !stdout().is_terminal(),
    }
}

/// Says what a server, or what prepares one, has done: to people as a line, to machines in the log.
pub(crate) fn say(text: &str, settings: &Settings) -> io::Result<()> {
    if is_for_machines(settings) {
        tracing::info!("{text}");
        return Ok(());
    }
    output::line(text)
}

/// Says what somebody has to do, likewise.
pub(crate) fn advise(text: &str, settings: &Settings) -> io::Result<()> {
    if is_for_machines(settings) {
        tracing::warn!("{text}");
        return Ok(());
    }
    output::line(text)
}

/// Says where a server listens.
#[cfg(any(feature = "inbox", feature = "queues"))]
pub(crate) fn listens(server: &'static str, address: SocketAddr, settings: &Settings) -> io::Result<()> {
    if is_for_machines(settings) {
        tracing::info!(server, %address, "started");
        return Ok(());
    }
    output::line(&format!("{server}  http://{address}"))
}
