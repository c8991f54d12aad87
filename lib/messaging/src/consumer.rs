//! Receives messages and handles each one, until it is done or in the dead-letter queue with the reason.
//!
//! - A message is deleted only after its handler has returned `Ok`, which means that the effect is recorded. Until then
//!   its visibility timeout is renewed, so that no other consumer gets it. If the consumer dies, the message is visible
//!   again after that timeout.
//! - Messages of one group are handled one after the other, in order. A failed one holds back those behind it.
//! - Delivery is at least once. Handlers have to survive being run twice.
//! - A message that is not signed by a known key is not handled. It goes to the dead-letter queue at once.
//! - Only a handler's failure counts as an attempt. A message that is returned without being handled does not count: at
//!   shutdown, behind a failed message, or because its time has not come.
//! - If SQS fails, the consumer backs off, and logs once that it does and once that it receives again.

mod acknowledge;
mod backoff;
mod dead_letter;
mod failure_counts;
mod forged;
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

use crate::error::{CallError, answered};
use crate::queue_depth::QueueDepthReader;
use crate::queues::Queue;
use crate::settings::InvalidSettings;
use crate::signature::MessageSigningKeys;
use acknowledge::Acknowledger;
use forged::ForgedLimit;
use lane::MessageLane;

pub use backoff::ExponentialBackoff;
pub(crate) use dead_letter::ERROR_ATTRIBUTE;
pub use failure_counts::MessageFailureCounts;
pub use received::ReceivedMessage;
pub use settings::ConsumerSettings;

/// What a consumer calls for each message.
pub trait MessageHandler: Send + Sync + 'static {
    /// `Ok` means that the effect is recorded and the message can be deleted. The future may be dropped at any await,
    /// when the consumer has to stop.
    fn handle(&self, message: &ReceivedMessage) -> impl Future<Output = Result<(), MessageHandlerError>> + Send;
}

/// Why a message is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageHandlerError {
    /// It may work later. After the last attempt the message goes to the dead-letter queue.
    #[error("{reason}")]
    Retry {
        /// For the log, and for the dead letter after the last attempt.
        reason: String,
    },
    /// Its time has not come. Nothing was tried, so this is no attempt. SQS counts the receive all the same, so `after`
    /// should be when its time is likely to come.
    #[error("not before {after:?} from now")]
    Later {
        /// When the message is received again. SQS has whole seconds, up to twelve hours.
        after: Duration,
    },
    /// It will never work. The message goes to the dead-letter queue at once.
    #[error("{reason}")]
    Dead {
        /// For the log and the dead letter.
        reason: String,
    },
}

impl MessageHandlerError {
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry { reason: reason.into() }
    }

    pub fn dead(reason: impl Into<String>) -> Self {
        Self::Dead { reason: reason.into() }
    }
}

/// Consumes one queue.
#[derive(Debug, Clone)]
pub struct Consumer {
    client: Client,
    queue: Queue,
    keys: MessageSigningKeys,
    settings: ConsumerSettings,
}

impl Consumer {
    /// `keys`: those that senders sign with.
    pub fn new(
        client: Client,
        queue: Queue,
        keys: MessageSigningKeys,
        settings: ConsumerSettings,
    ) -> Result<Self, InvalidSettings> {
        settings.validate()?;
        Ok(Self { client, queue, keys, settings })
    }

    pub fn depth(&self) -> QueueDepthReader {
        QueueDepthReader::of(self.client.clone(), self.queue.url.clone())
    }

