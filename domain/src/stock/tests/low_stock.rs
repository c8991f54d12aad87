//! A SKU that runs low, and recovers.

use super::*;

pub(super) fn threshold_set(threshold: u32) -> StockEvent {
    StockEvent::LowStockThresholdSet(LowStockThresholdSet { threshold, unit: None })
}

pub(super) fn ran_low(available: i64, threshold: u32) -> StockEvent {
    StockEvent::StockRanLow(StockRanLow { available, threshold, unit: None })
}

pub(super) fn recovered(available: i64, threshold: u32) -> StockEvent {
    StockEvent::StockRecovered(StockRecovered { available, threshold, unit: None })
}

pub(super) fn set_threshold(threshold: u32) -> StockCommand {
    StockCommand::SetLowStockThreshold(LowStockThresholdSet { threshold, unit: None })
}

/// Has all of it happen, and returns the events.
fn happens(commands: impl IntoIterator<Item = StockCommand>) -> Vec<StockEvent> {
    let (mut stock, mut all) = (Stock::default(), Vec::new());
    for command in commands {
        let events = decide(&stock, command).unwrap();
        events.iter().for_each(|event| evolve(&mut stock, event.clone()));
        all.extend(events);
    }
    all
}

#[test]
fn each_crossing_is_told_once_with_what_caused_it() {
    let events =
        happens([receive(10), set_threshold(5), reserve("a", 5), reserve("b", 1), reserve("c", 1), receive(1)]);
    let low = [made("b", 1), ran_low(4, 5), made("c", 1), received(1)];
    assert_eq!(events, [vec![received(10), threshold_set(5), made("a", 5)], low.to_vec()].concat());
    // What ships was not available before. The last unit that is needed comes back.
    let stock = given(events);
    assert_eq!(decide(&stock, commit("a", 5)), Ok(vec![committed("a", 5)]));
    assert_eq!(decide(&stock, release("b")), Ok(vec![released("b", 1), recovered(5, 5)]));
}

#[test]
fn a_threshold_can_make_a_sku_low_or_not() {
    assert_eq!(decide(&given([]), set_threshold(5)), Err(StockError::NotTracked));
    let stock = given([received(3)]);
    assert_eq!(decide(&stock, set_threshold(0)), Ok(vec![]));
    assert_eq!(decide(&stock, set_threshold(3)), Ok(vec![threshold_set(3)]));
    let low = [threshold_set(4), ran_low(3, 4)];
    assert_eq!(decide(&stock, set_threshold(4)), Ok(low.to_vec()));
    let stock = given([received(3)].into_iter().chain(low));
    assert_eq!(decide(&stock, set_threshold(4)), Ok(vec![]));
    assert_eq!(decide(&stock, set_threshold(9)), Ok(vec![threshold_set(9)]), "it is low already");
    assert_eq!(decide(&stock, set_threshold(3)), Ok(vec![threshold_set(3), recovered(3, 3)]));
    assert_eq!(decide(&stock, set_threshold(0)), Ok(vec![threshold_set(0), recovered(3, 0)]));
    assert_eq!(decide(&stock, set_threshold(MAX_CHANGE + 1)), Err(StockError::OutOfBounds));
    let ended = given([received(3), threshold_set(4), ran_low(3, 4), threshold_set(0), recovered(3, 0)]);
    assert_eq!(tracked(&ended).low_stock, None);
    assert_eq!(decide(&ended, reserve("a", 3)), Ok(vec![made("a", 3)]));
}

#[test]
fn what_moves_makes_no_difference_and_what_is_sold_ahead_does() {
    let set = [receive(10), set_threshold(10), move_units("default", "ulm", 4), backorders::limit(9)];
    assert!(!happens(set.clone()).iter().any(|event| matches!(event, StockEvent::StockRanLow(_))));
    let events = happens(set.into_iter().chain([reserve("a", 12)]));
    assert_eq!(events.last(), Some(&ran_low(-2, 10)));
}

#[test]
fn a_threshold_is_in_the_unit_of_the_sku() {
    let stock = given([measures::received(12_500)]);
    let kg = tracked(&stock).unit;
    assert_eq!(decide(&stock, set_threshold(5)), Err(StockError::OtherUnit { unit: kg }));
    let set = LowStockThresholdSet { threshold: 12_501, unit: kg };
    let ran_low = StockEvent::StockRanLow(StockRanLow { available: 12_500, threshold: 12_501, unit: kg });
    let events = vec![StockEvent::LowStockThresholdSet(set.clone()), ran_low];
    assert_eq!(decide(&stock, StockCommand::SetLowStockThreshold(set)), Ok(events));
}
