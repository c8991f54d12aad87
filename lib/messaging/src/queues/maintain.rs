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

use super::{ANSWER_BOUND, QueueProvisioningSettings, Queues, ensure};
use crate::dead_letters::DeadLetterOrigin;
use crate::error::{CallError, answered};

/// The health of the queues. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct QueuesHealth(Arc<Mutex<QueueStatus>>);

#[derive(Debug, Default)]
struct QueueStatus {
    /// What is wrong with the queues, in words for an operator.
    problem: Option<String>,
    counts: QueueCounts,
}

/// How many messages and how many dead letters each queue has. `None`: unknown.
type QueueCounts = [Option<(u64, u64)>; DeadLetterOrigin::ALL.len()];

impl QueuesHealth {
    /// What was wrong with the queues at the last check. `None`: nothing, or there was no check yet.
    pub fn problem(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).problem.clone()
    }

    /// How many dead letters a queue had at the last check. `None`: unknown.
    pub fn dead_letters(&self, origin: DeadLetterOrigin) -> Option<u64> {
        self.counts(origin).map(|(_, dead_letters)| dead_letters)
    }

    /// How many messages a queue had at the last check. `None`: unknown.
    pub fn messages(&self, origin: DeadLetterOrigin) -> Option<u64> {
        self.counts(origin).map(|(messages, _)| messages)
    }

    fn counts(&self, origin: DeadLetterOrigin) -> Option<(u64, u64)> {
        let status = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        DeadLetterOrigin::ALL.iter().position(|known| *known == origin).and_then(|at| status.counts[at])
    }

    fn set(&self, status: QueueStatus) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}

/// Checks the queues after every pause, until `stop`. Creates missing queues as [`ensure`] does.
pub async fn maintain(
    client: Client,
    settings: QueueProvisioningSettings,
    queues: Queues,
    health: QueuesHealth,
    pause: Duration,
    stop: CancellationToken,
) {
    let checking = async {
        loop {
            let mut check = check(&client, &queues).await;
            if let QueueCheck::Missing(name) = &check {
                let missing = format!("the queue {name} is not there, and is being made again");
                tracing::warn!(queue = name, "the queue is not there: making it again");
                health.set(QueueStatus { problem: Some(missing), ..QueueStatus::default() });
                check = create_again(&client, &settings, &queues).await;
            }
            health.set(check.into());
            tokio::time::sleep(pause).await;
        }
    };
    stop.run_until_cancelled(checking).await;
}

/// The result of a check.
enum QueueCheck {
    Healthy(QueueCounts),
    Missing(String),
    Failed(String),
}

impl From<QueueCheck> for QueueStatus {
    fn from(check: QueueCheck) -> Self {
        match check {
            QueueCheck::Healthy(counts) => Self { problem: None, counts },
            QueueCheck::Missing(name) => {
                Self { problem: Some(format!("the queue {name} is not there")), ..Self::default() }
            }
            QueueCheck::Failed(why) => Self { problem: Some(why), ..Self::default() },
        }
    }
}

async fn check(client: &Client, queues: &Queues) -> QueueCheck {
    let mut all = QueueCounts::default();
    for (at, origin) in DeadLetterOrigin::ALL.into_iter().enumerate() {
        let queue = queues.of(origin);
        let mut counts = [0; 2];
        for (url, counted) in [&queue.url, &queue.dead_letter_url].into_iter().zip(&mut counts) {
            match messages(client, url).await {
                Ok(count) => *counted = count,
                Err(error) if error.is_missing_queue() => return QueueCheck::Missing(name_of(url).to_owned()),
                Err(error) => return QueueCheck::Failed(error.to_string()),
            }
        }
        let [waiting, dead_letters] = counts;
        all[at] = Some((waiting, dead_letters));
    }
    QueueCheck::Healthy(all)
}

async fn create_again(client: &Client, settings: &QueueProvisioningSettings, queues: &Queues) -> QueueCheck {
    match ensure(client, settings).await {
        Ok(made) if made == *queues => {
            tracing::info!("the queues are there again");
            check(client, queues).await
        }
        Ok(_) => QueueCheck::Failed(
            "the queues were made again and have other addresses: this process must be restarted".into(),
        ),
        Err(error) => {
            let error = error_chain(&error);
            tracing::error!(error, "the queues can't be made again");
            QueueCheck::Failed(error)
        }
    }
}

/// How many messages a queue has, visible or hidden.
async fn messages(client: &Client, url: &str) -> Result<u64, CallError> {
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
