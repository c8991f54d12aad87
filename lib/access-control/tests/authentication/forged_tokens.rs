//! Tokens that must not be accepted. Each differs in one thing from one that is.

use access_control::{Authenticator, Role, TokenClaimSettings, TokenRequest, TokenSecret};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use ring::hmac;
use serde_json::json;
use std::time::Duration;

use crate::signing::{base64, claims, claims_with, hs256, now, token};
use crate::{SECRET, assert_refused, authorization, principal_of, with_secret};

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// A token of our secret with these claims.
fn signed(claims: &str) -> String {
    token(HEADER, claims, |message| hs256(SECRET.as_bytes(), message))
}

async fn refused(authenticator: &Authenticator, token: &str, what: &str) {
    let error = principal_of(authenticator, token).await.expect_err(what);
    assert_refused(error, what).await;
}

#[tokio::test]
async fn a_token_with_all_claims_is_accepted() {
    let principal = principal_of(&with_secret(), &signed(&claims().to_string())).await.unwrap();
    assert_eq!((principal.role(), principal.subject()), (Role::Shop, "ada"));
}

#[tokio::test]
async fn the_audience_may_be_one_of_a_list() {
    let listed = claims_with(&json!({ "aud": ["other", "ordo"] })).to_string();
    assert_eq!(principal_of(&with_secret(), &signed(&listed)).await.unwrap().actor(), "shop:ada");
}

#[tokio::test]
async fn claims_that_are_missing_wrong_or_of_another_type_are_refused() {
    let authenticator = with_secret();
    for changes in [
        json!({ "exp": null }),
        json!({ "nbf": null }),
        json!({ "iss": null }),
        json!({ "aud": null }),
        json!({ "sub": null }),
        json!({ "role": null }),
        json!({ "exp": now() - 31 }),
        json!({ "exp": (now() + 600).to_string() }),
        json!({ "exp": [now() + 600] }),
        json!({ "exp": { "at": now() + 600 } }),
        json!({ "exp": true }),
        json!({ "exp": -1 }),
        json!({ "exp": i64::MIN }),
        json!({ "exp": u64::MAX }),
        json!({ "exp": 1e300 }),
        json!({ "nbf": now() + 120 }),
        json!({ "nbf": [now()] }),
        json!({ "nbf": now().to_string() }),
        json!({ "nbf": -1 }),
        json!({ "nbf": u64::MAX }),
        json!({ "iss": "another" }),
        json!({ "iss": ["ordo"] }),
        json!({ "iss": 1 }),
        json!({ "aud": "another" }),
        json!({ "aud": [] }),
        json!({ "aud": ["another"] }),
        json!({ "aud": { "ordo": true } }),
        json!({ "sub": "" }),
        json!({ "sub": "x".repeat(256) }),
        json!({ "role": "root" }),
        json!({ "role": "customer" }),
    ] {
        let claims = claims_with(&changes).to_string();
        refused(&authenticator, &signed(&claims), &changes.to_string()).await;
    }
    let twice = claims().to_string().replacen('{', &format!("{{\"exp\":{},", now() + 600), 1);
    refused(&authenticator, &signed(&twice), "exp twice").await;
    for payload in ["", "null", "[]", "{", "7", "\u{0}"] {
        refused(&authenticator, &signed(payload), payload).await;
    }
}

