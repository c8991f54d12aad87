//! Versions of events: one that was stored in an earlier shape is brought up to today's, step by step, before it is decoded. What
//! is stored never changes.
//!
//! An event begins as [`FIRST`]. Every change of its shape is an [`Upcast`] in its aggregate's list ([`Versioned::UPCASTS`]),
//! from which follow the version it is written in ([`current_version`]), how all earlier ones are read ([`decode`]), and what
//! a stock cqrs-es takes ([`upcasters`]).

#[cfg(test)]
mod tests;

use std::str::FromStr;

use cqrs_es::Aggregate;
use cqrs_es::persist::{EventUpcaster, SemanticVersion, SemanticVersionEventUpcaster};
use serde_json::Value;

/// The version that every event begins as.
pub const FIRST: &str = "1.0";

/// An aggregate whose events have versions.
pub trait Versioned: Aggregate {
    /// Every change that the shape of one of its events ever went through; those of the same event oldest first. None is ever
    /// taken away: the log keeps what was written before it.
    const UPCASTS: &'static [Upcast];
}

/// An aggregate whose folded streams are kept as snapshots. Equal states have the same JSON.
pub trait Snapshotted: Versioned + Clone + 'static {
    /// Goes up whenever the state that some events fold to changes, or its JSON: a build uses only those snapshots that have its
    /// own. Golden files hold it to that.
    const STATE_VERSION: i32;
}

/// A change of an event's shape.
#[derive(Debug, Clone, Copy)]
pub struct Upcast {
    /// Whose.
    pub event_type: &'static str,
    /// The version it made, from the one before.
    pub to: &'static str,
    /// Takes a payload as the version before had it, `{"OrderShipped": {…}}`, to the new shape. One that does not look like it
    /// is left as it is: decoding says what is wrong with it.
    pub change: fn(Value) -> Value,
}

/// Why a stored event can't be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A later build wrote it.
    #[error("its version is newer than {known}, the newest that this build knows of it")]
    Newer {
        /// Up to where this build knows it.
        known: &'static str,
    },
    /// It does not say which version it is.
    #[error("its version is not of the form 1.0")]
    NoVersion,
    /// It is not known, or does not have the shape that its version has.
    #[error(transparent)]
    Shape(#[from] serde_json::Error),
}

/// The version in which an event is written today.
pub fn current_version(upcasts: &[Upcast], event_type: &str) -> &'static str {
    upcasts.iter().rfind(|upcast| upcast.event_type == event_type).map_or(FIRST, |upcast| upcast.to)
}

/// An event from its stored payload, whatever version it was written in. For today's that costs no more than decoding it.
pub fn decode<A: Versioned>(event_type: &str, version: &str, payload: &str) -> Result<A::Event, DecodeError> {
    let known = current_version(A::UPCASTS, event_type);
    if version == known {
        return Ok(serde_json::from_str(payload)?);
    }
    let older = upcast(A::UPCASTS, (event_type, version), known, serde_json::from_str(payload)?)?;
    Ok(serde_json::from_value(older)?)
}

/// The list as `PersistedEventStore::with_upcasters` takes it.
pub fn upcasters<A: Versioned>() -> Vec<Box<dyn EventUpcaster>> {
    let stock = |upcast: &Upcast| {
        let stock = SemanticVersionEventUpcaster::new(upcast.event_type, upcast.to, Box::new(upcast.change));
        Box::new(stock) as Box<dyn EventUpcaster>
    };
    A::UPCASTS.iter().map(stock).collect()
}

/// Brings a payload through every change that came after its version.
fn upcast(
    upcasts: &[Upcast],
    (event_type, version): (&str, &str),
    known: &'static str,
    payload: Value,
) -> Result<Value, DecodeError> {
    let version = parse(version)?;
    if version.supersedes(&parse(known)?) {
        return Err(DecodeError::Newer { known });
    }
    upcasts.iter().filter(|upcast| upcast.event_type == event_type).try_fold(payload, |payload, upcast| {
        Ok(if parse(upcast.to)?.supersedes(&version) { (upcast.change)(payload) } else { payload })
    })
}

fn parse(version: &str) -> Result<SemanticVersion, DecodeError> {
    SemanticVersion::from_str(version).map_err(|_| DecodeError::NoVersion)
}
