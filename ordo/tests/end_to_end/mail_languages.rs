//! Mails in the language of their customer.

use serde_json::{Value, json};

use crate::support::{Client, Ordo, settled};

/// An order with two addresses, postage, discounts and taxes.
pub(crate) fn whole_order(order_id: &str, locale: &str) -> Value {
    let orders = include_str!("../../../domain/golden/posted/shop-orders.jsonl");
    let lines = orders.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut order = lines.into_iter().find(|order| order["name"] == "everything").unwrap()["body"].take();
    order["orderId"] = json!(order_id);
    order["customer"]["locale"] = json!(locale);
    order
}

/// The one mail about an order.
async fn mail_about(inbox: &Client, order_id: &str) -> Value {
    let mails = inbox.get("/messages").await.json();
    let about = mails.as_array().unwrap().iter().filter(|mail| mail["subject"].as_str().unwrap().contains(order_id));
    let [mail] = about.collect::<Vec<_>>()[..] else { panic!("not one mail about {order_id}: {mails}") };
    mail.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_gets_mails_in_their_language_and_english_if_there_are_none_in_it() {
    let ordo = Ordo::up(&[]).await;
    let (client, inbox) = (ordo.client(), Client::new(&ordo.inbox));
    let mut declined = whole_order("declined", "de");
    declined["paymentToken"] = json!("tok_declined");
    for order in [whole_order("viennese", "de-AT"), whole_order("quebecois", "fr-CA"), declined] {
        let posted = client.order(&order).await;
        assert_eq!(posted.status, 201, "{}", posted.text());
        settled(&client, order["orderId"].as_str().unwrap()).await;
    }

    let german = mail_about(&inbox, "viennese").await;
    assert_eq!(german["subject"], "Bestellung viennese bestätigt");
    assert_eq!(german["headers"]["Content-Language"], "de");
    let text = german["text"].as_str().unwrap();
    for said in [
        "Zwischensumme: €\u{a0}52,00\nRabatt: -€\u{a0}7,60\nVersand (Express): €\u{a0}5,00\nSteuern: €\u{a0}1,00\n",
        "Gesamtbetrag: €\u{a0}50,40\nIn den Preisen enthaltene Steuern: €\u{a0}6,39\n",
        "Voraussichtliche Lieferung: 4. Dezember 2026\n",
        "Lieferadresse:\n  Jörg Müller\n  Müller GmbH\n  Nebenstr. 7\n",
        "Rechnungsadresse:\n  Jörg Müller\n  Müller GmbH\n  Hauptstr. 5\n",
    ] {
        assert!(text.contains(said), "{said} is not in {text}");
    }
    assert!(german["html"].as_str().unwrap().contains("<html lang=\"de\">"));

    let english = mail_about(&inbox, "quebecois").await;
    assert_eq!(
        (&english["subject"], &english["headers"]["Content-Language"]),
        (&json!("Order quebecois confirmed"), &json!("en"))
    );
    assert!(english["text"].as_str().unwrap().contains("Total: €50.40\n"), "{english}");

    let rejected = mail_about(&inbox, "declined").await["text"].as_str().unwrap().to_owned();
    assert!(rejected.contains("Grund: die Zahlung wurde abgelehnt\n"), "{rejected}");
}
