//! Log lines: to standard error, readable on a terminal, one JSON object a line elsewhere.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, Settings};

/// Chatter of libraries that says nothing about the platform at `info`. A directive of the setting goes before these.
const QUIETER: &str = "sqlx::postgres::notice=warn,rustack_sqs_core=warn,rustack_sqs_http=warn,aws_config=error";

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
}
