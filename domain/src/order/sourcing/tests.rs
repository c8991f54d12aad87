use proptest::prelude::*;

use super::*;
use crate::stock::{BackorderLimitSet, Stock, StockEvent, StockReceived, evolve};

fn location(name: &str) -> LocationId {
    LocationId::parse(name).unwrap()
}

fn stock(at: &[(&str, u32)]) -> TrackedStock {
    let mut stock = Stock::Tracked(TrackedStock::default());
    for (name, quantity) in at {
        evolve(
            &mut stock,
            StockEvent::StockReceived(StockReceived { unit: None, quantity: *quantity, location: location(name) }),
        );
    }
    let Stock::Tracked(tracked) = stock else { panic!("not tracked") };
    tracked
}

/// What is taken from where: `a` and `b` are the SKUs.
fn chosen(needed: &[(u32, TrackedStock)], preferred: &[&str]) -> Result<Vec<String>, Vec<Shortage>> {
    let skus: Vec<Sku> = ["a", "b", "c"].into_iter().map(|sku| Sku::parse(sku).unwrap()).collect();
    let needed: Vec<_> = skus
        .iter()
        .zip(needed)
        .map(|(sku, (quantity, stock))| NeededUnits { sku, quantity: *quantity, stock })
        .collect();
    let preferred: Vec<_> = preferred.iter().map(|name| location(name)).collect();
    let units = choose_locations(&needed, &preferred)?;
    Ok(units.iter().map(|it| format!("{} {} {}", it.quantity, it.sku, it.location)).collect())
}

#[test]
fn one_location_that_has_everything_sends_everything() {
    let needed = [(2, stock(&[("berlin", 9), ("hamburg", 1), ("ulm", 2)])), (1, stock(&[("hamburg", 9), ("ulm", 1)]))];
    assert_eq!(chosen(&needed, &["hamburg", "berlin"]).unwrap(), ["2 a ulm", "1 b ulm"]);
}

#[test]
fn of_equal_locations_the_preferred_one_sends() {
    let needed = [(1, stock(&[("berlin", 1), ("default", 1), ("hamburg", 9), ("ulm", 1)]))];
    assert_eq!(chosen(&needed, &["ulm", "berlin"]).unwrap(), ["1 a ulm"]);
    assert_eq!(chosen(&needed, &["paris"]).unwrap(), ["1 a default"]);
    assert_eq!(chosen(&[(2, stock(&[("ulm", 2), ("berlin", 2)]))], &[]).unwrap(), ["2 a berlin"]);
}

#[test]
fn what_no_location_has_alone_comes_from_few() {
    let needed = [(3, stock(&[("berlin", 1), ("hamburg", 2), ("ulm", 1)])), (1, stock(&[("ulm", 1)]))];
    // Ulm and Hamburg can serve two units each.
    assert_eq!(chosen(&needed, &["hamburg"]).unwrap(), ["2 a hamburg", "1 a ulm", "1 b ulm"]);
    assert_eq!(chosen(&needed, &["ulm"]).unwrap(), ["1 a ulm", "2 a hamburg", "1 b ulm"]);
}

#[test]
fn what_is_free_at_one_location_is_sold_while_orders_wait_at_another() {
    let mut waiting = Stock::Tracked(stock(&[("hamburg", 5)]));
    let (default, made) = (LocationId::default(), |id: &str| crate::stock::ReservationMade {
        order_id: crate::ids::OrderId::parse(id).unwrap(),
        quantity: 10,
        expires_at: chrono::DateTime::UNIX_EPOCH,
        location: LocationId::default(),
        unit: None,
    });
    let limit = BackorderLimitSet { limit: 10, available_at: None, location: default, unit: None };
    evolve(&mut waiting, StockEvent::BackorderLimitSet(limit));
    evolve(&mut waiting, StockEvent::ReservationMade(made("first")));
    let Stock::Tracked(waiting) = waiting else { panic!("not tracked") };
    assert_eq!((waiting.available(), waiting.sellable()), (-5, 5));
    assert_eq!(chosen(&[(5, waiting.clone())], &[]).unwrap(), ["5 a hamburg"]);
    assert_eq!(chosen(&[(6, waiting)], &[]).unwrap_err()[0].available, 5);
}

