//! Which credentials are accepted, and what the answer to all others is.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test says what went wrong by panicking")]

mod any_header;
mod api_keys;
mod forged_tokens;
mod issuer;
mod issuers_keys;
mod signing;

use access_control::{
    AuthenticationError, AuthenticationSettings, Authenticator, InvalidCredential, Principal, TokenKeys, TokenSecret,
};
use axum::response::IntoResponse;
use http::HeaderMap;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http_body_util::BodyExt;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The development set-up: one secret.
fn with_secret() -> Authenticator {
    let keys = TokenKeys::Secret(TokenSecret::parse(SECRET).unwrap());
    Authenticator::start(&AuthenticationSettings { token_keys: Some(keys), ..Default::default() }, None).unwrap()
}

/// The headers of a request with that value of `Authorization`.
fn authorization(value: &str) -> HeaderMap {
    [(AUTHORIZATION, value.parse().unwrap())].into_iter().collect()
}

async fn principal_of(authenticator: &Authenticator, token: &str) -> Result<Principal, AuthenticationError> {
    let found = authenticator.authenticate(&authorization(&format!("Bearer {token}"))).await;
    found.map(|principal| principal.expect("a credential came"))
}

/// Status, challenge and body of the answer to a refused credential.
async fn answer(error: AuthenticationError) -> (u16, String, String) {
    let (head, body) = error.into_response().into_parts();
    let challenge = head.headers.get(WWW_AUTHENTICATE).map_or("", |value| value.to_str().unwrap());
    let body = body.collect().await.unwrap().to_bytes();
    (head.status.as_u16(), challenge.to_owned(), String::from_utf8(body.to_vec()).unwrap())
}

/// Asserts that a credential is refused, with the answer that all refused ones get.
async fn assert_refused(error: AuthenticationError, what: &str) {
    let empty = AuthenticationError::from(InvalidCredential::Header("is empty"));
    let (status, challenge, body) = answer(error).await;
    assert_eq!((status, challenge.as_str()), (401, "Bearer error=\"invalid_token\""), "{what}");
    assert!(body.contains(r#""code":"invalid-credential""#), "{what}: {body}");
    assert_eq!(body, answer(empty).await.2, "{what}");
}
