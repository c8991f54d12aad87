//! The binary `ordo`; everything it does is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    platform::cli::run()
}
