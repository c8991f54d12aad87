//! The Rust client understands what the platform answers.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use ordo_client::{
    Client, Error, LineQuantity, NewNote, NewOrder, NewOrderItem, NewRefund, NewReturn, NewShipment, NewTrackingInfo,
    OrderView,
};

use crate::support::Ordo;

fn order(order_id: &str, sku: &str) -> NewOrder {
    NewOrder::new(order_id, "customer-42", "30.50", "USD", [NewOrderItem::new(sku, 2, "15.25")])
}

/// Waits until the order has had these events.
async fn until(client: &Client, order_id: &str, names: &[&str]) {
    let mut missing: BTreeSet<&str> = names.iter().copied().collect();
    let mut events = pin!(client.live().after(0).stream_type("order").stream_id(order_id).stream());
    let seen = async {
        while !missing.is_empty() {
            missing.remove(events.next().await.unwrap().unwrap().event_type.as_str());
        }
    };
    tokio::time::timeout(Duration::from_secs(60), seen).await.unwrap();
}

#[tokio::test]
async fn an_orders_whole_life_can_be_programmed() {
    // Given
    let ordo = Ordo::up(&[]).await;
    let client = Client::new(&ordo.api).unwrap();
    assert!(client.health().await.unwrap().is_ready());
    assert_eq!(client.receive_stock("sku:1", 10).await.unwrap().sku.as_deref(), Some("sku:1"));
    client.adjust_stock("sku:1", -1, "counted").if_version(1).await.unwrap();
    client.set_low_stock_threshold("sku:1", 8).await.unwrap();

    // When
    let placed = client.place_order(&order("o-1", "sku:1")).await.unwrap();
    assert_eq!(client.place_order(&order("o-1", "sku:1")).await.unwrap(), placed);
    until(&client, "o-1", &["OrderConfirmed"]).await;
    let held = client.stock_reservations("sku:1").page(None).await.unwrap().items;
    assert_eq!((held[0].order_id.as_str(), &held[0].on_hand, &held[0].waiting), ("o-1", &2.into(), &0.into()));
    let parcels = vec![NewTrackingInfo { carrier: Some("DHL".to_owned()), tracking: Some("T1".to_owned()) }];
    let shipped = client.ship_order("o-1", &NewShipment { parcels, ..NewShipment::default() }).await.unwrap();
    client.deliver_order("o-1").await.unwrap();
    let note = NewNote { text: "left at the door".to_owned(), ..NewNote::default() };
    client.add_note("o-1", &note).await.unwrap();
    let lines = vec![LineQuantity { line_number: 1, quantity: 1.into() }];
    let back = client.request_return("o-1", &NewReturn { lines, ..NewReturn::default() }).await.unwrap();
    client.receive_return("o-1", back.return_id.as_deref().unwrap()).await.unwrap();
    until(&client, "o-1", &["PaymentCaptured", "PaymentRefunded"]).await;
    let refund = NewRefund { amount: Some("1.25".to_owned()), ..NewRefund::default() };
    let refunded = client.refund_order("o-1", &refund).await.unwrap();

    // Then
    let order_now = client.order("o-1").min_position(refunded.position).await.unwrap();
    assert_eq!(order_now.fulfilment_status.as_deref(), Some("delivered"));
    assert_eq!((&order_now.lines[0].shipped, &order_now.lines[0].returned), (&2.into(), &1.into()));
    assert_eq!(order_now.shipments[0].shipment_id, shipped.shipment_id.unwrap());
    assert_eq!(order_now.shipments[0].parcels[0].carrier.as_deref(), Some("DHL"));
    assert_eq!((order_now.total.amount.as_str(), order_now.total.currency.as_str()), ("30.50", "USD"));
    let expanded = client.order("o-1").expand(&["events", "saga"]).await.unwrap();
    assert_eq!(expanded.events.unwrap().items[0].event_type, "OrderCreated");
    assert_eq!(expanded.saga.unwrap()["orderId"], "o-1");
    assert_eq!(client.order("o-1").as_of_version(1).await.unwrap().status, "pending");
    assert_eq!(client.notes("o-1").page(None).await.unwrap().items[0].text, "left at the door");
    assert_eq!(client.refunds("o-1").stream().try_collect::<Vec<_>>().await.unwrap().len(), 2);
    assert_eq!(client.returns("o-1").stream().try_collect::<Vec<_>>().await.unwrap().len(), 1);
    assert_eq!(client.shipments("o-1").stream().try_collect::<Vec<_>>().await.unwrap().len(), 1);
    assert!(client.cancellations("o-1").page(None).await.unwrap().items.is_empty());
    let timeline: Vec<_> = client.timeline("o-1").limit(3).stream().try_collect().await.unwrap();
    assert!(timeline.iter().zip(1..).all(|(event, version)| event.version == version), "{timeline:?}");
    let level = client.stock_level("sku:1").await.unwrap();
    assert_eq!((level.tracked, &level.on_hand, &level.sold), (true, &7.into(), &2.into()));
    assert!(level.low_stock.as_ref().unwrap().low);
    assert_eq!(client.low_stock_levels().page(None).await.unwrap().items[0].sku, "sku:1");
    assert!(!client.stock_level("unheard-of").await.unwrap().tracked);
    assert_eq!(client.stock_levels().stream().try_collect::<Vec<_>>().await.unwrap(), [level]);
    let day = order_now.created_at.date_naive();
    let sales = client.sales(&day.to_string(), &day.succ_opt().unwrap().to_string()).await.unwrap();
    assert_eq!((sales.totals[0].orders, sales.totals[0].total.amount.as_str()), (1, "30.50"));
}

