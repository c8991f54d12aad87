//! `GET /sagas`: those that wait or are stuck.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use access_control::{Principal, Role, RoutePermission};
use axum::Router;
use axum::body::Body;
use event_store::{AppendQueueSettings, EventStore};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use testkit::Database;
use tower::ServiceExt;

struct Fixture {
    database: Database,
    store: EventStore,
    routes: Router,
}

impl Fixture {
    /// Ten orders that wait: every third is stuck at its payment, the others at their mails. Two each came there at once.
    async fn new() -> Self {
        let database = testkit::database().await;
        sqlx::query(
            "insert into saga_work (saga, order_id, step, sent, failures, due_at, stuck, since, last_error)
             select 'order_fulfilment', 'o-' || n, case when n % 3 = 0 then 'capture_payment' else 'notify_customer' end,
                    1, 2, case when n % 3 = 0 then 'infinity' else '2030-01-01T00:00:00Z'::timestamptz end, n % 3 = 0,
                    '2026-11-20T00:00:00.000001Z'::timestamptz + (n / 2) * interval '1 minute', 'no answer'
               from generate_series(0, 9) as n",
        )
        .execute(database.pool())
        .await
        .unwrap();
        let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
        Self { routes: Self::routes(&store, Role::Operator, RoutePermission::All), database, store }
    }

    fn routes(store: &EventStore, role: Role, grant: RoutePermission) -> Router {
        testkit::called_by(sagas::routes(store.clone()), Principal::new(role, "test", None), grant)
    }

    async fn get(&self, uri: &str) -> (StatusCode, Value) {
        let answer = self.routes.clone().oneshot(Request::get(uri).body(Body::empty()).unwrap()).await.unwrap();
        let status = answer.status();
        (status, serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap())
    }

    async fn pages(&self, question: &str) -> Vec<Vec<String>> {
        let (mut pages, mut cursor) = (Vec::new(), String::new());
        loop {
            let (status, page) = self.get(&format!("/sagas?{question}{cursor}")).await;
            assert_eq!(status, StatusCode::OK, "{page}");
            let items = page["items"].as_array().unwrap();
            pages.push(items.iter().map(|saga| saga["orderId"].as_str().unwrap().to_owned()).collect());
            let Some(next) = page["cursor"].as_str() else { return pages };
            cursor = format!("&cursor={next}");
        }
    }
}

#[tokio::test]
async fn sagas_that_wait_are_listed_the_longest_first_page_by_page() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.pages("state=stuck&limit=3").await, [vec!["o-0", "o-3", "o-6"], vec!["o-9"]]);
    let running = [vec!["o-1", "o-2", "o-4", "o-5"], vec!["o-7", "o-8"]];
    assert_eq!(fixture.pages("state=running&limit=4").await, running);
    assert_eq!(fixture.pages("limit=7").await.concat().len(), 10);
    assert_eq!(fixture.pages("step=capture_payment&state=running").await, [Vec::<String>::new()]);

    let (_, page) = fixture.get("/sagas?state=stuck&limit=1").await;
    assert_eq!(
        page["items"][0],
        json!({
            "saga": "order_fulfilment", "orderId": "o-0", "step": "capture_payment", "state": "stuck", "attempts": 3,
            "since": "2026-11-20T00:00:00.000001Z", "nextTryAt": null, "lastError": "no answer",
        })
    );
    fixture.store.close().await;
}

#[tokio::test]
async fn sagas_are_found_by_their_errors_and_since_when_they_wait() {
    let fixture = Fixture::new().await;
    let other = "update saga_work set last_error = 'it was declined' where order_id in ('o-3', 'o-4')";
    sqlx::query(other).execute(fixture.database.pool()).await.unwrap();
    assert_eq!(fixture.pages("error=declined&limit=1").await, [vec!["o-3"], vec!["o-4"]]);
    assert_eq!(fixture.pages("until=2026-11-20T00:01:00Z&limit=2").await, [vec!["o-0", "o-1"]]);
    let both = "error=no%20answer&until=2026-11-20T00:01:01Z&state=running";
    assert_eq!(fixture.pages(both).await, [vec!["o-1", "o-2"]]);
    // Who sees errors masked would find out what they say.
    let routes = Fixture::routes(&fixture.store, Role::Auditor, RoutePermission::Masked);
    let fixture = Fixture { routes, ..fixture };
    assert_eq!(fixture.get("/sagas?error=declined").await.0, StatusCode::FORBIDDEN);
    assert_eq!(fixture.get("/sagas?until=2026-11-20T00:01:00Z").await.0, StatusCode::OK);
    fixture.store.close().await;
}

#[tokio::test]
async fn what_is_asked_wrongly_is_answered_with_the_parameter() {
    let fixture = Fixture::new().await;
    let (_, page) = fixture.get("/sagas?state=stuck&limit=1").await;
    let cursor = page["cursor"].as_str().unwrap();
    for (uri, status, says) in [
        ("/sagas?state=lost".to_owned(), 422, "running or stuck"),
        ("/sagas?state=completed".to_owned(), 422, "running or stuck"),
        ("/sagas?step=pay".to_owned(), 422, "capture_payment"),
        ("/sagas?error=".to_owned(), 422, "error"),
        ("/sagas?error=%00".to_owned(), 422, "error"),
        ("/sagas?until=now".to_owned(), 422, "until"),
        (format!("/sagas?state=stuck&error=no&cursor={cursor}"), 422, "cursor"),
        ("/sagas?limit=0".to_owned(), 422, "from 1 to 200"),
        ("/sagas?limit=201".to_owned(), 422, "from 1 to 200"),
        ("/sagas?limit=x".to_owned(), 422, "limit"),
        ("/sagas?order=o-1".to_owned(), 422, "order"),
        ("/sagas?cursor=nonsense".to_owned(), 422, "cursor"),
        (format!("/sagas?cursor={cursor}"), 422, "cursor"),
        (format!("/sagas?state=running&cursor={cursor}"), 422, "cursor"),
        (format!("/sagas?state=stuck&step=capture_payment&cursor={cursor}"), 422, "cursor"),
    ] {
        let (answered, problem) = fixture.get(&uri).await;
        assert_eq!(answered.as_u16(), status, "{uri}: {problem}");
        assert!(problem.to_string().contains(says), "{uri}: {problem}");
    }
    fixture.database.pool().close().await;
    assert_eq!(fixture.get("/sagas").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn what_is_stuck_is_not_said_to_be_tried_again() {
    let fixture = Fixture::new().await;
    let due = "update saga_work set due_at = '2026-12-01T00:00:00Z' where order_id in ('o-0', 'o-1')";
    sqlx::query(due).execute(fixture.database.pool()).await.unwrap();
    let (_, stuck) = fixture.get("/sagas?state=stuck&limit=1").await;
    assert_eq!(stuck["items"][0]["nextTryAt"], json!(null), "{stuck}");
    assert_eq!(stuck["items"][0]["reservationEndsAt"], "2026-12-01T00:00:00Z", "{stuck}");
    let (_, running) = fixture.get("/sagas?state=running&limit=1").await;
    assert_eq!(running["items"][0]["nextTryAt"], "2026-12-01T00:00:00Z", "{running}");
    assert_eq!(running["items"][0].get("reservationEndsAt"), None, "{running}");
}