    /// Consumes until cancelled. Then it stops receiving, lets running handlers finish within `shutdown_grace`, returns
    /// the other messages to the queue, and returns. Handlers' failures are counted in `failures`.
    pub async fn run<H: MessageHandler>(self, handler: H, failures: MessageFailureCounts, cancel: CancellationToken) {
        let (acknowledger, deleting) = Acknowledger::start(self.client.clone(), self.queue.clone());
        let abandon = CancellationToken::new();
        // So that the lanes stop as well if this future is dropped instead of cancelled.
        let _abandon_on_drop = abandon.clone().drop_guard();
        let work = Arc::new(ConsumerContext {
            client: self.client,
            queue: self.queue,
            keys: self.keys,
            settings: self.settings,
            handler,
            failures,
            acknowledger,
            forged: ForgedLimit::default(),
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
            // The task ends with the last lane.
            let _ = deleting.await;
        };
        if tokio::time::timeout(SHUTDOWN_BOUND, finished).await.is_err() {
            tracing::warn!(queue, "not finished at shutdown; the messages come again after their visibility timeout");
        }
        tracing::info!(queue, "consumer stopped");
    }
}

/// Shared by all pollers and lanes of a consumer.
struct ConsumerContext<H> {
    client: Client,
    queue: Queue,
    keys: MessageSigningKeys,
    settings: ConsumerSettings,
    handler: H,
    failures: MessageFailureCounts,
    acknowledger: Acknowledger,
    forged: ForgedLimit,
    /// Whether the last receive failed. Changes are logged.
    failing: AtomicBool,
    /// Stop receiving, and begin no further message.
    cancel: CancellationToken,
    /// Drop the running handlers.
    abandon: CancellationToken,
}

impl<H: MessageHandler> ConsumerContext<H> {
    /// Receives until cancelled, never more messages than there are free slots.
    async fn poll(self: Arc<Self>, slots: &Arc<Semaphore>, lanes: &TaskTracker) {
        let cancel = self.cancel.clone();
        let mut failures = 0;
        while let Some(Some(mut free)) = cancel.run_until_cancelled(self.reserve(slots)).await {
            // Dropping a long poll loses no messages: what SQS had handed out already is visible again after the
            // visibility timeout.
            let Some(received) = cancel.run_until_cancelled(self.receive(free.num_permits())).await else { return };
            match received {
                Ok(messages) => {
                    failures = 0;
                    self.receiving_works();
                    let full = messages.len() >= self.settings.batch_size;
                    let (forged, genuine): (Vec<_>, Vec<_>) =
                        messages.into_iter().partition(|message| message.genuine.is_err());
                    for messages in lane::by_group(genuine) {
                        let Some(taken) = free.split(messages.len()) else { break };
                        let lane = MessageLane::new(Arc::clone(&self), messages);
                        lanes.spawn(async move {
                            let _slots = taken;
                            lane.work().await;
                        });
                    }
                    // Handlers' slots are not for forged messages: the next receive can be a full one.
                    drop(free);
                    if !forged.is_empty() {
                        let share = cancel.run_until_cancelled(self.forged.share(&forged));
                        if let Some(Some(share)) = share.await {
                            lanes.spawn(Arc::clone(&self).work_on_forged(forged, share));
                        }
                    }
                    if !full {
                        tokio::time::sleep(POLL_PAUSE).await;
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

    /// Waits for one free slot, and takes further free ones, up to the size of a batch.
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

    async fn receive(&self, most: usize) -> Result<Vec<ReceivedMessage>, CallError> {
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
        let read = |message| ReceivedMessage::from_sqs(message, &self.queue.name, &self.keys);
        Ok(answer.messages.unwrap_or_default().into_iter().map(read).collect())
    }

    /// Moves messages to the dead letters, those that can't be moved together one after the other. Then their share is free.
    async fn work_on_forged(self: Arc<Self>, forged: Vec<ReceivedMessage>, _share: OwnedSemaphorePermit) {
        let left = lane::by_group(self.move_forged(forged).await);
        join_all(left.into_iter().map(|messages| MessageLane::new(Arc::clone(&self), messages).work())).await;
    }

    /// Runs the handler if the message is genuine. A panic is a failure like any other.
    async fn handle(&self, message: &ReceivedMessage) -> Result<(), MessageHandlerError> {
        if let Some(reason) = message.reason_if_forged() {
            return Err(MessageHandlerError::Dead { reason });
        }
        let handled = AssertUnwindSafe(self.handler.handle(message)).catch_unwind().await;
        handled.unwrap_or_else(|panic| {
            Err(MessageHandlerError::retry(format!("the handler panicked: {}", panic_message(&*panic))))
        })
    }

    fn receiving_works(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!(queue = self.queue.name, "receiving again");
        }
    }

    fn receiving_fails(&self, error: &CallError) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(queue = self.queue.name, %error, "receiving fails, trying again until it works");
        }
    }
}

/// How long a poller waits after a batch that was not full, so that more messages and free slots gather. A call costs
/// about the same for one message as for ten; without the pause there would be as many calls as the processor can make.
const POLL_PAUSE: Duration = Duration::from_millis(5);

/// How long SQS may take to answer a call, with the SDK's own retries, or a long poll after its waiting time. After
/// that the connection counts as dead.
const ANSWER_BOUND: Duration = Duration::from_secs(10);

/// How long returning and deleting messages may take at shutdown if SQS does not answer. Together with the grace period
/// it is below the ten seconds that the process has.
const SHUTDOWN_BOUND: Duration = Duration::from_secs(3);

/// SQS has visibility timeouts in whole seconds. They are rounded up, so that no message comes back too early.
fn whole_seconds(duration: Duration) -> i32 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
