//! Receives messages and sees each one through: done, tried again, or in the dead-letter queue with the reason.
//!
//! - A message is deleted only after its handler has returned `Ok`: the effect is recorded. Until then its visibility is
//!   renewed, so nobody else gets it; a consumer that dies lets go of it within one visibility timeout.
//! - Messages of one group are handled one after the other, in order; a failed one holds back those behind it.
//! - Delivery is at least once. Handlers survive being run twice.
//! - An attempt is one that its handler failed with: what is handed back untried, at shutdown, behind a failed message or because its
//!   time has not come, is none.
//! - Whatever SQS does, the consumer stays: it backs off, says so once, and says when it receives again.

mod acknowledge;
mod backoff;
mod dead_letter;
mod failures;
mod lane;
mod received;
mod settings;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_sqs::Client;
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::depth::QueueDepth;
use crate::failure::{SqsError, answered};
use crate::queues::Queue;
use crate::settings::InvalidSettings;
use acknowledge::Acknowledger;
use lane::Lane;

pub use backoff::Backoff;
pub use dead_letter::ERROR_ATTRIBUTE;
pub use failures::Failures;
pub use received::Received;
pub use settings::ConsumerSettings;

/// What is done with each message.
pub trait Handler: Send + Sync + 'static {
    /// Does what the message asks. `Ok` means that the effect is recorded and the message can be forgotten. The future may be
    /// dropped at any await, when the consumer has to stop.
    fn handle(&self, message: &Received) -> impl Future<Output = Result<(), HandlerError>> + Send;
}

/// Why a message was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandlerError {
    /// It may work later. On the last attempt the message goes to the dead-letter queue all the same.
    #[error("{reason}")]
    Retry {
        /// For the log, and for the dead letter if it was the last attempt.
        reason: String,
    },
    /// Its time has not come: nothing was tried, so it is no attempt, and it is never the last. SQS counts the receive all the same,
    /// so `after` is when it is likely to be its turn.
    #[error("not before {after:?} from now")]
    Later {
        /// When the message comes again. SQS counts whole seconds, up to twelve hours.
        after: Duration,
    },
    /// It never will: the message goes to the dead-letter queue at once.
    #[error("{reason}")]
    Dead {
        /// For the log and the dead letter.
        reason: String,
    },
}

impl HandlerError {
    /// Try again, when the backoff says.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry { reason: reason.into() }
    }

    /// Never try again.
    pub fn dead(reason: impl Into<String>) -> Self {
        Self::Dead { reason: reason.into() }
    }
}

/// Consumes one queue.
#[derive(Debug, Clone)]
pub struct Consumer {
    client: Client,
    queue: Queue,
    settings: ConsumerSettings,
}

impl Consumer {
    /// A consumer of the queue; settings out of bounds are refused.
    pub fn new(client: Client, queue: Queue, settings: ConsumerSettings) -> Result<Self, InvalidSettings> {
        settings.validate()?;
        Ok(Self { client, queue, settings })
    }

    /// How many messages its queue has.
    pub fn depth(&self) -> QueueDepth {
        QueueDepth::of(self.client.clone(), self.queue.url.clone())
    }

    /// Consumes until cancelled. Then it receives no more, lets the handlers at work finish within `shutdown_grace`, hands the
    /// rest back, and returns. What the handler fails with is counted in `failures`.
    pub async fn run<H: Handler>(self, handler: H, failures: Failures, cancel: CancellationToken) {
        let (acknowledger, deleting) = Acknowledger::start(self.client.clone(), self.queue.clone());
        let abandon = CancellationToken::new();
        // Should this future be dropped instead of cancelled, the lanes stop as well.
        let _abandon_on_drop = abandon.clone().drop_guard();
        let work = Arc::new(Work {
            client: self.client,
            queue: self.queue,
            settings: self.settings,
            handler,
            failures,
            acknowledger,
            failing: AtomicBool::new(false),
            cancel,
            abandon,
        });
        tracing::info!(queue = work.queue.name, concurrency = work.settings.concurrency, "consuming");

        let slots = Arc::new(Semaphore::new(work.settings.concurrency));
        let lanes = TaskTracker::new();
        join_all((0..work.settings.pollers).map(|_| Arc::clone(&work).poll(&slots, &lanes))).await;

        lanes.close();
        if tokio::time::timeout(work.settings.shutdown_grace, lanes.wait()).await.is_err() {
            work.abandon.cancel();
        }
        let queue = work.queue.name.clone();
        drop(work);
        let finished = async {
            lanes.wait().await;
            // It ends with the last lane.
            let _ = deleting.await;
        };
        if tokio::time::timeout(SHUTDOWN_BOUND, finished).await.is_err() {
            tracing::warn!(queue, "not finished at shutdown; the messages come again after their visibility timeout");
        }
        tracing::info!(queue, "consumer stopped");
    }
}

