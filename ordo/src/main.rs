//! The binary `ordo`; everything it does is in the library beside it.

use std::process::ExitCode;

/// An order is some hundred small allocations that one thread makes and often another frees: glibc's malloc spends a fifth of
/// the process's time on that under full intake.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ordo::cli::run()
}