#[tokio::test]
async fn a_token_without_a_signature_is_refused_whatever_its_header_says() {
    let (authenticator, claims) = (with_secret(), claims().to_string());
    for alg in ["none", "None", "NONE", "nOnE", "", "HS1", "RS256", "ES256", "EdDSA", "HS384", "HS512"] {
        let header = json!({ "alg": alg, "typ": "JWT" }).to_string();
        refused(&authenticator, &token(&header, &claims, |_| Vec::new()), alg).await;
        refused(&authenticator, &token(&header, &claims, |message| hs256(SECRET.as_bytes(), message)), alg).await;
    }
    refused(&authenticator, &token(HEADER, &claims, |_| Vec::new()), "HS256 with no signature").await;
    let longer =
        |message: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, SECRET.as_bytes()), message).as_ref().to_vec();
    refused(&authenticator, &token(r#"{"alg":"HS512"}"#, &claims, longer), "HS512 with our secret").await;
}

#[tokio::test]
async fn a_header_that_brings_its_own_key_or_asks_for_more_is_refused() {
    let (authenticator, claims) = (with_secret(), claims().to_string());
    let own = b"another secret of the same length";
    for header in [
        json!({ "alg": "HS256", "jwk": { "kty": "oct", "k": base64(own) } }),
        json!({ "alg": "HS256", "jku": "http://127.0.0.1:1/jwks.json" }),
        json!({ "alg": "HS256", "x5u": "http://127.0.0.1:1/cert.pem" }),
        json!({ "alg": "HS256", "kid": "../../../../dev/null" }),
    ] {
        refused(&authenticator, &token(&header.to_string(), &claims, |message| hs256(own, message)), "own key").await;
    }
    let signed = |header: &str| token(header, &claims, |message| hs256(SECRET.as_bytes(), message));
    for header in [r#"{"alg":"HS256","crit":["exp"]}"#, r#"{"alg":"HS256","b64":false}"#, r#"{"typ":"JWT"}"#, "{", ""] {
        refused(&authenticator, &signed(header), header).await;
    }
}

#[tokio::test]
async fn a_token_that_was_tampered_with_is_refused() {
    let authenticator = with_secret();
    let good = signed(&claims().to_string());
    let parts: Vec<&str> = good.split('.').collect();
    let operator = base64(claims_with(&json!({ "role": "operator" })).to_string());
    refused(&authenticator, &format!("{}.{operator}.{}", parts[0], parts[2]), "other claims").await;
    for at in [0, good.len() / 3, good.len() / 2, good.len() - 2] {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        refused(&authenticator, std::str::from_utf8(&bytes).unwrap(), "one letter").await;
    }
    for token in [
        parts[..2].join("."),
        format!("{good}.{}", parts[2]),
        format!("{good}="),
        format!(".{good}"),
        parts.join(".."),
        "...".to_owned(),
        ".".to_owned(),
        "x".to_owned(),
    ] {
        refused(&authenticator, &token, &token).await;
    }
}

#[tokio::test]
async fn a_token_may_have_8_kib_and_no_more() {
    let authenticator = with_secret();
    let padded = |bytes: usize| signed(&claims_with(&json!({ "padding": "x".repeat(bytes) })).to_string());
    assert!(padded(5_000).len() < 8 * 1024);
    principal_of(&authenticator, &padded(5_000)).await.unwrap();
    refused(&authenticator, &padded(7_000), "longer").await;
    refused(&authenticator, &"x".repeat(30_000), "much longer").await;
}

#[tokio::test]
async fn one_bearer_credential_comes_or_none() {
    let authenticator = with_secret();
    let good = signed(&claims().to_string());
    assert!(authenticator.authenticate(&HeaderMap::new()).await.unwrap().is_none());
    for scheme in ["Bearer", "bearer", "BEARER", "Bearer "] {
        let headers = authorization(&format!("{scheme} {good}"));
        assert!(authenticator.authenticate(&headers).await.unwrap().is_some(), "{scheme}");
    }
    let values =
        ["", "Bearer", "Bearer ", "Basic YWRhOmFkYQ==", "Digest x", "bearertoken", &format!("Token {good}"), &good];
    for value in values {
        let error = authenticator.authenticate(&authorization(value)).await.expect_err(value);
        assert_refused(error, value).await;
    }
    let mut twice = authorization(&format!("Bearer {good}"));
    twice.append(AUTHORIZATION, format!("Bearer {good}").parse().unwrap());
    assert_refused(authenticator.authenticate(&twice).await.unwrap_err(), "two headers").await;
    let listed = authorization(&format!("Bearer {good}, Bearer {good}"));
    assert_refused(authenticator.authenticate(&listed).await.unwrap_err(), "two in one").await;
}

#[tokio::test]
async fn development_tokens_are_what_is_accepted() {
    let (authenticator, secret, rules) =
        (with_secret(), TokenSecret::parse(SECRET).unwrap(), TokenClaimSettings::default());
    for role in Role::ALL {
        let customer_id = (role == Role::Customer).then(|| "customer-42".to_owned());
        let request = TokenRequest { role, subject: "ada".to_owned(), customer_id, valid_for: Duration::from_secs(60) };
        let principal = principal_of(&authenticator, &request.sign(&secret, &rules).unwrap()).await.unwrap();
        assert_eq!((principal.role(), principal.customer_id()), (role, request.customer_id.as_deref()));
    }
    let other = TokenSecret::parse("another secret, which has 32 bytes too").unwrap();
    let request = TokenRequest {
        role: Role::Operator,
        subject: "eve".to_owned(),
        customer_id: None,
        valid_for: Duration::from_secs(60),
    };
    refused(&authenticator, &request.sign(&other, &rules).unwrap(), "another secret").await;
    assert!(TokenSecret::parse("short").is_none());
    assert!(TokenRequest { role: Role::Customer, ..request.clone() }.sign(&secret, &rules).is_err());
    assert!(TokenRequest { customer_id: Some("c".to_owned()), ..request }.sign(&secret, &rules).is_err());
}
