//! What a form comes to that is not simply done: not known, done before, about what is not shown yet, or about another version.

use access_control::Role;
use http::StatusCode;

use crate::support::{Answer, Fixture, PATIENCE, as_role, sent, session};

const NOTES: &str = "/orders/o-1/notes";
const DECISIONS: &str = "/orders/o-1/saga/decisions";

async fn fixture() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.order(&testkit::demo_order("o-1"), |content| content).await;
    fixture
}

async fn run(fixture: &Fixture, statement: &'static str) {
    sqlx::query(statement).execute(fixture.database.pool()).await.unwrap();
}

/// The types of the order's events.
async fn events(fixture: &Fixture) -> Vec<String> {
    let query = "select event_type from events where aggregate_id = 'o-1' order by sequence";
    sqlx::query_scalar(query).fetch_all(fixture.database.pool()).await.unwrap()
}

/// What the next page says of an answer.
async fn said(fixture: &Fixture, credential: &str, done: &Answer) -> String {
    let cookies = [session(credential), done.cookies()].concat().join("; ");
    fixture.visit_with("/orders/o-1", &[("cookie", &cookies)]).await.body
}

#[tokio::test]
async fn what_may_have_been_done_is_sent_again_as_it_was_and_done_once() {
    let fixture = fixture().await;
    let operator = as_role(Role::Operator);
    let typed = "\"><script>alert(1)</script>";
    let form = sent(&fixture.page("/orders/o-1", &operator).await, NOTES, &[("/text", typed)]);
    // The database can't say whether it is done.
    run(&fixture, "alter table events rename to events_away").await;
    let unknown = fixture.send_form(NOTES, &session(&operator), &form).await;
    run(&fixture, "alter table events_away rename to events").await;
    assert!(unknown.status.is_server_error(), "{}: {}", unknown.status, unknown.body);
    for shown in ["It is not known whether it was done", "Send the same again", "text: &#34;&#62;&#60;script&#62;alert"]
    {
        assert!(unknown.body.contains(shown), "{shown}: {}", unknown.body);
    }
    assert!(!unknown.body.contains("<script>alert"), "{}", unknown.body);
    assert_eq!(events(&fixture).await, ["OrderCreated"]);

    // The page has all of the form, its key and what was typed too.
    let again = unknown.hidden_fields(NOTES);
    let names = |form: &[(String, String)]| form.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&again), names(&form));
    let key = |form: &[(String, String)]| form.iter().find(|(name, _)| name == "key").cloned().unwrap();
    assert_eq!(key(&again), key(&form));
    let first = fixture.send_form(NOTES, &session(&operator), &form).await;
    assert_eq!(first.status, StatusCode::SEE_OTHER, "{}", first.body);
    assert!(said(&fixture, &operator, &first).await.contains("Add a note: done."));
    let second = fixture.send_form(NOTES, &session(&operator), &form).await;
    assert_eq!(second.status, StatusCode::SEE_OTHER, "{}", second.body);
    let page = said(&fixture, &operator, &second).await;
    assert!(page.contains("Add a note: was done already, and not again."), "{page}");
    assert_eq!(events(&fixture).await, ["OrderCreated", "NoteAdded"]);
    fixture.end().await;
}

#[tokio::test]
async fn a_form_that_was_done_does_nothing_with_other_fields() {
    let fixture = fixture().await;
    let operator = as_role(Role::Operator);
    let page = fixture.page("/orders/o-1", &operator).await;
    let form = sent(&page, NOTES, &[("/text", "the first text")]);
    assert_eq!(fixture.send_form(NOTES, &session(&operator), &form).await.status, StatusCode::SEE_OTHER);
    // Somebody went back and typed something else.
    let other = sent(&page, NOTES, &[("/text", "the second text")]);
    let refused = fixture.send_form(NOTES, &session(&operator), &other).await;
    assert!(refused.status.is_client_error(), "{}", refused.status);
    for shown in ["It was done before, with other fields", "the second text", "the first text"] {
        assert!(refused.body.contains(shown), "{shown}: {}", refused.body);
    }
    let is_open =
        refused.body.split("<details class=\"action\"").any(|form| form.contains(NOTES) && form.contains(" open>"));
    assert!(!is_open, "it is not offered again under another key: {}", refused.body);
    assert_eq!(events(&fixture).await, ["OrderCreated", "NoteAdded"]);
    fixture.end().await;
}

#[tokio::test]
async fn a_page_that_does_not_show_the_last_event_yet_has_no_forms() {
    let fixture = fixture().await;
    let operator = as_role(Role::Operator);
    // What is shown can be read, and nothing can be written to it.
    let mut held = fixture.database.pool().begin().await.unwrap();
    sqlx::query("lock table read_model_orders in exclusive mode").execute(&mut *held).await.unwrap();
    let happened = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                    values ('order', 'o-1', 2, 'NoteAdded', '1.0', '{\"NoteAdded\":{\"noteId\":\"n-1\",\"text\":\"not seen yet\"}}', '{}')";
    run(&fixture, happened).await;
    let behind = fixture.page("/orders/o-1", &operator).await;
    assert_eq!(behind.status, StatusCode::OK, "{}", behind.body);
    assert!(behind.body.contains("this page does not show it yet"), "{}", behind.body);
    assert!(!behind.body.contains("class=\"action\""), "{}", behind.body);
    held.rollback().await.unwrap();
    testkit::eventually(PATIENCE, || async {
        let page = fixture.page("/orders/o-1", &operator).await.body;
        page.contains("not seen yet") && page.contains("class=\"action\"")
    })
    .await;
    fixture.end().await;
}

#[tokio::test]
async fn a_decision_about_another_version_is_not_recorded_and_can_be_made_again() {
    let fixture = fixture().await;
    let stuck = "insert into saga_work (saga, order_id, step, failures, due_at, last_error, stuck)
                 values ('order_fulfilment', 'o-1', 'reserve_stock', 3, 'infinity', 'broken', true)";
    run(&fixture, stuck).await;
    let operator = as_role(Role::Operator);
    let page = fixture.page("/orders/o-1", &operator).await;
    let note = sent(&page, NOTES, &[("/text", "the customer called")]);
    assert_eq!(fixture.send_form(NOTES, &session(&operator), &note).await.status, StatusCode::SEE_OTHER);

    let decision = sent(&page, DECISIONS, &[("/reason", "it is mended")]);
    let stale = fixture.send_form(DECISIONS, &session(&operator), &decision).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED, "{}", stale.body);
    assert!(stale.body.contains("Nothing was done") && stale.body.contains("value=\"it is mended\""), "{}", stale.body);
    assert_eq!(events(&fixture).await, ["OrderCreated", "NoteAdded"]);

    // The page that tells so is of the version that is there now.
    let decision = sent(&stale, DECISIONS, &[("/reason", "it is mended")]);
    let done = fixture.send_form(DECISIONS, &session(&operator), &decision).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    assert_eq!(events(&fixture).await, ["OrderCreated", "NoteAdded", "OperatorIntervened"]);
    fixture.end().await;
}
