//! Tokens that are verified with the keys of an issuer, which change.

use std::sync::Arc;
use std::time::Duration;

use access_control::{AuthenticationError, Authenticator, TokenKeys};
use futures_util::future::{join, join_all};
use http::StatusCode;
use ring::hmac;
use serde_json::{Value, json};

use crate::issuer::{Issuer, SigningKey, trusting};
use crate::signing::{base64, claims_with, now, token};
use crate::{assert_refused, principal_of};

const PATIENCE: Duration = Duration::from_secs(30);

async fn refused(authenticator: &Authenticator, token: &str, what: &str) {
    assert_refused(principal_of(authenticator, token).await.expect_err(what), what).await;
}

#[tokio::test]
async fn each_kind_of_key_verifies_its_own_algorithm_and_no_other() {
    let (rsa, ecdsa, ed25519) = (SigningKey::rsa(), SigningKey::ecdsa(), SigningKey::ed25519());
    let issuer = Issuer::start(&[rsa.jwk("rsa"), ecdsa.jwk("ecdsa"), ed25519.jwk("ed")]).await;
    let authenticator = issuer.authenticator();
    for (key, alg, kid) in [(&rsa, "RS256", "rsa"), (&ecdsa, "ES256", "ecdsa"), (&ed25519, "EdDSA", "ed")] {
        let principal = principal_of(&authenticator, &key.token(alg, Some(kid), &json!({}))).await;
        assert_eq!(principal.unwrap().actor(), "shop:ada", "{alg}");
        for other in
            ["none", "HS256", "RS256", "PS256", "ES256", "ES384", "EdDSA"].iter().filter(|other| **other != alg)
        {
            refused(&authenticator, &key.token(other, Some(kid), &json!({})), other).await;
        }
        for other in ["rsa", "ecdsa", "ed"].iter().filter(|other| **other != kid) {
            refused(&authenticator, &key.token(alg, Some(other), &json!({})), other).await;
        }
        refused(&authenticator, &key.token(alg, None, &json!({})), "no kid, and several keys").await;
        refused(&authenticator, &key.token(alg, Some(kid), &json!({ "exp": 1 })), "expired").await;
    }
}

#[tokio::test]
async fn a_public_key_is_no_secret_of_hs256() {
    let rsa = SigningKey::rsa();
    let jwk = rsa.jwk("rsa");
    let symmetric = json!({ "kty": "oct", "kid": "oct", "alg": "HS256", "k": base64([7; 32]) });
    let issuer = Issuer::start(&[jwk.clone(), symmetric]).await;
    let authenticator = issuer.authenticator();
    let claims = claims_with(&json!({ "iss": crate::issuer::ISSUER })).to_string();
    let secrets: [Vec<u8>; 4] = [
        jwk.to_string().into_bytes(),
        jwk["n"].as_str().unwrap().as_bytes().to_vec(),
        base64_decoded(&jwk["n"]),
        vec![7; 32],
    ];
    for secret in secrets {
        for kid in ["rsa", "oct"] {
            let header = json!({ "alg": "HS256", "kid": kid }).to_string();
            let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
            let forged = token(&header, &claims, |message| hmac::sign(&key, message).as_ref().to_vec());
            refused(&authenticator, &forged, kid).await;
        }
    }
}

fn base64_decoded(text: &Value) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text.as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn the_algorithm_that_a_key_names_holds() {
    let rsa = SigningKey::rsa();
    let mut jwk = rsa.jwk("rsa");
    jwk["alg"] = "PS256".into();
    let issuer = Issuer::start(&[jwk]).await;
    let authenticator = issuer.authenticator();
    principal_of(&authenticator, &rsa.token("PS256", Some("rsa"), &json!({}))).await.unwrap();
    principal_of(&authenticator, &rsa.token("PS256", None, &json!({}))).await.unwrap();
    refused(&authenticator, &rsa.token("RS256", Some("rsa"), &json!({})), "RS256").await;
}

