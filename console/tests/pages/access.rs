//! Who sees what.

use access_control::{Principal, Role};
use http::StatusCode;

use crate::support::{Fixture, as_role};

#[tokio::test]
async fn a_page_is_shown_to_those_whom_the_table_of_routes_lets_read_it() {
    let fixture = Fixture::new().await;
    fixture.order(&testkit::demo_order("o-1"), |content| content).await;
    let seen = |role| match role {
        Role::Operator => [true; 11],
        Role::Auditor => [true, true, true, true, true, true, true, false, true, true, true],
        Role::Shop => [true, false, true, false, true, true, false, false, false, false, false],
        Role::Warehouse => [true, false, true, false, false, false, false, false, false, false, false],
        Role::Support => [true, false, false, false, false, false, false, false, false, false, false],
        Role::Finance => [true, false, false, false, true, false, false, false, false, false, false],
        Role::Customer => [false; 11],
    };
    for role in Role::ALL {
        let credential = as_role(role);
        let paths = [
            "/orders",
            "/sagas",
            "/stock",
            "/parked-events",
            "/sales",
            "/log",
            "/audit",
            "/read-models",
            "/bulk-actions",
            "/replay",
            "/platform",
        ];
        for (path, is_seen) in paths.into_iter().zip(seen(role)) {
            let page = fixture.page(path, &credential).await;
            let expected = if is_seen { StatusCode::OK } else { StatusCode::FORBIDDEN };
            assert_eq!(page.status, expected, "{role} {path}");
            assert!(page.body.starts_with("<!doctype html>"), "{role} {path}: {}", page.body);
            let home = fixture.page("/", &credential).await.body;
            assert_eq!(home.contains(&format!("<a href=\"{path}\"")), is_seen, "{role} {path}: {home}");
        }
    }
    let order = fixture.page("/orders/o-1", &as_role(Role::Warehouse)).await;
    assert_eq!(order.status, StatusCode::OK);
    assert!(!order.body.contains(">Money<") && !order.body.contains(">Sagas "), "{}", order.body);
    let order = fixture.page("/orders/o-1", &as_role(Role::Support)).await.body;
    assert!(order.contains(">Money<") && !order.contains(">Sagas "), "{order}");
    fixture.end().await;
}

#[tokio::test]
async fn who_is_not_known_is_asked_to_sign_in_and_a_program_is_told() {
    let fixture = Fixture::new().await;
    for path in ["/", "/orders?status=confirmed", "/orders/o-1", "/orders/export", "/sagas", "/nowhere"] {
        let page = fixture.visit(path).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(page.body.contains("<h1>Sign in</h1>"), "{path}: {}", page.body);
        assert_eq!(page.headers["cache-control"], "no-store");
        assert!(page.headers.contains_key("content-security-policy"));
        let told = fixture.program(path, None).await;
        assert_eq!((told.status, told.json()["status"].as_u64()), (StatusCode::UNAUTHORIZED, Some(401)), "{path}");
        assert_eq!(told.headers["www-authenticate"], "Bearer");
    }
    assert_eq!(fixture.visit("/orders?status=confirmed").await.hidden("/sign-in", "next"), "/orders?status=confirmed");
    assert_eq!(fixture.visit("/console.css").await.status, StatusCode::OK);
    fixture.end().await;
}

#[tokio::test]
async fn where_everyone_may_come_nobody_signs_in() {
    let fixture = Fixture::with(Some(Principal::new(Role::Operator, "local", None))).await;
    let home = fixture.visit("/").await;
    assert_eq!(home.status, StatusCode::OK);
    assert!(home.body.contains("operator:local") && !home.body.contains("/sign-out"), "{}", home.body);
    // A credential that comes counts for more.
    assert_eq!(fixture.page("/", &as_role(Role::Customer)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(fixture.page("/", "no.such.token").await.status, StatusCode::UNAUTHORIZED);
    fixture.end().await;
}

#[tokio::test]
async fn what_is_not_there_is_a_page_for_people_and_a_problem_for_programs() {
    let fixture = Fixture::new().await;
    let operator = as_role(Role::Operator);
    for path in ["/nowhere", "/orders/nobody", "/orders/nobody?asOf=1", "/orders/%20%2F"] {
        let page = fixture.page(path, &operator).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}: {}", page.body);
        assert!(
            page.body.contains("<nav aria-label=\"Pages\">") && page.body.contains("<h1>"),
            "{path}: {}",
            page.body
        );
        let told = fixture.program(path, Some(&operator)).await;
        assert_eq!((told.status, told.json()["status"].as_u64()), (StatusCode::NOT_FOUND, Some(404)), "{path}");
    }
    fixture.order(&testkit::demo_order("o-1"), |content| content).await;
    for (path, status) in [("/orders/o-1?asOf=2", 404), ("/orders/o-1?asOf=x", 422), ("/orders/o-1?as=1", 422)] {
        assert_eq!(fixture.page(path, &operator).await.status.as_u16(), status, "{path}");
    }
    fixture.end().await;
}
