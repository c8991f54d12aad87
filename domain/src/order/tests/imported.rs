//! Orders of another system: they are there as they were, and nothing is to be done for them.

use chrono::TimeDelta;

use super::*;
use crate::order::import::{IMPORT_SOURCE, ImportedStatus, OrderImport, import};
use crate::order::parse::PostedImport;
use crate::order::units::implied_stock_commands;
use crate::order::{AuthorizationState, PaymentStatus};

const ORDER: &str = r#"{
    "orderId": "o-1", "customerId": "c-1", "currency": "EUR", "totalAmount": "30.00", "placedAt": "2024-03-01T10:00:00Z",
    "items": [{"sku": "cup", "quantity": 2, "unitPrice": "10.00"}, {"sku": "pot", "quantity": 1, "unitPrice": "10.00"}],
    "payments": [{"method": "gift card", "amount": "5.00", "reference": "g-1"}, {"method": "card", "amount": "25.00", "reference": "ch-1"}],
    "status": "STATUS"
}"#;

fn posted(status: ImportedStatus) -> OrderImport {
    PostedImport::parse(ORDER.replace("STATUS", status.as_str()).as_bytes()).unwrap().import
}

fn imported(status: ImportedStatus) -> (PlacedOrder, Vec<OrderEvent>) {
    let events = import(&Order::Absent, posted(status), "shop:web").unwrap();
    let mut order = Order::Absent;
    events.iter().for_each(|event| evolve(&mut order, event.clone()));
    let Order::Placed(placed) = order else { panic!("it was imported") };
    (*placed, events)
}

#[test]
fn each_status_is_as_it_was_elsewhere() {
    let seen = ImportedStatus::ALL.map(|status| {
        let (order, _) = imported(status);
        (order.stage(), order.captured_minor(), order.refunded_minor())
    });
    assert_eq!(
        seen,
        [
            (OrderStage::Confirmed, 0, 0),
            (OrderStage::Shipped, 3000, 0),
            (OrderStage::Completed, 3000, 0),
            (OrderStage::Cancelled, 0, 0)
        ]
    );
    assert_eq!(imported(ImportedStatus::Delivered).0.payment_status(), PaymentStatus::Captured);
}

#[test]
fn nothing_is_left_to_be_done_and_no_unit_moves() {
    for status in ImportedStatus::ALL {
        let (order, events) = imported(status);
        assert_eq!(order.owed_mail(), None, "{status:?}");
        assert_eq!(order.next_capture(), None, "{status:?}");
        // Its invoice is another system's.
        assert_eq!(order.next_due_document(true), None, "{status:?}");
        assert!(order.manual_refunds().next().is_none() && !order.may_hold_money(), "{status:?}");
        assert!(!order.holds_units() && order.stage() != OrderStage::Pending, "{status:?}");
        assert_eq!(order.content.source.as_deref(), Some(IMPORT_SOURCE));
        let asked =
            events.iter().any(|event| matches!(event, OrderEvent::StockReserved(_) | OrderEvent::PaymentAuthorized(_)));
        assert!(!asked, "{events:?}");
        let held = order.payments.iter().any(|payment| matches!(payment.state, AuthorizationState::Authorized { .. }));
        assert!(!held, "{status:?}");
    }
}

#[test]
fn it_is_imported_once_and_no_other_takes_its_place() {
    let (order, _) = imported(ImportedStatus::Shipped);
    let order = Order::Placed(Box::new(order));
    for status in ImportedStatus::ALL {
        assert_eq!(import(&order, posted(status), "shop:web"), Ok(vec![]), "{status:?}");
    }
    let mut other = posted(ImportedStatus::Shipped);
    other.content.notes = Some("another".to_owned());
    assert_eq!(import(&order, other, "shop:web"), Err(OrderError::ExistsWithOtherContent));
}

#[test]
fn what_comes_after_is_as_of_any_order() {
    // Given one that is confirmed, when it is shipped, then its mail is owed, and its share is captured from what was paid elsewhere.
    let (mut order, _) = imported(ImportedStatus::Confirmed);
    let shipped =
        ShipOrder { shipment_id: ShipmentId::parse("s-1").unwrap(), lines: None, parcels: vec![], location: None };
    for event in order.decide(OrderCommand::ShipOrder(shipped)).unwrap() {
        order.apply(event);
    }
    assert_eq!(order.owed_mail(), Some((MailTemplate::OrderShipped, 0)));
    assert_eq!(order.next_capture().map(|(_, capture)| capture.payment_number), Some(1));
    // And its units are not in the stock.
    let order_id = OrderId::parse("o-1").unwrap();
    let confirmed = OrderEvent::OrderConfirmed(OrderConfirmed { mail_staff: false });
    assert!(implied_stock_commands(&order_id, &order, &confirmed).is_empty());
}

#[test]
fn it_counts_as_sold_when_it_was_placed() {
    let (order, _) = imported(ImportedStatus::Delivered);
    let placed_at = order.content.placed_at.unwrap();
    let stored_at = placed_at + TimeDelta::days(700);
    assert_eq!(order.content.sold_at(stored_at), placed_at);
    let posted = OrderCreated { source: None, ..order.content };
    assert_eq!(posted.sold_at(stored_at), stored_at);
}

#[test]
fn what_is_no_import_is_refused_by_name() {
    let refused = |from: &str, to: &str| {
        assert!(ORDER.contains(from), "{from}");
        let body = ORDER.replace("STATUS", "confirmed").replacen(&from.replace("STATUS", "confirmed"), to, 1);
        let crate::body::InvalidBody::Invalid(violations) = PostedImport::parse(body.as_bytes()).unwrap_err() else {
            panic!("{body}")
        };
        violations.into_iter().map(|found| found.pointer).collect::<Vec<_>>()
    };
    assert_eq!(refused("\"STATUS\"", "\"paid\""), ["/status"]);
    assert_eq!(refused("\"status\": \"STATUS\"", "\"notes\": \"n\""), ["/status"]);
    assert_eq!(refused("\"placedAt\": \"2024-03-01T10:00:00Z\",", ""), ["/placedAt"]);
    assert_eq!(refused("\"orderId\": \"o-1\",", ""), ["/orderId"]);
    assert_eq!(refused("\"orderId\": \"o-1\",", "\"orderId\": \"import\","), ["/orderId"]);
    assert_eq!(refused(", \"reference\": \"ch-1\"", ""), ["/payments/1/reference"]);
    assert_eq!(refused("\"customerId\"", "\"source\": \"shopware\", \"customerId\""), ["/source"]);
    assert_eq!(refused("\"customerId\"", "\"parcels\": [{\"carrier\": \"DHL\"}], \"customerId\""), ["/parcels"]);
    assert_eq!(refused("\"customerId\"", "\"stage\": 1, \"customerId\""), ["/stage"]);
}
