//! Goods by measure at several locations: orders and the stock together, from the choice of locations to what comes back.

use super::*;
use crate::ids::OrderId;
use crate::order::sourcing::{NeededUnits, choose_locations_or_backorder};
use crate::quantity::UnitOfMeasure;
use crate::stock::{self, BackorderLimitSet, Stock, StockCommand, StockError, StockReceived, StockTransferred};

fn kg() -> Option<UnitOfMeasure> {
    UnitOfMeasure::parse("kg").ok()
}

fn at(name: &str) -> LocationId {
    LocationId::parse(name).unwrap()
}

fn apples() -> Sku {
    by_weight().lines[0].sku.clone()
}

/// Apples, and the orders of them.
struct Shop(Stock);

impl Shop {
    /// Carries out a command on the SKU. Nothing is oversold by it, at any location.
    fn does(&mut self, command: StockCommand) -> Result<(), StockError> {
        for event in stock::decide(&self.0, command)? {
            stock::evolve(&mut self.0, event);
        }
        let Stock::Tracked(tracked) = &self.0 else { panic!("not tracked") };
        for here in tracked.locations.values() {
            let served: i64 = tracked
                .reservations(None)
                .filter(|it| std::ptr::eq(tracked.locations.get(it.location).unwrap(), here))
                .map(|it| i64::from(it.on_hand))
                .sum();
            assert!(here.on_hand >= 0 && served <= here.on_hand, "{here:?}");
        }
        Ok(())
    }

    fn receives(&mut self, quantity: u32, location: &str) {
        let receipt = StockReceived { quantity, location: at(location), unit: kg() };
        self.does(StockCommand::Receive(receipt)).unwrap();
    }

    fn moves(&mut self, from: &str, to: &str, quantity: u32) -> Result<(), StockError> {
        let transfer = StockTransferred { from: at(from), to: at(to), quantity, unit: kg() };
        self.does(StockCommand::Transfer(transfer))
    }

    /// `(location, on hand, reserved)`.
    fn levels(&self) -> Vec<(&str, i64, i64)> {
        let Stock::Tracked(tracked) = &self.0 else { panic!("not tracked") };
        tracked.locations.iter().map(|(location, it)| (location.as_str(), it.on_hand, it.reserved)).collect()
    }

    /// An order of so many thousandths that is promised; `None`: there is too little.
    fn takes(&mut self, id: &str, quantity: u32) -> Option<Taken> {
        let Stock::Tracked(tracked) = &self.0 else { panic!("not tracked") };
        let needed = [NeededUnits { sku: &apples(), quantity, stock: tracked }];
        let (units, backorders) = choose_locations_or_backorder(&needed, &[]).ok()?;
        let mut content = by_weight();
        content.lines[0].quantity = quantity;
        content.total_minor = content.lines[0].total(content.currency).minor();
        let held = PaymentAuthorized { payment_number: None, reference: "p".into(), amount_minor: content.total_minor };
        let expires_at = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let mut order = Taken { id: OrderId::parse(id).unwrap(), order: Order::Absent };
        for event in [
            OrderEvent::OrderCreated(content),
            OrderEvent::StockReserved(StockReserved { units, backorders, expires_at }),
            OrderEvent::PaymentAuthorized(held),
            confirmed(),
        ] {
            self.happens(&mut order, &event).unwrap();
        }
        Some(order)
    }

    /// Carries out a command on an order, with what it means for the stock. A refusal of the stock changes nothing.
    fn carries_out(&mut self, order: &mut Taken, command: &OrderCommand) -> Result<(), StockError> {
        let events = decide(&order.order, command.clone()).unwrap_or_else(|refusal| panic!("{command:?}: {refusal}"));
        let (stock, before) = (self.0.clone(), order.order.clone());
        let done = events.into_iter().try_for_each(|event| self.happens(order, &event));
        if done.is_err() {
            (self.0, order.order) = (stock, before);
        }
        done
    }

    fn happens(&mut self, order: &mut Taken, event: &OrderEvent) -> Result<(), StockError> {
        evolve(&mut order.order, event.clone());
        let Order::Placed(placed) = &order.order else { panic!("never placed") };
        let commands = implied_stock_commands(&order.id, placed, event);
        commands.into_iter().try_for_each(|(_, command)| self.does(command))
    }

    /// Ships so much, and takes the money for it.
    fn sends(&mut self, order: &mut Taken, id: &str, quantity: u32) -> Result<(), StockError> {
        let shipment_id = || ShipmentId::parse(id).unwrap();
        let lines = Some(line(quantity));
        let ship = ShipOrder { shipment_id: shipment_id(), lines, parcels: vec![], location: None };
        self.carries_out(order, &OrderCommand::ShipOrder(ship))?;
        let Order::Placed(placed) = &order.order else { panic!("never placed") };
        let amount_minor = placed.capture_minor(&shipment_id(), 1);
        let captured =
            PaymentCaptured { payment_number: None, shipment_id: shipment_id(), amount_minor, reference: "c".into() };
        self.carries_out(order, &OrderCommand::RecordPaymentCaptured(captured))
    }

