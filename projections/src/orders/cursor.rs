//! Cursors of scans that go on at a place of their own: a day, or a place in the log.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use read_models::InvalidCursor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct EncodedCursor<P> {
    question: String,
    #[serde(flatten)]
    place: P,
}

/// The cursor at a place in the answer to a question.
pub(super) fn encode(question: &str, place: &impl Serialize) -> String {
    let encoded = EncodedCursor { question: question.to_owned(), place };
    // Strings, numbers and dates always serialize.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&encoded).unwrap_or_default())
}

/// The place of a cursor, which is good for its own question only.
pub(super) fn decode<P: DeserializeOwned>(text: &str, question: &str) -> Result<P, InvalidCursor> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
    let cursor: EncodedCursor<P> = serde_json::from_slice(&bytes).map_err(|_| InvalidCursor)?;
    if cursor.question == question { Ok(cursor.place) } else { Err(InvalidCursor) }
}

#[cfg(test)]
mod tests {
    use super::super::days::DayCursor;
    use super::*;

    #[test]
    fn a_cursor_is_valid_for_its_own_question_only() {
        let cursor = DayCursor { day: "2026-11-20".parse().unwrap(), after: Some("inner".to_owned()) };
        let text = encode("orders", &cursor);
        assert_eq!(decode(&text, "orders"), Ok(cursor));
        assert_eq!(decode::<DayCursor>(&text, "orders to=2026"), Err(InvalidCursor));
        for nonsense in ["", "nonsense", "e30", "\u{0}"] {
            assert_eq!(decode::<DayCursor>(nonsense, "orders"), Err(InvalidCursor), "{nonsense}");
        }
    }
}
