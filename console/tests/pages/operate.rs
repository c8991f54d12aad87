//! Rebuilds of read models, and what the platform runs on.

use access_control::Role;
use http::StatusCode;

use crate::support::{Fixture, PATIENCE, as_role, session};

#[tokio::test]
async fn a_read_model_is_rebuilt_after_a_look_at_how_long_that_takes_and_put_back() {
    let fixture = Fixture::new().await;
    let operator = as_role(Role::Operator);
    fixture.order(&testkit::demo_order("o-1"), |content| content).await;
    let page = fixture.page("/replay", &operator).await;
    assert!(page.body.contains("name=\"projections\" value=\"orders\""), "{}", page.body);
    assert!(!page.body.contains("action=\"/admin/replays\""), "{}", page.body);
    let page = fixture.page("/replay?projections=orders&projections=sales", &operator).await;
    assert!(page.status == StatusCode::OK && page.body.contains("Events to fold"), "{}", page.body);
    let mut form = page.hidden_fields("/admin/replays");
    form.push(("/compare:bool".to_owned(), "true".to_owned()));
    let begun = fixture.send_form("/admin/replays", &session(&operator), &form).await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.body);
    testkit::eventually(PATIENCE, || async { fixture.page("/replay", &operator).await.body.contains(">done</span>") })
        .await;
    let page = fixture.page("/replay", &operator).await;
    for shown in ["orders, sales", "Comparison of orders", " 0 different", "with a comparison"] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
    let mut form = page.hidden_fields("/admin/rollbacks");
    form.push(("/projection".to_owned(), "stock".to_owned()));
    let refused = fixture.send_form("/admin/rollbacks", &session(&operator), &form).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
    let mut form = page.hidden_fields("/admin/rollbacks");
    form.push(("/projection".to_owned(), "orders".to_owned()));
    let back = fixture.send_form("/admin/rollbacks", &session(&operator), &form).await;
    assert_eq!(back.status, StatusCode::SEE_OTHER, "{}", back.body);
    fixture.end().await;
}

#[tokio::test]
async fn a_rebuild_that_nobody_works_on_is_cancelled() {
    let fixture = Fixture::new().await;
    let operator = as_role(Role::Operator);
    let left = "insert into replays (id, projections, compares, build, phase, horizon, events_total, position, error)
                values ('00000000-0000-7000-8000-000000000002', '{stock}', false, 'other', 'folding', 0, 10, 0, '<i>away</i>')";
    sqlx::query(left).execute(fixture.database.pool()).await.unwrap();
    let page = fixture.page("/replay", &operator).await;
    assert!(page.body.contains("No process works on it") && page.body.contains("&#60;i&#62;away"), "{}", page.body);
    let auditor = fixture.page("/replay", &as_role(Role::Auditor)).await;
    assert!(
        auditor.status == StatusCode::OK && !auditor.body.contains("<form method=\"post\" action=\"/admin"),
        "{}",
        auditor.body
    );
    let path = "/admin/replays/00000000-0000-7000-8000-000000000002";
    // Each form has an id of its own.
    for id in [
        "admin-replays-00000000-0000-7000-8000-000000000002",
        "admin-replays-go-on-00000000-0000-7000-8000-000000000002",
    ] {
        assert_eq!(page.body.matches(&format!("id=\"{id}\"")).count(), 1, "{id}: {}", page.body);
    }
    let cancelled = fixture.send_form(path, &session(&operator), &page.hidden_fields(path)).await;
    assert_eq!(cancelled.status, StatusCode::SEE_OTHER, "{}", cancelled.body);
    assert!(fixture.page("/replay", &operator).await.body.contains("None."));
    fixture.end().await;
}

#[tokio::test]
async fn the_platform_is_shown_and_its_settings_to_operators_alone() {
    let fixture = Fixture::new().await;
    fixture.order(&testkit::demo_order("o-1"), |content| content).await;
    let page = fixture.page("/platform", &as_role(Role::Operator)).await;
    for shown in [
        "1.2.3",
        "ORDO_QUEUE_PREFIX",
        "&#60;b&#62;shop",
        "environment",
        "orders</th>",
        "nobody",
        "the server takes",
        "nothing is sealed",
    ] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
    let auditor = fixture.page("/platform", &as_role(Role::Auditor)).await;
    assert!(auditor.status == StatusCode::OK && !auditor.body.contains("ORDO_QUEUE_PREFIX"), "{}", auditor.body);
    assert_eq!(fixture.page("/platform", &as_role(Role::Support)).await.status, StatusCode::FORBIDDEN);
    fixture.end().await;
}
