//! Works through the messages of one group that came in one receive, in order.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::ChangeMessageVisibilityBatchRequestEntry;
use error_chain::error_chain;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior};
use tracing::Instrument;

use super::received::Received;
use super::{ANSWER_BOUND, Handler, HandlerError, Work, dead_letter, whole_seconds};
use crate::failure::answered;
use crate::queues::Queue;

/// Some messages of one group, oldest first.
pub(super) struct Lane<H> {
    work: Arc<Work<H>>,
    messages: VecDeque<Received>,
    /// One for the whole lane: the messages behind the one in work grow old as well.
    heartbeat: Interval,
}

/// Splits one receive into its groups, each in the order received.
pub(super) fn by_group(messages: Vec<Received>) -> Vec<VecDeque<Received>> {
    let mut lanes: Vec<VecDeque<Received>> = Vec::new();
    for message in messages {
        let same_group = |lane: &&mut VecDeque<Received>| lane.iter().any(|it| it.group_id == message.group_id);
        match lanes.iter_mut().find(same_group) {
            Some(lane) => lane.push_back(message),
            None => lanes.push(VecDeque::from([message])),
        }
    }
    lanes
}

impl<H: Handler> Lane<H> {
    pub(super) fn new(work: Arc<Work<H>>, messages: VecDeque<Received>) -> Self {
        let half = work.settings.visibility_timeout / 2;
        let mut heartbeat = tokio::time::interval_at(tokio::time::Instant::now() + half, half);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { work, messages, heartbeat }
    }

    /// Until all are done, one has to wait, or the consumer stops. The slots are free again afterwards.
    pub(super) async fn work(mut self, _slots: OwnedSemaphorePermit) {
        self.count_attempts().await;
        while !self.messages.is_empty() {
            if self.work.cancel.is_cancelled() {
                return self.release(Duration::ZERO).await;
            }
            let Some(outcome) = self.attempt().await else {
                // Abandoned: whatever the handler had not recorded, the next consumer does.
                return self.release(Duration::ZERO).await;
            };
            let outcome = match outcome {
                Ok(()) => Ok(()),
                Err(error) => self.settle(error).await,
            };
            if let Err(wait) = outcome {
                return self.release(wait).await;
            }
            if let Some(done) = self.messages.pop_front() {
                if done.attempt > 1 {
                    self.work.failures.forget(&self.work.queue.name, &done.message_id).await;
                }
                self.work.acknowledger.done(done.receipt_handle).await;
            }
        }
    }

    /// Says of each message which attempt this is. What SQS hands out for the first time nobody can have failed with.
    async fn count_attempts(&mut self) {
        let Work { failures, queue, settings, .. } = &*self.work;
        let again = self.messages.iter().filter(|message| message.receive_count > 1);
        let again: Vec<&str> = again.map(|message| message.message_id.as_str()).collect();
        let known = if again.is_empty() { HashMap::new() } else { failures.of(&queue.name, &again).await };
        for message in &mut self.messages {
            let failures = known.get(&message.message_id).copied().unwrap_or(0);
            message.counted(failures, settings.max_attempts);
        }
    }

    /// Handles the first message while the visibility of all of them is renewed. `None` if the consumer gave up waiting.
    async fn attempt(&mut self) -> Option<Result<(), HandlerError>> {
        let message = self.messages.front()?;
        let span = tracing::info_span!(
            "message",
            queue = self.work.queue.name,
            message_id = message.message_id,
            group_id = message.group_id,
            attempt = message.attempt,
        );
        let renewal = renew(&self.work.client, &self.work.queue, &self.messages, &mut self.heartbeat);
        tokio::select! {
            handled = self.work.handle(message).instrument(span) => Some(handled),
            never = renewal => match never {},
            () = self.work.abandon.cancelled() => None,
        }
    }

