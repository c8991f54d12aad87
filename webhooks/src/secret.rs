//! The secret of an endpoint, and the signatures that are made with it, as Standard Webhooks describes both.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac::{HMAC_SHA256, Key, sign};
use ring::rand::{SystemRandom, generate};

/// What tools that look for leaked secrets find them by.
const PREFIX: &str = "whsec_";
/// The specification asks for 24 to 64.
const BYTES: usize = 32;

/// What an endpoint's deliveries are signed with. Debug output does not show it.
#[derive(Clone)]
pub struct WebhookSecret(Vec<u8>);

impl WebhookSecret {
    /// A new one; `None`: the system has no random numbers.
    pub(crate) fn generate() -> Option<Self> {
        let bytes: [u8; BYTES] = generate(&SystemRandom::new()).ok()?.expose();
        Some(Self(bytes.into()))
    }

    pub(crate) fn of_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As receivers take it: `whsec_` and Base64.
    #[must_use]
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// The signature `v1,…` of a delivery: HMAC-SHA256 over its id, the time of the attempt in seconds since 1970, and its body.
    pub(crate) fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let signed = format!("{id}.{timestamp}.{body}");
        let signature = sign(&Key::new(HMAC_SHA256, &self.0), signed.as_bytes());
        format!("v1,{}", STANDARD.encode(signature))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_specifications_example() {
        let bytes = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = WebhookSecret::of_bytes(bytes).sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_32_random_bytes_and_hides_itself() {
        let [one, other] = [(), ()].map(|()| WebhookSecret::generate().unwrap());
        assert_ne!(one.expose(), other.expose());
        assert_eq!(STANDARD.decode(one.expose().strip_prefix("whsec_").unwrap()).unwrap().len(), 32);
        assert_eq!(format!("{one:?}"), "WebhookSecret");
    }
}
