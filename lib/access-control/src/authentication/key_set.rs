//! The public keys of an issuer: a JSON Web Key Set (RFC 7517).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::token::{LONGEST_KID, TokenClaimSettings, VerificationKey};

/// The most keys of a set. Issuers have one or two for each algorithm.
const MOST_KEYS: usize = 100;

/// Keys that tokens are verified with.
#[derive(Debug, Default)]
pub(super) struct KeySet(Vec<VerificationKey>);

/// Why a text is no JSON Web Key Set that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeySetError {
    #[error("it is no JSON Web Key Set")]
    Json(#[from] serde_json::Error),
    #[error("it has more than {MOST_KEYS} keys")]
    TooManyKeys,
    #[error("it has no key that tokens can be verified with")]
    NoUsableKey,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl KeySet {
    /// The one key of a secret.
    pub(super) fn of_one(key: VerificationKey) -> Self {
        Self(vec![key])
    }

    /// Reads the keys that can be used. A set may have others, for other purposes; they are left out.
    pub(super) fn parse(json: &[u8], rules: &TokenClaimSettings) -> Result<Self, KeySetError> {
        let Document { keys } = serde_json::from_slice(json)?;
        if keys.len() > MOST_KEYS {
            return Err(KeySetError::TooManyKeys);
        }
        let usable = |key: Value| {
            let kid = key.get("kid").and_then(Value::as_str).unwrap_or_default().to_owned();
            let read = verification_key(key, rules);
            if let Err(problem) = &read {
                tracing::debug!(kid, problem, "a key of the issuer is left out");
            }
            read.ok()
        };
        let keys: Vec<_> = keys.into_iter().filter_map(usable).collect();
        // No issuer means that. It would refuse all tokens until the next load.
        if keys.is_empty() { Err(KeySetError::NoUsableKey) } else { Ok(Self(keys)) }
    }

    /// The key of a token with this `kid`. Without one it is clear only if there is a single key.
    pub(super) fn find(&self, kid: Option<&str>) -> Option<&VerificationKey> {
        let only = || if let [only] = self.0.as_slice() { Some(only) } else { None };
        match kid {
            Some(kid) => {
                let named = self.0.iter().find(|key| key.kid.as_deref() == Some(kid));
                named.or_else(|| only().filter(|key| key.kid.is_none()))
            }
            None => only(),
        }
    }

    pub(super) fn has(&self, fingerprint: &[u8; 32]) -> bool {
        self.0.iter().any(|key| key.fingerprint == *fingerprint)
    }
}

fn verification_key(json: Value, rules: &TokenClaimSettings) -> Result<VerificationKey, &'static str> {
    let fingerprint = json.to_string();
    let jwk: Jwk = serde_json::from_value(json).map_err(|_| "it is no JSON Web Key")?;
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return Err("it is not for signatures");
    }
    if jwk.common.key_id.as_ref().is_some_and(|kid| kid.len() > LONGEST_KID) {
        return Err("its kid is too long");
    }
    let algorithm = algorithm(&jwk)?;
    let key = match &jwk.algorithm {
        AlgorithmParameters::RSA(parameters) => rsa(&parameters.n, &parameters.e)?,
        AlgorithmParameters::EllipticCurve(_) | AlgorithmParameters::OctetKeyPair(_) => {
            DecodingKey::from_jwk(&jwk).map_err(|_| "it can't be read")?
        }
        AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_) | _ => return Err("it is no public key"),
    };
    Ok(VerificationKey::new(jwk.common.key_id, key, algorithm, fingerprint.as_bytes(), rules))
}

