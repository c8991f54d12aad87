//! Forms: what they do, and whom they are refused to.

use access_control::{Principal, Role};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use ring::hmac;

use crate::support::{Fixture, as_role, sent, session};

const NOTES: &str = "/orders/o-1/notes";
const HOLD: &str = "/orders/o-1/hold";

async fn fixture() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.order(&testkit::demo_order("o-1"), |content| content).await;
    fixture
}

/// The types of the order's events.
async fn events(fixture: &Fixture) -> Vec<String> {
    let query = "select event_type from events where aggregate_id = 'o-1' order by sequence";
    sqlx::query_scalar(query).fetch_all(fixture.database.pool()).await.unwrap()
}

#[tokio::test]
async fn a_form_does_what_the_api_does_and_a_second_click_does_nothing() {
    let fixture = fixture().await;
    let operator = as_role(Role::Operator);
    let page = fixture.page("/orders/o-1", &operator).await;
    let form = sent(&page, NOTES, &[("/text", "the customer\r\ncalled")]);
    let done = fixture.send_form(NOTES, &session(&operator), &form).await;
    assert_eq!((done.status, done.headers["location"].to_str().unwrap()), (StatusCode::SEE_OTHER, "/orders/o-1"));

    let again = fixture.send_form(NOTES, &session(&operator), &form).await;
    assert_eq!(again.status, StatusCode::SEE_OTHER);
    assert_eq!(events(&fixture).await, ["OrderCreated", "NoteAdded"]);
    let actor = "select metadata ->> 'actor' from events where event_type = 'NoteAdded'";
    let actor: String = sqlx::query_scalar(actor).fetch_one(fixture.database.pool()).await.unwrap();
    assert_eq!(actor, "operator:test");

    let cookies = [session(&operator), done.cookies()].concat();
    let page = fixture.visit_with("/orders/o-1", &[("cookie", &cookies.join("; "))]).await;
    assert!(page.body.contains("Add a note: done.") && page.body.contains("the customer\ncalled"), "{}", page.body);
    assert!(page.cookies().contains(&"ordo_said=".to_owned()), "{:?}", page.headers);
    // What was said to another browser is not said.
    let cookies = [session(&as_role(Role::Support)), done.cookies()].concat();
    let page = fixture.visit_with("/orders/o-1", &[("cookie", &cookies.join("; "))]).await;
    assert!(!page.body.contains("done."), "{}", page.body);
    fixture.end().await;
}

#[tokio::test]
async fn clicks_at_the_same_time_do_it_once_and_are_answered_alike() {
    let fixture = fixture().await;
    let operator = as_role(Role::Operator);
    let form = sent(&fixture.page("/orders/o-1", &operator).await, NOTES, &[("/text", "once")]);
    let cookies = session(&operator);
    let (one, two) = tokio::join!(fixture.send_form(NOTES, &cookies, &form), fixture.send_form(NOTES, &cookies, &form));
    assert_eq!((one.status, two.status), (StatusCode::SEE_OTHER, StatusCode::SEE_OTHER));
    assert_eq!(events(&fixture).await, ["OrderCreated", "NoteAdded"]);
    fixture.end().await;
}

