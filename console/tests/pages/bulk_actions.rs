//! Many stuck sagas: found, chosen, decided about, and looked after.

use access_control::Role;
use http::StatusCode;

use crate::support::{Fixture, as_role, sent, session};

async fn fixture() -> Fixture {
    with_stuck_sagas(Fixture::new().await).await
}

async fn with_stuck_sagas(fixture: Fixture) -> Fixture {
    let stuck = "insert into saga_work (saga, order_id, step, failures, due_at, last_error, stuck, since)
                 select 'order_fulfilment', 'o-' || n, case when n <= 3 then 'capture_payment' else 'reserve_stock' end, 3, 'infinity',
                        case when n <= 3 then 'card & \"bank\" declined' else 'no answer' end, true, '2026-11-20T00:00:00Z'
                   from generate_series(1, 5) as n";
    sqlx::query(stuck).execute(fixture.database.pool()).await.unwrap();
    fixture
}

async fn actions(fixture: &Fixture) -> Vec<(String, String, String)> {
    let query = "select kind, filter ->> 'step', actor from bulk_actions order by id";
    sqlx::query_as(query).fetch_all(fixture.database.pool()).await.unwrap()
}

#[tokio::test]
async fn sagas_are_shown_by_their_reasons_and_a_reason_is_decided_about_as_a_whole() {
    let fixture = fixture().await;
    let operator = as_role(Role::Operator);
    let sagas = fixture.page("/sagas?state=stuck", &operator).await.body;
    let link = "/bulk-actions/new?kind=retry_sagas&amp;state=stuck&#38;step=capture_payment&#38;error=card";
    assert!(sagas.contains(link), "{sagas}");
    let path = "/bulk-actions/new?kind=retry_sagas&state=stuck&step=capture_payment&error=card+%26+%22bank%22+declined";
    let new = fixture.page(path, &operator).await;
    assert!(new.status == StatusCode::OK && new.body.contains("<strong>3</strong> stuck sagas match"), "{}", new.body);
    assert!(new.body.contains("/orders/o-3#sagas") && !new.body.contains("/orders/o-4"), "{}", new.body);

    // Nothing is begun without a reason, and the page says so.
    let refused = fixture
        .send_form("/bulk-actions", &session(&operator), &sent(&new, "/bulk-actions", &[("/rate:number", "500")]))
        .await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused.body.contains("value=\"500\"") && refused.body.contains("<strong>3</strong> stuck"),
        "{}",
        refused.body
    );
    assert!(actions(&fixture).await.is_empty());

    let form = sent(&new, "/bulk-actions", &[("/reason", "the provider is back"), ("/rate:number", "20")]);
    let begun = fixture.send_form("/bulk-actions", &session(&operator), &form).await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.body);
    let again = fixture.send_form("/bulk-actions", &session(&operator), &form).await;
    assert_eq!(again.headers["location"], begun.headers["location"]);
    let expected = ("retry_sagas".to_owned(), "capture_payment".to_owned(), "test".to_owned());
    assert_eq!(actions(&fixture).await, [expected]);
    let path = begun.headers["location"].to_str().unwrap().to_owned();
    let page = fixture.page(&path, &operator).await;
    assert!(page.body.contains("0 of 3") && page.body.contains("the provider is back"), "{}", page.body);
    assert!(page.body.contains("No process works on it"), "{}", page.body);
    let list = fixture.page("/bulk-actions", &operator).await.body;
    assert!(list.contains(&format!("href=\"{path}\"")), "{list}");

    let stop = format!("{path}/stop");
    let stopped = fixture.send_form(&stop, &session(&operator), &sent(&page, &stop, &[])).await;
    assert_eq!(stopped.status, StatusCode::SEE_OTHER, "{}", stopped.body);
    let page = fixture.page(&path, &operator).await;
    assert!(page.body.contains(">stopping</span>") && !page.body.contains(&stop), "{}", page.body);
    fixture.end().await;
}

