//! Waiting for what happens to orders, and counting their mails.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use embedded::inbox::Message;
use serde_json::Value;
use testkit::eventually;

use super::{Client, database};

/// Long enough for a machine that does much else; nothing that works takes as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The order, once its saga has ended.
pub(crate) async fn settled(client: &Client, order_id: &str) -> Value {
    let path = format!("/orders/{order_id}");
    eventually(PATIENCE, || async {
        let answer = client.get(&path).await;
        answer.status == 200 && answer.json()["mails"].as_array().is_some_and(|mails| !mails.is_empty())
    })
    .await;
    client.get(&path).await.json()
}

/// Waits until that many orders are there and each has been told of by mail.
pub(crate) async fn until_mailed(database: &str, orders: i64) {
    eventually(PATIENCE, || async { database::log_summary(database).await.complete == orders }).await;
}

/// How many mails there are about each order.
pub(crate) fn mails_by_order(messages: &[Arc<Message>]) -> BTreeMap<String, usize> {
    count_by_order(messages.iter().map(|message| message.subject.as_str()))
}

/// How many of these subjects there are about each order.
pub(crate) fn count_by_order<'a>(subjects: impl Iterator<Item = &'a str>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for subject in subjects {
        let order = subject.strip_prefix("Order ").and_then(|rest| rest.strip_suffix(" confirmed"));
        *counts.entry(order.unwrap_or(subject).to_owned()).or_default() += 1;
    }
    counts
}
