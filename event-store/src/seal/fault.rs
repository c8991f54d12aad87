//! What is wrong with the log, its seals or a head, in words.

use std::fmt::{self, Display};

use super::row::COLUMNS;

/// Something that is not as it was sealed, or as a head says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// An event is not what it was. Which of its columns changed can be told as good as always.
    Edited {
        /// Where it is.
        position: i64,
        /// What changed.
        columns: Vec<&'static str>,
    },
    /// What was at another position is here now.
    Exchanged {
        /// Where it is.
        position: i64,
        /// Where it was.
        with: i64,
        /// Which columns of it.
        columns: Vec<&'static str>,
    },
    /// An event has another position now.
    MovedAway {
        /// Where it was.
        position: i64,
        /// Where it is.
        to: i64,
    },
    /// An event had another position.
    MovedHere {
        /// Where it is.
        position: i64,
        /// Where it was.
        from: i64,
    },
    /// An event is gone.
    Missing {
        /// Where it was.
        position: i64,
    },
    /// An event was not there when its surroundings were sealed.
    Inserted {
        /// Where it is.
        position: i64,
    },
    /// Seals in the middle are gone, or were never made.
    SealsMissing {
        /// The last position that is sealed before.
        after: i64,
        /// The last one that is not.
        up_to: i64,
    },
    /// A seal does not follow from those before it: one of them was changed.
    SealChanged {
        /// Its last position.
        up_to: i64,
    },
    /// The log is what the head says, and the seals say something else: they were rewritten.
    SealsAgainstHead {
        /// The head's position.
        position: i64,
    },
    /// The log up to the head's position is not what it was.
    NotTheHead {
        /// The head's position.
        position: i64,
        /// What the seals have to do with it.
        seals: SealsSay,
    },
    /// There is no such event as the head is of.
    NoSuchHead {
        /// The head's position.
        position: i64,
    },
    /// The log ends before the head's position.
    BeyondTheLog {
        /// The head's position.
        position: i64,
        /// The log's last.
        last: i64,
    },
}

/// What the seals say where the log is not what a head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealsSay {
    /// They lead to the head: what they say of single events is so.
    TheHead,
    /// They end before it, at this position.
    OnlyUpTo(i64),
    /// They do not lead to it either.
    SomethingElse,
}

impl Fault {
    /// The position of the event that is not as it was; `None` where that is not known, or no event's fault.
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

impl Display for Fault {
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
            Self::NotTheHead { position, seals: SealsSay::TheHead } => {
                write!(f, "the log up to position {position} is not what it was")
            }
            Self::NotTheHead { position, seals: SealsSay::OnlyUpTo(sealed) } => write!(
                f,
                "the log up to position {position} is not what it was; what comes after position {sealed} was not sealed, so \
                 which of these events were changed can't be said"
            ),
            Self::NotTheHead { position, seals: SealsSay::SomethingElse } => write!(
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