    /// So much comes back, and is for sale again.
    fn gets_back(&mut self, order: &mut Taken, id: &str, quantity: u32) {
        let return_id = || ReturnId::parse(id).unwrap();
        let requested = ReturnRequested { return_id: return_id(), lines: line(quantity), reason: None };
        self.carries_out(order, &OrderCommand::RequestReturn(requested)).unwrap();
        let units = ReceivedLine { restock: true, ..LineQuantity { line_number: 1, quantity }.into() };
        let receipt_id = ReceiptId::parse(id).unwrap();
        let receipt = Some(NewReceipt { receipt_id, lines: Some(vec![units]), location: None });
        let received = ReceiveReturn { return_id: return_id(), receipt };
        self.carries_out(order, &OrderCommand::ReceiveReturn(received)).unwrap();
    }
}

/// An order that the shop has taken.
struct Taken {
    id: OrderId,
    order: Order,
}

#[test]
fn what_is_weighed_is_never_oversold_at_any_location() {
    let mut shop = Shop(Stock::default());
    shop.receives(1_500, "berlin");
    shop.receives(1_000, "ulm");
    assert!(shop.takes("too-much", 2_501).is_none());
    let mut first = shop.takes("first", 2_200).unwrap();
    assert_eq!(shop.levels(), [("berlin", 1_500, 1_500), ("ulm", 1_000, 700)]);
    assert!(shop.takes("second", 301).is_none());
    // What is reserved does not move, not by a thousandth.
    assert!(shop.moves("ulm", "hamburg", 301).is_err());
    shop.moves("ulm", "hamburg", 300).unwrap();
    assert_eq!(shop.levels(), [("berlin", 1_500, 1_500), ("hamburg", 300, 0), ("ulm", 700, 700)]);

    shop.sends(&mut first, "s-1", 1_999).unwrap();
    assert_eq!(shop.levels(), [("hamburg", 300, 0), ("ulm", 201, 201)]);
    let cancel = CancelLines { cancellation_id: CancellationId::parse("c").unwrap(), lines: line(200), reason: None };
    shop.carries_out(&mut first, &OrderCommand::CancelLines(cancel)).unwrap();
    assert_eq!(shop.levels(), [("hamburg", 300, 0), ("ulm", 201, 1)]);
    shop.sends(&mut first, "s-2", 1).unwrap();
    assert_eq!(shop.levels(), [("hamburg", 300, 0), ("ulm", 200, 0)]);

    // It goes back to where it was sent from.
    shop.gets_back(&mut first, "r-1", 1_600);
    assert_eq!(shop.levels(), [("berlin", 1_500, 0), ("hamburg", 300, 0), ("ulm", 300, 0)]);
    assert!(shop.takes("third", 2_101).is_none());
    assert!(shop.takes("third", 2_100).is_some());
}

#[test]
fn what_is_weighed_and_not_there_yet_is_promised_up_to_the_limit_and_ships_once_it_came() {
    let mut shop = Shop(Stock::default());
    shop.receives(500, "berlin");
    shop.receives(250, "ulm");
    let limit = BackorderLimitSet { limit: 1_250, available_at: None, location: at("berlin"), unit: kg() };
    shop.does(StockCommand::SetBackorderLimit(limit)).unwrap();
    assert!(shop.takes("too-much", 1_751).is_none());
    let mut first = shop.takes("first", 1_000).unwrap();
    assert_eq!(shop.levels(), [("berlin", 500, 1_000), ("ulm", 250, 0)]);
    let mut second = shop.takes("second", 750).unwrap();
    assert_eq!(shop.levels(), [("berlin", 500, 1_750), ("ulm", 250, 0)]);
    assert!(shop.takes("third", 251).is_none(), "the limit is reached");

    assert!(shop.sends(&mut first, "s-1", 501).is_err());
    shop.sends(&mut first, "s-1", 500).unwrap();
    assert!(shop.sends(&mut second, "s-1", 1).is_err());
    shop.moves("ulm", "berlin", 250).unwrap();
    shop.receives(251, "berlin");
    assert!(shop.sends(&mut second, "s-1", 2).is_err(), "the first one is served first");
    shop.sends(&mut first, "s-2", 500).unwrap();
    shop.sends(&mut second, "s-1", 1).unwrap();
    assert_eq!(shop.levels(), [("berlin", 0, 749)]);
    shop.gets_back(&mut first, "r-1", 300);
    assert!(shop.sends(&mut second, "s-2", 301).is_err());
    shop.sends(&mut second, "s-2", 300).unwrap();
    assert_eq!(shop.levels(), [("berlin", 0, 449)]);
}