/// What every poller and lane of one consumer shares.
struct Work<H> {
    client: Client,
    queue: Queue,
    settings: ConsumerSettings,
    handler: H,
    failures: Failures,
    acknowledger: Acknowledger,
    /// Whether the last receive failed: logged when it changes.
    failing: AtomicBool,
    /// Receive no more, begin nothing new.
    cancel: CancellationToken,
    /// Drop what is being worked on.
    abandon: CancellationToken,
}

impl<H: Handler> Work<H> {
    /// Receives until cancelled, never more than there are free slots for.
    async fn poll(self: Arc<Self>, slots: &Arc<Semaphore>, lanes: &TaskTracker) {
        let cancel = self.cancel.clone();
        let mut failures = 0;
        while let Some(Some(mut free)) = cancel.run_until_cancelled(self.reserve(slots)).await {
            // A long poll that is dropped here can't take messages with it: the connection closes, and what SQS had already
            // handed to it comes back after the visibility timeout.
            let Some(received) = cancel.run_until_cancelled(self.receive(free.num_permits())).await else { return };
            match received {
                Ok(messages) => {
                    failures = 0;
                    self.receiving_works();
                    let full = messages.len() >= self.settings.batch_size;
                    for messages in lane::by_group(messages) {
                        let Some(taken) = free.split(messages.len()) else { break };
                        lanes.spawn(Lane::new(Arc::clone(&self), messages).work(taken));
                    }
                    drop(free);
                    if !full {
                        tokio::time::sleep(GATHER).await;
                    }
                }
                Err(error) => {
                    self.receiving_fails(&error);
                    failures += 1;
                    drop(free);
                    let pause = self.settings.error_backoff.delay(failures);
                    if cancel.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for one free slot, and takes as many more as a batch could fill.
    async fn reserve(&self, slots: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let mut reserved = Arc::clone(slots).acquire_owned().await.ok()?;
        while reserved.num_permits() < self.settings.batch_size {
            match Arc::clone(slots).try_acquire_owned() {
                Ok(one_more) => reserved.merge(one_more),
                Err(_) => break,
            }
        }
        Some(reserved)
    }

    async fn receive(&self, most: usize) -> Result<Vec<Received>, SqsError> {
        let ConsumerSettings { wait_seconds, visibility_timeout, .. } = self.settings;
        let request = self
            .client
            .receive_message()
            .queue_url(&self.queue.url)
            .max_number_of_messages(i32::try_from(most).unwrap_or(10))
            .wait_time_seconds(i32::try_from(wait_seconds).unwrap_or(20))
            .visibility_timeout(whole_seconds(visibility_timeout))
            .message_attribute_names("All")
            .set_message_system_attribute_names(Some(received::SYSTEM_ATTRIBUTES.to_vec()));
        let bound = Duration::from_secs(u64::from(wait_seconds)) + ANSWER_BOUND;
        let answer = answered(bound, request.send()).await?;
        Ok(answer.messages.unwrap_or_default().into_iter().map(Received::from_sqs).collect())
    }

    /// The handler's answer; a panic is a failure like any other.
    async fn handle(&self, message: &Received) -> Result<(), HandlerError> {
        let handled = AssertUnwindSafe(self.handler.handle(message)).catch_unwind().await;
        handled.unwrap_or_else(|panic| Err(HandlerError::retry(format!("the handler panicked: {}", words(&*panic)))))
    }

    fn receiving_works(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!(queue = self.queue.name, "receiving again");
        }
    }

    fn receiving_fails(&self, error: &SqsError) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(queue = self.queue.name, %error, "receiving fails, trying again until it works");
        }
    }
}

/// How long a poller waits for messages, and for free slots, to gather before it receives again after a batch that was not full. A call
/// costs about the same for one message as for ten; without the wait there would be as many calls as the processor can make.
const GATHER: Duration = Duration::from_millis(5);

/// How long SQS may take to answer a call, the SDK's own retries included, and a long poll beyond its wait. Then the connection
/// counts as dead.
const ANSWER_BOUND: Duration = Duration::from_secs(10);

/// How long handing back and deleting together may take at shutdown when SQS does not answer. With the grace before it, it
/// stays below the ten seconds that the process has.
const SHUTDOWN_BOUND: Duration = Duration::from_secs(3);

/// SQS counts visibility in whole seconds: rounded up, so that nothing comes back too early.
fn whole_seconds(duration: Duration) -> i32 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
