//! An order as it was: over HTTP, and as `ordo order` shows it.

use serde_json::{Value, json};
use testkit::demo_order;

use crate::support::{Finished, Ordo, run, settled};

#[tokio::test]
async fn an_order_is_shown_as_it_was_and_what_changed_since() {
    // Given
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    let mut order = demo_order("a");
    order["paymentToken"] = json!("tok_ok");
    client.order(&order).await;
    let now = settled(&client, "a").await;
    assert_eq!(now["version"], 5);

    // Over HTTP and from the command line it is the same.
    for version in 1..=5 {
        let answered = client.get(&format!("/orders/a?asOf={version}")).await;
        assert_eq!((answered.status, answered.header("etag")), (200, format!("\"{version}\"").as_str()));
        let told = command(&ordo, &["show", "a", "--as-of", &version.to_string(), "--json"]).await;
        assert_eq!(serde_json::from_str::<Value>(&told.out).unwrap(), answered.json());
        assert!(!told.out.contains("tok_ok"), "{}", told.out);
    }
    let told = command(&ordo, &["show", "a", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&told.out).unwrap(), now);
    let second = client.get("/orders/a?asOf=2").await.json();
    let told = command(&ordo, &["show", "a", "--as-of", second["updatedAt"].as_str().unwrap()]).await;
    assert!(told.out.starts_with("a  pending  ") && told.out.contains("\nversion 2 of 5, since "), "{}", told.out);
    assert!(told.out.contains("\n     1  sku-123  Wireless Headphones         1  129.99  129.99\n"), "{}", told.out);
    assert!(told.out.contains("\nmoney       none; total 129.99 USD\n"), "{}", told.out);
    // What sagas are at is known of now.
    assert!(!told.out.contains("order_fulfilment"), "{}", told.out);
    let told = command(&ordo, &["show", "a"]).await;
    assert!(told.out.contains("\norder_fulfilment\n  reserve_stock "), "{}", told.out);
    assert!(told.out.contains("\nmails\n  order-confirmed  sent  "), "{}", told.out);

    // What changed.
    let told = command(&ordo, &["diff", "a", "2", "5"]).await;
    let headline = "a  from version 2 to 5: PaymentAuthorized, OrderConfirmed, NotificationSent";
    assert_eq!(told.out.lines().next(), Some(headline));
    assert!(told.out.contains("\n  ~ /paymentStatus  \"none\" -> \"authorized\"\n"), "{}", told.out);
    assert!(told.out.contains("\n  + /mails/0/template  \"order-confirmed\"\n"), "{}", told.out);
    let told = command(&ordo, &["diff", "a", "5", "2"]).await;
    assert!(told.out.contains("\n  - /mails/0/template  \"order-confirmed\"\n"), "{}", told.out);
    let told = command(&ordo, &["diff", "a", "2", "4", "--json"]).await;
    let changes: Value = serde_json::from_str(&told.out).unwrap();
    let status = json!({ "path": "/status", "old": "pending", "new": "confirmed" });
    assert!(changes.as_array().unwrap().contains(&status), "{changes}");
    assert_eq!(command(&ordo, &["diff", "a", "3", "3", "--json"]).await.out, "[]\n");
}

#[tokio::test]
async fn what_there_never_was_is_said_to_be_missing() {
    let ordo = Ordo::up(&[]).await;
    ordo.client().order(&demo_order("a")).await;
    settled(&ordo.client(), "a").await;
    for (arguments, code, says) in [
        (vec!["show", "b"], 1, "ordo: there is no order b\n"),
        (vec!["show", "a", "--as-of", "6"], 1, "ordo: order a has no version 6; it has 1 to 5\n"),
        (vec!["diff", "a", "1", "6"], 1, "ordo: order a has no version 6; it has 1 to 5\n"),
        (
            vec!["show", "a", "--as-of", "2001-01-01T00:00:00Z"],
            1,
            "ordo: there was no order a at that time; it was created at ",
        ),
        (vec!["show", "a", "--as-of", "0"], 2, "must be a version of the order, from 1 on, or an instant"),
        (vec!["diff", "a", "1", "yesterday"], 2, "must be a version of the order, from 1 on, or an instant"),
        (vec!["diff", "a", "1"], 2, "<V2>"),
    ] {
        let told = run(&[&["order"], arguments.as_slice()].concat(), &[("DATABASE_URL", &ordo.database)]).await;
        assert_eq!((told.code, told.out.as_str()), (code, ""), "{arguments:?}");
        assert!(told.err.contains(says), "{arguments:?}: {}", told.err);
    }
}

async fn command(ordo: &Ordo, arguments: &[&str]) -> Finished {
    let told = run(&[&["order"], arguments].concat(), &[("DATABASE_URL", &ordo.database)]).await;
    assert_eq!((told.code, told.err.as_str()), (0, ""), "{arguments:?}");
    told
}
