//! A SKU: what there is of it, who has it reserved, and who waits.

use access_control::Role;
use domain::ids::{LocationId, OrderId};
use domain::stock::{
    BackorderLimitSet, LowStockThresholdSet, ReservationMade, Stock, StockCommand, StockReceived, decide, evolve,
};
use event_store::{Metadata, StreamAppend};
use http::StatusCode;

use crate::support::{Fixture, PATIENCE, as_role};

fn commands() -> Vec<StockCommand> {
    let here = LocationId::default;
    let reserve = |id: &str, quantity| {
        let (order_id, expires_at) = (OrderId::parse(id).unwrap(), chrono::DateTime::UNIX_EPOCH);
        StockCommand::Reserve(ReservationMade { order_id, quantity, expires_at, location: here(), unit: None })
    };
    let received = |quantity, location| StockCommand::Receive(StockReceived { quantity, location, unit: None });
    let ahead = BackorderLimitSet { limit: 5, available_at: None, location: here(), unit: None };
    vec![
        received(3, here()),
        received(4, LocationId::parse("berlin").unwrap()),
        StockCommand::SetBackorderLimit(ahead),
        StockCommand::SetLowStockThreshold(LowStockThresholdSet { threshold: 6, unit: None }),
        reserve("o-1", 2),
        reserve("o-2", 3),
    ]
}

#[tokio::test]
async fn a_skus_page_shows_who_has_it_reserved_and_who_waits() {
    let fixture = Fixture::new().await;
    let (mut stock, mut events) = (Stock::default(), Vec::new());
    for command in commands() {
        for event in decide(&stock, command).unwrap() {
            evolve(&mut stock, event.clone());
            events.push(event);
        }
    }
    let append = StreamAppend::of::<Stock>("a/<b>", 0, &events, &Metadata::default()).unwrap();
    fixture.store.append(vec![append]).await.unwrap();
    let warehouse = as_role(Role::Warehouse);
    let path = "/stock/a%2F%3Cb%3E";
    testkit::eventually(PATIENCE, || async { fixture.page(path, &warehouse).await.body.contains("berlin") }).await;

    let page = fixture.page(path, &warehouse).await;
    assert_eq!(page.status, StatusCode::OK);
    for shown in
        ["Stock of <bdi>a/&#60;b&#62;</bdi>", "<span class=\"tag bad\">low</span>", "/orders/o-1", "/orders/o-2"]
    {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
    let waits = fixture.page(&format!("{path}?waiting=true"), &warehouse).await.body;
    assert!(waits.contains("/orders/o-2") && !waits.contains("/orders/o-1\""), "{waits}");
    let listed = fixture.page("/stock?low=true", &warehouse).await.body;
    assert!(listed.contains("href=\"/stock/a%2F%3Cb%3E\"") && listed.contains("low: below 6"), "{listed}");
    // What nobody counts can always be had.
    let untold = fixture.page("/stock/untold", &warehouse).await.body;
    assert!(untold.contains("Its units are not counted"), "{untold}");
    for (path, role, status) in
        [("/stock/a%00", Role::Warehouse, StatusCode::NOT_FOUND), ("/stock/a", Role::Support, StatusCode::FORBIDDEN)]
    {
        assert_eq!(fixture.page(path, &as_role(role)).await.status, status, "{path}");
    }
    fixture.end().await;
}
