//! The arguments of `ordo dlq`.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use messaging::{BodyFieldEdit, DeadLetter, DeadLetterOrigin};

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum DlqCommand {
    /// The messages that could not be handled, and how many for which reason. They stay where they are
    List(DlqListArgs),
    /// Everything about one of them, its body included
    Show {
        /// Its id, or the one that it had before, which log lines name
        id: String,
        /// Say it as one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Send them to their queue again, all or some of them; a mail that had failed for good is really tried again
    Redrive(RedriveArgs),
    /// Change the body of one and send it again. A body that its queue's consumer could not read is refused
    Edit(DlqEditArgs),
    /// Delete one for good
    Discard {
        /// Its id
        id: String,
        /// Why, for the log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DlqListArgs {
    /// Only those of this queue, notifications or replies
    #[arg(long, value_name = "QUEUE")]
    pub(crate) queue: Option<DeadLetterOrigin>,
    /// The most to look at, in each queue
    #[arg(long, value_name = "N", default_value = "100")]
    pub(crate) limit: NonZeroU32,
    /// Say it as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RedriveArgs {
    /// Which of them.
    #[command(flatten)]
    pub(crate) which: DeadLetterFilterArgs,
    /// The most to send
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroU32>,
    /// The most to send in a second [default: as fast as the queue takes them]
    #[arg(long, value_name = "N")]
    pub(crate) rate: Option<NonZeroU32>,
    /// Show which would be sent, and send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Say it as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Selects the dead letters that match everything given; all, if nothing is given.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DeadLetterFilterArgs {
    /// Those of this queue, notifications or replies
    #[arg(long, value_name = "QUEUE")]
    pub(crate) queue: Option<DeadLetterOrigin>,
    /// The one with this id
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    /// Those whose error contains this
    #[arg(long, value_name = "TEXT")]
    pub(crate) error: Option<String>,
    /// Those about this order
    #[arg(long, value_name = "ID")]
    pub(crate) order: Option<String>,
    /// Those of this CloudEvents type, such as ordo.notification.requested.v1
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: Option<String>,
}

impl DeadLetterFilterArgs {
    /// Whether a dead letter of the right queue matches.
    pub(super) fn holds(&self, letter: &DeadLetter) -> bool {
        let Self { queue: _, id, error, order, kind } = self;
        id.as_ref().is_none_or(|id| letter.has_id(id))
            && error.as_ref().is_none_or(|text| letter.why().contains(text))
            && order.as_ref().is_none_or(|order| letter.order_id == *order)
            && kind.as_ref().is_none_or(|kind| letter.kind.as_ref() == Some(kind))
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DlqEditArgs {
    /// Its id
    pub(crate) id: String,
    /// What to change.
    #[command(flatten)]
    pub(crate) change: DeadLetterBodyEditArgs,
}

#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct DeadLetterBodyEditArgs {
    /// A value for one place of the body, the place as a JSON pointer: /data/recipient=ada@example.com. May be repeated
    #[arg(long, value_name = "POINTER=VALUE")]
    pub(crate) set: Vec<BodyFieldEdit>,
    /// A whole new body; - reads it from standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) body_file: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use clap::error::ErrorKind;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        dlq: DlqCommand,
    }

    #[test]
    fn an_edit_says_what_to_change_in_one_way() {
        let DlqCommand::Edit(edit) = parse("dlq edit m-1 --set /a=1 --set /b=2").unwrap() else { panic!("not edit") };
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

    fn parse(line: &str) -> Result<DlqCommand, clap::Error> {
        Line::try_parse_from(line.split(' ')).map(|line| line.dlq)
    }
}
