//! Everybody wants one SKU, and there is not enough of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use embedded::inbox::Message;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::support::{Client, Deployment, Ordo, at_rest, order_of};

/// `bench flash-sale --units 100 --orders 2000 --runs 20` does the same with more.
const UNITS: usize = 20;
const ORDERS: usize = 300;
const CLIENTS: usize = 64;
const SKU: &str = "last-ones";
const KILLS: usize = 5;
/// Far above what it takes, on a machine that does much else.
const BOUND: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_are_sold_as_there_are_and_everybody_else_is_told_why_not() {
    let ordo = Ordo::up(&[("ORDO_LOG", "warn")]).await;
    let client = ordo.client();
    client.receive(SKU, UNITS).await;

    post_all(&client).await;

    let told = at_rest(&ordo.database, ORDERS, BOUND).await;
    assert_sold_out(&told, &client).await;
    let inbox = Client::new(&ordo.inbox).get("/messages?limit=10000").await.json();
    let mails: Vec<(String, String)> = inbox
        .as_array()
        .unwrap()
        .iter()
        .map(|mail| (mail["subject"].as_str().unwrap().to_owned(), mail["text"].as_str().unwrap().to_owned()))
        .collect();
    assert_everybody_was_told(&mails);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_are_sold_while_the_sagas_are_killed_again_and_again() {
    let deployment = Deployment::new(&[]).await;
    let (shop, _notification) =
        tokio::join!(deployment.serve("command-api,projections"), deployment.serve("notification"));
    let client = shop.client();
    client.receive(SKU, UNITS).await;
    let mut sagas = deployment.serve("sagas").await;

    let posting = tokio::spawn({
        let client = client.clone();
        async move { post_all(&client).await }
    });
    let mut random = StdRng::seed_from_u64(4);
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(random.random_range(20..400))).await;
        sagas.kill().await;
        sagas = deployment.serve("sagas").await;
    }
    posting.await.unwrap();

    let told = at_rest(deployment.database.url(), ORDERS, BOUND).await;
    assert_sold_out(&told, &client).await;
    let mails = deployment.inbox.messages();
    let text = |mail: &Arc<Message>| (mail.subject.clone(), mail.text.clone().unwrap());
    assert_everybody_was_told(&mails.iter().map(text).collect::<Vec<_>>());
}

async fn post_all(client: &Client) {
    let next = AtomicUsize::new(0);
    let post = || async {
        loop {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            if nth >= ORDERS {
                return;
            }
            let answer = client.order(&order_of(&format!("sale-{nth}"), None, &[(SKU, 1)])).await;
            assert_eq!(answer.status, 201, "{}", answer.text());
        }
    };
    join_all((0..CLIENTS).map(|_| post())).await;
}

async fn assert_sold_out(told: &Value, client: &Client) {
    assert_eq!((&told["sagas"]["completed"], &told["sagas"]["compensated"]), (&json!(UNITS), &json!(ORDERS - UNITS)));
    let path = format!("/stock/{SKU}?minPosition={}", told["position"]);
    let stock = client.get(&path).await.json();
    assert_eq!((&stock["onHand"], &stock["available"]), (&json!(UNITS), &json!(0)), "{stock}");
}

fn assert_everybody_was_told(mails: &[(String, String)]) {
    let about: BTreeSet<&str> = mails.iter().map(|(subject, _)| subject.split(' ').nth(1).unwrap()).collect();
    assert_eq!((mails.len(), about.len()), (ORDERS, ORDERS));
    let (confirmed, rejected): (Vec<_>, Vec<_>) =
        mails.iter().partition(|(subject, _)| subject.ends_with(" confirmed"));
    assert_eq!(confirmed.len(), UNITS);
    for (subject, text) in rejected {
        assert!(subject.ends_with(" could not be accepted"), "{subject}");
        let says_why = text.contains(&format!("Reason: not enough in stock: {SKU}"));
        assert!(says_why && !text.contains("left"), "how many there are is nobody's business: {text}");
    }
}
