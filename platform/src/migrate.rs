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
    projections::create_tables(&*connections::read_models(pool)).await.context("the read models' tables cannot be made")
}

/// Whether the database has the schema that this program was built for.
pub async fn check(pool: &PgPool) -> anyhow::Result<()> {
    if !is_up_to_date(pool).await.context("cannot look at the database's schema")? {
        bail!("the database's schema is not up to date: run `ordo migrate`");
    }
    Ok(())
}

async fn is_up_to_date(pool: &PgPool) -> anyhow::Result<bool> {
    let mut connection = pool.acquire().await?;
    // sqlx's own record of what it did, and what each projection writes to.
    let read_models = projections::REGISTRY.iter().map(|projection| format!("read_model_{}", projection.name));
    let tables: Vec<String> = ["_sqlx_migrations".to_owned()].into_iter().chain(read_models).collect();
    let there: bool =
        sqlx::query_scalar("select bool_and(to_regclass(name) is not null) from unnest($1::text[]) as t(name)")
            .bind(tables)
            .fetch_one(&mut *connection)
            .await?;
    if !there {
        return Ok(false);
    }
    let applied = connection.list_applied_migrations().await?;
    Ok(migrations::MIGRATIONS.iter().all(|known| applied.iter().any(|done| done.version == known.version)))
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
