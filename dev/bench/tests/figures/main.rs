//! A benchmark counts what happened. How fast it was is no concern of a test.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

#[path = "../../src/http_client.rs"]
#[expect(dead_code, reason = "the test only posts")]
mod http_client;
mod platform;

use embedded::inbox::{BODY_LIMIT, BYTES_KEPT};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use http_client::ApiClient;
use platform::{Platform, START, bench};

#[tokio::test]
async fn intake_counts_the_orders_that_are_stored_and_compares_the_platform_with_the_others() {
    let line = ["intake", "--duration", "1", "--warm-up", "0", "--runs", "1", "--connections", "4", "--json"];
    let ended = bench(&line).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    let figures: Value = serde_json::from_str(&ended.out).unwrap();

    let rows = figures["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["contender"].as_str().unwrap()).collect();
    assert_eq!(names, ["platform", "stock postgres-es", "nothing stored"]);
    for row in rows {
        let measured = &row["runs"][0];
        assert_eq!((&row["connections"], &measured["errors"]), (&4.into(), &0.into()), "{row}");
        let accepted = measured["acceptedInAll"].as_u64().unwrap();
        assert!(accepted > 0, "{row}");
        match row["contender"].as_str().unwrap() {
            "nothing stored" => assert!(measured["storedInAll"].is_null()),
            _ => assert_eq!(measured["storedInAll"].as_u64(), Some(accepted), "{row}"),
        }
    }
    let compared: Vec<&str> =
        figures["ratios"].as_array().unwrap().iter().map(|ratio| ratio["to"].as_str().unwrap()).collect();
    assert!(compared.starts_with(&["stock postgres-es", "nothing stored"]), "{compared:?}");
    let pgbench = if figures["pgbench"].is_null() { &figures["leftOut"][0] } else { &figures["ratios"][2]["to"] };
    assert_eq!(pgbench, "pgbench");
}

#[tokio::test]
async fn a_platform_that_runs_already_is_asked_at_its_address() {
    let platform = Platform::start().await;
    let shared = ["--runs", "1", "--warm-up", "0", "--duration", "0.5", "--json", "--api", &platform.api];

    let line = [&["intake", "--connections", "2", "--idempotency-keys", "--payload", "5000"][..], &shared].concat();
    let ended = bench(&line).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    let figures: Value = serde_json::from_str(&ended.out).unwrap();
    let accepted = figures["rows"][0]["runs"][0]["acceptedInAll"].as_u64().unwrap();
    assert_eq!(figures["orderBytes"], 5_000);
    // The sagas add more events to the orders.
    let mut database = PgConnection::connect(&platform.database).await.unwrap();
    let events: i64 = sqlx::query_scalar("select count(*) from events").fetch_one(&mut database).await.unwrap();
    assert!(events >= i64::try_from(accepted).unwrap());

    let line = [&["visible", "--rate", "50"][..], &shared].concat();
    let ended = bench(&line).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    let figures: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(figures["runs"][0]["errors"], 0, "{figures}");
    let (orders, missed) = (&figures["runs"][0]["orders"], &figures["runs"][0]["missed"]);
    assert_eq!(orders.as_u64().unwrap() + missed.as_u64().unwrap(), 25, "{figures}");
}

#[tokio::test]
async fn the_event_store_is_measured_without_http() {
    let line = ["append", "--duration", "0.5", "--warm-up", "0", "--runs", "1", "--tasks", "4", "--json"];
    let ended = bench(&line).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    let figures: Value = serde_json::from_str(&ended.out).unwrap();
    for row in figures["rows"].as_array().unwrap() {
        assert_eq!(row["runs"][0]["errors"], 0, "{row}");
        assert!(row["runs"][0]["eventsPerSecond"].as_f64().unwrap() > 0.0, "{row}");
    }
    assert_eq!(figures["ratios"][0]["to"], "stock postgres-es");
}

#[tokio::test]
async fn what_sealing_costs_is_measured_in_turns() {
    let line = ["sealing", "--duration", "1.5", "--warm-up", "0", "--runs", "2", "--tasks", "4", "--json"];
    let ended = bench(&line).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    let figures: Value = serde_json::from_str(&ended.out).unwrap();
    let [without, with] = figures["rows"].as_array().unwrap().as_slice() else { panic!("{figures}") };
    assert_eq!((&without["sealed"], &with["sealed"]), (&false.into(), &true.into()));
    assert_eq!(without["sealedPerSecond"]["max"], 0.0, "{figures}");
    assert!(with["sealedPerSecond"]["min"].as_f64().unwrap() > 0.0, "{figures}");
    assert!(figures["costs"][0]["ofMedians"].as_f64().unwrap() > 0.0, "{figures}");
}

#[tokio::test]
async fn a_flash_sale_sells_what_there_is_and_no_more() {
    let line = "flash-sale --orders 60 --units 10 --low-stock 5 --connections 8 --runs 2 --json";
    let ended = bench(&line.split(' ').collect::<Vec<_>>()).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    let figures: Value = serde_json::from_str(&ended.out).unwrap();
    for sold in figures["runs"].as_array().unwrap() {
        assert_eq!((&sold["confirmed"], &sold["rejected"]), (&10.into(), &50.into()), "{figures}");
        for rate in ["acceptedPerSecond", "confirmedPerSecond", "decidedPerSecond", "toldPerSecond"] {
            assert!(sold[rate].as_f64().unwrap() > 0.0, "{rate}: {figures}");
        }
    }
    assert_eq!(figures["runs"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn every_order_that_is_there_can_be_read_and_pages_have_an_end() {
    let line = [
        "reads",
        "--orders",
        "170",
        "--connections",
        "4",
        "--duration",
        "0.5",
        "--warm-up",
        "0",
        "--runs",
        "1",
        "--json",
    ];
    let ended = bench(&line).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    let figures: Value = serde_json::from_str(&ended.out).unwrap();
    let measured = &figures["runs"][0];
    assert_eq!((&figures["page"], &measured["errors"]), (&3.into(), &0.into()), "{figures}");
    assert!(measured["readsPerSecond"].as_f64().unwrap() > 0.0, "{figures}");
}

#[tokio::test]
async fn a_platform_that_is_not_there_is_one_line_that_names_it() {
    let ended = bench(&["intake", "--api", "http://127.0.0.1:1", "--connections", "1"]).await;
    assert_eq!(
        (ended.code, ended.err.as_str()),
        (1, "bench: cannot connect to 127.0.0.1:1: Connection refused (os error 111)\n")
    );
}

#[tokio::test]
async fn an_ordinary_client_is_served_beside_greedy_ones() {
    let line = [
        "greedy-clients",
        "--silent",
        "100",
        "--slow",
        "20",
        "--unread",
        "20",
        "--calm",
        "1",
        "--streams",
        "20",
        "--large-orders",
        "10",
        "--notes",
        "50",
        "--duration",
        "2",
        "--json",
    ];
    let ended = bench(&line).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    let figures: Value = serde_json::from_str(&ended.out).unwrap();
    let measured = &figures["runs"][0];
    assert_eq!(measured["large"]["taken"], 10, "{figures}");
    let notes = &measured["notes"];
    assert_eq!(notes["taken"].as_u64().unwrap() + notes["refused"].as_u64().unwrap(), 50, "{figures}");
    for counted in ["healthAnswers", "customerOrders", "silentOpened"] {
        assert!(measured[counted].as_u64().unwrap() > 0, "{counted}: {figures}");
    }
}

#[tokio::test]
async fn mails_are_found_in_a_full_inbox() {
    // Given
    let platform = Platform::start().await;
    let (client, url) = (ApiClient::new(START), format!("{}/v2/email/outbound-emails", platform.inbox));
    let most = BODY_LIMIT - 1024;
    for nth in 0..BYTES_KEPT / most {
        let mail = json!({
            "FromEmailAddress": "shop@example.com",
            "Destination": {"ToAddresses": ["ann@example.com"]},
            "Content": {"Simple": {"Subject": {"Data": nth.to_string()}, "Body": {"Text": {"Data": "x".repeat(most)}}}},
        });
        assert_eq!(client.post(&url, &mail).await.unwrap().0, 200);
    }

    // When
    let ended =
        bench(&["end-to-end", "--orders", "5", "--json", "--api", &platform.api, "--inbox", &platform.inbox]).await;

    // Then
    assert_eq!(ended.code, 0, "{}", ended.err);
    let figures: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(figures["orders"], 5);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_one_line_that_says_how_to_build_it() {
    let ended = bench(&["reads", "--ordo", "nowhere/ordo"]).await;
    assert_eq!((ended.code, ended.err.lines().count()), (1, 1), "{}", ended.err);
    assert!(ended.err.contains("build it with `cargo build"), "{}", ended.err);
}

#[tokio::test]
async fn every_page_of_the_console_is_shown_and_a_bulk_action_does_each_saga_once() {
    let size = ["--orders", "300", "--stuck", "40", "--dead-letters", "25", "--consoles", "2", "--rate", "20"];
    let time = ["--runs", "1", "--warm-up", "0", "--duration", "3", "--bulk-rate", "5", "--json"];
    let ended = bench(&[&["console"][..], &size, &time].concat()).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    let figures: Value = serde_json::from_str(&ended.out).unwrap();
    let pages = figures["pages"].as_object().unwrap();
    assert!(pages.len() > 20 && pages.values().all(|page| page["visits"].as_u64() > Some(0)), "{figures}");
    assert!(figures["runs"][0]["refreshed"].as_u64() > Some(0), "{figures}");
    let bulk = &figures["bulkAction"];
    assert_eq!(bulk["sagas"], 40, "{figures}");
    assert!((1..40).contains(&bulk["doneWhenStopped"].as_u64().unwrap()), "{figures}");
}
