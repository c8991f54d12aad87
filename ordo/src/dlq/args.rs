//! What can be asked of `ordo dlq`.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use messaging::dead_letters::Assignment;
use messaging::{DeadLetter, Origin};

use super::words;

/// See `ordo dlq --help`.
#[derive(Debug, Clone, Subcommand)]
pub enum Dlq {
    /// The messages that could not be handled, and how many for which reason. They stay where they are
    List(List),
    /// Everything about one of them, its body included
    Show {
        /// Its id, or the one that it had before, which log lines name
        id: String,
        /// Say it as one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Send them to their queue again, all or some of them; a mail that had failed for good is really tried again
    Redrive(Redrive),
    /// Change the body of one and send it again. A body that its queue's consumer could not read is refused
    Edit(Edit),
    /// Delete one for good
    Discard {
        /// Its id
        id: String,
        /// Why, for the log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// See `ordo dlq list --help`.
#[derive(Debug, Clone, Args)]
pub struct List {
    /// Only those of this queue, notifications or replies
    #[arg(long, value_name = "QUEUE")]
    pub queue: Option<Origin>,
    /// The most to look at, in each queue
    #[arg(long, value_name = "N", default_value = "100")]
    pub limit: NonZeroU32,
    /// Say it as one line of JSON
    #[arg(long)]
    pub json: bool,
}

/// See `ordo dlq redrive --help`.
#[derive(Debug, Clone, Args)]
pub struct Redrive {
    /// Which of them.
    #[command(flatten)]
    pub which: Which,
    /// The most to send
    #[arg(long, value_name = "N")]
    pub limit: Option<NonZeroU32>,
    /// The most to send in a second [default: as fast as the queue takes them]
    #[arg(long, value_name = "N")]
    pub rate: Option<NonZeroU32>,
    /// Show which would be sent, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Say it as one line of JSON
    #[arg(long)]
    pub json: bool,
}

/// Which dead letters: those that everything given here is true of; all, if nothing is.
#[derive(Debug, Clone, Default, Args)]
pub struct Which {
    /// Those of this queue, notifications or replies
    #[arg(long, value_name = "QUEUE")]
    pub queue: Option<Origin>,
    /// The one with this id
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Those whose error contains this
    #[arg(long, value_name = "TEXT")]
    pub error: Option<String>,
    /// Those about this order
    #[arg(long, value_name = "ID")]
    pub order: Option<String>,
    /// Those of this CloudEvents type, such as ordo.notification.requested.v1
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
}

impl Which {
    /// Whether this is one of them. Its queue has been looked at already.
    pub(super) fn holds(&self, letter: &DeadLetter) -> bool {
        let Self { queue: _, id, error, order, kind } = self;
        id.as_ref().is_none_or(|id| letter.is_called(id))
            && error.as_ref().is_none_or(|text| words::error(letter).contains(text))
            && order.as_ref().is_none_or(|order| letter.order_id == *order)
            && kind.as_ref().is_none_or(|kind| letter.kind.as_ref() == Some(kind))
    }
}

/// See `ordo dlq edit --help`.
#[derive(Debug, Clone, Args)]
pub struct Edit {
    /// Its id
    pub id: String,
    /// What to change.
    #[command(flatten)]
    pub change: Changes,
}

/// One of the two.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct Changes {
    /// A value for one place of the body, the place as a JSON pointer: /data/recipient=ada@example.com. May be repeated
    #[arg(long, value_name = "POINTER=VALUE")]
    pub set: Vec<Assignment>,
    /// A whole new body; - reads it from standard input
    #[arg(long, value_name = "FILE")]
    pub body_file: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use clap::error::ErrorKind;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        dlq: Dlq,
    }

    #[test]
    fn an_edit_says_what_to_change_in_one_way() {
        let Dlq::Edit(edit) = parse("dlq edit m-1 --set /a=1 --set /b=2").unwrap() else { panic!("not edit") };
        assert_eq!((edit.id.as_str(), edit.change.set.len()), ("m-1", 2));

        for (line, kind) in [
            ("dlq edit m-1", ErrorKind::MissingRequiredArgument),
            ("dlq edit m-1 --set /a=1 --body-file -", ErrorKind::ArgumentConflict),
            ("dlq edit m-1 --set a", ErrorKind::ValueValidation),
            ("dlq discard m-1", ErrorKind::MissingRequiredArgument),
            ("dlq list --queue mails", ErrorKind::ValueValidation),
            ("dlq redrive --rate 0", ErrorKind::ValueValidation),
        ] {
            assert_eq!(parse(line).map(drop).unwrap_err().kind(), kind, "{line}");
        }
    }

    fn parse(line: &str) -> Result<Dlq, clap::Error> {
        Line::try_parse_from(line.split(' ')).map(|line| line.dlq)
    }
}
