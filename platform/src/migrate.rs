//! `ordo migrate`: the schema, and the queues if asked for.

use anyhow::Context;
use messaging::queues::{self, QueueSettings, Queues};
use sqlx::PgPool;

use crate::settings::Settings;
use crate::{aws, cli, connections, output};

/// Brings the schema up to date. Idempotent, and safe to run from several processes at once.
pub async fn run(settings: &Settings, args: &cli::Migrate) -> anyhow::Result<()> {
    let pool = connections::database(settings).await?;
    schema(&pool).await?;
    output::line("the schema is up to date")?;
    if args.queues {
        let made = queues(&aws::sqs(&settings.aws).await, settings).await?;
        output::line(&format!("the queues {} and {} are there", made.notifications.name, made.replies.name))?;
    }
    Ok(())
}

/// Applies the migrations that the database has not seen.
pub async fn schema(pool: &PgPool) -> anyhow::Result<()> {
    migrations::MIGRATIONS.run(pool).await.context("the schema cannot be brought up to date")
}

/// Creates the queues that are not there yet.
pub async fn queues(sqs: &aws_sdk_sqs::Client, settings: &Settings) -> anyhow::Result<Queues> {
    let wanted = QueueSettings {
        prefix: settings.queue_prefix.clone(),
        visibility_timeout: settings.notifications.visibility_timeout,
        ..QueueSettings::default()
    };
    queues::ensure(sqs, &wanted)
        .await
        .context("the queues cannot be created; are AWS_ENDPOINT_URL_SQS and the credentials right?")
}
