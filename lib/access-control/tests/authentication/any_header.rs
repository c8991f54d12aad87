//! Whatever comes in the header, authentication answers.

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};
use proptest::prelude::*;

use crate::signing::{base64, claims, hs256, token};
use crate::{SECRET, with_secret};

/// Bytes that can be a header's value.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(b'\t'), 0x20..=0x7e_u8, 0x80..=0xff_u8];
    prop::collection::vec(byte, 0..300)
}

/// Texts in the form of a token, of JSON and of garbage.
fn token_like() -> impl Strategy<Value = String> {
    let json = prop_oneof![
        Just(r#"{"alg":"HS256"}"#.to_owned()),
        Just(claims().to_string()),
        "[ -~]{0,60}",
        r#"\{"(alg|kid|crit|exp|nbf|aud|iss|role)":[-0-9eE\[\]{}".]{0,20}\}"#,
    ];
    let part = prop_oneof![json.prop_map(base64), "[A-Za-z0-9_=.-]{0,40}"];
    prop::collection::vec(part, 1..5).prop_map(|parts| parts.join("."))
}

fn answered(values: &[Vec<u8>]) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
    }
    runtime.block_on(async { with_secret().authenticate(&headers).await }).is_ok_and(|found| found.is_some())
}

proptest! {
    #[test]
    fn random_bytes_as_a_token_do_not_panic(values in prop::collection::vec(value(), 1..3)) {
        assert!(!answered(&values));
    }

    #[test]
    fn nothing_like_a_token_makes_it_panic_or_is_accepted(token in token_like()) {
        assert!(!answered(&[format!("Bearer {token}").into_bytes()]));
    }

    #[test]
    fn no_signed_claims_make_it_panic(payload in "[ -~]{0,200}", header in "[ -~]{0,60}") {
        let signed = |header: &str| token(header, &payload, |message| hs256(SECRET.as_bytes(), message));
        assert!(!answered(&[format!("Bearer {}", signed(r#"{"alg":"HS256"}"#)).into_bytes()]));
        assert!(!answered(&[format!("Bearer {}", signed(&header)).into_bytes()]));
    }
}
