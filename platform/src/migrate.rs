//! `ordo migrate`: the schema, and the queues if asked for.

use anyhow::Context;
use sqlx::PgPool;

use crate::settings::Settings;
use crate::{cli, connections, output};

/// Brings the schema up to date. Idempotent, and safe to run from several processes at once.
pub async fn run(settings: &Settings, args: &cli::Migrate) -> anyhow::Result<()> {
    let pool = connections::database(settings).await?;
    schema(&pool).await?;
    output::line("the schema is up to date")?;
    anyhow::ensure!(!args.queues, "--queues is not available yet");
    Ok(())
}

/// Applies the migrations that the database has not seen.
pub async fn schema(pool: &PgPool) -> anyhow::Result<()> {
    migrations::MIGRATIONS.run(pool).await.context("the schema cannot be brought up to date")
}