/// The one algorithm of a key: what it says, if that fits its type, or else the usual one of the type.
fn algorithm(jwk: &Jwk) -> Result<Algorithm, &'static str> {
    let usual_and_others: (Algorithm, &[Algorithm]) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => {
            use Algorithm::{PS256, PS384, PS512, RS256, RS384, RS512};
            (RS256, &[RS384, RS512, PS256, PS384, PS512])
        }
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => (Algorithm::ES256, &[]),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => (Algorithm::ES384, &[]),
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => (Algorithm::EdDSA, &[]),
        // Above all symmetric keys: whoever reads the set could sign with them.
        AlgorithmParameters::EllipticCurve(_)
        | AlgorithmParameters::OctetKeyPair(_)
        | AlgorithmParameters::OctetKey(_)
        | AlgorithmParameters::Other(_)
        | _ => return Err("its type is not RSA, P-256, P-384 or Ed25519"),
    };
    let (usual, others) = usual_and_others;
    match jwk.common.key_algorithm {
        None => Ok(usual),
        Some(named) if KeyAlgorithm::from(usual) == named => Ok(usual),
        Some(named) => {
            let fits = others.iter().find(|algorithm| KeyAlgorithm::from(**algorithm) == named);
            fits.copied().ok_or("its algorithm does not fit its type")
        }
    }
}

fn rsa(modulus: &str, exponent: &str) -> Result<DecodingKey, &'static str> {
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| "its numbers can't be read");
    let without_zeros = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
    let (modulus, exponent) = (without_zeros(&decode(modulus)?), without_zeros(&decode(exponent)?));
    // Shorter ones are not safe, longer ones slow.
    if !(256..=1024).contains(&modulus.len()) {
        return Err("it has less than 2048 bits or more than 8192");
    }
    Ok(DecodingKey::from_rsa_raw_components(&modulus, &exponent))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn usable(key: &Value) -> bool {
        let set = json!({ "keys": [key] }).to_string();
        match KeySet::parse(set.as_bytes(), &TokenClaimSettings::default()) {
            Ok(_) => true,
            Err(KeySetError::NoUsableKey) => false,
            Err(error) => panic!("{key}: {error}"),
        }
    }

    #[test]
    fn keys_that_could_not_verify_safely_are_left_out() {
        let coordinate = URL_SAFE_NO_PAD.encode([7; 32]);
        let modulus = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![0xff; bytes]);
        let rsa = |bytes: usize| json!({ "kty": "RSA", "kid": "1", "n": modulus(bytes), "e": "AQAB" });
        let with = |mut key: Value, name: &str, value: &str| {
            key[name] = value.into();
            key
        };
        let curve = json!({ "kty": "EC", "crv": "P-256", "x": coordinate, "y": coordinate });
        let edwards = json!({ "kty": "OKP", "crv": "Ed25519", "x": coordinate });
        for key in [rsa(256), with(rsa(512), "alg", "PS512"), with(curve.clone(), "use", "sig"), edwards.clone()] {
            assert!(usable(&key), "{key}");
        }
        for key in [
            rsa(255),
            rsa(1025),
            with(rsa(256), "alg", "HS256"),
            with(rsa(256), "alg", "ES256"),
            with(rsa(256), "alg", "none"),
            with(rsa(256), "use", "enc"),
            with(rsa(256), "kid", &"x".repeat(256)),
            with(curve.clone(), "crv", "P-521"),
            with(curve, "alg", "RS256"),
            with(edwards, "crv", "X25519"),
            json!({ "kty": "oct", "k": coordinate, "alg": "HS256" }),
            json!({ "kty": "oct", "k": coordinate }),
            json!({ "kty": 7 }),
            json!("a key"),
            json!(null),
        ] {
            assert!(!usable(&key), "{key}");
        }
    }

    #[test]
    fn a_bad_key_does_not_hide_the_others() {
        let good = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "good", "x": URL_SAFE_NO_PAD.encode([7; 32]) });
        let set = json!({ "keys": [{ "kty": "RSA", "n": 7 }, good, { "kid": "odd" }] }).to_string();
        let set = KeySet::parse(set.as_bytes(), &TokenClaimSettings::default()).unwrap();
        assert!(set.find(Some("good")).is_some() && set.find(Some("odd")).is_none());
        assert!(set.find(None).is_some(), "there is one");
    }

    #[test]
    fn what_is_no_key_set_is_an_error() {
        let many = json!({ "keys": vec![json!({}); MOST_KEYS + 1] }).to_string();
        for text in ["", "{", "[]", "null", "{}", r#"{"keys":7}"#, r#"{"keys":[]}"#, "<html>", &many] {
            assert!(KeySet::parse(text.as_bytes(), &TokenClaimSettings::default()).is_err(), "{text:.40}");
        }
    }
}
