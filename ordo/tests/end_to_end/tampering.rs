//! A head that `ordo verify` printed shows whether the log was changed since.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};

use crate::support::{Deployment, Finished, order_of, run, verify};

const BOUND: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_to_the_log_is_found_by_its_head() {
    // Given a log that is sealed while it is written.
    let deployment = Deployment::new(&[]).await;
    let shop = deployment.serve("command-api").await;
    for nth in 1..=5 {
        assert_eq!(shop.client().order(&order_of(&format!("o-{nth}"), None, &[("sku", 1)])).await.status, 201);
    }
    let url = deployment.database.url();
    testkit::eventually(BOUND, || async { verify(url).await["log"]["notSealed"] == 0 }).await;
    let head = verify(url).await["log"]["head"].as_str().unwrap().to_owned();
    let fine = verify_against(url, &head).await;
    assert_eq!(fine.code, 0, "{fine:?}");
    assert!(fine.out.contains("\nlog: sealed up to position 5, 0 events not sealed yet\n"), "{}", fine.out);
    assert!(fine.out.contains(&format!("\nhead: {head}\nlog: as the given head says\n")), "{}", fine.out);

    // When
    attack(url, "update events set payload = replace(payload::text, 'sku', 'SKU')::json where global_position = 3")
        .await;
    assert_eq!(shop.client().order(&order_of("o-6", None, &[("sku", 1)])).await.status, 201);

    // Then
    let wrong = verify_against(url, &head).await;
    assert_eq!((wrong.code, wrong.err.as_str()), (1, ""));
    assert!(wrong.out.contains("\nposition 3: the event was edited: payload\n"), "{}", wrong.out);
    assert!(wrong.out.contains("\nthe head: the log up to position 5 is not what it was\n"), "{}", wrong.out);
    let told = run(&["verify", "--json", "--head", &head], &[("DATABASE_URL", url)]).await;
    let told: Value = serde_json::from_str(&told.out).unwrap();
    let log = &told["log"];
    assert_eq!((&told["ok"], &log["asHeadSays"], &log["firstBadPosition"]), (&json!(false), &json!(false), &json!(3)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_can_not_be_one_is_refused() {
    let deployment = Deployment::new(&[]).await;
    let shop = deployment.serve("command-api").await;
    assert_eq!(shop.client().order(&order_of("o-1", None, &[("sku", 1)])).await.status, 201);
    let url = deployment.database.url();

    for malformed in ["", "7", "7:abc", "seven:0000000000000000000000000000000000000000000000000000000000000000"] {
        let refused = verify_against(url, malformed).await;
        assert_eq!(refused.code, 2, "{malformed}");
        assert!(refused.err.contains("--head") && refused.err.contains("POSITION:HASH"), "{}", refused.err);
    }
    let beyond = verify_against(url, &format!("9:{}", "0".repeat(64))).await;
    assert_eq!(beyond.code, 1);
    let line = "\nthe head: it is at position 9, and the log ends at 1: events are missing, or it is another log's\n";
    assert!(beyond.out.contains(line), "{}", beyond.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_no_process_seals_is_sealed_when_asked() {
    let deployment = Deployment::new(&[("ORDO_SEALING_PERCENT", "0")]).await;
    let shop = deployment.serve("command-api").await;
    assert_eq!(shop.client().order(&order_of("o-1", None, &[("sku", 1)])).await.status, 201);
    let url = deployment.database.url();
    let log = verify(url).await["log"].clone();
    assert_eq!((&log["notSealed"], &log["sealedUpTo"], &log["firstBadPosition"]), (&json!(1), &json!(0), &Value::Null));
    let sealed = run(&["verify", "--seal"], &[("DATABASE_URL", url)]).await;
    assert!(sealed.out.contains("\nlog: sealed up to position 1, 0 events not sealed yet\n"), "{}", sealed.out);
}

async fn verify_against(url: &str, head: &str) -> Finished {
    run(&["verify", "--head", head], &[("DATABASE_URL", url)]).await
}

/// As an administrator whom no trigger stops.
async fn attack(url: &str, statement: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.execute("set session_replication_role = replica").await.unwrap();
    assert_eq!(connection.execute(statement).await.unwrap().rows_affected(), 1);
    connection.close().await.unwrap();
}
