//! The trace id of an answer leads to a log line for a refusal, and to the events of an accepted order.

use serde_json::{Value, json};
use testkit::demo_order;

use crate::support::{Ordo, run, settled};

#[tokio::test]
async fn every_refusal_has_a_line_in_the_log_with_the_trace_of_its_answer() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    let invalid = client.order(&json!({ "orderId": "a" })).await.problem(422);
    let missing = client.get("/v1/orders/nobody").await.problem(404);
    let nothing = client.get("/nowhere").await.problem(404);
    let log = ordo.log();
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    for problem in [invalid, missing, nothing] {
        let line = lines.iter().find(|line| line["trace_id"] == problem["traceId"]);
        let line = line.unwrap_or_else(|| panic!("nothing of {problem}"));
        assert_eq!(
            [&line["path"], &line["status"], &line["code"]],
            [&problem["instance"], &problem["status"], &problem["code"]]
        );
    }
}

#[tokio::test]
async fn an_order_that_was_accepted_is_found_by_the_trace_of_its_answer() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    let accepted = client.order(&demo_order("wanted")).await;
    client.order(&demo_order("other")).await;
    for order in ["wanted", "other"] {
        settled(&client, order).await;
    }
    let trace = accepted.header("traceresponse");
    let found = run(&["events", "export", "--trace", trace], &[("DATABASE_URL", &ordo.database)]).await;
    assert_eq!(found.code, 0, "{}", found.err);
    let events: Vec<Value> = found.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&events[0]["type"], &events[0]["streamId"]), (&json!("OrderCreated"), &json!("wanted")));
    // What came of the order is there as well.
    assert!(events.iter().any(|event| event["type"] == "OrderConfirmed"), "{}", found.out);
    assert!(events.iter().all(|event| event["streamId"] != "other"), "{}", found.out);
}
