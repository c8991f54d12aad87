//! The group roles of the database: who owns what, and who may do what.

use std::time::Duration;

use anyhow::Context;
use sqlx::{Connection, Executor, PgConnection, PgPool};

/// Others may make the same roles at the same time, from other databases of the server.
const TRIES: u32 = 20;

/// The errors of two that change the same role at once: an internal one without a name, a key that is taken, an object that is
/// there, a deadlock.
const MEANWHILE: [&str; 4] = ["XX000", "23505", "42710", "40P01"];

/// Creates the group roles where they are missing, and gives the objects of the database to their owners. Idempotent, and safe to
/// run from several databases at once.
pub(super) async fn create(pool: &PgPool) -> anyhow::Result<()> {
    let mut tries = 0;
    loop {
        tries += 1;
        let created = pool.execute(migrations::ROLES).await;
        let code =
            |error: &sqlx::Error| error.as_database_error().and_then(|it| it.code().map(std::borrow::Cow::into_owned));
        match created.as_ref().map_err(code) {
            Err(Some(code)) if tries < TRIES && MEANWHILE.contains(&code.as_str()) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            // Not allowed.
            Err(Some(code)) if code == "42501" => {
                return created.map(drop).context(
                    "the roles cannot be made: run `ordo migrate --roles` once as a user who may create roles (CREATEROLE) and owns \
                     the schema's objects, or as a superuser",
                );
            }
            _ => return created.map(drop).context("the roles cannot be made"),
        }
    }
}

/// Whether the database uses the group roles: the events have their owner.
pub(super) async fn are_used(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let owned = "select exists (select from pg_class
                                 where oid = to_regclass('events') and pg_get_userbyid(relowner) = 'ordo_owner')";
    sqlx::query_scalar(owned).fetch_one(connection).await
}

/// A connection of the owner, if the database uses the group roles; else an ordinary one. It is not given back to the pool.
pub(super) async fn as_owner(pool: &PgPool) -> anyhow::Result<PgConnection> {
    let mut connection = pool.acquire().await?.detach();
    if are_used(&mut connection).await? {
        connection.execute("set role ordo_owner").await.context(
            "the schema belongs to ordo_owner, which this user is no member of: connect as one who was granted ordo_migrator",
        )?;
    }
    Ok(connection)
}

/// Grants what the roles need in this database, where it uses them.
pub(super) async fn grant(pool: &PgPool) -> anyhow::Result<()> {
    let mut connection = as_owner(pool).await?;
    if are_used(&mut connection).await? {
        let mut transaction = connection.begin().await?;
        transaction.execute(migrations::GRANTS).await.context("the rights of the roles cannot be granted")?;
        transaction.commit().await?;
    }
    Ok(connection.close().await?)
}
