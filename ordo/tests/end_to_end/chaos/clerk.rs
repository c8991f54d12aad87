//! A person who gives back what was paid elsewhere, once the orders have had their lives.

use std::time::Duration;

use serde_json::Value;

use super::operator::list_step;
use crate::support::{Client, Setting, run};

/// Marks as sent whatever waits for a person, for ever: an answer that comes late can let more of it wait.
pub(super) async fn gives_back(settings: &[Setting<'_>], client: &Client) {
    loop {
        give_back(settings, client).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn give_back(settings: &[Setting<'_>], client: &Client) {
    let waiting = list_step(settings, "refund_manually").await;
    for saga in waiting["sagas"].as_array().unwrap() {
        let id = saga["orderId"].as_str().unwrap();
        let order = client.get(&format!("/orders/{id}")).await.json();
        let mut about: Vec<Vec<&str>> = order["refunds"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|it| it["status"] == "manual")
            .map(refund)
            .collect();
        about.push(vec!["--rest"]);
        let payments = order["payments"].as_array().map_or(0, Vec::len);
        for payment in 1..=payments {
            let payment = payment.to_string();
            let which = if payments > 1 { vec!["--payment", &payment] } else { vec![] };
            for about in &about {
                let mut line = vec!["saga", "mark-succeeded", id, "--step", "refund_manually"];
                line.extend(which.iter().chain(about));
                line.extend(["--reference", "TRANSFER", "--reason", "sent", "--actor", "grace"]);
                // Of another payment, or not the next one: the refusal is one line.
                let marked = run(&line, settings).await;
                assert!(marked.code == 0 || marked.err.lines().count() == 1, "{line:?}: {marked:?}");
            }
        }
    }
}

fn refund(refund: &Value) -> Vec<&str> {
    vec!["--refund", refund["refundId"].as_str().unwrap()]
}
