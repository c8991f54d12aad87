//! Customers without an id, and such whose addresses not every mail service takes.

use futures_util::TryStreamExt;
use ordo_client::{NewOrder, NewOrderItem, NewReturn, NewShipment};
use serde_json::{Value, json};
use testkit::{FaultyMailer, demo_order, eventually};

use crate::support::{Client, Ordo, PATIENCE, Setting, at_rest_with, run, settled};

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

/// A guest's order, from the POST to the refund, is nobody's and is told to the guest's address.
async fn a_guest_orders(settings: &[Setting<'_>]) {
    const GUEST: &str = "guest@example.com";
    let ordo = Ordo::up(settings).await;
    let client = ordo_client::Client::new(&ordo.api).unwrap();
    let order = NewOrder::of_guest("g-1", GUEST, "20.00", "EUR", [NewOrderItem::new("mug", 2, "10.00")]);
    let placed = client.place_order(&order).await.unwrap();
    assert_eq!(client.place_order(&order).await.unwrap(), placed);
    let of_customer = NewOrder { customer_id: Some("customer-42".to_owned()), ..order.clone() };
    assert_eq!(client.place_order(&of_customer).await.unwrap_err().code(), Some("order-exists"));
    settled(&ordo.client(), "g-1").await;

    client.ship_order("g-1", &NewShipment::default()).await.unwrap();
    client.deliver_order("g-1").await.unwrap();
    let lines = vec![ordo_client::LineQuantity { line_number: 1, quantity: 1.into() }];
    let back = client.request_return("g-1", &NewReturn { lines, ..NewReturn::default() }).await.unwrap();
    client.receive_return("g-1", back.return_id.as_deref().unwrap()).await.unwrap();
    let in_database = [settings, &[("DATABASE_URL", ordo.database.as_str())]].concat();
    at_rest_with(&in_database, 1, PATIENCE).await;

    let refunded = || async { client.order("g-1").await.unwrap().refunded.is_some_and(|it| it.amount == "10.00") };
    eventually(PATIENCE, refunded).await;
    let seen = client.order("g-1").await.unwrap();
    assert_eq!((seen.customer_id, seen.customer_email.as_deref()), (None, Some(GUEST)));
    let listed: Vec<_> = client.orders().stream().try_collect().await.unwrap();
    assert_eq!(listed.iter().map(|order| order.order_id.as_str()).collect::<Vec<_>>(), ["g-1"]);
    assert_eq!(ordo.client().get("/customers/guest/orders").await.json()["items"], json!([]));
    assert_eq!(client.order("g-1").as_of_version(1).await.unwrap().customer_id, None);
    let mails = Client::new(&ordo.inbox).get("/messages").await.json();
    assert!(mails.as_array().unwrap().iter().all(|mail| mail["to"] == json!([GUEST])), "{mails}");

    let shown = run(&["order", "show", "g-1"], &in_database).await;
    assert!(shown.out.contains("a guest, guest@example.com, ordered"), "{shown:?}");
    for replay in [&["replay", "--all", "--compare"][..], &["replay", "--all"]] {
        let replayed = run(replay, &in_database).await;
        assert_eq!(replayed.code, 0, "{replayed:?}");
    }
    assert_eq!(client.order("g-1").await.unwrap().customer_id, None);
}

#[tokio::test]
async fn a_guests_order_comes_to_its_end_and_is_in_no_customers_list() {
    a_guest_orders(&[]).await;
}

#[cfg(feature = "dynamodb")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guests_order_is_in_no_customers_list_in_dynamodb() {
    let dynamodb = testkit::dynamodb().await;
    let url = dynamodb.url();
    a_guest_orders(&[("ORDO_READ_MODELS", "dynamodb"), ("AWS_ENDPOINT_URL_DYNAMODB", &url)]).await;
}