#[tokio::test]
async fn units_are_received_at_a_location_and_moved_to_another() {
    let ordo = Ordo::up(&[]).await;
    let client = Client::new(&ordo.api).unwrap();
    client.receive_stock_at("mug", 3, "berlin").await.unwrap();
    let moved = client.transfer_stock("mug", "berlin", "ulm", 1).await.unwrap();
    let level = client.stock_level("mug").min_position(moved.position).await.unwrap();
    let levels: Vec<_> = level.locations.iter().map(|it| (it.location.as_str(), it.on_hand.clone())).collect();
    assert_eq!(levels, [("berlin", 2.into()), ("ulm", 1.into())]);

    client.receive_stock_by_measure("apples", "12.5", "kg").await.unwrap();
    let set = client.backorder_stock("mug", 5, None).await.unwrap();
    let apples = client.stock_level("apples").min_position(set.position).await.unwrap();
    assert_eq!((apples.on_hand.to_string(), apples.unit.as_deref()), ("12.5".to_owned(), Some("kg")));
    let mug = client.stock_level("mug").await.unwrap();
    assert_eq!(mug.backorder.map(|it| (it.limit, it.location)), Some((5.into(), "default".to_owned())));
}

#[tokio::test]
async fn refusals_are_typed_and_lists_are_walked() {
    let ordo = Ordo::up(&[]).await;
    let client = Client::new(&ordo.api).unwrap();
    let mut last = 0;
    for nth in 0..5 {
        last = client.place_order(&order(&format!("o-{nth}"), "sku-1")).await.unwrap().position;
    }
    let orders = client.orders().customer_id("customer-42").expand(&["lines"]).limit(2).min_position(last).stream();
    let orders: Vec<OrderView> = orders.try_collect().await.unwrap();
    assert!(orders.iter().all(|order| order.lines.len() == 1 && order.shipments.is_empty()), "{orders:?}");
    let found: BTreeSet<String> = orders.into_iter().map(|order| order.order_id).collect();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["o-0", "o-1", "o-2", "o-3", "o-4"]);

    let wrong = NewOrder { currency: "XXL".to_owned(), ..order("o-9", "sku-1") };
    let Error::Problem(problem) = client.place_order(&wrong).await.unwrap_err() else { panic!("no problem") };
    assert_eq!(
        (problem.status, problem.code.as_str(), problem.errors[0].pointer.as_str()),
        (422, "invalid", "/currency")
    );
    assert!(problem.trace_id.is_some());
    let meaning = problem.r#type.strip_prefix("/problems/").unwrap();
    assert_eq!(client.get(&["problems", meaning], &[]).await.unwrap()["code"], "invalid");
    assert_eq!(client.order("o-9").await.unwrap_err().code(), Some("not-found"));
    let other = client.place_order(&order("o-1", "sku-2")).await.unwrap_err();
    assert_eq!(other.code(), Some("order-exists"));
    let stale = client.add_note("o-1", &NewNote { text: "n".to_owned(), ..NewNote::default() }).if_version(77).await;
    assert!(stale.unwrap_err().problem().unwrap().members["currentVersion"].is_number());
}
