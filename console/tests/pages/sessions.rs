//! Signing in and out.

use access_control::{ApiKeyRequest, ApiKeyRow, Principal, Role};
use http::StatusCode;

use crate::support::{Answer, Fixture, PATIENCE, as_role};

/// The form that signs in, as a browser has it: its cookies and its token.
async fn form(fixture: &Fixture) -> (Vec<String>, String) {
    let page = fixture.visit("/sign-in?next=/orders").await;
    assert_eq!(page.status, StatusCode::OK);
    (page.cookies(), page.hidden("/sign-in", "token"))
}

async fn sign_in(fixture: &Fixture, credential: &str) -> Answer {
    let (cookies, token) = form(fixture).await;
    fixture.form("/sign-in", &cookies, &[("token", &token), ("next", "/orders"), ("credential", credential)]).await
}

/// The cookie of the session that an answer begins.
fn session(answer: &Answer) -> Option<String> {
    answer.cookies().into_iter().find(|cookie| cookie.starts_with("ordo_session=") && !cookie.ends_with('='))
}

#[tokio::test]
async fn a_credential_that_holds_begins_a_session_and_signing_out_ends_it() {
    let fixture = Fixture::new().await;
    let credential = as_role(Role::Operator);
    let answer = sign_in(&fixture, &format!("  Bearer {credential}\n")).await;
    assert_eq!((answer.status, answer.headers["location"].to_str().unwrap()), (StatusCode::SEE_OTHER, "/orders"));
    let attributes = answer.headers.get_all("set-cookie").iter().map(|it| it.to_str().unwrap()).collect::<Vec<_>>();
    assert!(attributes[0].ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{attributes:?}");
    let cookie = session(&answer).unwrap();
    let home = fixture.page("/", &credential).await;
    assert!(home.body.contains("operator:test"), "{}", home.body);

    let token = home.hidden("/sign-out", "token");
    let forged = fixture.form("/sign-out", std::slice::from_ref(&cookie), &[("token", "AAAA")]).await;
    assert_eq!((forged.status, forged.cookies().len()), (StatusCode::FORBIDDEN, 0));
    let out = fixture.form("/sign-out", std::slice::from_ref(&cookie), &[("token", &token)]).await;
    assert_eq!((out.status, out.cookies()), (StatusCode::SEE_OTHER, vec!["ordo_session=".to_owned()]));
    fixture.end().await;
}

#[tokio::test]
async fn a_forged_form_begins_no_session() {
    let fixture = Fixture::new().await;
    let credential = as_role(Role::Operator);
    let (cookies, token) = form(&fixture).await;
    let (others, _) = form(&fixture).await;
    let tries: [(&[String], &str); 5] =
        [(&[], &token), (&others, &token), (&cookies, ""), (&cookies, "AAAA"), (&["ordo_form=".to_owned()], &token)];
    for (cookies, token) in tries {
        let answer = fixture.form("/sign-in", cookies, &[("token", token), ("credential", &credential)]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{cookies:?} {token}");
        assert_eq!(session(&answer), None);
    }
    let long = "x".repeat(20_000);
    let answer = fixture.form("/sign-in", &cookies, &[("token", &token), ("credential", &long)]).await;
    assert_eq!((answer.status, session(&answer)), (StatusCode::PAYLOAD_TOO_LARGE, None));
    fixture.end().await;
}

#[tokio::test]
async fn a_credential_that_does_not_hold_is_asked_for_again() {
    let fixture = Fixture::new().await;
    let long = "x".repeat(4_000);
    for wrong in ["", "no.such.token", "a b", "a;b", &long] {
        let answer = sign_in(&fixture, wrong).await;
        assert_eq!((answer.status, session(&answer)), (StatusCode::UNAUTHORIZED, None), "{wrong}");
        assert!(answer.body.contains("role=\"alert\"") && !answer.body.contains("no.such.token"), "{}", answer.body);
    }
    let customer = sign_in(&fixture, &as_role(Role::Customer)).await;
    assert_eq!((customer.status, session(&customer)), (StatusCode::FORBIDDEN, None));
    fixture.end().await;
}

#[tokio::test]
async fn a_session_ends_with_its_credential() {
    let fixture = Fixture::new().await;
    let request = ApiKeyRequest { role: Role::Operator, customer_id: None, name: None, expires_at: None };
    let key = request.create(fixture.database.pool()).await.unwrap();
    // The copy of keys is some seconds old.
    let is = |status| {
        let (fixture, key) = (&fixture, &key);
        testkit::eventually(
            PATIENCE,
            move || async move { fixture.page("/orders", key.expose()).await.status == status },
        )
    };
    is(StatusCode::OK).await;
    ApiKeyRow::revoke(fixture.database.pool(), key.id()).await.unwrap();
    is(StatusCode::UNAUTHORIZED).await;
    let ended = fixture.page("/orders", key.expose()).await;
    assert!(ended.body.contains("Your session has ended"), "{}", ended.body);
    fixture.end().await;
}

#[tokio::test]
async fn a_cookie_that_does_not_hold_is_removed_so_that_the_browser_is_let_in_without() {
    let fixture = Fixture::with(Some(Principal::new(Role::Operator, "local", None))).await;
    let refused = fixture.page("/", "no.such.token").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let removed = refused.headers.get_all("set-cookie").iter().any(|cookie| {
        let cookie = cookie.to_str().unwrap();
        cookie.starts_with("ordo_session=;") && cookie.contains("Max-Age=0")
    });
    assert!(removed, "{:?}", refused.headers);
    assert!(refused.cookies().iter().any(|cookie| cookie.starts_with("ordo_form=")), "{:?}", refused.headers);
    assert_eq!(fixture.visit("/").await.status, StatusCode::OK);
    // A program's credential says nothing of the browser's.
    let told = fixture.program("/", Some("no.such.token")).await;
    assert!(told.status == StatusCode::UNAUTHORIZED && told.cookies().is_empty(), "{:?}", told.headers);
    fixture.end().await;
}

#[tokio::test]
async fn a_link_of_another_site_leads_where_it_should_whoever_is_signed_in() {
    let fixture = Fixture::new().await;
    let link = "/orders?status=confirmed&tag=a%20b";
    for site in ["cross-site", "same-site"] {
        let page = fixture.visit_with(link, &[("sec-fetch-site", site), ("sec-fetch-mode", "navigate")]).await;
        let goes_on = "content=\"0;url=/sign-in?next=%2Forders%3Fstatus%3Dconfirmed%26tag%3Da%2520b\"";
        assert!(page.status == StatusCode::UNAUTHORIZED && page.body.contains(goes_on), "{}", page.body);
        assert!(page.cookies().is_empty(), "{:?}", page.headers);
    }
    // That request is the console's own, and has the cookie.
    let form = "/sign-in?next=%2Forders%3Fstatus%3Dconfirmed%26tag%3Da%2520b";
    let on = fixture.page(form, &as_role(Role::Operator)).await;
    assert_eq!((on.status, on.headers["location"].to_str().unwrap()), (StatusCode::SEE_OTHER, link));
    // Whoever is not signed in gets the form, and nobody is led round in a circle.
    let own = [("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "navigate")];
    for path in [form, link] {
        let page = fixture.visit_with(path, &own).await;
        assert!(page.body.contains("<h1>Sign in</h1>") && !page.body.contains("http-equiv"), "{}", page.body);
        assert_eq!(page.hidden("/sign-in", "next"), link.replace('&', "&#38;"));
    }
    let ended = fixture.page(link, "no.such.token").await;
    assert!(ended.body.contains("<h1>Sign in</h1>") && !ended.body.contains("http-equiv"), "{}", ended.body);
    fixture.end().await;
}
