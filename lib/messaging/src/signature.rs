//! Signatures of messages: HMAC-SHA256 over the queue's name, the time of signing and the body.
//!
//! Whoever may write to a queue can put anything there. A consumer hands a message to its handler only if it is signed by a
//! known key. The body has all that decides: the type, the id, the order, the time and the data. The queue's name is signed
//! too. So a request is no reply, and a message of one platform means nothing to another.
//!
//! A signed message can be sent again by somebody who has seen it. Handlers survive that: a mail has one delivery record, and
//! an order records the outcome of a mail once.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The attribute with the signature: `v1,KEY,SECONDS,HMAC`. These are the id of the key, the time of signing in seconds since
/// 1970, and the HMAC in Base64.
pub(crate) const SIGNATURE_ATTRIBUTE: &str = "ordo-signature";

/// The version of what is signed and how.
const VERSION: &str = "v1";

/// How long a signature holds. A message lies in its queue for 4 days at the most and in the dead-letter queue for 14.
const HOLDS_SECONDS: i64 = 30 * 24 * 60 * 60;

/// Rotation takes two.
const MOST_KEYS: usize = 8;

/// As long as SHA-256's output. Longer ones than SHA-256's block are hashed first, and gain nothing.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 32..=64;

const MOST_ID_BYTES: usize = 32;

/// The secret keys that messages are signed with. The first one signs, and all verify. Shown anywhere, it hides the secrets.
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageSigningKeys {
    signing: Arc<MessageSigningKey>,
    others: Arc<[MessageSigningKey]>,
}

struct MessageSigningKey {
    id: String,
    secret: Vec<u8>,
    /// With the secret and nothing else.
    code: Hmac<Sha256>,
}

/// Why a text is no list of keys. It does not repeat the text, which has secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageKeysError {
    #[error("there must be 1 to {MOST_KEYS} keys, separated by commas")]
    Count,
    #[error("key number {nth} must be ID:SECRET, the id 1 to {MOST_ID_BYTES} letters, digits, - or _")]
    Id { nth: usize },
    #[error(
        "the secret of key number {nth} must be 32 to 64 bytes in Base64, such as `openssl rand -base64 32` prints"
    )]
    Secret { nth: usize },
    #[error("key number {nth} has the id of an earlier one")]
    Twice { nth: usize },
}

/// Why a message is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("the message is not signed")]
    Missing,
    #[error("the message's signature is not of the form v1,KEY,SECONDS,HMAC")]
    Malformed,
    #[error("the message is signed by the key `{id}`, which is not known here")]
    UnknownKey { id: String },
    /// Somebody else signed it, its body was changed, or it was signed for another queue.
    #[error("the message's signature does not fit its body and its queue")]
    Wrong,
    #[error("the message was signed more than 30 days ago")]
    Expired,
}

impl MessageSigningKeys {
    /// One new key with the given id.
    ///
    /// # Errors
    /// The id is none.
    pub fn random(id: &str) -> Result<Self, MessageKeysError> {
        let secret: [u8; 32] = rand::random();
        format!("{id}:{}", STANDARD.encode(secret)).parse()
    }

    /// The keys with their secrets, as they are parsed.
    #[must_use]
    pub fn expose(&self) -> String {
        let keys = self.all().map(|key| format!("{}:{}", key.id, STANDARD.encode(&key.secret)));
        keys.collect::<Vec<_>>().join(",")
    }

    /// The value of the signature attribute for a message that goes to the queue now.
    #[must_use]
    pub fn sign(&self, queue: &str, body: &str) -> String {
        self.sign_at(queue, body, Utc::now().timestamp())
    }

    fn sign_at(&self, queue: &str, body: &str, seconds: i64) -> String {
        let code = self.signing.code(queue, body, seconds).finalize().into_bytes();
        format!("{VERSION},{},{seconds},{}", self.signing.id, STANDARD.encode(code))
    }

    /// What SQS is told to deduplicate by. SQS drops a genuine message if somebody sent garbage under its id before, so nobody without
    /// the keys can tell the id of a message that is to come.
    pub(crate) fn deduplication_id(&self, queue: &str, id: &str) -> String {
        let mut code = self.signing.code.clone();
        code.update(format!("ordo-deduplication-{VERSION}\n{queue}\n{id}").as_bytes());
        STANDARD.encode(code.finalize().into_bytes())
    }

