//! The group roles of the database: who owns what, and who may do what.

use std::time::Duration;

use anyhow::Context;
use sqlx::{Connection, Executor, PgConnection, PgPool};

/// Others may make the same roles at the same time, from other databases of the server.
const TRIES: u32 = 20;

/// The errors of two that change the same role at once: an internal one without a name, a key that is taken, an object that is
/// there, a deadlock.
const MEANWHILE: [&str; 4] = ["XX000", "23505", "42710", "40P01"];

/// How long a change of an owner waits for those who use the table. Behind it everybody waits, appends too.
const LOCK_TIMEOUT: Duration = Duration::from_millis(300);

/// How often one change of an owner is tried, and the pause between two tries: two minutes or so behind somebody who reads for long.
const OWNER_TRIES: u32 = 200;
const OWNER_PAUSE: Duration = Duration::from_millis(300);

/// The errors of a table that others use: the lock is not there in time, a deadlock.
const IN_USE: [&str; 2] = ["55P03", "40P01"];

/// Nothing of the schema is found without its name, so no function in it is run instead of Postgres's own.
const OWN_NAMES_ONLY: &str = "set local search_path = pg_catalog, pg_temp";

/// Creates the group roles where they are missing, and gives the objects of the database to their owners. Idempotent, and safe to
/// run from several databases at once. Returns the login user who owned the schema before and is a member of `ordo_owner` now.
pub(super) async fn create(pool: &PgPool) -> anyhow::Result<Option<String>> {
    let former_owner = "select pg_catalog.pg_get_userbyid(c.relowner)::text
                          from pg_catalog.pg_class c join pg_catalog.pg_roles r on r.oid operator(pg_catalog.=) c.relowner
                         where c.oid operator(pg_catalog.=) pg_catalog.to_regclass('events')::oid
                           and r.rolcanlogin and not r.rolsuper";
    let former_owner = sqlx::query_scalar(former_owner).fetch_optional(pool).await?;
    let mut tries = 0;
    loop {
        tries += 1;
        let created = pool.execute(migrations::ROLES).await;
        match created.as_ref().map_err(code) {
            Err(code) if tries < TRIES && MEANWHILE.contains(&code.as_str()) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            _ => {
                created.map_err(explained)?;
                break;
            }
        }
    }
    give_to_owner(&mut *pool.acquire().await?).await?;
    Ok(former_owner)
}

/// Gives the owner the tables of read models, which belonged to `ordo_projector` with earlier builds.
pub(super) async fn take_over_read_models(connection: &mut PgConnection) -> anyhow::Result<()> {
    if are_used(connection).await? {
        give_to_owner(connection).await?;
    }
    Ok(())
}

/// Whether `ordo_projector` may create objects in the schema, where the database uses the group roles.
pub(super) async fn projector_may_create(pool: &PgPool) -> anyhow::Result<bool> {
    let mut connection = pool.acquire().await?;
    let may = "select pg_catalog.has_schema_privilege('ordo_projector', pg_catalog.current_schema()::text, 'create')";
    Ok(are_used(&mut connection).await? && sqlx::query_scalar(may).fetch_one(&mut *connection).await?)
}

/// One table at a time, and each for a short while only: who appends waits for no more than one of them.
async fn give_to_owner(connection: &mut PgConnection) -> anyhow::Result<()> {
    let mut tries = 0;
    loop {
        tries += 1;
        match give_next_to_owner(connection).await {
            Ok(true) => tries = 0,
            Ok(false) => return Ok(()),
            Err(error) if tries < OWNER_TRIES && IN_USE.contains(&code(&error).as_str()) => {
                tokio::time::sleep(OWNER_PAUSE).await;
            }
            Err(error) if tries < TRIES && MEANWHILE.contains(&code(&error).as_str()) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(explained(error)),
        }
    }
}

/// Whether there was an object that had another owner.
async fn give_next_to_owner(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let schema = current_schema(&mut transaction).await?;
    transaction.execute(OWN_NAMES_ONLY).await?;
    transaction.execute(&*format!("set local lock_timeout = {}", LOCK_TIMEOUT.as_millis())).await?;
    let statement = sqlx::query_scalar(migrations::OWNERS).bind(schema);
    let Some(statement): Option<String> = statement.fetch_optional(&mut *transaction).await? else { return Ok(false) };
    transaction.execute(&*statement).await?;
    transaction.commit().await?;
    Ok(true)
}

async fn current_schema(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    sqlx::query_scalar("select pg_catalog.current_schema()::text").fetch_one(connection).await
}

/// The SQLSTATE; empty if the server did not refuse anything.
fn code(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(|it| it.code().map(std::borrow::Cow::into_owned)).unwrap_or_default()
}

fn explained(error: sqlx::Error) -> anyhow::Error {
    let advice = match code(&error).as_str() {
        "42501" => {
            "the roles cannot be made: run `ordo migrate --roles` once as a user who may create roles (CREATEROLE) and owns the \
             schema's objects, or as a superuser"
        }
        "55P03" => {
            "the roles cannot be made: somebody uses a table for long. Run `ordo migrate --roles` again when they are done; it goes \
             on where it stopped"
        }
        _ => "the roles cannot be made",
    };
    anyhow::Error::new(error).context(advice)
}

/// Whether the database uses the group roles: the events have their owner.
pub(super) async fn are_used(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let owned = "select exists (select from pg_catalog.pg_class c
                                 where c.oid operator(pg_catalog.=) pg_catalog.to_regclass('events')::oid
                                   and pg_catalog.pg_get_userbyid(c.relowner) operator(pg_catalog.=) 'ordo_owner'::name)";
    sqlx::query_scalar(owned).fetch_one(connection).await
}

/// A connection of the owner, if the database uses the group roles; else an ordinary one. It is not given back to the pool.
///
/// # Errors
/// There are functions or operators in the schema that a user of the role `ordo_projector` made: a migration might run them.
pub(super) async fn as_owner(pool: &PgPool) -> anyhow::Result<PgConnection> {
    let mut connection = pool.acquire().await?.detach();
    if are_used(&mut connection).await? {
        if let Some((planted, owner)) = planted(&mut connection).await? {
            anyhow::bail!(
                "the schema has {planted} of {owner}, who may create nothing but tables of read models there. It might be run with \
                 the owner's rights. Find out how it came there, and drop it"
            );
        }
        connection.execute("set role ordo_owner").await.context(
            "the schema belongs to ordo_owner, which this user is no member of: connect as one who was granted ordo_migrator",
        )?;
    }
    Ok(connection)
}

/// A function or an operator of the schema that somebody made who may create tables there for read models and is not the owner.
async fn planted(connection: &mut PgConnection) -> Result<Option<(String, String)>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let schema = current_schema(&mut transaction).await?;
    transaction.execute(OWN_NAMES_ONLY).await?;
    let planted = "select what, pg_get_userbyid(owner)::text
                     from (select 'the function ' || p.oid::regprocedure as what, p.proowner as owner, p.pronamespace as schema
                             from pg_proc p
                           union all
                           select 'the operator ' || o.oid::regoperator, o.oprowner, o.oprnamespace from pg_operator o) as made
                     join pg_namespace n on n.oid = made.schema
                    where n.nspname = $1
                      and pg_has_role(owner, 'ordo_projector', 'member') and not pg_has_role(owner, 'ordo_owner', 'member')
                    order by what limit 1";
    let planted = sqlx::query_as(planted).bind(schema).fetch_optional(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(planted)
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
