//! `ordo migrate --check`: what is missing. It changes nothing.

use anyhow::{Context, bail};
use error_chain::error_chain;
use messaging::queues;
use read_models::Generation;
use sqlx::PgPool;
use sqlx::migrate::Migrate;

use super::{MigrateArgs, NO_TABLES, left_behind, roles, to_be_built, wanted};
use crate::settings::Settings;
use crate::{aws, connections, telemetry};

/// How the schema of a database differs from that of this build.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SchemaDifferences {
    /// Migrations that are not applied, such as `0048 bulk actions`.
    pub(super) missing: Vec<String>,
    /// The numbers of those that a later build has applied.
    later: Vec<i64>,
}

impl SchemaDifferences {
    pub(super) async fn of(pool: &PgPool) -> Result<Self, anyhow::Error> {
        let mut connection = pool.acquire().await?;
        // sqlx's record of applied migrations.
        let there = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null");
        let applied = match there.fetch_one(&mut *connection).await? {
            true => connection.list_applied_migrations().await?,
            false => Vec::new(),
        };
        let known = || migrations::MIGRATIONS.iter();
        let is_applied = |version| applied.iter().any(|applied| applied.version == version);
        let missing = known().filter(|migration| !is_applied(migration.version));
        let missing = missing.map(|migration| format!("{:04} {}", migration.version, migration.description)).collect();
        let later = applied.iter().map(|applied| applied.version);
        let later = later.filter(|version| known().all(|migration| migration.version != *version)).collect();
        Ok(Self { missing, later })
    }
}

/// Says what is missing of what the same call without `--check` would make.
pub(super) async fn run(settings: &Settings, args: &MigrateArgs, pool: &PgPool) -> anyhow::Result<()> {
    let schema = SchemaDifferences::of(pool).await?;
    if !schema.later.is_empty() {
        let later = schema.later.iter().map(|version| format!("{version:04}")).collect::<Vec<_>>().join(", ");
        telemetry::advise(&format!("a later build has applied {later}; this build works with them"), settings)?;
    }
    let mut missing: Vec<_> = schema.missing.iter().map(|migration| format!("the migration {migration}")).collect();
    // Before its migrations are applied, nothing else can be looked at.
    if missing.is_empty() {
        missing.extend(missing_read_models(settings, pool).await?);
    }
    if args.roles && !roles::are_used(&mut *pool.acquire().await?).await? {
        missing.push("the database's roles".to_owned());
    }
    if args.queues {
        missing.extend(missing_queues(settings).await?);
    }
    for what in &missing {
        telemetry::say(&format!("missing: {what}"), settings)?;
    }
    if !missing.is_empty() {
        bail!("{} missing: run `ordo migrate`, with the same flags but --check", missing.len());
    }
    Ok(telemetry::say("nothing is missing", settings)?)
}

async fn missing_read_models(settings: &Settings, pool: &PgPool) -> anyhow::Result<Vec<String>> {
    let read_models = connections::read_models(settings, pool).await?;
    let left_behind = left_behind(pool, &*read_models).await?;
    let mut missing: Vec<_> = left_behind.iter().map(|name| to_be_built(name)).collect();
    for projection in projections::REGISTRY.iter().filter(|projection| !left_behind.contains(&projection.name)) {
        if !read_models.exists(projection.name, Generation::Live).await.context(NO_TABLES)? {
            missing.push(format!("the tables of the read model {}", projection.name));
        }
    }
    Ok(missing)
}

async fn missing_queues(settings: &Settings) -> anyhow::Result<Vec<String>> {
    let sqs = aws::sqs(&settings.aws).await;
    let mut missing = Vec::new();
    if let Err(error) = queues::find(&sqs, &wanted(settings)).await {
        missing.push(format!("the queues: {}", error_chain(&error)));
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_schema_differs_by_what_is_not_applied_and_by_what_a_later_build_has_applied() {
        // Given
        let database = testkit::database().await;
        assert_eq!(
            SchemaDifferences::of(database.pool()).await.unwrap(),
            SchemaDifferences { missing: vec![], later: vec![] }
        );
        sqlx::raw_sql(
            "delete from _sqlx_migrations where version = 48;
             insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             values (999999, 'later', true, '', 0)",
        )
        .execute(database.pool())
        .await
        .unwrap();

        // Then
        let SchemaDifferences { missing, later } = SchemaDifferences::of(database.pool()).await.unwrap();
        assert!(matches!(&missing[..], [only] if only.starts_with("0048 ")), "{missing:?}");
        assert_eq!(later, [999_999]);
        let refused = super::super::check(database.pool()).await.unwrap_err();
        assert!(refused.to_string().contains("run `ordo migrate`"), "{refused:#}");

        // And without any.
        sqlx::raw_sql("drop table _sqlx_migrations").execute(database.pool()).await.unwrap();
        let missing = SchemaDifferences::of(database.pool()).await.unwrap().missing;
        assert_eq!(missing.len(), migrations::MIGRATIONS.iter().count());
    }
}