    /// Whether the message came to the queue by somebody who has one of the keys.
    pub(crate) fn verify(&self, queue: &str, body: &str, signature: Option<&str>) -> Result<(), SignatureError> {
        let signature = signature.ok_or(SignatureError::Missing)?;
        let mut parts = signature.split(',');
        let parts = (parts.next(), parts.next(), parts.next(), parts.next(), parts.next());
        let (Some(VERSION), Some(id), Some(seconds), Some(code), None) = parts else {
            return Err(SignatureError::Malformed);
        };
        let seconds: i64 = seconds.parse().map_err(|_| SignatureError::Malformed)?;
        let code = STANDARD.decode(code).map_err(|_| SignatureError::Malformed)?;
        if !is_key_id(id) {
            return Err(SignatureError::Malformed);
        }
        let known = self.all().find(|key| key.id == id);
        let key = known.ok_or_else(|| SignatureError::UnknownKey { id: id.to_owned() })?;
        // Takes as long whatever differs.
        key.code(queue, body, seconds).verify_slice(&code).map_err(|_| SignatureError::Wrong)?;
        if Utc::now().timestamp().saturating_sub(seconds) > HOLDS_SECONDS {
            return Err(SignatureError::Expired);
        }
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = &MessageSigningKey> {
        std::iter::once(&*self.signing).chain(self.others.iter())
    }
}

impl MessageSigningKey {
    fn parse(text: &str, nth: usize) -> Result<Self, MessageKeysError> {
        let (id, secret) = text.trim().split_once(':').ok_or(MessageKeysError::Id { nth })?;
        if !is_key_id(id) {
            return Err(MessageKeysError::Id { nth });
        }
        let invalid = MessageKeysError::Secret { nth };
        let secret =
            STANDARD.decode(secret).ok().filter(|secret| SECRET_BYTES.contains(&secret.len())).ok_or(invalid)?;
        let code = Hmac::new_from_slice(&secret).map_err(|_| invalid)?;
        Ok(Self { id: id.to_owned(), secret, code })
    }

    /// A queue's name and a number have no line break, so no two messages are signed alike.
    fn code(&self, queue: &str, body: &str, seconds: i64) -> Hmac<Sha256> {
        let mut code = self.code.clone();
        code.update(format!("ordo-message-{VERSION}\n{queue}\n{seconds}\n").as_bytes());
        code.update(body.as_bytes());
        code
    }
}

impl FromStr for MessageSigningKeys {
    type Err = MessageKeysError;

    fn from_str(text: &str) -> Result<Self, MessageKeysError> {
        let mut texts = (1..).zip(text.split(','));
        let (nth, first) = texts.next().ok_or(MessageKeysError::Count)?;
        let signing = MessageSigningKey::parse(first, nth)?;
        let mut others: Vec<MessageSigningKey> = Vec::new();
        for (nth, text) in texts {
            if nth > MOST_KEYS {
                return Err(MessageKeysError::Count);
            }
            let key = MessageSigningKey::parse(text, nth)?;
            if others.iter().chain([&signing]).any(|earlier| earlier.id == key.id) {
                return Err(MessageKeysError::Twice { nth });
            }
            others.push(key);
        }
        Ok(Self { signing: Arc::new(signing), others: others.into() })
    }
}

impl PartialEq for MessageSigningKey {
    fn eq(&self, other: &Self) -> bool {
        (&self.id, &self.secret) == (&other.id, &other.secret)
    }
}

impl Eq for MessageSigningKey {}

fn is_key_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=MOST_ID_BYTES).contains(&id.len()) && id.bytes().all(plain)
}

impl fmt::Display for MessageSigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.all().map(|key| format!("{}:***", key.id)).collect();
        f.write_str(&keys.join(","))
    }
}