#[tokio::test]
async fn a_form_that_was_not_made_for_its_sender_does_nothing() {
    let fixture = fixture().await;
    let (operator, support) = (as_role(Role::Operator), as_role(Role::Support));
    let page = fixture.page("/orders/o-1", &operator).await;
    let (notes, hold) = (sent(&page, NOTES, &[("/text", "forged")]), sent(&page, HOLD, &[("/reason", "forged")]));
    let without = |name: &str| notes.iter().filter(|(field, _)| field != name).cloned().collect::<Vec<_>>();
    let other_method = [without("method"), vec![("method".to_owned(), "PUT".to_owned())]].concat();
    for (what, path, cookies, form) in [
        ("of another session", NOTES, session(&support), &notes),
        ("without a session", NOTES, vec![], &notes),
        ("of another form", HOLD, session(&operator), &notes),
        ("of another order", "/orders/o-2/notes", session(&operator), &notes),
        ("without a token", NOTES, session(&operator), &without("token")),
        ("without a method", NOTES, session(&operator), &without("method")),
        ("of another method", NOTES, session(&operator), &other_method),
        ("for another path", NOTES, session(&operator), &hold),
        ("at a page", "/orders/o-1", session(&operator), &notes),
    ] {
        let answer = fixture.send_form(path, &cookies, form).await;
        let expected = if cookies.is_empty() { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
        assert_eq!(answer.status, expected, "{what}: {}", answer.body);
    }
    assert_eq!(events(&fixture).await, ["OrderCreated"]);
    fixture.end().await;
}

#[tokio::test]
async fn each_role_has_its_forms_and_the_api_refuses_the_others() {
    let fixture = fixture().await;
    for (role, forms) in [
        (Role::Operator, &[NOTES, HOLD, "/orders/o-1/cancel"][..]),
        (Role::Support, &[NOTES, HOLD, "/orders/o-1/cancel"]),
        (Role::Warehouse, &[]),
        (Role::Finance, &[]),
        (Role::Auditor, &[]),
    ] {
        let page = fixture.page("/orders/o-1", &as_role(role)).await;
        for action in [NOTES, HOLD, "/orders/o-1/cancel", "/orders/o-1/ship"] {
            let is_there = page.body.contains(&format!("action=\"{action}\""));
            assert_eq!(is_there, forms.contains(&action), "{role} {action}");
        }
    }
    // Whoever makes a form of their own gets what the API answers.
    let auditor = as_role(Role::Auditor);
    let key = hmac::Key::new(hmac::HMAC_SHA256, auditor.as_bytes());
    let token = URL_SAFE_NO_PAD.encode(hmac::sign(&key, format!("POST {NOTES}").as_bytes()));
    let form = [("token", token.as_str()), ("method", "POST"), ("/text", "mine"), ("back", "/orders/o-1")];
    let form = form.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let answer = fixture.send_form(NOTES, &session(&auditor), &form).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.body.contains("the role auditor may not"), "{}", answer.body);
    assert_eq!(events(&fixture).await, ["OrderCreated"]);
    fixture.end().await;
}

#[tokio::test]
async fn a_problem_is_told_beside_what_was_typed() {
    let fixture = fixture().await;
    let operator = as_role(Role::Operator);
    let page = fixture.page("/orders/o-1", &operator).await;
    let long = format!("\"><script>alert(1)</script>\u{202e}{}", "x".repeat(600));
    let form = sent(&page, HOLD, &[("/reason", &long)]);
    let refused = fixture.send_form(HOLD, &session(&operator), &form).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    for shown in ["<h1>Order", "role=\"alert\"", "aria-invalid=\"true\"", "&#60;script&#62;alert(1)", "What was sent"] {
        assert!(refused.body.contains(shown), "{shown}: {}", refused.body);
    }
    assert!(!refused.body.contains("<script>"), "{}", refused.body);
    let open = refused.body.split("<details class=\"action\"").find(|form| form.contains(HOLD)).unwrap();
    assert!(open.split('>').next().unwrap().ends_with(" open") && open.contains("xxx"), "{open}");
    assert_eq!(events(&fixture).await, ["OrderCreated"]);

    // What is corrected is done.
    let form = sent(&refused, HOLD, &[("/reason", "the address is unclear")]);
    assert_eq!(fixture.send_form(HOLD, &session(&operator), &form).await.status, StatusCode::SEE_OTHER);
    assert_eq!(events(&fixture).await, ["OrderCreated", "OrderHeld"]);
    fixture.end().await;
}