#[tokio::test]
async fn a_thousand_unknown_kids_are_one_request_to_the_issuer() {
    let key = SigningKey::ed25519();
    let issuer = Issuer::start(&[key.jwk("known")]).await;
    let authenticator = issuer.authenticator();
    principal_of(&authenticator, &key.token("EdDSA", Some("known"), &json!({}))).await.unwrap();
    assert_eq!(issuer.asked(), 1);
    let long = "x".repeat(5_000);
    let odd =
        ["../../../../etc/passwd", "/dev/null", "' or 1=1; drop table api_keys; --", "known\0", "KNOWN", "", &long];
    for kid in odd {
        refused(&authenticator, &key.token("EdDSA", Some(kid), &json!({})), kid).await;
    }
    let unknown = (0..1_000).map(|nth| key.token("EdDSA", Some(&format!("kid-{nth}")), &json!({})));
    let unknown: Vec<String> = unknown.collect();
    join_all(unknown.iter().map(|token| refused(&authenticator, token, "unknown"))).await;
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_under_load_refuses_no_token() {
    // Given
    let (old, new) = (Arc::new(SigningKey::ecdsa()), Arc::new(SigningKey::rsa()));
    let issuer = Issuer::start(&[old.jwk("old")]).await;
    let authenticator = issuer.authenticator();
    let clients = |key: &Arc<SigningKey>, alg: &'static str, kid: &'static str, first: usize| {
        let clients = (first..first + 16).map(|client| {
            let (key, authenticator) = (Arc::clone(key), authenticator.clone());
            tokio::spawn(async move {
                for nth in 0..20 {
                    let subject = json!({ "sub": format!("client-{client}-{nth}") });
                    let token = key.token(alg, Some(kid), &subject);
                    principal_of(&authenticator, &token).await.unwrap();
                    principal_of(&authenticator, &token).await.unwrap();
                }
            })
        });
        clients.collect::<Vec<_>>()
    };

    // When the issuer signs with a new key at once, while tokens of the old one are still used
    let before = clients(&old, "ES256", "old", 0);
    issuer.publish(&[old.jwk("old"), new.jwk("new")]);
    let after = clients(&new, "RS256", "new", 100);

    // Then
    for client in before.into_iter().chain(after) {
        client.await.unwrap();
    }
    assert!(issuer.asked() <= 3, "{} requests", issuer.asked());
}

#[tokio::test]
async fn a_key_that_is_published_while_those_before_it_are_on_their_way_is_found() {
    let (old, new) = (SigningKey::ed25519(), SigningKey::ed25519());
    let issuer = Issuer::start(&[old.jwk("old")]).await;
    let on_their_way = issuer.hold_back().await;
    let authenticator = issuer.authenticator();
    testkit::eventually(PATIENCE, || async { issuer.asked() == 1 }).await;
    issuer.publish(&[old.jwk("old"), new.jwk("new")]);
    let token = new.token("EdDSA", Some("new"), &json!({}));
    // The first is polled first: it waits for the load that is under way.
    let (principal, ()) = join(principal_of(&authenticator, &token), async { drop(on_their_way) }).await;
    principal.unwrap();
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn a_token_ends_with_its_key_even_if_it_was_verified_before() {
    let (old, new) = (SigningKey::ed25519(), SigningKey::ed25519());
    let issuer = Issuer::start(&[old.jwk("old")]).await;
    let authenticator = issuer.authenticator();
    let token = old.token("EdDSA", Some("old"), &json!({}));
    principal_of(&authenticator, &token).await.unwrap();
    issuer.publish(&[new.jwk("new")]);
    principal_of(&authenticator, &token).await.unwrap();
    principal_of(&authenticator, &new.token("EdDSA", Some("new"), &json!({}))).await.unwrap();
    refused(&authenticator, &token, "the old key").await;
}

#[tokio::test]
async fn another_key_under_the_same_kid_is_another_key() {
    let (old, new) = (SigningKey::ed25519(), SigningKey::ed25519());
    let issuer = Issuer::start(&[old.jwk("key")]).await;
    let authenticator = issuer.authenticator();
    let token = old.token("EdDSA", Some("key"), &json!({}));
    principal_of(&authenticator, &token).await.unwrap();
    issuer.publish(&[new.jwk("key")]);
    refused(&authenticator, &new.token("EdDSA", Some("other"), &json!({})), "it only has the keys loaded again").await;
    refused(&authenticator, &token, "the old key").await;
    principal_of(&authenticator, &new.token("EdDSA", Some("key"), &json!({}))).await.unwrap();
}

#[tokio::test]
async fn the_last_good_keys_are_kept_while_the_issuer_is_away() {
    let (key, next) = (SigningKey::ed25519(), SigningKey::ed25519());
    let issuer = Issuer::start(&[key.jwk("key")]).await;
    let authenticator = issuer.authenticator();
    principal_of(&authenticator, &key.token("EdDSA", Some("key"), &json!({}))).await.unwrap();
    issuer.answers(StatusCode::INTERNAL_SERVER_ERROR, "away");
    let unknown = principal_of(&authenticator, &next.token("EdDSA", Some("next"), &json!({}))).await;
    assert!(matches!(unknown, Err(AuthenticationError::Unavailable(_))), "it may be valid: {unknown:?}");
    principal_of(&authenticator, &key.token("EdDSA", Some("key"), &json!({ "sub": "other" }))).await.unwrap();
}

#[tokio::test]
async fn a_set_without_a_usable_key_does_not_take_the_last_good_ones_away() {
    let (key, next) = (SigningKey::ed25519(), SigningKey::ed25519());
    let issuer = Issuer::start(&[key.jwk("key")]).await;
    let authenticator = issuer.authenticator();
    principal_of(&authenticator, &key.token("EdDSA", Some("key"), &json!({}))).await.unwrap();
    issuer.publish(&[json!({ "kty": "oct", "k": "c2VjcmV0" })]);
    let unknown = principal_of(&authenticator, &next.token("EdDSA", Some("next"), &json!({}))).await;
    assert!(matches!(unknown, Err(AuthenticationError::Unavailable(_))), "{unknown:?}");
    assert_eq!(issuer.asked(), 2);
    principal_of(&authenticator, &key.token("EdDSA", Some("key"), &json!({ "sub": "other" }))).await.unwrap();
}

#[tokio::test]
async fn what_no_key_of_an_issuer_could_verify_takes_no_request_to_it() {
    let (one, two, next) = (SigningKey::ed25519(), SigningKey::ed25519(), SigningKey::ed25519());
    let issuer = Issuer::start(&[one.jwk("one"), two.jwk("two")]).await;
    let authenticator = issuer.authenticator();
    principal_of(&authenticator, &one.token("EdDSA", Some("one"), &json!({}))).await.unwrap();
    refused(&authenticator, &one.token("EdDSA", None, &json!({})), "no kid, and two keys").await;
    for alg in ["HS256", "HS384", "HS512"] {
        refused(&authenticator, &one.token(alg, Some("made-up"), &json!({})), alg).await;
    }
    assert_eq!(issuer.asked(), 1);
    // So it is there for a rotation.
    issuer.publish(&[two.jwk("two"), next.jwk("next")]);
    principal_of(&authenticator, &next.token("EdDSA", Some("next"), &json!({}))).await.unwrap();
}

#[tokio::test]
async fn a_token_that_is_younger_than_the_keys_is_not_called_invalid() {
    let (key, next) = (SigningKey::ed25519(), SigningKey::ed25519());
    let issuer = Issuer::start(&[key.jwk("key")]).await;
    let authenticator = issuer.authenticator();
    principal_of(&authenticator, &key.token("EdDSA", Some("key"), &json!({}))).await.unwrap();
    refused(&authenticator, &key.token("EdDSA", Some("made-up"), &json!({})), "it takes the load of this minute").await;
    // The copy was begun in a second that has to be over.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    issuer.publish(&[key.jwk("key"), next.jwk("next")]);
    let issued_at = |second: u64| next.token("EdDSA", Some("next"), &json!({ "iat": second }));
    let error = principal_of(&authenticator, &issued_at(now())).await.unwrap_err();
    let AuthenticationError::OutdatedKeys(after) = &error else { panic!("{error:?}") };
    assert!((50..=60).contains(&after.as_secs()), "{after:?}");
    let (status, challenge, body) = crate::answer(error).await;
    assert_eq!((status, challenge.as_str()), (503, ""), "{body}");
    for second in [now() - 10, now() + 300] {
        refused(&authenticator, &issued_at(second), "issued before, or in the future").await;
    }
}

#[tokio::test]
async fn without_any_key_nobody_is_told_that_a_token_is_not_valid() {
    for (status, body) in [
        (StatusCode::NOT_FOUND, "{\"keys\":[]}"),
        (StatusCode::OK, "<html>log in</html>"),
        (StatusCode::OK, &" ".repeat(300 * 1024)),
    ] {
        let key = SigningKey::ed25519();
        let issuer = Issuer::start(&[]).await;
        issuer.answers(status, body);
        let unknown = principal_of(&issuer.authenticator(), &key.token("EdDSA", Some("key"), &json!({}))).await;
        let error = unknown.unwrap_err();
        assert!(matches!(error, AuthenticationError::Unavailable(_)), "{error:?}");
        assert_eq!(crate::answer(error).await.0, 503);
    }
}

#[tokio::test]
async fn keys_can_be_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let key = SigningKey::ecdsa();
    std::fs::write(&path, json!({ "keys": [key.jwk("key")] }).to_string()).unwrap();
    let authenticator = trusting(TokenKeys::JwksFile(path));
    principal_of(&authenticator, &key.token("ES256", Some("key"), &json!({}))).await.unwrap();
    refused(&authenticator, &key.token("ES256", Some("other"), &json!({})), "unknown").await;
}