impl fmt::Debug for MessageSigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = "ordo-notifications.fifo";
    const BODY: &str = include_str!("../golden/ordo.notification.requested.v1.json");

    #[test]
    fn a_signature_is_what_openssl_makes_of_the_same_text() {
        // printf 'ordo-message-v1\nordo-notifications.fifo\n1780000000\nhello' |
        //   openssl dgst -sha256 -mac HMAC -macopt hexkey:$(python3 -c 'print("6b" * 32)') -binary | base64
        let keys: MessageSigningKeys = format!("a:{}", STANDARD.encode([b'k'; 32])).parse().unwrap();

        let signature = keys.sign_at(QUEUE, "hello", 1_780_000_000);

        assert_eq!(signature, "v1,a,1780000000,SuY2sIHGTi+OQ1xQt0Lgwzf0EeMrCxWUBg/RLLvOecE=");
    }

    #[test]
    fn the_first_key_signs_and_every_key_verifies() {
        let (old, new) = (MessageSigningKeys::random("old").unwrap(), MessageSigningKeys::random("new").unwrap());
        let both: MessageSigningKeys = format!("{},{}", new.expose(), old.expose()).parse().unwrap();

        assert_eq!(verify(&both, &old.sign(QUEUE, BODY)), Ok(()));
        assert_eq!(verify(&new, &both.sign(QUEUE, BODY)), Ok(()));
        assert_eq!(verify(&new, &old.sign(QUEUE, BODY)), Err(SignatureError::UnknownKey { id: "old".into() }));
    }

    #[test]
    fn whatever_decides_is_signed() {
        let keys = MessageSigningKeys::random("a").unwrap();
        let signature = keys.sign(QUEUE, BODY);
        assert_eq!(verify(&keys, &signature), Ok(()));

        for (signed, changed) in [
            ("\"id\":\"019aa0b1", "\"id\":\"119aa0b1"),
            ("notification.requested", "notification.sent"),
            ("\"subject\":\"demo", "\"subject\":\"another"),
            ("\"time\":\"2026", "\"time\":\"2027"),
            ("ada@example.com", "eve@example.com"),
        ] {
            let other = BODY.replace(signed, changed);
            assert_ne!(other, BODY, "{signed}");
            assert_eq!(keys.verify(QUEUE, &other, Some(&signature)), Err(SignatureError::Wrong));
        }
        for queue in ["ordo-replies.fifo", "other-notifications.fifo", ""] {
            assert_eq!(keys.verify(queue, BODY, Some(&signature)), Err(SignatureError::Wrong));
        }
        let same_id = MessageSigningKeys::random("a").unwrap();
        assert_eq!(verify(&same_id, &signature), Err(SignatureError::Wrong));
    }

    #[test]
    fn a_deduplication_id_stays_the_same_and_cannot_be_told_without_the_key() {
        let (keys, others) = (MessageSigningKeys::random("a").unwrap(), MessageSigningKeys::random("a").unwrap());
        let id = keys.deduplication_id(QUEUE, "e-1");

        assert_eq!(keys.deduplication_id(QUEUE, "e-1"), id);
        assert!(!id.contains("e-1") && id.len() <= 128, "{id}");
        for other in [
            keys.deduplication_id(QUEUE, "e-2"),
            keys.deduplication_id("ordo-replies.fifo", "e-1"),
            others.deduplication_id(QUEUE, "e-1"),
        ] {
            assert_ne!(other, id);
        }
    }

    #[test]
    fn the_time_of_signing_is_signed_and_runs_out() {
        let keys = MessageSigningKeys::random("a").unwrap();
        let (now, long_ago) = (Utc::now().timestamp(), Utc::now().timestamp() - HOLDS_SECONDS - 60);

        let old = keys.sign_at(QUEUE, BODY, long_ago);
        assert_eq!(verify(&keys, &old), Err(SignatureError::Expired));
        assert_eq!(verify(&keys, &old.replace(&long_ago.to_string(), &now.to_string())), Err(SignatureError::Wrong));
        // A clock that is ahead keeps nobody's message out.
        assert_eq!(verify(&keys, &keys.sign_at(QUEUE, BODY, now + 3_600)), Ok(()));
    }

    #[test]
    fn what_is_no_signature_is_refused() {
        let keys = MessageSigningKeys::random("a").unwrap();
        assert_eq!(keys.verify(QUEUE, BODY, None), Err(SignatureError::Missing));
        let good = keys.sign(QUEUE, BODY);
        let huge = "v1,".repeat(10_000);
        let many = format!("{good},");
        let other = good.replacen("v1", "v2", 1);
        for signature in
            ["", ",,,", "v1", "v1,a,1,", "v1,a,x,AAAA", "v1,a,1,*", "v1,\u{1b}[2J,1,AAAA", &huge, &many, &other]
        {
            let refused = verify(&keys, signature).unwrap_err();
            assert!(matches!(refused, SignatureError::Malformed | SignatureError::Wrong), "{signature}: {refused}");
        }
        // A shorter code is no code, even if it is the beginning of the right one.
        let code = good.rsplit(',').next().unwrap();
        let short = STANDARD.encode(&STANDARD.decode(code).unwrap()[..16]);
        assert_eq!(verify(&keys, &good.replace(code, &short)), Err(SignatureError::Wrong));
    }

    #[test]
    fn keys_are_parsed_and_never_shown() {
        let secret = STANDARD.encode([7; 32]);
        let keys: MessageSigningKeys = format!("2026-11:{secret}, old:{secret}").parse().unwrap();
        assert_eq!(keys.to_string(), "2026-11:***,old:***");
        assert_eq!(format!("{keys:?}"), keys.to_string());
        assert_eq!(keys.expose().parse(), Ok(keys));

        let refused = |text: &str| text.parse::<MessageSigningKeys>().unwrap_err();
        let short = STANDARD.encode([7; 31]);
        for (text, error) in [
            ("", MessageKeysError::Id { nth: 1 }),
            (secret.as_str(), MessageKeysError::Id { nth: 1 }),
            (&format!("a b:{secret}"), MessageKeysError::Id { nth: 1 }),
            (&format!("a:{short}"), MessageKeysError::Secret { nth: 1 }),
            ("a:not base64", MessageKeysError::Secret { nth: 1 }),
            (&format!("a:{secret},"), MessageKeysError::Id { nth: 2 }),
            (&format!("a:{secret},a:{secret}"), MessageKeysError::Twice { nth: 2 }),
            (&(0..9).map(|nth| format!("{nth}:{secret}")).collect::<Vec<_>>().join(","), MessageKeysError::Count),
        ] {
            let said = refused(text);
            assert_eq!(said, error, "{text}");
            assert!(!said.to_string().contains(&secret));
        }
    }

    fn verify(keys: &MessageSigningKeys, signature: &str) -> Result<(), SignatureError> {
        keys.verify(QUEUE, BODY, Some(signature))
    }
}
