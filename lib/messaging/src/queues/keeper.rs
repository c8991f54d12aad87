//! Looks after the queues while roles work with them: a queue that is gone is made again, and how they are can be asked at any time.
//!
//! A queue goes when somebody deletes it, or when an emulator that keeps queues in memory starts anew. Its messages go with it:
//! nothing rests on them, and what they asked for is asked for again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName as Attribute;
use error_chain::error_chain;
use tokio_util::sync::CancellationToken;

use super::{QueueSettings, Queues, ensure};
use crate::dead_letters::Origin;
use crate::failure::{SqsError, answered};

/// How long SQS may take to answer a look.
const ANSWER_BOUND: Duration = Duration::from_secs(5);

/// How the queues are. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct QueueWatch(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// Why messages can't travel, in words for an operator.
    amiss: Option<String>,
    dead_letters: [Option<u64>; Origin::ALL.len()],
}

impl QueueWatch {
    /// What was amiss with the queues when they were last looked at; nothing before the first look.
    pub fn amiss(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).amiss.clone()
    }

    /// How many dead letters a queue had when they were last counted; `None`: that is not known.
    pub fn dead_letters(&self, origin: Origin) -> Option<u64> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Origin::ALL.iter().position(|known| *known == origin).and_then(|at| seen.dead_letters[at])
    }

    fn see(&self, seen: Seen) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }
}

/// Looks at the queues, pauses, and looks again until told to stop. A queue that is not there is made, as [`ensure`] makes it.
pub async fn keep(
    client: Client,
    settings: QueueSettings,
    queues: Queues,
    watch: QueueWatch,
    pause: Duration,
    stop: CancellationToken,
) {
    let looking = async {
        loop {
            let mut seen = look(&client, &queues).await;
            if let Look::Missing(name) = &seen {
                let missing = format!("the queue {name} is not there, and is being made again");
                tracing::warn!(queue = name, "the queue is not there: making it again");
                watch.see(Seen { amiss: Some(missing), ..Seen::default() });
                seen = make_again(&client, &settings, &queues).await;
            }
            watch.see(seen.into());
            tokio::time::sleep(pause).await;
        }
    };
    stop.run_until_cancelled(looking).await;
}

/// What a look at the queues found.
enum Look {
    Well { dead_letters: [Option<u64>; Origin::ALL.len()] },
    Missing(String),
    Failed(String),
}

impl From<Look> for Seen {
    fn from(look: Look) -> Self {
        match look {
            Look::Well { dead_letters } => Self { amiss: None, dead_letters },
            Look::Missing(name) => Self { amiss: Some(format!("the queue {name} is not there")), ..Self::default() },
            Look::Failed(why) => Self { amiss: Some(why), ..Self::default() },
        }
    }
}

async fn look(client: &Client, queues: &Queues) -> Look {
    let mut dead_letters = [None; Origin::ALL.len()];
    for (at, origin) in Origin::ALL.into_iter().enumerate() {
        let queue = queues.of(origin);
        for url in [&queue.url, &queue.dead_letter_url] {
            match messages(client, url).await {
                Ok(count) => dead_letters[at] = Some(count),
                Err(error) if error.is_missing_queue() => return Look::Missing(name_of(url).to_owned()),
                Err(error) => return Look::Failed(error.to_string()),
            }
        }
    }
    Look::Well { dead_letters }
}

async fn make_again(client: &Client, settings: &QueueSettings, queues: &Queues) -> Look {
    match ensure(client, settings).await {
        Ok(made) if made == *queues => {
            tracing::info!("the queues are there again");
            look(client, queues).await
        }
        Ok(_) => {
            Look::Failed("the queues were made again and have other addresses: this process must be restarted".into())
        }
        Err(error) => {
            let error = error_chain(&error);
            tracing::error!(error, "the queues can't be made again");
            Look::Failed(error)
        }
    }
}

/// How many messages a queue has, in somebody's hands or not.
async fn messages(client: &Client, url: &str) -> Result<u64, SqsError> {
    let request = client
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(Attribute::ApproximateNumberOfMessages)
        .attribute_names(Attribute::ApproximateNumberOfMessagesNotVisible);
    let answer = answered(ANSWER_BOUND, request.send()).await?;
    Ok(answer.attributes.unwrap_or_default().values().filter_map(|count| count.parse::<u64>().ok()).sum())
}

/// A queue's address ends with its name.
fn name_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}
