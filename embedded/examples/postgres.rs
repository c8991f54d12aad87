//! Runs the embedded Postgres on the folder given, or a temporary one, until killed: `cargo run -p embedded --example postgres -- DIR`.
//!
//! It writes the server's URL and its folder to standard output, and how long the start took.

use std::io::Write;

use embedded::postgres::{Options, Postgres};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data_dir = std::env::args_os().nth(1);
    let began = std::time::Instant::now();
    let postgres = Postgres::start(Options {
        ephemeral: data_dir.is_none(),
        data_dir: data_dir.unwrap_or_default().into(),
    })
    .await?;
    let (url, folder) = (postgres.url(), postgres.data_directory().display());
    writeln!(std::io::stdout(), "{url}\n{folder}\n{} ms", began.elapsed().as_millis())?;
    tokio::signal::ctrl_c().await?;
    postgres.stop().await;
    Ok(())
}
