//! Pages that keep themselves up to date.

use access_control::Role;
use axum::body::Body;
use futures_util::StreamExt;
use http::header::{ACCEPT, CONTENT_TYPE, COOKIE};
use http::{Request, StatusCode};
use serde_json::json;

use crate::support::{Fixture, as_role};

/// What `EventSource` sends.
fn changes(credential: &str) -> Request<Body> {
    let request = Request::get("/changes").header(ACCEPT, "text/event-stream");
    request.header(COOKIE, format!("ordo_session={credential}")).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn an_open_page_is_told_when_the_log_grows_until_the_process_stops() {
    let fixture = Fixture::new().await;
    let answer = fixture.open(changes(&as_role(Role::Auditor))).await;
    assert_eq!(
        (answer.status(), answer.headers()[CONTENT_TYPE].to_str().unwrap()),
        (StatusCode::OK, "text/event-stream")
    );
    let mut told = answer.into_body().into_data_stream();
    let posted = json!({
        "orderId": "order-1", "customerId": "customer-1", "customerEmail": "ada@example.com", "currency": "EUR",
        "totalAmount": "10.00", "items": [{"sku": "sku-1", "title": "A", "quantity": 1, "unitPrice": "10.00"}],
    });
    fixture.order(&posted, |created| created).await;
    let first = told.next().await.unwrap().unwrap();
    assert_eq!(first, "event: changed\ndata: \ndata: \n\n");
    fixture.stop();
    assert!(told.next().await.is_none(), "a stream outlives its process");
    fixture.end().await;
}

#[tokio::test]
async fn nobody_without_a_credential_is_told_and_nobody_takes_all_places() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.program("/changes", None).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(fixture.page("/changes", &as_role(Role::Shop)).await.status, StatusCode::FORBIDDEN);
    let (auditor, operator) = (as_role(Role::Auditor), as_role(Role::Operator));
    let mut open = Vec::new();
    for _ in 0..4 {
        let answer = fixture.open(changes(&auditor)).await;
        assert_eq!(answer.status(), StatusCode::OK);
        open.push(answer);
    }
    let refused = fixture.open(changes(&auditor)).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(fixture.open(changes(&operator)).await.status(), StatusCode::OK);
    open.pop();
    assert_eq!(fixture.open(changes(&auditor)).await.status(), StatusCode::OK);
    fixture.end().await;
}

#[tokio::test]
async fn a_page_whose_session_has_ended_is_loaded_again() {
    let fixture = Fixture::new().await;
    let follows = [("hx-request", "true"), ("cookie", "ordo_session=ended")];
    let answer = fixture.visit_with("/", &follows).await;
    assert_eq!((answer.status, answer.headers["hx-refresh"].to_str().unwrap()), (StatusCode::UNAUTHORIZED, "true"));
    assert!(!fixture.visit_with("/", &follows[1..]).await.headers.contains_key("hx-refresh"));
    fixture.end().await;
}

#[tokio::test]
async fn the_home_page_follows_unless_it_is_paused() {
    let fixture = Fixture::new().await;
    let operator = as_role(Role::Operator);
    let (live, paused) = (fixture.page("/", &operator).await, fixture.page("/?live=no", &operator).await);
    assert!(live.body.contains(r#"sse-connect="/changes""#) && live.body.contains("sagas running"), "{}", live.body);
    assert!(!paused.body.contains("sse-connect") && paused.body.contains("sagas running"), "{}", paused.body);
    fixture.end().await;
}
