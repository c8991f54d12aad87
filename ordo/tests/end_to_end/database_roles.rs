//! Each role under a database user of its own, which may do what it has to and no more.

mod planting;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::{Connection, Executor, PgConnection, Row};
use testkit::{Database, demo_order, durable_database, empty_database};
use url::Url;

use crate::support::{Ordo, PATIENCE, run, settled, until_mailed};

/// The group roles that login users are granted.
const ROLES: [&str; 6] = ["ordo_writer", "ordo_saga", "ordo_projector", "ordo_notifier", "ordo_webhook", "ordo_reader"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_role_works_under_its_own_user() {
    // Given
    let (database, sqs, inbox) = tokio::join!(durable_database(), testkit::sqs(), testkit::inbox());
    with_roles(&database).await;
    let (sqs_url, inbox_url) = (sqs.url(), inbox.url());
    let mut users = BTreeMap::new();
    for role in ROLES {
        users.insert(role, login(&database, &format!("journey_{role}"), role).await);
    }
    let settings_of = |role: &str| {
        [
            ("DATABASE_URL", users[role].as_str()),
            ("AWS_ENDPOINT_URL_SQS", &sqs_url),
            ("AWS_ENDPOINT_URL_SESV2", &inbox_url),
            ("ORDO_DATABASE_CONNECTIONS", "16"),
            ("ORDO_READ_CONNECTIONS", "4"),
            ("ORDO_LOG", "warn"),
        ]
    };
    let queues = [("DATABASE_URL", database.url()), ("AWS_ENDPOINT_URL_SQS", &sqs_url)];
    assert_eq!(run(&["migrate", "--queues"], &queues).await.code, 0);
    let processes = join_all([
        Ordo::serve("command-api", &settings_of("ordo_writer")),
        Ordo::serve("projections", &settings_of("ordo_projector")),
        Ordo::serve("sagas", &settings_of("ordo_saga")),
        Ordo::serve("notification", &settings_of("ordo_notifier")),
        Ordo::serve("webhooks", &settings_of("ordo_webhook")),
    ])
    .await;
    let (api, reads) = (processes[0].client(), processes[1].client());

    // When
    api.receive("sku-123", 100).await;
    for nth in 0..5 {
        let posted = api.order_once(&demo_order(&format!("o-{nth}")), &format!("key-{nth}")).await.unwrap();
        assert_eq!(posted.status, 201, "{}", posted.text());
    }

    // Then
    until_mailed(database.url(), 5).await;
    assert_eq!(settled(&reads, "o-0").await["status"], "confirmed");
    for process in &processes {
        assert_eq!(process.client().get("/metrics").await.status, 200);
    }
    // Replays make, rename and drop tables.
    for _ in 0..2 {
        let replayed = run(&["replay", "--all"], &settings_of("ordo_projector")).await;
        assert_eq!(replayed.code, 0, "{}", replayed.err);
    }
    assert_eq!(settled(&reads, "o-1").await["status"], "confirmed");
    for command in [&["verify"][..], &["subscriptions", "list"], &["saga", "list"], &["order", "show", "o-1"]] {
        let told = run(command, &settings_of("ordo_reader")).await;
        assert_eq!(told.code, 0, "{command:?}: {}", told.err);
    }
    for process in &processes {
        let log = process.log();
        assert!(!log.contains("permission denied") && !log.contains("more rights"), "{log}");
    }
    // A later migration by somebody else, who is granted the migrator's role alone.
    let migrator = login(&database, "journey_migrator", "ordo_migrator").await;
    let migrated = run(&["migrate"], &[("DATABASE_URL", &migrator)]).await;
    assert_eq!(migrated.code, 0, "{}", migrated.err);
    let refused = run(&["migrate"], &settings_of("ordo_writer")).await;
    assert!(refused.code == 1 && refused.err.contains("ordo_migrator"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_whose_user_lacks_rights_is_not_ready_until_it_has_them() {
    let database = durable_database().await;
    with_roles(&database).await;
    let user = login(&database, "mixed_up", "ordo_writer").await;
    let process = Ordo::serve("projections", &[("DATABASE_URL", &user), ("ORDO_LOG", "warn")]).await;

    let readiness = async || {
        let answer = process.client().get("/health/ready").await;
        let checks = answer.json()["checks"].as_array().unwrap().clone();
        let check = checks.into_iter().find(|check| check["name"] == "subscriptions").unwrap();
        (answer.status, check["error"].as_str().unwrap_or_default().to_owned())
    };
    // Subscriptions stop one after the other.
    testkit::eventually(PATIENCE, || async {
        let (status, told) = readiness().await;
        status == 503 && told.contains("lacks rights for") && told.contains("orders")
    })
    .await;
    let log = process.log();
    let stopped = log.lines().find(|line| line.contains("subscription is stopped")).unwrap();
    assert!(stopped.contains("permission denied for table"), "{stopped}");

    let mut admin = PgConnection::connect(database.url()).await.unwrap();
    admin.execute("grant ordo_projector to mixed_up").await.unwrap();
    testkit::eventually(PATIENCE, || async { readiness().await == (200, String::new()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_writers_user_can_append_events_and_not_change_them() {
    // Given
    let database = durable_database().await;
    with_roles(&database).await;
    let mut writer = PgConnection::connect(&login(&database, "appends", "ordo_writer").await).await.unwrap();
    let append =
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                  values ('other', 'a', 1, 'Happened', '1.0', '{}', '{}')";
    writer.execute(append).await.unwrap();

    for statement in [
        "update events set payload = '{}'",
        "update events set recorded_at = now() where false",
        "delete from events",
        "truncate events",
        "truncate events, event_seals cascade",
        "merge into events e using (select 1) as o on false when matched then delete",
        "insert into events select * from events on conflict (aggregate_type, aggregate_id, sequence) do update set payload = '{}'",
        "alter table events disable trigger all",
        "alter table events disable trigger events_are_final",
        "alter table events add column note text",
        "alter table events owner to current_user",
        "alter table events rename to gone",
        "alter sequence events_global_position restart",
        "drop table events cascade",
        "drop trigger events_are_final on events",
        "create trigger mine before insert on events for each statement execute function events_lock()",
        "create rule mine as on delete to events do instead nothing",
        "create index mine on events (event_type)",
        "create table mine (n int)",
        "create function mine() returns int language sql as 'select 1'",
        "create or replace function events_are_final() returns trigger language plpgsql as 'begin return null; end'",
        "comment on table events is 'mine'",
        "begin; lock table events in access exclusive mode",
        "set session_replication_role = replica",
        "set role ordo_owner",
        "update event_seals set hash = ''",
        "delete from event_seals",
        "select * from notification_deliveries",
        "update saga_work set stuck = true",
    ] {
        let Err(refused) = sqlx::raw_sql(statement).execute(&mut writer).await else { panic!("it may {statement}") };
        writer.execute("rollback").await.unwrap();
        let code = refused.as_database_error().unwrap().code().unwrap().into_owned();
        assert_eq!(code, "42501", "{statement}: {refused}");
    }
    // Postgres only warns of this.
    writer.execute("grant update, delete, truncate on events to current_user").await.unwrap();
    let may: bool = sqlx::query_scalar("select has_table_privilege('events', 'update, delete, truncate')")
        .fetch_one(&mut writer)
        .await
        .unwrap();
    assert!(!may);
    let events: i64 = sqlx::query_scalar("select count(*) from events").fetch_one(&mut writer).await.unwrap();
    assert_eq!(events, 1);

    // A process that could do such things says so.
    let settings = [("DATABASE_URL", database.url()), ("ORDO_LOG", "warn")];
    let process = Ordo::serve("command-api", &settings).await;
    assert!(process.log().contains("more rights than its roles need"), "{}", process.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_roles_may_do_what_the_reference_says() {
    let database = durable_database().await;
    with_roles(&database).await;
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let tables = "select relname::text from pg_class where relnamespace = current_schema()::regnamespace
                     and relkind in ('r', 'p') order by relname";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.unwrap();
    let mut held = BTreeMap::new();
    for table in &tables {
        let mut of_table = Vec::new();
        for role in ROLES {
            of_table.push(privileges(&mut connection, role, table).await);
        }
        let is_read_model = |table: &&String| fixed_or_read_model(table) == "read_model_NAME";
        let name = if is_read_model(&table) { "read_model_NAME".to_owned() } else { table.clone() };
        let known = held.entry(name).or_insert_with(|| of_table.clone());
        assert_eq!(*known, of_table, "{table}");
    }

    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/database-roles.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    let told: BTreeMap<String, Vec<String>> = rows
        .filter_map(|row| {
            let (table, cells) = row.split_once("` | ")?;
            let cells: Vec<_> = cells.split(" | ").map(|cell| cell.trim().to_owned()).collect();
            (cells.len() == ROLES.len()).then(|| (table.to_owned(), cells))
        })
        .collect();
    let as_rows = |rows: &BTreeMap<String, Vec<String>>| {
        rows.iter()
            .map(|(table, cells)| format!("| `{table}` | {} |", cells.join(" | ")))
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(as_rows(&told), as_rows(&held), "docs/reference/database-roles.md should have:\n{}", as_rows(&held));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_roles_can_be_made_for_several_databases_at_once_and_again() {
    let databases = join_all((0..4).map(|_| durable_database())).await;
    for _ in 0..2 {
        join_all(databases.iter().map(with_roles)).await;
    }
    // Whoever may not make roles is told what to do.
    let mut admin = PgConnection::connect(databases[0].url()).await.unwrap();
    admin.execute("create role plain login password 'secret'").await.unwrap();
    let plain = as_user(&databases[0], "plain");
    let refused = run(&["migrate", "--roles"], &[("DATABASE_URL", &plain)]).await;
    assert!(refused.code == 1 && refused.err.contains("ordo_migrator"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_owned_the_schema_goes_on_when_somebody_else_makes_the_roles() {
    let database = empty_database().await;
    let mut admin = PgConnection::connect(database.url()).await.unwrap();
    admin
        .execute(
            "create role former_owner login password 'secret'; grant usage, create on schema public to former_owner",
        )
        .await
        .unwrap();
    let url = as_user(&database, "former_owner");
    let migrated = run(&["migrate"], &[("DATABASE_URL", &url)]).await;
    assert_eq!(migrated.code, 0, "{}", migrated.err);
    let mut process = PgConnection::connect(&url).await.unwrap();

    // Somebody reads for long, and others append.
    let mut reader = PgConnection::connect(&url).await.unwrap();
    reader.execute("begin; select count(*) from events").await.unwrap();
    let with_the_roles = with_roles(&database);
    let meanwhile = async {
        testkit::eventually(Duration::from_secs(60), || async {
            let mut connection = PgConnection::connect(database.url()).await.unwrap();
            let all_but_events = "select pg_get_userbyid(relowner) = 'ordo_owner' from pg_class where relname = 'subscription_partitions'";
            sqlx::query_scalar(all_but_events).fetch_one(&mut connection).await.unwrap()
        })
        .await;
        process.execute("set lock_timeout = '10s'").await.unwrap();
        for nth in 1..=5 {
            let append = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                          values ('other', 'a', $1, 'Happened', '1.0', '{}', '{}')";
            sqlx::query(append).bind(i64::from(nth)).execute(&mut process).await.unwrap();
        }
        reader.execute("rollback").await.unwrap();
    };
    tokio::join!(with_the_roles, meanwhile);

    // Then
    let events: i64 = sqlx::query_scalar("select count(*) from events").fetch_one(&mut process).await.unwrap();
    assert_eq!(events, 5);
    let migrated = run(&["migrate"], &[("DATABASE_URL", &url)]).await;
    assert_eq!(migrated.code, 0, "{}", migrated.err);
    // What is right already is not locked again.
    reader.execute("begin; select count(*) from events").await.unwrap();
    with_roles(&database).await;
}

fn fixed_or_read_model(table: &str) -> &str {
    let fixed = ["read_model_generations", "read_model_previous", "read_model_tallies"];
    if table.starts_with("read_model_") && !fixed.contains(&table) { "read_model_NAME" } else { table }
}

/// What a role may do with a table, as the reference says it.
async fn privileges(connection: &mut PgConnection, role: &str, table: &str) -> String {
    let query = "select pg_get_userbyid(relowner) = $1,
                        array(select p from unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'trigger'])
                                            with ordinality as a (p, n)
                               where has_table_privilege($1, c.oid, p) order by n),
                        has_any_column_privilege($1, c.oid, 'select')
                   from pg_class c where relname = $2 and relnamespace = current_schema()::regnamespace";
    let row = sqlx::query(query).bind(role).bind(table).fetch_one(connection).await.unwrap();
    let held: Vec<String> = row.get(1);
    match (row.get(0), held.is_empty(), row.get(2)) {
        (true, ..) => "owns".to_owned(),
        (false, false, _) => held.join(", "),
        (false, true, true) => "select, some columns".to_owned(),
        (false, true, false) => "–".to_owned(),
    }
}

async fn with_roles(database: &Database) {
    let made = run(&["migrate", "--roles"], &[("DATABASE_URL", database.url())]).await;
    assert_eq!(made.code, 0, "{}", made.err);
}

/// Makes a login user with a group role, and says where it logs in.
async fn login(database: &Database, user: &str, role: &str) -> String {
    let mut admin = PgConnection::connect(database.url()).await.unwrap();
    admin.execute(&*format!("create role {user} login password 'secret' in role {role}")).await.unwrap();
    as_user(database, user)
}

fn as_user(database: &Database, user: &str) -> String {
    let mut url = Url::parse(database.url()).unwrap();
    url.set_username(user).unwrap();
    url.set_password(Some("secret")).unwrap();
    url.into()
}
