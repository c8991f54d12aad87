//! `ordo dlq`: shows, edits, redrives and discards dead letters.

mod args;
mod list;
mod redrive;
mod render;
mod single;

use messaging::{DeadLetterOrigin, DeadLetterQueue};

use crate::settings::Settings;
use crate::{aws, migrate};

pub(crate) use render::harmless;

pub(crate) use args::{DeadLetterBodyEditArgs, DlqCommand, DlqEditArgs, DlqListArgs, RedriveArgs};

/// Needs the queues only, no database.
pub(crate) async fn run(settings: &Settings, args: DlqCommand) -> anyhow::Result<()> {
    match args {
        DlqCommand::List(args) => list::run(&queues(settings, args.queue).await?, &args).await,
        DlqCommand::Show { id, json } => single::show(&queues(settings, None).await?, &id, json).await,
        DlqCommand::Redrive(args) => {
            redrive::run(&queues(settings, args.which.queue).await?, &args, settings.message_keys()?).await
        }
        DlqCommand::Edit(DlqEditArgs { id, change }) => {
            // Read the change before any message is received: standard input may be slow.
            let change = single::DeadLetterBodyEdit::read(change)?;
            single::edit(&queues(settings, None).await?, &id, &change, settings.message_keys()?).await
        }
        DlqCommand::Discard { id, reason } => single::discard(&queues(settings, None).await?, &id, &reason).await,
    }
}

/// The dead letters of one queue, or of all.
async fn queues(settings: &Settings, only: Option<DeadLetterOrigin>) -> anyhow::Result<Vec<DeadLetterQueue>> {
    let sqs = aws::sqs(&settings.aws).await;
    let queues = migrate::find_queues(&sqs, settings).await?;
    let wanted = DeadLetterOrigin::ALL.into_iter().filter(|origin| only.is_none_or(|only| only == *origin));
    Ok(wanted.map(|origin| DeadLetterQueue::of(sqs.clone(), origin, &queues)).collect())
}
