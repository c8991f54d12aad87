//! `ordo dlq`: the messages that could not be handled, as an operator sees them, mends them and sends them again.

mod args;
mod list;
mod one;
mod redrive;
mod words;

use messaging::{DeadLetters, Origin};

use crate::settings::Settings;
use crate::{aws, migrate};

pub(crate) use words::harmless;

pub use args::{Changes, Dlq, Edit, List, Redrive, Which};

/// Does what was asked for, on the queues in the settings. Needs no database.
pub async fn run(settings: &Settings, args: Dlq) -> anyhow::Result<()> {
    match args {
        Dlq::List(args) => list::run(&queues(settings, args.queue).await?, &args).await,
        Dlq::Show { id, json } => one::show(&queues(settings, None).await?, &id, json).await,
        Dlq::Redrive(args) => redrive::run(&queues(settings, args.which.queue).await?, &args).await,
        Dlq::Edit(Edit { id, change }) => {
            // Read before any message is in our hands: standard input may take its time.
            let change = one::Change::read(change)?;
            one::edit(&queues(settings, None).await?, &id, &change).await
        }
        Dlq::Discard { id, reason } => one::discard(&queues(settings, None).await?, &id, &reason).await,
    }
}

/// The dead letters of one queue, or of all.
async fn queues(settings: &Settings, only: Option<Origin>) -> anyhow::Result<Vec<DeadLetters>> {
    let sqs = aws::sqs(&settings.aws).await;
    let queues = migrate::find_queues(&sqs, settings).await?;
    let wanted = Origin::ALL.into_iter().filter(|origin| only.is_none_or(|only| only == *origin));
    Ok(wanted.map(|origin| DeadLetters::of(sqs.clone(), origin, &queues)).collect())
}
