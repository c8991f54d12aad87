//! What can be wrong with the log, its seals or a head.

use std::fmt::{self, Display};

use super::row::COLUMNS;

/// Something that does not agree with the seals or with a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashChainFault {
    /// An event was changed. Which columns changed is almost always known.
    Edited { position: i64, columns: Vec<&'static str> },
    /// Columns of the event at another position are here now.
    Exchanged { position: i64, with: i64, columns: Vec<&'static str> },
    /// An event has another position now.
    MovedAway { position: i64, to: i64 },
    /// An event had another position.
    MovedHere { position: i64, from: i64 },
    /// An event is gone.
    Missing { position: i64 },
    /// An event was not there when its surroundings were sealed.
    Inserted { position: i64 },
    /// Seals are missing, or were never made.
    SealsMissing {
        /// The last sealed position before.
        after: i64,
        /// The last position that is not sealed.
        up_to: i64,
    },
    /// A seal does not follow from those before it: one of them was changed.
    SealChanged { up_to: i64 },
    /// The log agrees with the head, but not with the seals: they were rewritten.
    SealsAgainstHead { position: i64 },
    /// The log up to the head's position is not what it was.
    NotTheHead { position: i64, seals: SealHeadAgreement },
    /// There is no event at the head's position.
    NoSuchHead { position: i64 },
    /// The log ends before the head's position.
    BeyondTheLog { position: i64, last: i64 },
}

/// How the seals relate to a head with which the log does not agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealHeadAgreement {
    /// They lead to the head: what they say about single events can be relied on.
    LeadToHead,
    /// They end before it, at this position.
    EndBefore(i64),
    /// They do not lead to it.
    LeadElsewhere,
}

impl HashChainFault {
    /// The position of the event that was changed; `None`: it is not known, or it is no fault of an event.
    pub fn position(&self) -> Option<i64> {
        match self {
            Self::Edited { position, .. }
            | Self::Exchanged { position, .. }
            | Self::MovedAway { position, .. }
            | Self::MovedHere { position, .. }
            | Self::Missing { position }
            | Self::Inserted { position } => Some(*position),
            Self::SealsMissing { .. }
            | Self::SealChanged { .. }
            | Self::SealsAgainstHead { .. }
            | Self::NotTheHead { .. }
            | Self::NoSuchHead { .. }
            | Self::BeyondTheLog { .. } => None,
        }
    }

    /// What it is about: `position 17`, `the seals`, `the head`.
    pub fn about(&self) -> String {
        match self {
            Self::Edited { position, .. }
            | Self::Exchanged { position, .. }
            | Self::MovedAway { position, .. }
            | Self::MovedHere { position, .. }
            | Self::Missing { position }
            | Self::Inserted { position } => format!("position {position}"),
            Self::SealsMissing { .. } | Self::SealChanged { .. } | Self::SealsAgainstHead { .. } => {
                "the seals".to_owned()
            }
            Self::NotTheHead { .. } | Self::NoSuchHead { .. } | Self::BeyondTheLog { .. } => "the head".to_owned(),
        }
    }
}

impl Display for HashChainFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edited { columns, .. } if columns.is_empty() => f.write_str("the event was edited"),
            Self::Edited { columns, .. } => write!(f, "the event was edited: {}", columns.join(", ")),
            Self::Exchanged { with, columns, .. } if columns.contains(&COLUMNS[8]) => {
                write!(f, "the event of position {with} is in its place: they were swapped")
            }
            Self::Exchanged { with, columns, .. } => {
                write!(f, "its {} is that of position {with}: they were swapped", columns.join(", "))
            }
            Self::MovedAway { to, .. } => write!(f, "the event was moved to position {to}"),
            Self::MovedHere { from, .. } => write!(f, "the event of position {from} was moved here"),
            Self::Missing { .. } => f.write_str("the event was deleted"),
            Self::Inserted { .. } => f.write_str("an event was inserted"),
            Self::SealsMissing { after, up_to } => {
                write!(
                    f,
                    "those after position {after} up to {up_to} are missing, so nothing can be said of these events"
                )
            }
            Self::SealChanged { up_to } => {
                write!(f, "the one up to position {up_to} does not follow from those before it: seals were changed")
            }
            Self::SealsAgainstHead { position } => {
                write!(
                    f,
                    "the log up to position {position} is what the head says, but not what the seals say: they were rewritten"
                )
            }
            Self::NotTheHead { position, seals: SealHeadAgreement::LeadToHead } => {
                write!(f, "the log up to position {position} is not what it was")
            }
            Self::NotTheHead { position, seals: SealHeadAgreement::EndBefore(sealed) } => write!(
                f,
                "the log up to position {position} is not what it was; what comes after position {sealed} was not sealed, so \
                 which of these events were changed can't be said"
            ),
            Self::NotTheHead { position, seals: SealHeadAgreement::LeadElsewhere } => write!(
                f,
                "the log up to position {position} is not what it was, and its seals do not lead to the head either: they were \
                 rewritten, or made after the change, so other events may have been changed than can be named"
            ),
            Self::NoSuchHead { position } => {
                write!(
                    f,
                    "there is no event at position {position}, and none was sealed: it was deleted before that, or it is another log's"
                )
            }
            Self::BeyondTheLog { position, last } => {
                write!(
                    f,
                    "it is at position {position}, and the log ends at {last}: events are missing, or it is another log's"
                )
            }
        }
    }
}
