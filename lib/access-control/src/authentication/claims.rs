//! The claims of a token, and the principal that they name.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::InvalidCredential;
use super::token::TokenClaimSettings;
use crate::{Principal, Role};

/// The longest `sub`. OpenID Connect allows as many.
const LONGEST_SUBJECT: usize = 255;
/// The longest customer id, as orders have it.
const LONGEST_CUSTOMER: usize = 128;
/// The end of the year 9999. What is later is no time that anybody meant.
const LATEST_EXPIRY: u64 = 253_402_300_799;

/// Reads the principal from the claims of a token whose signature and times were checked.
pub(super) fn principal(
    claims: &Map<String, Value>,
    rules: &TokenClaimSettings,
) -> Result<Principal, InvalidCredential> {
    // A list of issuers would be accepted by the library.
    if claims.get("iss").and_then(Value::as_str) != Some(&rules.issuer) {
        return Err(wrong("iss", "is not the issuer that is set"));
    }
    let expires_at = expiry(claims)?;
    let subject = text(claims, "sub").ok_or_else(|| wrong("sub", "must be a text"))?;
    if !is_subject(subject) {
        return Err(wrong("sub", "must have 1 to 255 bytes and no control characters"));
    }
    let role = role(claims, &rules.role_claim)?;
    let customer_claim = rules.customer_claim.as_str();
    match (role, claims.get(customer_claim)) {
        (Role::Customer, Some(Value::String(id))) if is_customer(id) => {
            Ok(Principal::customer(subject, id, Some(expires_at)))
        }
        (Role::Customer, _) => Err(wrong(customer_claim, "must be a customer's id, since the role is customer")),
        // Whether the issuer meant to limit this token can't be known.
        (_, Some(_)) if customer_claim != "sub" => Err(wrong(customer_claim, "goes with the role customer alone")),
        (role, _) => Ok(Principal::new(role, subject, Some(expires_at))),
    }
}

/// Whether a text can be the subject of a principal.
pub(super) fn is_subject(text: &str) -> bool {
    (1..=LONGEST_SUBJECT).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Whether a text can be a customer's id.
pub(super) fn is_customer(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-');
    (1..=LONGEST_CUSTOMER).contains(&text.len()) && text.bytes().all(allowed)
}

fn expiry(claims: &Map<String, Value>) -> Result<SystemTime, InvalidCredential> {
    let bad = || wrong("exp", "must be a number of seconds up to the year 9999");
    let seconds = claims.get("exp").and_then(Value::as_f64).ok_or_else(bad)?;
    let latest = Duration::from_secs(LATEST_EXPIRY);
    let after = Duration::try_from_secs_f64(seconds).ok().filter(|after| *after <= latest).ok_or_else(bad)?;
    SystemTime::UNIX_EPOCH.checked_add(after).ok_or_else(bad)
}

/// The role that a claim names. Of a list, one element must be a role; the others mean something to others.
fn role(claims: &Map<String, Value>, claim: &str) -> Result<Role, InvalidCredential> {
    let named = |value: &Value| value.as_str().and_then(|text| text.parse::<Role>().ok());
    match claims.get(claim) {
        Some(Value::Array(values)) => {
            let mut roles = values.iter().filter_map(named);
            let role = roles.next().ok_or_else(|| wrong(claim, "names no role"))?;
            if roles.any(|other| other != role) { Err(wrong(claim, "names several roles")) } else { Ok(role) }
        }
        Some(value) => named(value).ok_or_else(|| wrong(claim, "names no role")),
        None => Err(wrong(claim, "is missing")),
    }
}

fn text<'a>(claims: &'a Map<String, Value>, claim: &str) -> Option<&'a str> {
    claims.get(claim).and_then(Value::as_str)
}

fn wrong(claim: &str, problem: &'static str) -> InvalidCredential {
    InvalidCredential::Claim { claim: claim.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules() -> TokenClaimSettings {
        TokenClaimSettings { issuer: "https://id.example".to_owned(), ..TokenClaimSettings::default() }
    }

    fn of(changes: &Value) -> Result<Principal, String> {
        let mut claims = json!({ "iss": "https://id.example", "exp": 4_000_000_000_u64, "sub": "ada", "role": "shop" });
        let all = claims.as_object_mut().unwrap();
        for (claim, value) in changes.as_object().unwrap() {
            all.insert(claim.clone(), value.clone());
        }
        principal(all, &rules()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_claims_name_the_principal() {
        let shop = of(&json!({})).unwrap();
        assert_eq!((shop.actor().as_str(), shop.customer_id()), ("shop:ada", None));
        let expiry = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
        assert_eq!(shop.expires_at(), Some(expiry));
        let customer = of(&json!({ "role": "customer", "customerId": "customer-42" })).unwrap();
        assert_eq!((customer.role(), customer.customer_id()), (Role::Customer, Some("customer-42")));
    }

    #[test]
    fn a_list_may_name_one_role() {
        assert_eq!(of(&json!({ "role": ["offline_access", "support"] })).unwrap().role(), Role::Support);
        assert!(of(&json!({ "role": ["support", "finance"] })).unwrap_err().contains("several"));
        assert!(of(&json!({ "role": [] })).unwrap_err().contains("no role"));
        assert!(of(&json!({ "role": [{ "name": "support" }, 7] })).unwrap_err().contains("no role"));
    }

    #[test]
    fn a_claim_that_does_not_fit_is_named() {
        let long = "x".repeat(256);
        for (changes, claim) in [
            (json!({ "iss": ["https://id.example"] }), "iss"),
            (json!({ "sub": "" }), "sub"),
            (json!({ "sub": long }), "sub"),
            (json!({ "sub": "a\nb" }), "sub"),
            (json!({ "sub": 7 }), "sub"),
            (json!({ "exp": 1e300 }), "exp"),
            (json!({ "exp": -1 }), "exp"),
            (json!({ "exp": u64::MAX }), "exp"),
            (json!({ "exp": "4000000000" }), "exp"),
            (json!({ "role": null }), "role"),
            (json!({ "role": "root" }), "role"),
            (json!({ "role": "Operator" }), "role"),
            (json!({ "role": "customer" }), "customerId"),
            (json!({ "role": "customer", "customerId": "" }), "customerId"),
            (json!({ "role": "customer", "customerId": ["customer-42"] }), "customerId"),
            (json!({ "role": "customer", "customerId": "a/../b" }), "customerId"),
            (json!({ "role": "shop", "customerId": "customer-42" }), "customerId"),
        ] {
            assert!(of(&changes).unwrap_err().contains(claim), "{changes}");
        }
    }
}