#[tokio::test]
async fn a_quantity_is_taken_as_it_is_typed() {
    let fixture = Fixture::new().await;
    let mut order = testkit::demo_order("o-1");
    order["items"] = serde_json::json!([
        { "sku": "by-the-piece", "quantity": 3, "unitPrice": "10.00" },
        { "sku": "by-weight", "quantity": "1.5", "unit": "kg", "unitPrice": "20.00" }
    ]);
    order["totalAmount"] = "60.00".into();
    fixture.order(&order, |content| content).await;
    let operator = as_role(Role::Operator);
    // While an order is pending no part of it is cancelled.
    fixture.happen("o-1", &[serde_json::json!({ "OrderConfirmed": {} })], None).await;
    let page = fixture.page("/orders/o-1", &operator).await;
    let cancel = "/orders/o-1/cancel";
    let (pieces, weight) = ("/lines/lineNumber=1/quantity:number", "/lines/lineNumber=2/quantity:number");
    assert!(page.body.contains(&format!("name=\"{pieces}\"")), "{}", page.body);
    let refused = sent(&page, cancel, &[(pieces, "some"), (weight, "0.25")]);
    let refused = fixture.send_form(cancel, &session(&operator), &refused).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    assert!(refused.body.contains("value=\"some\"") && refused.body.contains("value=\"0.25\""), "{}", refused.body);
    let form = sent(&refused, cancel, &[(pieces, "2"), (weight, "0.25")]);
    let done = fixture.send_form(cancel, &session(&operator), &form).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    let lines = "select payload -> 'LinesCancelled' ->> 'lines' from events where event_type = 'LinesCancelled'";
    let lines: String = sqlx::query_scalar(lines).fetch_one(fixture.database.pool()).await.unwrap();
    let lines: serde_json::Value = serde_json::from_str(&lines).unwrap();
    assert_eq!((&lines[0]["quantity"], &lines[1]["lineNumber"]), (&2.into(), &2.into()), "{lines}");
    fixture.end().await;
}

#[tokio::test]
async fn what_changed_since_it_was_looked_at_is_not_acted_on() {
    let fixture = fixture().await;
    let operator = as_role(Role::Operator);
    let page = fixture.page("/orders/o-1", &operator).await;
    let note = sent(&page, NOTES, &[("/text", "first")]);
    assert_eq!(fixture.send_form(NOTES, &session(&operator), &note).await.status, StatusCode::SEE_OTHER);
    let cancel = sent(&page, "/orders/o-1/cancel", &[("/reason", "too late")]);
    let stale = fixture.send_form("/orders/o-1/cancel", &session(&operator), &cancel).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    assert!(stale.body.contains("value=\"too late\""), "{}", stale.body);
    assert_eq!(events(&fixture).await, ["OrderCreated", "NoteAdded"]);
    // The page that tells so is of the version that is there now.
    let cancel = sent(&stale, "/orders/o-1/cancel", &[("/reason", "too late")]);
    let done = fixture.send_form("/orders/o-1/cancel", &session(&operator), &cancel).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    fixture.end().await;
}

#[tokio::test]
async fn where_nobody_signs_in_a_form_belongs_to_its_browser() {
    let fixture = Fixture::with(Some(Principal::new(Role::Operator, "local", None))).await;
    fixture.order(&testkit::demo_order("o-1"), |content| content).await;
    let page = fixture.visit("/orders/o-1").await;
    let (cookies, form) = (page.cookies(), sent(&page, NOTES, &[("/text", "by the cookie")]));
    assert!(cookies.iter().any(|cookie| cookie.starts_with("ordo_form=")), "{cookies:?}");
    for others in [vec![], fixture.visit("/orders/o-1").await.cookies()] {
        assert_eq!(fixture.send_form(NOTES, &others, &form).await.status, StatusCode::FORBIDDEN, "{others:?}");
    }
    assert_eq!(fixture.send_form(NOTES, &cookies, &form).await.status, StatusCode::SEE_OTHER);
    // The credential of a program is no browser's.
    let program = fixture.program("/orders/o-1", Some(&as_role(Role::Operator))).await;
    assert!(!program.body.contains("class=\"action\"") && program.cookies().is_empty(), "{}", program.body);
    fixture.end().await;
}

