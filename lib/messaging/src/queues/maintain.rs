//! Maintains the queues while roles use them: creates a queue again that has disappeared, and reports their health.
//!
//! A queue disappears when somebody deletes it, or when an emulator that keeps queues in memory restarts. Its messages
//! are lost, and what they request is requested again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName as Attribute;
use error_chain::error_chain;
use tokio_util::sync::CancellationToken;

use super::{QueueProvisioning, Queues, ensure};
use crate::dead_letters::Origin;
use crate::error::{SqsError, answered};

/// How long SQS may take to answer.
const ANSWER_BOUND: Duration = Duration::from_secs(5);

/// The health of the queues. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct QueueHealth(Arc<Mutex<Status>>);

#[derive(Debug, Default)]
struct Status {
    /// What is wrong with the queues, in words for an operator.
    problem: Option<String>,
    dead_letters: [Option<u64>; Origin::ALL.len()],
}

impl QueueHealth {
    /// What was wrong with the queues at the last check. `None`: nothing, or there was no check yet.
    pub fn problem(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).problem.clone()
    }

    /// How many dead letters a queue had at the last check. `None`: unknown.
    pub fn dead_letters(&self, origin: Origin) -> Option<u64> {
        let status = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Origin::ALL.iter().position(|known| *known == origin).and_then(|at| status.dead_letters[at])
    }

    fn set(&self, status: Status) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}

/// Checks the queues after every pause, until `stop`. Creates missing queues as [`ensure`] does.
pub async fn maintain(
    client: Client,
    settings: QueueProvisioning,
    queues: Queues,
    health: QueueHealth,
    pause: Duration,
    stop: CancellationToken,
) {
    let checking = async {
        loop {
            let mut check = check(&client, &queues).await;
            if let Check::Missing(name) = &check {
                let missing = format!("the queue {name} is not there, and is being made again");
                tracing::warn!(queue = name, "the queue is not there: making it again");
                health.set(Status { problem: Some(missing), ..Status::default() });
                check = create_again(&client, &settings, &queues).await;
            }
            health.set(check.into());
            tokio::time::sleep(pause).await;
        }
    };
    stop.run_until_cancelled(checking).await;
}

/// The result of a check.
enum Check {
    Healthy { dead_letters: [Option<u64>; Origin::ALL.len()] },
    Missing(String),
    Failed(String),
}

impl From<Check> for Status {
    fn from(check: Check) -> Self {
        match check {
            Check::Healthy { dead_letters } => Self { problem: None, dead_letters },
            Check::Missing(name) => Self { problem: Some(format!("the queue {name} is not there")), ..Self::default() },
            Check::Failed(why) => Self { problem: Some(why), ..Self::default() },
        }
    }
}

async fn check(client: &Client, queues: &Queues) -> Check {
    let mut dead_letters = [None; Origin::ALL.len()];
    for (at, origin) in Origin::ALL.into_iter().enumerate() {
        let queue = queues.of(origin);
        for url in [&queue.url, &queue.dead_letter_url] {
            match messages(client, url).await {
                Ok(count) => dead_letters[at] = Some(count),
                Err(error) if error.is_missing_queue() => return Check::Missing(name_of(url).to_owned()),
                Err(error) => return Check::Failed(error.to_string()),
            }
        }
    }
    Check::Healthy { dead_letters }
}

async fn create_again(client: &Client, settings: &QueueProvisioning, queues: &Queues) -> Check {
    match ensure(client, settings).await {
        Ok(made) if made == *queues => {
            tracing::info!("the queues are there again");
            check(client, queues).await
        }
        Ok(_) => {
            Check::Failed("the queues were made again and have other addresses: this process must be restarted".into())
        }
        Err(error) => {
            let error = error_chain(&error);
            tracing::error!(error, "the queues can't be made again");
            Check::Failed(error)
        }
    }
}

/// How many messages a queue has, visible or hidden.
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
