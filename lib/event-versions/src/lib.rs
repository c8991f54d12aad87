//! Versions of events: an event that was stored in an earlier shape is upcast to today's, step by step, before it is decoded. The
//! stored event never changes.
//!
//! An event begins as [`FIRST`]. Every change of its shape is an [`Upcast`] in its aggregate's list ([`Upcastable::UPCASTS`]).
//! From the list follow the newest version of an event ([`current_version`]), how earlier ones are read ([`decode`]), and the
//! upcasters for an unchanged cqrs-es ([`upcasters`]).

#[cfg(test)]
mod tests;

use std::convert::identity;
use std::str::FromStr;

use cqrs_es::Aggregate;
use cqrs_es::persist::{EventUpcaster, SemanticVersion, SemanticVersionEventUpcaster};
use serde_json::Value;

/// The version that every event begins as.
pub const FIRST: &str = "1.0";

/// An aggregate whose earlier events can be upcast.
pub trait Upcastable: Aggregate {
    /// Every change of the shape of one of its events; those of the same event oldest first. None is ever removed: the log keeps the
    /// events that were written before it.
    const UPCASTS: &'static [Upcast];
}

/// An aggregate whose folded streams are kept as snapshots. Equal states have the same JSON.
pub trait Snapshotted: Upcastable + Clone + 'static {
    /// Goes up whenever the state that events fold to changes, or its JSON. A build uses only snapshots with its own version. Golden
    /// files enforce that.
    const STATE_VERSION: i32;
}

/// Changes the JSON of a payload.
type Change = fn(Value) -> Value;

/// A change of an event's shape.
#[derive(Debug, Clone, Copy)]
pub struct Upcast {
    pub event_type: &'static str,
    /// The version after the change.
    pub to: &'static str,
    /// Changes a payload of the version before, `{"OrderShipped": {…}}`, to the new shape. A payload that does not have the earlier shape
    /// is returned as it is: decoding says what is wrong with it. `None`: the new shape only allows more, so an earlier payload is read
    /// to the letter as it is.
    pub change: Option<Change>,
}

/// Why a stored event can't be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A later build wrote it.
    #[error("its version is newer than {known}, the newest that this build knows of it")]
    Newer { known: &'static str },
    /// Its version can't be read.
    #[error("its version is not of the form 1.0")]
    NoVersion,
    /// Its type is unknown, or it does not have the shape of its version.
    #[error(transparent)]
    Shape(#[from] serde_json::Error),
}

/// The newest version of an event, in which it is written unless its type says otherwise.
pub fn current_version(upcasts: &[Upcast], event_type: &str) -> &'static str {
    upcasts.iter().rfind(|upcast| upcast.event_type == event_type).map_or(FIRST, |upcast| upcast.to)
}

/// Decodes a stored event, whatever version it was written in. An event whose shape has not changed since costs no more than its
/// decoding.
pub fn decode<A: Upcastable>(event_type: &str, version: &str, payload: &str) -> Result<A::Event, DecodeError> {
    let known = current_version(A::UPCASTS, event_type);
    if version == known {
        return Ok(serde_json::from_str(payload)?);
    }
    let changes = changes_since(A::UPCASTS, (event_type, version), known)?;
    if changes.is_empty() {
        return Ok(serde_json::from_str(payload)?);
    }
    let older = serde_json::from_str(payload)?;
    Ok(serde_json::from_value(changes.into_iter().fold(older, |payload, change| change(payload)))?)
}

/// The upcasts as `PersistedEventStore::with_upcasters` takes them.
pub fn upcasters<A: Upcastable>() -> Vec<Box<dyn EventUpcaster>> {
    let of_cqrs_es = |upcast: &Upcast| {
        let upcaster = SemanticVersionEventUpcaster::new(
            upcast.event_type,
            upcast.to,
            Box::new(upcast.change.unwrap_or(identity)),
        );
        Box::new(upcaster) as Box<dyn EventUpcaster>
    };
    A::UPCASTS.iter().map(of_cqrs_es).collect()
}

/// The changes that came after a version.
fn changes_since(
    upcasts: &[Upcast],
    (event_type, version): (&str, &str),
    known: &'static str,
) -> Result<Vec<Change>, DecodeError> {
    let version = parse(version)?;
    if version.supersedes(&parse(known)?) {
        return Err(DecodeError::Newer { known });
    }
    let mut changes = Vec::new();
    for upcast in upcasts.iter().filter(|upcast| upcast.event_type == event_type) {
        if parse(upcast.to)?.supersedes(&version) {
            changes.extend(upcast.change);
        }
    }
    Ok(changes)
}

fn parse(version: &str) -> Result<SemanticVersion, DecodeError> {
    SemanticVersion::from_str(version).map_err(|_| DecodeError::NoVersion)
}
