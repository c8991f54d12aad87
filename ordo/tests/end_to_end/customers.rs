//! Customers whose addresses not every mail service takes.

use serde_json::{Value, json};
use testkit::{FaultyMailer, demo_order};

use crate::support::{Client, Ordo, settled};

const ADDRESS: &str = "jörg@müller.example";

fn order_to(order_id: &str, address: &str) -> Value {
    let mut order = demo_order(order_id);
    order["customerEmail"] = json!(address);
    order
}

#[tokio::test]
async fn the_inbox_takes_a_mail_to_an_address_beyond_ascii() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();

    client.order(&order_to("a", ADDRESS)).await;

    let order = settled(&client, "a").await;
    assert_eq!(
        (&order["customerEmail"], &order["mails"][0]["recipient"]),
        (&json!(ADDRESS), &json!(ADDRESS)),
        "{order}"
    );
    assert_eq!(order["mails"][0]["status"], "sent");
    let mails = Client::new(&ordo.inbox).get("/messages").await.json();
    assert_eq!(mails[0]["to"], json!(["jörg@xn--mller-kva.example"]), "{mails}");
}

#[tokio::test]
async fn a_mail_that_ses_would_not_take_is_given_up_with_the_reason_and_holds_up_no_other() {
    let mailer = FaultyMailer::start().await;
    let ordo = Ordo::up(&[("AWS_ENDPOINT_URL_SESV2", &mailer.url())]).await;
    let client = ordo.client();

    client.order(&order_to("a", ADDRESS)).await;
    client.order(&order_to("b", "ann@müller.example")).await;

    let order = settled(&client, "a").await;
    assert_eq!((&order["status"], &order["mails"][0]["status"]), (&json!("confirmed"), &json!("failed")), "{order}");
    let reason = order["mails"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("SES has no SMTPUTF8"), "{reason}");
    assert_eq!(settled(&client, "b").await["mails"][0]["status"], "sent");
    assert_eq!(mailer.messages()[0].to, ["ann@xn--mller-kva.example"]);
    assert_eq!(mailer.requests(), 1);
}
