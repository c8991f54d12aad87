//! `ordo doctor` on a deployment that is as it should be, and on one where things are wrong.

use std::collections::HashMap;

use aws_sdk_sqs::types::QueueAttributeName::RedrivePolicy;
use rustix::process::Signal;
use serde_json::Value;
use sqlx::Executor;
use testkit::{demo_order, sqs_client};

use crate::support::{Ordo, PATIENCE, run};

/// What it checks, in order.
const CHECKS: [&str; 28] = [
    "credentials",
    "network",
    "database-tls",
    "payment",
    "message-keys",
    "database",
    "version",
    "sessions",
    "durability",
    "rights",
    "connections",
    "time-limits",
    "replication",
    "wal",
    "transactions",
    "clock",
    "indexes",
    "vacuum",
    "schema",
    "read-models",
    "subscriptions",
    "parked-events",
    "sagas",
    "mails",
    "queue-requests",
    "dead-requests",
    "queue-replies",
    "dead-replies",
];

/// The state of each check, its advice, and the exit code.
async fn examined(settings: &[(&str, &str)]) -> (HashMap<String, (String, String)>, Vec<String>, i32) {
    examined_by(&["doctor", "--json"], settings).await
}

async fn examined_by(
    line: &[&str],
    settings: &[(&str, &str)],
) -> (HashMap<String, (String, String)>, Vec<String>, i32) {
    let told = run(line, settings).await;
    let answer: Value = serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{told:?}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let checks = answer["checks"].as_array().unwrap();
    let states = checks.iter().map(|it| (text(&it["check"]), (text(&it["state"]), text(&it["advice"])))).collect();
    assert_eq!(answer["ok"], told.code == 0, "{told:?}");
    (states, checks.iter().map(|it| text(&it["check"])).collect(), told.code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_deployment_is_named_with_what_to_do() {
    // Given
    let (database, sqs, inbox) = tokio::join!(testkit::durable_database(), testkit::sqs(), testkit::inbox());
    let (sqs_url, inbox_url) = (sqs.url(), inbox.url());
    let settings = [
        ("DATABASE_URL", database.url()),
        ("AWS_ENDPOINT_URL_SQS", &sqs_url),
        ("AWS_ENDPOINT_URL_SESV2", &inbox_url),
        ("ORDO_REQUIRE_AUTH", "true"),
    ];
    assert_eq!(run(&["migrate", "--queues"], &settings).await.code, 0);

    // Then: nothing is wrong but what a trial has.
    let (states, names, code) = examined(&settings).await;
    assert_eq!((names[..CHECKS.len()].to_vec(), code), (CHECKS.map(str::to_owned).to_vec(), 0), "{states:?}");
    assert_eq!(names[CHECKS.len()..], ["mail"]);
    let warned = |name: &&String| states[*name].0 == "warning";
    let warnings: Vec<&String> = names.iter().filter(warned).collect();
    assert_eq!(warnings, ["payment", "rights", "connections", "replication"], "{states:?}");
    assert_eq!(states["mail"].0, "not-checked");

    // When
    let queues = sqs_client(&sqs_url);
    let url = queues.get_queue_url().queue_name("ordo-replies.fifo").send().await.unwrap().queue_url.unwrap();
    queues.set_queue_attributes().queue_url(&url).attributes(RedrivePolicy, "").send().await.unwrap();
    for spoil in [
        "update pg_index set indisvalid = false where indexrelid = 'events_mails_given_up'::regclass",
        "insert into saga_work (saga, order_id, step, due_at, stuck) values ('order_fulfilment', 'o-1', 'confirm_order', 'infinity', true)",
    ] {
        database.pool().execute(spoil).await.unwrap();
    }

    // Then
    let (states, _, code) = examined(&settings).await;
    assert_eq!(code, 1);
    let wrong = ["indexes", "queue-replies"].map(|check| (check, states[check].0.as_str()));
    assert_eq!(wrong, [("indexes", "problem"), ("queue-replies", "problem")], "{states:?}");
    assert_eq!(states["sagas"].0, "warning");
    assert!(states["indexes"].1.contains("ordo migrate") && states["sagas"].1.contains("ordo saga list"), "{states:?}");

    // When: a migration of this build is missing.
    let newest = "delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)";
    database.pool().execute(newest).await.unwrap();

    // Then
    let (states, _, _) = examined(&settings).await;
    assert_eq!((states["schema"].0.as_str(), states["sagas"].0.as_str()), ("problem", "not-checked"));

    // When: nobody answers.
    let nowhere = [
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"),
        ("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1"),
        settings[2],
    ];

    // Then: each is named by itself.
    let (states, names, code) = examined(&nowhere).await;
    assert_eq!((states["database"].0.as_str(), states["queue-requests"].0.as_str(), code), ("problem", "problem", 1));
    assert_eq!(names.len(), CHECKS.len() + 1);
    assert_eq!((states["clock"].0.as_str(), states["dead-replies"].0.as_str()), ("not-checked", "not-checked"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restore_new_events_get_positions_that_nobody_has_seen() {
    // Given: a process at work.
    let database = testkit::durable_database().await;
    let settings = [("DATABASE_URL", database.url()), ("ORDO_ORDER_NUMBERS", "A-{year}")];
    assert_eq!(run(&["migrate"], &settings).await.code, 0);
    let last = "select last_value from events_global_position";
    let last = || async { sqlx::query_scalar::<_, i64>(last).fetch_one(database.pool()).await.unwrap() };
    let mut ordo = Ordo::serve("command-api,projections", &settings).await;
    assert_eq!(ordo.client().order(&demo_order("before")).await.status, 201);
    let (known, line) = (last().await, ["doctor", "after-restore", "--seen-position", "5000", "--json"]);

    // Then: nothing is changed while it is.
    let (states, names, code) = examined_by(&line, &settings).await;
    assert_eq!((names, code, last().await), (vec!["processes".to_owned()], 1, known), "{states:?}");

    // When
    stop(&mut ordo).await;
    let (states, names, code) = examined_by(&line, &settings).await;

    // Then
    assert_eq!(code, 0, "{states:?}");
    assert_eq!(
        names,
        [
            "processes",
            "moment",
            "positions",
            "order-numbers",
            "invoices",
            "read-models",
            "payments",
            "mails",
            "queues",
            "followers"
        ]
    );
    assert_eq!((states["order-numbers"].0.as_str(), states["invoices"].0.as_str()), ("warning", "ok"));
    let mut ordo = Ordo::serve("command-api", &settings).await;
    let answer = ordo.client().order(&demo_order("after")).await.json();
    assert!(answer["position"].as_i64().unwrap() > 5_000, "{answer}");

    // A position that was passed long ago moves nothing back, and none uses all positions up.
    stop(&mut ordo).await;
    let known = last().await;
    let far = ["doctor", "after-restore", "--seen-position", "9223372036854775807", "--json"];
    let (states, _, code) = examined_by(&far, &settings).await;
    assert_eq!((states["positions"].0.as_str(), code, last().await), ("problem", 1, known));
    let (_, _, code) = examined_by(&["doctor", "after-restore", "--seen-position", "1", "--json"], &settings).await;
    assert_eq!((code, last().await), (0, known));
}

async fn stop(ordo: &mut Ordo) {
    ordo.signal(Signal::TERM);
    ordo.ended(PATIENCE).await.unwrap();
}
