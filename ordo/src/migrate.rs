//! `ordo migrate`: the schema, the read models' tables, and the database's roles and the queues if asked for.

mod apply;
mod check;
mod indexes;
mod roles;

use anyhow::{Context, bail};
use error_chain::error_chain;
use messaging::queues::{self, QueueProvisioningSettings, Queues};
use read_models::{Generation, GenerationStore};
use sqlx::{Connection, PgPool};

use crate::settings::Settings;
use crate::{aws, connections, telemetry};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct MigrateArgs {
    /// Create the queues as well
    #[arg(long)]
    pub(crate) queues: bool,
    /// Create the database's roles as well, and grant them what they need
    #[arg(long)]
    pub(crate) roles: bool,
    /// Change nothing, say what is missing, and fail if anything is
    #[arg(long)]
    pub(crate) check: bool,
}

/// Brings the schema up to date. Idempotent, and safe to run from several processes at once.
pub(crate) async fn run(settings: &Settings, args: &MigrateArgs) -> anyhow::Result<()> {
    let say = |text: &str| telemetry::say(text, settings);
    let advise = |text: &str| telemetry::advise(text, settings);
    let pool = connections::database(settings).await?;
    if args.check {
        return check::run(settings, args, &pool).await;
    }
    let to_build = schema(&pool, &*connections::read_models(settings, &pool).await?).await?;
    say("the schema is up to date")?;
    if args.roles {
        let former_owner = roles::create(&pool).await?;
        roles::grant(&pool).await?;
        say(
            "the roles ordo_owner, ordo_migrator, ordo_writer, ordo_saga, ordo_projector, ordo_notifier, ordo_webhook and ordo_reader have \
             their rights",
        )?;
        if let Some(user) = former_owner {
            advise(&format!(
                "{user} is a member of ordo_owner now, so that processes that log in as {user} go on: when each has a user of its own, \
                 `revoke ordo_owner from {user}`"
            ))?;
        }
    }
    if roles::projector_may_create(&pool).await? {
        advise(
            "ordo_projector may create functions in the schema, which others might run: run `ordo migrate --roles` again, as the user \
             who ran it before; before Postgres 15 also `revoke create on schema public from public`",
        )?;
    }
    for read_model in to_build {
        advise(&to_be_built(read_model))?;
    }
    if args.queues {
        let made = queues(&aws::sqs(&settings.aws).await, settings).await?;
        say(&format!("the queues {} and {} are there", made.notifications.name, made.replies.name))?;
        if let Some(queue) = &settings.publication.queue {
            queues::find_or_create_events_queue(&aws::sqs(&settings.aws).await, queue).await?;
            say(&format!("the queue {queue} is there"))?;
        }
    }
    Ok(())
}

/// Applies new migrations, and creates the tables of new read models. Returns the read models that must be rebuilt: they were kept in
/// another store, and their subscriptions have already passed the events that they lack.
pub(crate) async fn schema(pool: &PgPool, read_models: &dyn GenerationStore) -> anyhow::Result<Vec<&'static str>> {
    let mut owner = roles::as_owner(pool).await?;
    apply::all(&migrations::MIGRATIONS, &mut owner, apply::TRIES).await?;
    roles::take_over_read_models(&mut owner).await?;
    owner.close().await?;
    let to_build = left_behind(pool, read_models).await?;
    projections::create_tables(read_models, &to_build).await.context(NO_TABLES)?;
    roles::grant(pool).await?;
    // What everything else can do without comes last: it may take long, and may fail.
    let mut owner = roles::as_owner(pool).await?;
    if let Err(error) = indexes::build_missing(&mut owner).await {
        tracing::warn!(
            error = error_chain(&*error),
            "the indexes are not as they should be; run `ordo migrate` once more"
        );
    }
    owner.close().await?;
    Ok(to_build)
}

/// The advice for a read model that must be rebuilt.
pub(crate) fn to_be_built(read_model: &str) -> String {
    format!("the read model {read_model} is not there yet: run `ordo replay --projection {read_model}`")
}

/// Fails if the database does not have the schema of this build.
pub(crate) async fn check(pool: &PgPool) -> anyhow::Result<()> {
    let differences = check::SchemaDifferences::of(pool).await.context("cannot look at the database's schema")?;
    if !differences.missing.is_empty() {
        bail!(NOT_UP_TO_DATE);
    }
    Ok(())
}

/// Fails if a read model is missing in its store.
pub(crate) async fn check_read_models(pool: &PgPool, read_models: &dyn GenerationStore) -> anyhow::Result<()> {
    if let Some(read_model) = left_behind(pool, read_models).await?.first() {
        bail!(to_be_built(read_model));
    }
    for projection in projections::REGISTRY {
        if !read_models.exists(projection.name, Generation::Live).await.context(NO_TABLES)? {
            bail!(NOT_UP_TO_DATE);
        }
    }
    Ok(())
}

const NOT_UP_TO_DATE: &str = "the database's schema is not up to date: run `ordo migrate`";
const NO_TABLES: &str = "the read models' tables cannot be made or found";

/// Read models that are missing although their subscriptions have read events.
async fn left_behind(pool: &PgPool, read_models: &dyn GenerationStore) -> anyhow::Result<Vec<&'static str>> {
    let moved = "select exists (select from subscription_partitions where subscription = $1 and position > 0)";
    let mut left = Vec::new();
    for projection in projections::REGISTRY {
        let name = projection.name;
        if sqlx::query_scalar(moved).bind(name).fetch_one(pool).await?
            && !read_models.exists(name, Generation::Live).await.context(NO_TABLES)?
        {
            left.push(name);
        }
    }
    Ok(left)
}

/// Creates missing queues.
pub(crate) async fn queues(sqs: &aws_sdk_sqs::Client, settings: &Settings) -> anyhow::Result<Queues> {
    queues::ensure(sqs, &wanted(settings))
        .await
        .context("the queues cannot be created; are AWS_ENDPOINT_URL_SQS and the credentials right?")
}

/// The queues. Missing ones are created.
pub(crate) async fn find_queues(sqs: &aws_sdk_sqs::Client, settings: &Settings) -> anyhow::Result<Queues> {
    queues::find_or_create(sqs, &wanted(settings)).await.context(
        "the queues cannot be found: run `ordo migrate --queues`, or check AWS_ENDPOINT_URL_SQS and the credentials",
    )
}

/// The attributes of the queues.
pub(crate) fn wanted(settings: &Settings) -> QueueProvisioningSettings {
    let max_attempts = settings.notifications.max_attempts.max(settings.replies.max_attempts);
    QueueProvisioningSettings {
        max_receive_count: QueueProvisioningSettings::receives_for(max_attempts),
        prefix: settings.queue_prefix.clone(),
        visibility_timeout: settings.notifications.visibility_timeout,
        ..QueueProvisioningSettings::default()
    }
}
