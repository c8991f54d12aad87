//! Cursors: where a page ended. They are opaque to clients, and valid only for the query that made them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::Key;
use crate::key_validation::is_valid_part;

/// A cursor of another query, or none at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is no cursor of this query; leave it out to start at the first page")]
pub struct InvalidCursor;

/// The last item of a page: the name of the query, the item's sort key in it, and the item's own key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct QueryCursor {
    query: String,
    pub(crate) sort: String,
    pub(crate) pk: String,
    pub(crate) sk: String,
}

impl QueryCursor {
    pub(crate) fn after(query: &str, sort: String, key: &Key) -> Self {
        Self { query: query.to_owned(), sort, pk: key.pk.clone(), sk: key.sk.clone() }
    }

    pub(crate) fn encode(&self) -> String {
        // Four strings always serialize.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    pub(crate) fn decode(text: &str, query: &str) -> Result<Self, InvalidCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let cursor: Self = serde_json::from_slice(&bytes).map_err(|_| InvalidCursor)?;
        // A forged cursor could have keys that no store takes.
        let fits = Key::new(&*cursor.pk, &*cursor.sk).is_valid() && is_valid_part(&cursor.sort);
        if cursor.query == query && fits { Ok(cursor) } else { Err(InvalidCursor) }
    }
}
