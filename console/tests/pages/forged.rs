//! Forms that nobody was given: to every route of the table that does something, whether a page has a form for it or not.

use access_control::{ROUTES, Role, Route};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use ring::hmac;

use crate::support::{Fixture, as_role, session};

const STALE: &str = "this form was not made for this browser";
/// Everybody who has a console.
const STAFF: [Role; 6] = [Role::Operator, Role::Shop, Role::Warehouse, Role::Support, Role::Finance, Role::Auditor];

async fn fixture() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.order(&testkit::demo_order("o-1"), |content| content).await;
    fixture
}

/// The routes that do something, each with its path for the order `o-1`.
fn routes() -> impl Iterator<Item = (&'static Route, String)> {
    let fill = |part: &'static str| match part {
        "{order_id}" => "o-1",
        part if part.starts_with('{') => "00000000-0000-7000-8000-000000000001",
        part => part,
    };
    let path = move |route: &Route| route.path.split('/').map(fill).collect::<Vec<_>>().join("/");
    ROUTES.iter().filter(|route| route.method != "GET").map(move |route| (route, path(route)))
}

/// The token that a page would have for its reader.
fn token(credential: &str, purpose: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, credential.as_bytes());
    URL_SAFE_NO_PAD.encode(hmac::sign(&key, purpose.as_bytes()))
}

fn form(token: &str, method: &str) -> Vec<(String, String)> {
    let fields = [("token", token), ("method", method), ("/text", "forged"), ("back", "/nowhere")];
    fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// All that a form could have changed.
async fn done(fixture: &Fixture) -> Vec<String> {
    let everything = "select event_type::text from events union all select id::text from bulk_actions
                      union all select id::text from replays union all select id::text from webhook_endpoints";
    sqlx::query_scalar(everything).fetch_all(fixture.database.pool()).await.unwrap()
}

#[tokio::test]
async fn no_route_takes_a_form_that_was_not_made_for_its_sender() {
    let fixture = fixture().await;
    let (operator, other) = (as_role(Role::Operator), as_role(Role::Support));
    let changed = format!("{}AAAA", &operator[..operator.len() - 4]);
    for (route, path) in routes() {
        let (method, good) = (route.method, token(&operator, &format!("{} {path}", route.method)));
        let another = if method == "POST" { "DELETE" } else { "POST" };
        for (what, cookie, token, method) in [
            ("without a token", Some(&operator), String::new(), method),
            ("with a token that is cut", Some(&operator), good[..20].to_owned(), method),
            (
                "with the token of another path",
                Some(&operator),
                token(&operator, &format!("{method} {path}/x")),
                method,
            ),
            ("with the token of signing out", Some(&operator), token(&operator, "sign-out"), method),
            ("with the token of another session", Some(&operator), token(&other, &format!("{method} {path}")), method),
            ("by another session", Some(&other), good.clone(), method),
            ("of another method", Some(&operator), good.clone(), another),
            ("of no method", Some(&operator), good.clone(), "GET"),
            ("with a changed cookie", Some(&changed), good.clone(), method),
            ("without a cookie", None, good.clone(), method),
        ] {
            let cookies = cookie.map_or_else(Vec::new, |cookie| session(cookie));
            let answer = fixture.send_form(&path, &cookies, &form(&token, method)).await;
            let is_known = cookie.is_some_and(|cookie| *cookie != changed);
            let expected = if is_known { StatusCode::FORBIDDEN } else { StatusCode::UNAUTHORIZED };
            assert_eq!(answer.status, expected, "{method} {path} {what}: {}", answer.body);
            assert!(!is_known || answer.body.contains(STALE), "{method} {path} {what}: {}", answer.body);
        }
    }
    assert_eq!(done(&fixture).await, ["OrderCreated"]);
    // None of it would have been refused for its token had it been the right one.
    for (route, path) in routes() {
        let good = token(&operator, &format!("{} {path}", route.method));
        let answer = fixture.send_form(&path, &session(&operator), &form(&good, route.method)).await;
        assert!(!answer.body.contains(STALE), "{} {path}: {}", route.method, answer.body);
    }
    let noted = done(&fixture).await;
    assert!(noted.iter().any(|it| it == "NoteAdded"), "{noted:?}");
    fixture.end().await;
}

#[tokio::test]
async fn who_makes_forms_of_their_own_may_do_what_the_table_of_routes_lets_them() {
    let fixture = fixture().await;
    let mut refused = 0;
    for role in STAFF {
        let credential = as_role(role);
        for (route, path) in routes().filter(|(route, _)| route.grant(role).is_none()) {
            let own = form(&token(&credential, &format!("{} {path}", route.method)), route.method);
            let answer = fixture.send_form(&path, &session(&credential), &own).await;
            let is_refused = [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&answer.status);
            assert!(is_refused && !answer.body.contains(STALE), "{role} {path}: {} {}", answer.status, answer.body);
            refused += usize::from(answer.status == StatusCode::FORBIDDEN);
        }
    }
    assert!(refused > 100, "{refused}");
    assert_eq!(done(&fixture).await, ["OrderCreated"]);
    fixture.end().await;
}
