//! What the user of projections could plant in the schema for others to run.

use sqlx::{Connection, Executor, PgConnection};
use testkit::{Database, durable_database};

use super::{ROLES, login, with_roles};
use crate::support::run;

/// What a database that an earlier build made roles in still has.
const AS_EARLIER_BUILDS: &str = "grant create on schema public to ordo_projector;
     alter table read_model_orders owner to ordo_projector; alter table read_model_stock owner to ordo_projector";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_role_can_plant_what_another_role_would_run() {
    // Given
    let database = durable_database().await;
    with_roles(&database).await;

    for role in ROLES {
        let mut user = PgConnection::connect(&login(&database, &format!("plants_{role}"), role).await).await.unwrap();
        for statement in [
            "create function format(text, text) returns text language sql as 'select null::text'",
            "create procedure planted() language sql as 'select 1'",
            "create operator === (leftarg = oid, rightarg = regclass, function = oideq)",
            "create table planted (n int)",
            "create view planted as select 1",
            "create type planted as (n int)",
            "create domain planted as text check (value is not null)",
            "create schema planted",
            "create index planted on read_model_orders (length(pk))",
            "create trigger planted before insert on read_model_orders for each row execute function suppress_redundant_updates_trigger()",
            "create rule planted as on select to read_model_orders do instead select * from read_model_stock",
            "create policy planted on read_model_orders using (true)",
            "create statistics planted on (length(pk)) from read_model_orders",
            "alter table read_model_orders enable row level security",
            "alter table read_model_orders alter column item set default '{}'",
            "alter table read_model_orders rename to planted",
            "alter table read_model_orders owner to current_user",
            "alter function create_read_model(text) reset search_path",
            "create or replace function create_read_model(text) returns void language sql as 'select'",
            "drop table read_model_orders",
            "set role ordo_owner",
        ] {
            assert_eq!(refusal(&mut user, statement).await, "42501", "{role}: {statement}");
        }
        if role != "ordo_projector" {
            for call in ["create_read_model('read_model_mine')", "drop_read_model('read_model_orders')"] {
                assert_eq!(refusal(&mut user, &format!("select {call}")).await, "42501", "{role}: {call}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projectors_user_makes_tables_of_read_models_and_touches_no_others() {
    // Given a session with objects of its own that have the names of others
    let database = durable_database().await;
    with_roles(&database).await;
    let mut projector = PgConnection::connect(&login(&database, "makes", "ordo_projector").await).await.unwrap();
    let temporary = "create temporary table events (n int); create temporary table read_model_mine (n int);
         create function pg_temp.check_read_model_table(text) returns void language plpgsql as $$ begin raise 'planted'; end $$;
         create function pg_temp.format(text, text) returns text language plpgsql as $$ begin raise 'planted'; end $$";
    sqlx::raw_sql(temporary).execute(&mut projector).await.unwrap();

    // When
    for call in [
        "create_read_model('read_model_mine')",
        "rename_read_model('read_model_mine', 'read_model_yours')",
        "set_read_model_autovacuum('read_model_yours', false)",
        "analyze_read_model('read_model_yours')",
    ] {
        projector.execute(&*format!("select {call}")).await.unwrap();
    }
    for call in [
        "create_read_model_items('planted')",
        "create_read_model(null)",
        "create_read_model('read_model_x (n int); drop table events; --')",
        "index_read_model('events')",
        "rename_read_model('events', 'read_model_events')",
        "rename_read_model('read_model_yours', 'api_keys')",
        "rename_read_model('read_model_tallies', 'read_model_mine')",
        "drop_read_model('events')",
        "drop_read_model('read_model_generations')",
        "drop_read_model('read_model_orders, events')",
        "set_read_model_autovacuum('events', false)",
        "analyze_read_model('events')",
    ] {
        assert_eq!(refusal(&mut projector, &format!("select {call}")).await, "22023", "{call}");
    }

    // Then
    let owner = "select relowner::regrole::text from pg_class where relname = 'read_model_yours' and relnamespace = 'public'::regnamespace";
    let owner: String = sqlx::query_scalar(owner).fetch_one(&mut projector).await.unwrap();
    assert_eq!(owner, "ordo_owner");
    projector
        .execute("insert into read_model_yours (pk, sk, version, item) values ('A', 'B', 1, '{}'); delete from read_model_yours")
        .await
        .unwrap();
    projector.execute("select drop_read_model('read_model_yours')").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_build_let_the_projector_do_ends_with_an_upgrade() {
    // Given
    let database = durable_database().await;
    with_roles(&database).await;
    tell(&database, AS_EARLIER_BUILDS).await;
    let migrator = login(&database, "upgrades", "ordo_migrator").await;

    // When
    let migrated = run(&["migrate"], &[("DATABASE_URL", &migrator)]).await;

    // Then the tables have their owner, and it is said what else is to be done
    assert_eq!(migrated.code, 0, "{}", migrated.err);
    assert!(migrated.err.contains("run `ordo migrate --roles` again"), "{}", migrated.err);
    let mut projector = PgConnection::connect(&login(&database, "goes_on", "ordo_projector").await).await.unwrap();
    assert_eq!(refusal(&mut projector, "drop table read_model_orders").await, "42501");
    projector.execute("update read_model_orders set version = version where false").await.unwrap();
    let again = run(&["migrate", "--roles"], &[("DATABASE_URL", database.url())]).await;
    assert!(again.code == 0 && !again.err.contains("again, as the user"), "{again:?}");
    assert_eq!(refusal(&mut projector, "create table planted (n int)").await, "42501");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_projectors_user_made_with_an_earlier_build_is_not_run_by_who_migrates() {
    // Given functions and an operator that fit better than Postgres's own
    let database = durable_database().await;
    with_roles(&database).await;
    tell(&database, AS_EARLIER_BUILDS).await;
    let mut projector = PgConnection::connect(&login(&database, "plants", "ordo_projector").await).await.unwrap();
    for arguments in ["text, regclass", "text, name", "text, text", "text, text, text", "text, text, name"] {
        let planted = format!(
            "create function format({arguments}) returns text language plpgsql as $$ begin raise 'planted'; end $$"
        );
        projector.execute(&*planted).await.unwrap();
    }
    let equal =
        "create function equal(oid, regclass) returns boolean language plpgsql as $$ begin raise 'planted'; end $$;
                 create operator = (leftarg = oid, rightarg = regclass, function = equal)";
    projector.execute(equal).await.unwrap();

    // When
    tell(&database, migrations::ROLES).await;
    tell(&database, migrations::GRANTS).await;
    tell(&database, "select create_read_model('read_model_mine')").await;
    tell(&database, "select rename_read_model('read_model_mine', 'read_model_yours')").await;

    // Then
    let refused = run(&["migrate"], &[("DATABASE_URL", database.url())]).await;
    assert!(refused.code == 1 && refused.err.contains("equal(oid,") && refused.err.contains("plants"), "{refused:?}");
}

/// Runs statements as the superuser.
async fn tell(database: &Database, statements: &str) {
    let mut admin = PgConnection::connect(database.url()).await.unwrap();
    sqlx::raw_sql(statements).execute(&mut admin).await.unwrap();
}

/// The SQLSTATE of a statement that has to be refused.
async fn refusal(user: &mut PgConnection, statement: &str) -> String {
    let Err(refused) = sqlx::raw_sql(statement).execute(user).await else { panic!("it may {statement}") };
    let refused = refused.as_database_error().unwrap_or_else(|| panic!("{statement}: {refused}"));
    refused.code().unwrap().into_owned()
}
