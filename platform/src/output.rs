//! What a command says on standard output. Log lines go to standard error, by tracing.

use std::io::{self, Write};

/// Writes one line. A reader that has gone away (`ordo … | head`) ends the process quietly, as it does other tools.
pub fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => written,
    }
}
