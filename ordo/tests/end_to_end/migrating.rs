//! Databases that `ordo serve` refuses.

use sqlx::{Connection, PgConnection};

use crate::support::run;

const NOT_UP_TO_DATE: &str = "ordo: the database's schema is not up to date: run `ordo migrate`\n";
const EARLIER_IS_GONE: &str = "select to_regclass('events_by_people') is null";

#[tokio::test]
async fn a_database_without_the_whole_schema_is_refused_until_it_is_migrated() {
    let database = testkit::empty_database().await;
    assert_eq!(refusal(database.url()).await, NOT_UP_TO_DATE);

    migrate(database.url()).await;
    tell(database.url(), "drop table read_model_orders").await;
    assert_eq!(refusal(database.url()).await, NOT_UP_TO_DATE);

    migrate(database.url()).await;
    let newest = "delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)";
    tell(database.url(), newest).await;
    assert_eq!(refusal(database.url()).await, NOT_UP_TO_DATE);
}

#[tokio::test]
async fn a_database_that_does_not_tell_its_schema_is_not_taken_for_one_that_lacks_it() {
    let database = testkit::database().await;
    migrate(database.url()).await;
    tell(database.url(), "alter table _sqlx_migrations rename column version to number").await;
    let refusal = refusal(database.url()).await;
    assert!(refusal.starts_with("ordo: cannot look at the database's schema: "), "{refusal}");
    assert!(refusal.contains("column \"version\" does not exist"), "{refusal}");
}

#[tokio::test]
async fn the_index_of_what_people_did_is_built_where_the_migration_left_it_out() {
    let database = testkit::database().await;
    let spoiled = "update pg_index set indisvalid = false where indexrelid = 'events_of_people'::regclass";
    for lack in ["drop index events_of_people", spoiled] {
        tell(database.url(), lack).await;
        tell(database.url(), "create index events_by_people on events (global_position)").await;
        migrate(database.url()).await;
        let valid = "select indisvalid from pg_index where indexrelid = 'events_of_people'::regclass";
        assert!(holds(database.url(), valid).await, "{lack}");
        assert!(holds(database.url(), EARLIER_IS_GONE).await, "{lack}");
    }
}

#[tokio::test]
async fn the_earlier_index_goes_although_an_attempt_before_built_the_one_in_its_place() {
    let database = testkit::database().await;
    tell(database.url(), "comment on index events_of_people is 'built before'").await;
    tell(database.url(), "create index events_by_people on events (global_position)").await;
    migrate(database.url()).await;
    assert!(holds(database.url(), EARLIER_IS_GONE).await);
    let same =
        "select obj_description(to_regclass('events_of_people'), 'pg_class') is not distinct from 'built before'";
    assert!(holds(database.url(), same).await, "it was built once more");
}

/// Why no role runs on it. Nobody minds that these databases would forget.
async fn refusal(database: &str) -> String {
    let settings = [("DATABASE_URL", database), ("ORDO_LOG", "off")];
    let refused =
        run(&["serve", "--listen", "127.0.0.1:0", "--allow-anonymous", "--unsafe-durability"], &settings).await;
    assert_eq!((refused.code, refused.out.as_str()), (1, ""));
    refused.err
}

async fn migrate(database: &str) {
    let migrated = run(&["migrate"], &[("DATABASE_URL", database)]).await;
    assert_eq!(migrated.code, 0, "{}", migrated.err);
}

async fn tell(database: &str, sql: &str) {
    let mut connection = PgConnection::connect(database).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn holds(database: &str, condition: &str) -> bool {
    let mut connection = PgConnection::connect(database).await.unwrap();
    let holds = sqlx::query_scalar(condition).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    holds
}