#[tokio::test]
async fn an_operator_decides_about_a_stuck_step_once_and_is_told_what_it_does() {
    let fixture = fixture().await;
    let stuck = "insert into saga_work (saga, order_id, step, failures, due_at, last_error, stuck)
                 values ('order_fulfilment', 'o-1', 'reserve_stock', 3, 'infinity', 'broken', true)";
    sqlx::query(stuck).execute(fixture.database.pool()).await.unwrap();
    let (operator, path) = (as_role(Role::Operator), "/orders/o-1/saga/decisions");
    let page = fixture.page("/orders/o-1", &operator).await;
    for shown in ["Retry: reserve stock", "Skip: reserve stock", "Undo, at reserve stock", "There is no way back."] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
    for role in [Role::Support, Role::Auditor, Role::Finance] {
        assert!(!fixture.page("/orders/o-1", &as_role(role)).await.body.contains(path), "{role}");
    }
    // The first of the forms retries.
    let unexplained = sent(&page, path, &[]);
    let refused = fixture.send_form(path, &session(&operator), &unexplained).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.body.contains("reason is required"), "{}", refused.body);
    let open = refused.body.matches("\" open>").count();
    assert_eq!(open, 1, "only the form that was sent is open: {}", refused.body);

    let form = sent(&page, path, &[("/reason", "it is mended")]);
    for _ in 0..2 {
        let done = fixture.send_form(path, &session(&operator), &form).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    }
    assert_eq!(events(&fixture).await, ["OrderCreated", "OperatorIntervened"]);
    let decided =
        "select payload -> 'OperatorIntervened' ->> 'actor' || ' ' || (payload -> 'OperatorIntervened' ->> 'reason')
                     || ' ' || (metadata ->> 'actor') from events where event_type = 'OperatorIntervened'";
    let decided: String = sqlx::query_scalar(decided).fetch_one(fixture.database.pool()).await.unwrap();
    assert_eq!(decided, "test it is mended operator:test");
    fixture.end().await;
}

#[tokio::test]
async fn a_parked_event_is_skipped_by_a_form_and_by_operators_alone() {
    let fixture = fixture().await;
    let parked =
        "insert into parked_events (subscription, stream_type, stream_id, position, version, event_type, error)
                  values ('sagas', 'order', 'o-1', 1, 1, 'OrderCreated', 'broken')";
    sqlx::query(parked).execute(fixture.database.pool()).await.unwrap();
    let known = "insert into subscription_partitions (subscription, partition) values ('sagas', 0)";
    sqlx::query(known).execute(fixture.database.pool()).await.unwrap();
    let (operator, path) = (as_role(Role::Operator), "/subscriptions/sagas/parked-events/o-1/skip");
    let auditor = fixture.page("/parked-events", &as_role(Role::Auditor)).await;
    assert!(auditor.body.contains("order created") && !auditor.body.contains("class=\"action\""), "{}", auditor.body);
    let page = fixture.page("/parked-events", &operator).await;
    let unexplained = fixture.send_form(path, &session(&operator), &sent(&page, path, &[])).await;
    assert_eq!(unexplained.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", unexplained.body);
    let form = sent(&page, path, &[("/reason", "it was written twice")]);
    for _ in 0..2 {
        let done = fixture.send_form(path, &session(&operator), &form).await;
        assert_eq!(
            (done.status, &done.headers["location"]),
            (StatusCode::SEE_OTHER, &"/parked-events".parse().unwrap())
        );
    }
    let page = fixture.page("/parked-events", &operator).await;
    assert!(page.body.contains("skip is asked for"), "{}", page.body);
    // It is done by now, and the next one, which nobody has looked at, can't be handled either.
    let next = "update parked_events set position = 2, version = 2, event_type = 'OrderHeld', request = null";
    sqlx::query(next).execute(fixture.database.pool()).await.unwrap();
    let stale = fixture.send_form(path, &session(&operator), &form).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    assert!(stale.body.contains("is OrderHeld at position 2 now"), "{}", stale.body);
    let requests: Vec<Option<String>> =
        sqlx::query_scalar("select request from parked_events").fetch_all(fixture.database.pool()).await.unwrap();
    assert_eq!(requests, [None]);
    sqlx::query("delete from parked_events").execute(fixture.database.pool()).await.unwrap();
    let gone = fixture.send_form(path, &session(&operator), &form).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    assert!(gone.body.contains("nothing of stream o-1 is parked in sagas"), "{}", gone.body);
    fixture.end().await;
}
