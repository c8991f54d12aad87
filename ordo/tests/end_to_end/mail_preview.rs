//! `ordo mail preview` prints what is sent, to the letter.

use serde_json::Value;
use testkit::eventually;

use crate::mail_languages::whole_order;
use crate::support::{Client, Ordo, PATIENCE, run, settled};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_of_an_orders_mail_is_what_was_sent_to_the_letter() {
    let ordo = Ordo::up(&[("ORDO_MAIL_STAFF", "packing@shop.example"), ("ORDO_MAIL_STAFF_LOCALE", "de")]).await;
    let client = ordo.client();
    let posted = client.order(&whole_order("a", "de-AT")).await;
    assert_eq!(posted.status, 201, "{}", posted.text());
    settled(&client, "a").await;
    let parcels = r#"{"parcels": [{"carrier": "DHL", "tracking": "0034"}]}"#;
    let shipped = client.post("/orders/a/ship", "application/json", parcels).await;
    assert_eq!(shipped.status, 202, "{}", shipped.text());
    let inbox = Client::new(&ordo.inbox);
    eventually(PATIENCE, || async { inbox.get("/messages").await.json().as_array().unwrap().len() == 3 }).await;
    let sent = inbox.get("/messages").await.json();
    let sent_as = |subject: &str| -> Value {
        let of_it = sent.as_array().unwrap().iter().find(|mail| mail["subject"] == subject);
        of_it.unwrap_or_else(|| panic!("no {subject}: {sent}")).clone()
    };
    let preview = |template: &'static str, form: &'static str| {
        let database = ordo.database.clone();
        async move {
            let settings = [("DATABASE_URL", database.as_str()), ("ORDO_MAIL_STAFF_LOCALE", "de")];
            let done = run(&["mail", "preview", "--template", template, "--order", "a", form], &settings).await;
            assert_eq!(done.code, 0, "{done:?}");
            done.out
        }
    };

    for (template, subject) in [
        ("order_confirmed", "Bestellung a bestätigt"),
        ("order_shipped", "Bestellung a wurde versandt"),
        ("staff_new_order", "Neue Bestellung a"),
    ] {
        let mail = sent_as(subject);
        assert_eq!(preview(template, "--text").await, format!("{}\n", mail["text"].as_str().unwrap()));
        assert_eq!(preview(template, "--html").await, format!("{}\n", mail["html"].as_str().unwrap()));
    }
}

#[tokio::test]
async fn a_preview_needs_no_platform_for_the_sample_and_names_what_there_is() {
    let ask = |arguments: &'static [&'static str]| run(arguments, &[]);
    let german = ask(&["mail", "preview", "--template", "order-refunded", "--locale", "de-CH"]).await;
    assert!(german.out.starts_with("Subject: Erstattung zur Bestellung sample-1\n\n"), "{german:?}");
    let listed = ask(&["mail", "preview", "--list"]).await;
    let templates = "order_confirmed, order_rejected, order_cancelled, order_shipped, order_refunded, order_edited, \
                     payment_released, staff_new_order";
    assert_eq!(listed.out, format!("templates  {templates}\nlanguages  de, en\n"));

    let unknown = ask(&["mail", "preview", "--template", "order_teleported"]).await;
    assert!(unknown.code == 2 && unknown.err.contains(templates), "{unknown:?}");
    let unwritten = ask(&["mail", "preview", "--template", "order_confirmed", "--locale", "fr"]).await;
    assert!(unwritten.code == 2 && unwritten.err.contains("mails are written in de, en"), "{unwritten:?}");
    assert_eq!(ask(&["mail", "preview"]).await.code, 2);
}