    /// Decides what becomes of a message that was not done: `Ok` if it is in the dead-letter queue now, else how long it waits.
    async fn settle(&self, error: HandlerError) -> Result<(), Duration> {
        let Some(message) = self.messages.front() else { return Ok(()) };
        let Work { client, queue, settings, failures, .. } = &*self.work;
        let backoff = settings.retry_backoff.delay(message.attempt);
        let log = Failure { queue, message };
        let (reason, wait) = match error {
            HandlerError::Later { after } => {
                log.put_off(after);
                return Err(after);
            }
            HandlerError::Retry { reason } if !message.is_last_attempt => {
                log.retried(&reason, backoff);
                failures.note(&queue.name, &message.message_id).await;
                return Err(backoff);
            }
            HandlerError::Retry { reason } => {
                (format!("given up after {} attempts: {reason}", message.attempt), backoff)
            }
            HandlerError::Dead { reason } => (reason, backoff),
        };
        match dead_letter::bury(client, queue, message, &reason).await {
            Ok(()) => {
                log.buried(&reason);
                Ok(())
            }
            Err(error) => {
                log.not_buried(&reason, &error);
                Err(wait)
            }
        }
    }

    /// Gives up the lane: the first message is visible again after `wait`, those behind it as soon as it is their turn.
    async fn release(self, wait: Duration) {
        let first = self.messages.front().map(|first| (first, wait));
        // Last first: a server that puts a returned message at the head of its group keeps their order, too.
        let behind = self.messages.iter().skip(1).rev().map(|it| (it, Duration::ZERO));
        change_visibility(&self.work.client, &self.work.queue, behind.chain(first)).await;
    }
}

/// Renews the visibility of all messages at every heartbeat, for ever.
async fn renew(
    client: &Client,
    queue: &Queue,
    messages: &VecDeque<Received>,
    heartbeat: &mut Interval,
) -> std::convert::Infallible {
    loop {
        heartbeat.tick().await;
        let timeout = 2 * heartbeat.period();
        change_visibility(client, queue, messages.iter().map(|it| (it, timeout))).await;
    }
}

/// Best effort: a message whose visibility could not be changed comes again when its timeout ends.
async fn change_visibility(client: &Client, queue: &Queue, messages: impl Iterator<Item = (&Received, Duration)>) {
    let entry = |(nth, (message, timeout)): (usize, (&Received, Duration))| {
        ChangeMessageVisibilityBatchRequestEntry::builder()
            .id(nth.to_string())
            .receipt_handle(&message.receipt_handle)
            .visibility_timeout(whole_seconds(timeout).min(MOST_SECONDS))
            .build()
    };
    let entries: Result<Vec<_>, _> = messages.enumerate().map(entry).collect();
    let Ok(entries) = entries else { return };
    let request = client.change_message_visibility_batch().queue_url(&queue.url).set_entries(Some(entries));
    match answered(ANSWER_BOUND, request.send()).await {
        Ok(answer) => {
            for failure in answer.failed() {
                let message = failure.message().unwrap_or_default();
                tracing::warn!(queue = queue.name, code = failure.code(), message, "visibility not changed");
            }
        }
        Err(error) => {
            tracing::warn!(queue = queue.name, %error, "visibility not changed");
        }
    }
}

/// Twelve hours: SQS hides a message no longer.
const MOST_SECONDS: i32 = 43_200;

/// What is logged about a message that was not done.
struct Failure<'a> {
    queue: &'a Queue,
    message: &'a Received,
}

impl Failure<'_> {
    fn put_off(&self, wait: Duration) {
        let Self { queue, message } = self;
        tracing::debug!(
            queue = queue.name,
            message_id = message.message_id,
            group_id = message.group_id,
            wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            "message waits for its time"
        );
    }

    fn retried(&self, reason: &str, wait: Duration) {
        let Self { queue, message } = self;
        tracing::warn!(
            queue = queue.name,
            message_id = message.message_id,
            group_id = message.group_id,
            attempt = message.attempt,
            wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            reason,
            "message failed, will be tried again"
        );
    }

    fn buried(&self, reason: &str) {
        let Self { queue, message } = self;
        tracing::error!(
            queue = queue.name,
            message_id = message.message_id,
            group_id = message.group_id,
            attempt = message.attempt,
            reason,
            "message moved to the dead-letter queue"
        );
    }

    fn not_buried(&self, reason: &str, error: &dead_letter::BuryError) {
        let Self { queue, message } = self;
        tracing::error!(
            queue = queue.name,
            message_id = message.message_id,
            group_id = message.group_id,
            reason,
            error = error_chain(error),
            "message not moved to the dead-letter queue, will be tried again"
        );
    }
}