#[test]
fn what_is_nowhere_is_a_shortage() {
    let needed = [(3, stock(&[("berlin", 1), ("hamburg", 1)])), (1, stock(&[("ulm", 1)]))];
    let sku = Sku::parse("a").unwrap();
    assert_eq!(chosen(&needed, &[]), Err(vec![Shortage { unit: None, sku, requested: 3, available: 2 }]));
    assert_eq!(chosen(&[], &[]), Ok(vec![]));
}

#[test]
fn an_order_comes_from_ten_locations_at_the_most() {
    let names: Vec<String> = (0..11).map(|n| format!("l{n}")).collect();
    let scattered: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    assert_eq!(chosen(&[(10, stock(&scattered))], &[]).unwrap().len(), 10);
    let sku = Sku::parse("a").unwrap();
    assert_eq!(
        chosen(&[(11, stock(&scattered))], &[]),
        Err(vec![Shortage { unit: None, sku, requested: 11, available: 10 }])
    );
}

#[test]
fn what_may_be_backordered_is_reserved_where_it_is_expected_and_the_rest_where_it_is() {
    let (tea, mug) = (Sku::parse("tea").unwrap(), Sku::parse("mug").unwrap());
    let mut short = stock(&[("berlin", 2), ("ulm", 1)]);
    let there = stock(&[("ulm", 5)]);
    let wanted = |stock: &TrackedStock, quantity| {
        let needed =
            [NeededUnits { sku: &mug, quantity: 1, stock: &there }, NeededUnits { sku: &tea, quantity, stock }];
        choose_locations_or_backorder(&needed, &[])
    };
    assert!(wanted(&short, 4).is_err());
    let available_at = chrono::DateTime::from_timestamp(1_900_000_000, 0);
    short.backorder = Some(BackorderLimitSet { limit: 3, available_at, location: location("berlin"), unit: None });
    // As long as there is enough, nothing waits.
    assert_eq!(wanted(&short, 3).unwrap().1, []);
    let (units, backorders) = wanted(&short, 4).unwrap();
    let at = |sku: &Sku, quantity, name| SkuQuantity { sku: sku.clone(), quantity, location: location(name) };
    assert_eq!(units, [at(&mug, 1, "ulm"), at(&tea, 4, "berlin")]);
    assert_eq!(
        backorders,
        [BackorderedUnits { sku: tea.clone(), quantity: 2, location: location("berlin"), available_at }]
    );
    assert!(wanted(&short, 5).is_ok() && wanted(&short, 6).is_err());
}

proptest! {
    #[test]
    fn what_is_chosen_is_what_is_needed_and_is_there(
        needed in prop::collection::vec((1..8_u32, prop::collection::vec(0..6_u32, 3)), 1..=3),
        preferred in prop::sample::subsequence(vec!["x", "y", "default"], 0..=3),
    ) {
        let stocks: Vec<(u32, TrackedStock)> = needed
            .iter()
            .map(|(quantity, at)| {
                let at: Vec<_> = ["default", "x", "y"].into_iter().zip(at).filter(|it| *it.1 > 0).collect();
                let at: Vec<_> = at.into_iter().map(|(name, units)| (name, *units)).collect();
                (*quantity, stock(&at))
            })
            .collect();
        let enough = stocks.iter().all(|(quantity, stock)| stock.sellable() >= i64::from(*quantity));
        let skus: Vec<Sku> = ["a", "b", "c"].into_iter().map(|sku| Sku::parse(sku).unwrap()).collect();
        let wanted: Vec<_> =
            skus.iter().zip(&stocks).map(|(sku, (quantity, stock))| NeededUnits { sku, quantity: *quantity, stock }).collect();
        let preferred: Vec<_> = preferred.into_iter().map(location).collect();
        let Ok(units) = choose_locations(&wanted, &preferred) else {
            prop_assert!(!enough);
            return Ok(());
        };
        prop_assert!(enough);
        for it in &wanted {
            let of_sku: Vec<_> = units.iter().filter(|units| units.sku == *it.sku).collect();
            prop_assert_eq!(of_sku.iter().map(|units| units.quantity).sum::<u32>(), it.quantity);
            for units in of_sku {
                prop_assert!(units.quantity > 0 && i64::from(units.quantity) <= it.stock.available_at(&units.location));
            }
        }
        let alone = |name: &str| {
            wanted.iter().all(|it| it.stock.available_at(&location(name)) >= i64::from(it.quantity))
        };
        if ["default", "x", "y"].into_iter().any(alone) {
            prop_assert!(units.iter().all(|it| it.location == units[0].location), "it fits into one parcel");
        }
    }
}
