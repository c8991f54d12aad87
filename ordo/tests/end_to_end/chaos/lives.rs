//! Those who order, and look after their orders: whatever can be asked of an order is asked of some, whether it is ready for that or not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::orders::{any_edit, decimal, posted};
use crate::support::{Answer, Client, NoAnswer};

/// How much is asked of one order.
const LENGTH: std::ops::Range<usize> = 0..14;
const PAUSE_MS: std::ops::Range<u64> = 0..60;
/// Which share of what is asked is an edit.
const EDITS: f64 = 0.2;

/// All the shops' people together.
pub(super) struct Shop {
    api: watch::Receiver<String>,
    /// How many orders there are already.
    pub(super) next: AtomicUsize,
    orders: usize,
}

impl Shop {
    /// A shop of so many orders, whose platform is at an address that changes.
    pub(super) fn new(api: watch::Receiver<String>, orders: usize) -> Self {
        Self { api, next: AtomicUsize::new(0), orders }
    }

    /// Orders, and sees each order through its life, until there are enough.
    pub(super) async fn run(self: Arc<Self>, seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        loop {
            let nth = self.next.fetch_add(1, Ordering::Relaxed);
            if nth >= self.orders {
                return;
            }
            let id = format!("chaos-{nth}");
            let order = posted(&id, &mut random);
            assert_eq!(self.ask(Method::POST, "/orders", None, &order).await.status, 201, "{order}");
            if random.random_bool(0.85) {
                self.wait_for(&id).await;
            }
            let lines = order["items"].as_array().unwrap().len();
            for nth in 0..random.random_range(LENGTH) {
                tokio::time::sleep(Duration::from_millis(random.random_range(PAUSE_MS))).await;
                if random.random_bool(EDITS) {
                    self.edit(&id, lines, &mut random).await;
                    continue;
                }
                // Mostly first things first.
                let early = nth < 4 && random.random_bool(0.8);
                let turn = random.random_range(if early { 0..58 } else { 30..100 });
                let (method, path, body) = self.any_step(&id, turn, lines, &mut random).await;
                self.ask(method, &path, None, &body).await;
            }
        }
    }

    /// Waits until the order is decided, but not for long.
    async fn wait_for(&self, id: &str) {
        for _ in 0..100 {
            if self.shown(id).await.is_some_and(|order| order["status"] != "pending") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn shown(&self, id: &str) -> Option<Value> {
        let client = Client::new(&self.api.borrow());
        let answer = client.try_get(&format!("/orders/{id}")).await.ok()?;
        (answer.status == 200).then(|| answer.json())
    }

    /// Has an edit made as its preview says, if the order takes one and is still the same then.
    async fn edit(&self, id: &str, lines: usize, random: &mut StdRng) {
        let (path, body) = (format!("/orders/{id}/edits"), any_edit(lines, random));
        let preview = self.ask(Method::POST, &format!("{path}/preview"), None, &body).await;
        if preview.status == 200 {
            let etag = format!("\"{}\"", preview.json()["version"]);
            self.ask(Method::POST, &path, Some(&etag), &body).await;
        }
    }

    /// Something that can be asked of an order. What it makes has one of two names, so that some is asked twice.
    async fn any_step(&self, id: &str, turn: u32, lines: usize, random: &mut StdRng) -> (Method, String, Value) {
        let name = random.random_range(1..=2);
        let some = json!([{ "lineNumber": random.random_range(1..=lines), "quantity": random.random_range(1..=2) }]);
        let (path, body) = match turn {
            0..5 => ("/hold".to_owned(), json!({ "holdId": format!("h-{name}"), "reason": "by chance" })),
            5..13 => ("/release".to_owned(), json!({})),
            13..15 => ("/cancel".to_owned(), json!({})),
            15..19 => ("/cancel".to_owned(), json!({ "lines": some, "cancellationId": format!("c-{name}") })),
            19..43 => {
                let shipment = json!({ "lines": some, "shipmentId": format!("s-{name}"), "carrier": "UPS" });
                ("/ship".to_owned(), shipment)
            }
            43..53 => ("/ship".to_owned(), json!({})),
            53..56 => {
                let parcels = json!({ "parcels": [{ "carrier": "DHL", "tracking": format!("{name}") }] });
                return (Method::PUT, format!("/orders/{id}/shipments/s-{name}/parcels"), parcels);
            }
            56..60 => (format!("/shipments/s-{name}/deliver"), json!({})),
            60..64 => ("/deliver".to_owned(), json!({})),
            64..74 => ("/returns".to_owned(), json!({ "returnId": format!("r-{name}"), "lines": some })),
            74..80 => {
                let mut line = some[0].clone();
                line["condition"] = json!(["sellable", "damaged"][random.random_range(0..2)]);
                line["restock"] = json!(line["condition"] == "sellable");
                let receipt = json!({ "lines": [line], "receiptId": format!("t-{}", random.random_range(1..=3)) });
                (format!("/returns/r-{name}/receive"), receipt)
            }
            80..85 => (format!("/returns/r-{name}/receive"), json!({})),
            85..88 => (format!("/returns/r-{name}/cancel"), json!({})),
            88..94 => {
                let amount = decimal(random.random_range(1..1_000));
                ("/refunds".to_owned(), json!({ "refundId": format!("f-{name}"), "amount": amount }))
            }
            94..97 => ("/notes".to_owned(), json!({ "noteId": format!("n-{name}"), "text": "by chance" })),
            _ => match self.shown(id).await.as_ref().and_then(|order| order["mails"][0]["notificationId"].as_str()) {
                Some(mail) => (format!("/mails/{mail}/resend"), json!({})),
                None => ("/notes".to_owned(), json!({ "noteId": "n-0", "text": "no mail yet" })),
            },
        };
        (Method::POST, format!("/orders/{id}{path}"), body)
    }

    /// Asks until there is an answer, and says which. What comes twice is done once, or twice if it has no name: both are fine.
    async fn ask(&self, method: Method, path: &str, etag: Option<&str>, body: &Value) -> Answer {
        let mut api = self.api.clone();
        loop {
            let client = Client::new(&api.borrow_and_update());
            match client.try_send_under(method.clone(), path, etag, body).await {
                Ok(answer) if answer.status == 503 => {}
                Ok(answer) => {
                    assert!(matches!(answer.status, 200..=202 | 404 | 409 | 412 | 422), "{path}: {}", answer.text());
                    return answer;
                }
                Err(NoAnswer::NotSent | NoAnswer::Unknown(_)) => {}
            }
            let _ = tokio::time::timeout(Duration::from_millis(100), api.changed()).await;
        }
    }
}
