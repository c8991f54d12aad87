//! Cursors: where a page ended, opaque to clients, good for the query that made it only.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::Key;
use crate::sound::is_sound;

/// A cursor that this query did not make.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is no cursor of this query; leave it out to start at the first page")]
pub struct InvalidCursor;

/// The last item of a page: the query's name, then the item's place in it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cursor {
    query: String,
    pub(crate) sort: String,
    pub(crate) pk: String,
    pub(crate) sk: String,
}

impl Cursor {
    pub(crate) fn after(query: &str, sort: String, key: &Key) -> Self {
        Self { query: query.to_owned(), sort, pk: key.pk.clone(), sk: key.sk.clone() }
    }

    pub(crate) fn encode(&self) -> String {
        // Four texts can always be written.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    pub(crate) fn decode(text: &str, query: &str) -> Result<Self, InvalidCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let cursor: Self = serde_json::from_slice(&bytes).map_err(|_| InvalidCursor)?;
        // Made by hand, it could be what no store takes as a key.
        let fits = Key::new(&*cursor.pk, &*cursor.sk).is_sound() && is_sound(&cursor.sort);
        if cursor.query == query && fits { Ok(cursor) } else { Err(InvalidCursor) }
    }
}
