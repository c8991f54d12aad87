//! `ordo migrate`: the schema, and the queues if asked for.

use anyhow::{Context, bail};
use messaging::queues::{self, QueueSettings, Queues};
use sqlx::PgPool;
use sqlx::migrate::Migrate;

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

/// Applies the migrations that the database has not seen, and makes the tables of new read models.
pub async fn schema(pool: &PgPool) -> anyhow::Result<()> {
    migrations::MIGRATIONS.run(pool).await.context("the schema cannot be brought up to date")?;
    projections::create_tables(pool).await.context("the read models' tables cannot be made")
}

/// Whether the database has the schema that this program was built for.
pub async fn check(pool: &PgPool) -> anyhow::Result<()> {
    let mut connection = pool.acquire().await?;
    let applied = connection.list_applied_migrations().await.unwrap_or_default();
    let missing = migrations::MIGRATIONS.iter().any(|known| applied.iter().all(|done| done.version != known.version));
    if missing {
        bail!("the database's schema is not up to date: run `ordo migrate`");
    }
    Ok(())
}

/// Creates the queues that are not there yet.
pub async fn queues(sqs: &aws_sdk_sqs::Client, settings: &Settings) -> anyhow::Result<Queues> {
    queues::ensure(sqs, &wanted(settings))
        .await
        .context("the queues cannot be created; are AWS_ENDPOINT_URL_SQS and the credentials right?")
}

/// The queues, which must be there.
pub async fn find_queues(sqs: &aws_sdk_sqs::Client, settings: &Settings) -> anyhow::Result<Queues> {
    queues::find(sqs, &wanted(settings)).await.context(
        "the queues cannot be found: run `ordo migrate --queues`, or check AWS_ENDPOINT_URL_SQS and the credentials",
    )
}

fn wanted(settings: &Settings) -> QueueSettings {
    QueueSettings {
        prefix: settings.queue_prefix.clone(),
        visibility_timeout: settings.notifications.visibility_timeout,
        ..QueueSettings::default()
    }
}
