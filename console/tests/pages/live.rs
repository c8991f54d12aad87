//! Pages that keep themselves up to date.

use access_control::Role;
use axum::body::Body;
use futures_util::StreamExt;
use http::header::{ACCEPT, CONTENT_TYPE, COOKIE};
use http::{Request, StatusCode};
use serde_json::json;

use crate::support::{Fixture, as_role, session};

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

#[tokio::test]
async fn pages_follow_with_their_filters_unless_they_are_paused_or_show_what_was() {
    let fixture = Fixture::new().await;
    fixture.order(&testkit::demo_order("o-1"), |content| content).await;
    let operator = as_role(Role::Operator);
    for (path, page, changes, pause) in [
        (
            "/log?type=OrderCreated&streamId=",
            "/log?type=OrderCreated&#38;streamId=",
            "/changes",
            "/log?type=OrderCreated&#38;streamId=&#38;live=no",
        ),
        ("/sagas?state=stuck", "/sagas?state=stuck", "/changes?by=time", "/sagas?state=stuck&#38;live=no"),
        ("/orders/o-1", "/orders/o-1", "/changes?orderId=o-1", "/orders/o-1?live=no"),
        ("/replay", "/replay", "/changes?by=time", "/replay?live=no"),
    ] {
        let shown = fixture.page(path, &operator).await;
        let follows = format!("sse-connect=\"{changes}\">\n<div id=\"live\" hx-get=\"{page}\"");
        assert_eq!(shown.status, StatusCode::OK, "{path}: {}", shown.body);
        assert!(shown.body.contains(&follows), "{path}: {}", shown.body);
        assert!(shown.body.contains(&format!("id=\"pause\" href=\"{pause}\"")), "{path}: {}", shown.body);
        let paused = fixture.page(&pause.replace("&#38;", "&"), &operator).await;
        assert!(paused.status == StatusCode::OK && !paused.body.contains("sse-connect"), "{pause}: {}", paused.body);
        assert!(paused.body.contains(&format!("<a href=\"{page}\">Follow</a>")), "{pause}: {}", paused.body);
    }
    for path in
        ["/log?sort=position", "/log?type=Nothing", "/orders/o-1?asOf=1", "/replay?projections=orders", "/stock"]
    {
        assert!(!fixture.page(path, &operator).await.body.contains("sse-connect"), "{path}");
    }
    assert!(!fixture.page("/orders/o-1", &as_role(Role::Support)).await.body.contains("sse-connect"));
    fixture.end().await;
}

#[tokio::test]
async fn what_was_done_is_said_by_the_next_page_and_not_by_one_that_follows() {
    let fixture = Fixture::new().await;
    fixture.order(&testkit::demo_order("o-1"), |content| content).await;
    let operator = as_role(Role::Operator);
    let page = fixture.page("/orders/o-1", &operator).await;
    let mut form = page.hidden_fields("/orders/o-1/notes");
    form.push(("/text".to_owned(), "called".to_owned()));
    let done = fixture.send_form("/orders/o-1/notes", &session(&operator), &form).await;
    let cookies = [session(&operator), done.cookies()].concat().join("; ");
    let follows = fixture.visit_with("/orders/o-1", &[("cookie", &cookies), ("hx-request", "true")]).await;
    assert!(!follows.body.contains("Add a note: done.") && follows.cookies().is_empty(), "{}", follows.body);
    let next = fixture.visit_with("/orders/o-1", &[("cookie", &cookies)]).await;
    assert!(next.body.contains("Add a note: done."), "{}", next.body);
    fixture.end().await;
}
