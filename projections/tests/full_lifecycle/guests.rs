//! The order of a guest, who has no customer id.

use access_control::{Principal, RoutePermission};
use axum::body::Body;
use domain::order::OrderEvent;
use http::{Request, StatusCode};
use serde_json::json;
use tower::ServiceExt;

use crate::events::{authorized, confirmed, created, reserved, shipped};
use crate::read_side::{ReadSide, replay};

fn created_by_a_guest() -> OrderEvent {
    let OrderEvent::OrderCreated(mut content) = created() else { panic!("it is one") };
    content.customer_id = None;
    content.customer_email = Some(serde_json::from_value(json!("guest@example.com")).unwrap());
    OrderEvent::OrderCreated(content)
}

fn life() -> Vec<OrderEvent> {
    vec![created_by_a_guest(), reserved(), authorized(), confirmed(), shipped("s-1", &[(1, 1)])]
}

#[tokio::test]
async fn it_is_shown_and_listed_to_the_shop_and_is_in_no_customers_list() {
    let reads = ReadSide::running().await;
    let shown = reads.after_all(life()).await;
    assert_eq!((shown.get("customerId"), &shown["customerEmail"]), (None, &json!("guest@example.com")), "{shown}");

    let before = reads.rows().await;
    for list in ["/orders", "/orders?sku=cable", "/orders?status=confirmed"] {
        let listed = reads.get(list).await;
        assert_eq!(
            (&listed["items"][0]["orderId"], listed["items"][0].get("customerId")),
            (&json!("a"), None),
            "{listed}"
        );
    }
    for list in ["/customers/customer-42/orders", "/orders?customerId=guest"] {
        assert_eq!(reads.get(list).await["items"], json!([]), "{list}");
    }
    assert_eq!(reads.get("/orders/a?asOf=1").await["customerEmail"], "guest@example.com");

    replay(reads.database.pool(), "orders").await.unwrap();
    assert_eq!(reads.rows().await, before);
    reads.end().await;
}

#[tokio::test]
async fn no_customer_sees_it_by_whatever_route() {
    let reads = ReadSide::running().await;
    reads.after_all(life()).await;
    // A customer without an id is nobody's; the edge lets none in.
    for customer in ["customer-42", ""] {
        let routes = projections::routes(
            reads.store.clone(),
            &*testkit::read_models(reads.store.pool()),
            None,
            projections::SlowReads::default(),
        );
        let routes = testkit::called_by(routes, Principal::customer("anna", customer, None), RoutePermission::Own);
        for path in ["/orders/a", "/orders/a?asOf=1", "/orders/a?asOf=99", "/orders/a/events", "/orders/a/shipments"] {
            let answer = routes.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path} to {customer:?}");
        }
    }
    reads.end().await;
}
