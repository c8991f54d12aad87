//! Mails to the staff of the shop about new orders.

use std::collections::BTreeMap;
use std::sync::Arc;

use access_control::Role;
use embedded::inbox::Message;
use serde_json::json;
use testkit::{FaultyMailer, Response, demo_order, eventually};

use crate::access::{SECRET, as_role};
use crate::support::{Ordo, PATIENCE, at_rest, folder, run, settled};

const STAFF: [&str; 2] = ["packing@shop.example", "boss@shop.example"];

/// How many mails went to staff about each order.
fn to_staff(messages: &[Arc<Message>]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for message in messages.iter().filter(|message| message.to == STAFF) {
        *counts.entry(message.subject.clone()).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_get_exactly_one_mail_about_each_order_over_a_kill() {
    // Given a mail service that takes nothing, and orders that are confirmed meanwhile
    let (mailer, data_dir) = (FaultyMailer::start().await, folder());
    let (url, staff) = (mailer.url(), STAFF.join(","));
    let settings = [
        ("AWS_ENDPOINT_URL_SESV2", url.as_str()),
        ("ORDO_NOTIFICATION_DEADLINE", "1"),
        ("ORDO_MAIL_STAFF", staff.as_str()),
        ("ORDO_MAIL_STAFF_LOCALE", "de"),
        ("ORDO_TOKEN_SECRET", SECRET),
    ];
    mailer.always(Response::HangUp);
    let mut ordo = Ordo::up_on(data_dir.path(), &settings).await;
    let ids: Vec<String> = (0..5).map(|nth| format!("o-{nth}")).collect();
    for id in &ids {
        let mut order = demo_order(id);
        order["customer"] = json!({ "name": "Ada Lovelace" });
        assert_eq!(ordo.client().order(&order).await.status, 201);
    }
    let mut declined = demo_order("declined");
    declined["paymentToken"] = json!("tok_declined");
    assert_eq!(ordo.client().order(&declined).await.status, 201);
    eventually(PATIENCE, || async { mailer.requests() > 0 }).await;

    // When it is killed, and goes on
    ordo.kill().await;
    mailer.always(Response::Accept);
    let mut ordo = Ordo::up_on(data_dir.path(), &settings).await;
    at_rest(&ordo.database, 6, PATIENCE).await;

    // Then each order that was confirmed has one mail to staff, in their language, and one to its customer.
    let expected: BTreeMap<String, usize> = ids.iter().map(|id| (format!("Neue Bestellung {id}"), 1)).collect();
    assert_eq!(to_staff(&mailer.messages()), expected);
    assert_eq!(mailer.messages().len(), 2 * ids.len() + 1);
    let order = settled(&ordo.client(), "o-0").await;
    let mails: Vec<_> =
        order["mails"].as_array().unwrap().iter().map(|mail| (&mail["template"], &mail["recipient"])).collect();
    assert!(mails.contains(&(&json!("staff-new-order"), &json!("staff"))), "nobody sees their addresses: {order}");
    let messages = mailer.messages();
    let to_staff_first = messages.iter().find(|message| message.to == STAFF).unwrap();
    assert!(to_staff_first.text.as_deref().unwrap_or_default().contains("Ada Lovelace"), "{to_staff_first:?}");

    // And its customer does not see that there is such a mail.
    let customer = as_role(&ordo, Role::Customer);
    for path in ["/orders/o-0", "/orders/o-0/mails", "/orders/o-0/events"] {
        let seen = customer.get(path).await;
        assert_eq!(seen.status, 200, "{path}");
        assert!(seen.text().contains("order-confirmed") && !seen.text().contains("staff"), "{path}: {}", seen.text());
    }

    // And it stays at that when it is killed once more.
    ordo.kill().await;
    let ordo = Ordo::up_on(data_dir.path(), &settings).await;
    at_rest(&ordo.database, 6, PATIENCE).await;
    assert_eq!(to_staff(&mailer.messages()), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_to_staff_that_is_refused_holds_up_no_customer() {
    let mailer = FaultyMailer::start().await;
    let (url, staff) = (mailer.url(), STAFF.join(","));
    let ordo = Ordo::up(&[("AWS_ENDPOINT_URL_SESV2", &url), ("ORDO_MAIL_STAFF", &staff)]).await;
    mailer.next(1, Response::Accept);
    mailer.next(1, Response::Reject);
    let client = ordo.client();
    client.order(&demo_order("a")).await;
    eventually(PATIENCE, || async { mailer.requests() == 2 }).await;
    client.post("/orders/a/ship", "application/json", "{}").await;
    at_rest(&ordo.database, 1, PATIENCE).await;

    let subjects: Vec<_> = mailer.messages().iter().map(|message| message.subject.clone()).collect();
    assert_eq!(subjects, ["Order a has shipped", "Order a confirmed"]);
    let order = settled(&client, "a").await;
    let failed = order["mails"].as_array().unwrap().iter().find(|mail| mail["status"] == "failed").unwrap();
    assert_eq!(failed["template"], "staff-new-order", "{order}");
}

#[tokio::test]
async fn addresses_of_staff_that_are_none_are_refused_by_name() {
    let many = (0..11).map(|nth| format!("s{nth}@shop.example")).collect::<Vec<_>>().join(",");
    for wrong in ["packing", "a@shop.example,a@shop.example", "a@shop.example,", many.as_str()] {
        let checked = run(&["config", "check"], &[("ORDO_MAIL_STAFF", wrong)]).await;
        assert!(checked.code != 0 && checked.out.contains("ORDO_MAIL_STAFF"), "{wrong}: {checked:?}");
    }
}
