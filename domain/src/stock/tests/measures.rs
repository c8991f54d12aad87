//! A SKU that is counted in a unit of measure.

use super::*;
use crate::quantity::UnitOfMeasure;

fn kg() -> Option<UnitOfMeasure> {
    Some(UnitOfMeasure::parse("kg").unwrap())
}

pub(super) fn received(quantity: u32) -> StockEvent {
    StockEvent::StockReceived(StockReceived { unit: kg(), quantity, location: LocationId::default() })
}

fn receive(unit: Option<UnitOfMeasure>, quantity: u32) -> StockCommand {
    StockCommand::Receive(StockReceived { unit, quantity, location: LocationId::default() })
}

fn adjust(unit: Option<UnitOfMeasure>, delta: i64) -> StockCommand {
    StockCommand::Adjust(StockAdjusted { unit, delta, reason: "counted".into(), location: LocationId::default() })
}

fn reserve(unit: Option<UnitOfMeasure>, quantity: u32) -> StockCommand {
    let location = LocationId::default();
    StockCommand::Reserve(ReservationMade { unit, order_id: order("a"), quantity, expires_at: later(), location })
}

fn put_back(unit: Option<UnitOfMeasure>) -> StockCommand {
    StockCommand::PutBack(StockReturned { unit, ..came_back("a", 1) })
}

#[test]
fn the_first_receipt_says_in_which_unit_a_sku_is_counted_and_no_other_is_taken() {
    let g = Some(UnitOfMeasure::parse("g").unwrap());
    let by_weight = given([received(12_500)]);
    let by_the_piece = given([super::received(10)]);
    let commands: [fn(Option<UnitOfMeasure>, u32) -> StockCommand; 4] =
        [receive, |unit, quantity| adjust(unit, quantity.into()), reserve, |unit, _| put_back(unit)];
    for (stock, own, others) in [(&by_weight, kg(), [None, g]), (&by_the_piece, None, [kg(), g])] {
        for command in commands {
            assert_eq!(decide(stock, command(own, 5)).map(|events| events.len()), Ok(1));
            for other in others {
                assert_eq!(decide(stock, command(other, 5)), Err(StockError::OtherUnit { unit: own }));
            }
        }
    }
    assert_eq!(StockError::OtherUnit { unit: kg() }.to_string(), "the SKU is counted in kg");
    assert_eq!(StockError::OtherUnit { unit: None }.to_string(), "the SKU is counted by the piece");
    // Nobody counts what is not tracked.
    assert_eq!(decide(&Stock::Untracked, put_back(kg())), Ok(vec![]));
}

#[test]
fn what_is_measured_is_never_oversold_by_a_thousandth() {
    let stock = given([received(1_235)]);
    assert_eq!(
        decide(&stock, reserve(kg(), 1_236)),
        Err(StockError::NotEnough { available: Quantity::of(1_235, kg()) })
    );
    let all = decide(&stock, reserve(kg(), 1_235)).unwrap();
    let stock = given([received(1_235)].into_iter().chain(all));
    let reserved = Quantity::of(1_235, kg());
    assert_eq!(decide(&stock, adjust(kg(), -1)), Err(StockError::BelowReserved { reserved }));
    assert_eq!(
        StockError::BelowReserved { reserved }.to_string(),
        "1.235 are reserved for orders: the count can't be lower"
    );
}

#[test]
fn what_is_said_of_a_unit_is_stored_as_in_its_golden_files() {
    let returned = StockReturned { unit: kg(), return_id: ReturnId::parse("r-1").unwrap(), ..came_back("shop-5", 500) };
    let moved = StockTransferred { unit: kg(), from: location("berlin"), to: LocationId::default(), quantity: 2_500 };
    let (expires_at, location) = (later(), LocationId::default());
    let made = ReservationMade { unit: kg(), order_id: order("shop-5"), quantity: 1_235, expires_at, location };
    let adjusted = StockAdjusted { unit: kg(), delta: -500, reason: "counted".into(), location: LocationId::default() };
    let events = [
        received(12_500),
        StockEvent::StockAdjusted(adjusted),
        StockEvent::StockReturned(returned),
        StockEvent::StockTransferred(moved),
        StockEvent::ReservationMade(made),
    ];
    golden::check_today::<Stock>(FOLDER, events);
}