#[tokio::test]
async fn those_that_are_ticked_are_decided_about_and_an_undoing_takes_a_step() {
    let fixture = fixture().await;
    let operator = as_role(Role::Operator);
    let all = fixture.page("/sagas?state=stuck&step=&error=&until=", &operator).await.body;
    assert_eq!(all.matches("name=\"orderIds\"").count(), 5, "{all}");
    assert!(!all.contains("value=\"compensate_sagas\""), "{all}");
    let of_step = fixture.page("/sagas?state=stuck&step=reserve_stock&error=answer", &operator).await.body;
    assert_eq!(of_step.matches("name=\"orderIds\"").count(), 2, "{of_step}");
    assert!(of_step.contains("value=\"compensate_sagas\""), "{of_step}");
    let ticked = "/bulk-actions/new?step=reserve_stock&error=&until=&kind=compensate_sagas&orderIds=o-4&orderIds=o-1";
    let new = fixture.page(ticked, &operator).await;
    assert!(new.body.contains("<strong>1</strong> stuck") && new.body.contains("There is no way back"), "{}", new.body);
    let form = sent(&new, "/bulk-actions", &[("/reason", "out of print")]);
    assert_eq!(fixture.send_form("/bulk-actions", &session(&operator), &form).await.status, StatusCode::SEE_OTHER);
    let named: Vec<String> =
        sqlx::query_scalar("select json_array_elements_text(filter -> 'orderIds') from bulk_actions")
            .fetch_all(fixture.database.pool())
            .await
            .unwrap();
    assert_eq!(named, ["o-4", "o-1"]);
    for wrong in [
        "kind=compensate_sagas",
        "kind=redrive_dead_letters",
        "step=reserve_stock",
        "kind=retry_sagas&x=1",
        "kind=retry_sagas&until=now",
    ] {
        let page = fixture.page(&format!("/bulk-actions/new?{wrong}"), &operator).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
    let none = fixture.page("/bulk-actions/new?kind=retry_sagas&error=nobody", &operator).await.body;
    assert!(none.contains("<strong>0</strong> stuck") && !none.contains("action=\"/bulk-actions\""), "{none}");
    fixture.end().await;
}

#[tokio::test]
async fn who_only_looks_begins_nothing_and_forged_forms_do_nothing() {
    let fixture = fixture().await;
    let (operator, auditor) = (as_role(Role::Operator), as_role(Role::Auditor));
    let sagas = fixture.page("/sagas?state=stuck", &auditor).await.body;
    assert!(!sagas.contains("/bulk-actions/new") && !sagas.contains("declined"), "{sagas}");
    let looked = fixture.page("/bulk-actions/new?kind=retry_sagas", &auditor).await.body;
    assert!(looked.contains("not begin it") && !looked.contains("action=\"/bulk-actions\""), "{looked}");
    let by_error = fixture.page("/bulk-actions/new?kind=retry_sagas&error=card", &auditor).await;
    assert_eq!(by_error.status, StatusCode::FORBIDDEN);
    assert_eq!(fixture.page("/sagas?error=card", &auditor).await.status, StatusCode::FORBIDDEN);
    assert_eq!(
        fixture.page("/bulk-actions/new?kind=retry_sagas", &as_role(Role::Support)).await.status,
        StatusCode::FORBIDDEN
    );

    let new = fixture.page("/bulk-actions/new?kind=retry_sagas", &operator).await;
    let form = sent(&new, "/bulk-actions", &[("/reason", "forged")]);
    let forged = fixture.send_form("/bulk-actions", &session(&auditor), &form).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    assert!(actions(&fixture).await.is_empty());
    fixture.end().await;
}

#[tokio::test]
async fn where_the_database_takes_no_bulk_actions_no_form_is_for_one() {
    let fixture = with_stuck_sagas(Fixture::without_bulk_actions().await).await;
    let running = "insert into bulk_actions (id, kind, filter, reason, actor, rate, request_hash)
                   values (gen_random_uuid(), 'retry_sagas', '{}', 'a reason', 'operator:o', 1, '') returning id::text";
    let id: String = sqlx::query_scalar(running).fetch_one(fixture.database.pool()).await.unwrap();
    let operator = as_role(Role::Operator);
    let sagas = fixture.page("/sagas?state=stuck", &operator).await.body;
    assert!(sagas.contains("o-1") && !sagas.contains("/bulk-actions/new"), "{sagas}");
    let new = fixture.page("/bulk-actions/new?kind=retry_sagas", &operator).await.body;
    assert!(new.contains("<strong>5</strong> stuck") && !new.contains("action=\"/bulk-actions\""), "{new}");
    let shown = fixture.page(&format!("/bulk-actions/{id}"), &operator).await.body;
    assert!(shown.contains("a reason") && !shown.contains("/stop"), "{shown}");
    fixture.end().await;
}
