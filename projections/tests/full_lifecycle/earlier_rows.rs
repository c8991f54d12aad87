//! Rows and events that earlier builds wrote, and a rebuild of a whole life.

use domain::order::OrderEvent;
use domain::order::saga::{OperatorDecision, SagaStep};
use serde_json::json;

use crate::events::{captured, confirmed, created, good_life, intervened, refund_requested, shipped};
use crate::read_side::{ReadSide, replay, statuses, usd};

#[tokio::test]
async fn the_log_of_an_earlier_build_still_folds() {
    let reads = ReadSide::running().await;
    let sent: OrderEvent =
        serde_json::from_str(include_str!("../../../domain/golden/events/NotificationSent-1.0.json")).unwrap();
    let view = reads.after_all([created(), confirmed(), sent]).await;
    assert_eq!(statuses(&view), ["confirmed", "none", "none", "none"]);
    assert_eq!(view["mails"][0]["status"], "sent");
    reads.end().await;
}

#[tokio::test]
async fn an_order_that_an_earlier_build_folded_can_be_read_and_is_whole_after_a_rebuild() {
    let reads = ReadSide::running().await;
    reads.after_all([created(), confirmed()]).await;
    let pool = reads.database.pool();
    let earlier = "update read_model_orders set item = (item::jsonb - 'folded' - 'paymentStatus' - 'captured'
                   - 'refunded' - 'fulfilmentStatus' - 'returnsStatus')::json where sk = '#META'";
    sqlx::query(earlier).execute(pool).await.unwrap();
    let view = reads.get("/orders/a").await;
    assert_eq!(statuses(&view), ["confirmed", "none", "none", "none"]);

    // What happens to it meanwhile is parked.
    reads.after(shipped("s-1", &[(1, 2), (2, 1)])).await;
    assert_eq!(event_store::operations::parked_events(pool, Some("orders")).await.unwrap().len(), 1);
    replay(pool, "orders").await.unwrap();
    assert_eq!(reads.get("/orders/a").await["fulfilmentStatus"], "shipped");
    reads.end().await;
}

#[tokio::test]
async fn a_shipment_that_a_build_stored_that_knew_of_one_parcel_can_be_read_and_folded_on() {
    let reads = ReadSide::running().await;
    reads.after_all([created(), confirmed(), shipped("s-1", &[(1, 2), (2, 1)])]).await;
    for earlier in [
        "update read_model_orders set item = (item::jsonb - 'parcels')::json where sk = 'SHIPMENT#s-1'",
        "update read_model_orders set item = (item::jsonb #- '{folded,Placed,shipments,0,parcels}')::json where sk = '#META'",
    ] {
        let changed = sqlx::query(earlier).execute(reads.database.pool()).await.unwrap();
        assert_eq!(changed.rows_affected(), 1, "{earlier}");
    }

    let view = reads.after(captured("s-1", 2_550)).await;

    assert_eq!(view["shipments"][0]["parcels"], json!([{ "carrier": "DHL", "tracking": "J-s-1" }]));
    assert_eq!((&view["captured"], &view["shipments"][0]["settled"]), (&usd("25.50"), &json!(true)));
    reads.end().await;
}

#[tokio::test]
async fn a_rebuilt_view_of_a_whole_life_is_the_live_one() {
    let reads = ReadSide::running().await;
    reads.after_all(good_life()).await;
    reads.after_all([refund_requested("f-1", 100), intervened(SagaStep::RefundPayment, OperatorDecision::Skip)]).await;
    let live = reads.rows().await;
    // The order, two lines, two shipments, the return, its refund and another.
    assert_eq!(live.len(), 8);
    reads.stop.cancel();
    replay(reads.database.pool(), "orders").await.unwrap();
    assert_eq!(reads.rows().await, live);
    reads.end().await;
}
