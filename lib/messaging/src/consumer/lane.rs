//! Handles the messages of one group that came in one receive, in order.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::ChangeMessageVisibilityBatchRequestEntry;
use error_chain::error_chain;
use tokio::time::{Interval, MissedTickBehavior};
use tracing::Instrument;

use super::received::ReceivedMessage;
use super::{ANSWER_BOUND, ConsumerContext, MessageHandler, MessageHandlerError, dead_letter, whole_seconds};
use crate::error::answered;
use crate::queues::Queue;

/// Messages of one group, the oldest first.
pub(super) struct MessageLane<H> {
    context: Arc<ConsumerContext<H>>,
    messages: VecDeque<ReceivedMessage>,
    /// Renews the visibility of all messages of the lane: those that wait would become visible as well.
    heartbeat: Interval,
}

/// Splits the messages of one receive by group, each in the order received.
pub(super) fn by_group(messages: Vec<ReceivedMessage>) -> Vec<VecDeque<ReceivedMessage>> {
    let mut lanes: Vec<VecDeque<ReceivedMessage>> = Vec::new();
    for message in messages {
        let same_group = |lane: &&mut VecDeque<ReceivedMessage>| lane.iter().any(|it| it.group_id == message.group_id);
        match lanes.iter_mut().find(same_group) {
            Some(lane) => lane.push_back(message),
            None => lanes.push(VecDeque::from([message])),
        }
    }
    lanes
}

impl<H: MessageHandler> MessageLane<H> {
    pub(super) fn new(context: Arc<ConsumerContext<H>>, messages: VecDeque<ReceivedMessage>) -> Self {
        let half = context.settings.visibility_timeout / 2;
        let mut heartbeat = tokio::time::interval_at(tokio::time::Instant::now() + half, half);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { context, messages, heartbeat }
    }

    /// Returns when all messages are done, one of them has to wait, or the consumer stops.
    pub(super) async fn work(mut self) {
        self.count_attempts().await;
        while !self.messages.is_empty() {
            if self.context.cancel.is_cancelled() {
                return self.release(Duration::ZERO).await;
            }
            let Some(outcome) = self.attempt().await else {
                // Abandoned. The next consumer does what the handler has not recorded.
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
                    self.context.failures.delete(&self.context.queue.name, &done.message_id).await;
                }
                self.context.acknowledger.acknowledge(done.receipt_handle).await;
            }
        }
    }

    /// Sets each message's attempt. A message that SQS hands out for the first time can't have failed before.
    async fn count_attempts(&mut self) {
        let ConsumerContext { failures, queue, settings, .. } = &*self.context;
        let again = self.messages.iter().filter(|message| message.receive_count > 1);
        let again: Vec<&str> = again.map(|message| message.message_id.as_str()).collect();
        let known = if again.is_empty() { HashMap::new() } else { failures.load(&queue.name, &again).await };
        for message in &mut self.messages {
            let failures = known.get(&message.message_id).copied().unwrap_or(0);
            message.set_attempt(failures, settings.max_attempts);
        }
    }

    /// Handles the first message, and renews the visibility of all of them meanwhile. `None`: the consumer stopped
    /// before it was done.
    async fn attempt(&mut self) -> Option<Result<(), MessageHandlerError>> {
        let message = self.messages.front()?;
        let span = tracing::info_span!(
            "message",
            queue = self.context.queue.name,
            message_id = message.message_id,
            group_id = message.group_id,
            attempt = message.attempt,
        );
        let renewal = renew(&self.context.client, &self.context.queue, &self.messages, &mut self.heartbeat);
        tokio::select! {
            handled = self.context.handle(message).instrument(span) => Some(handled),
            never = renewal => match never {},
            () = self.context.abandon.cancelled() => None,
        }
    }

    /// Handles a failure. `Ok`: the message is in the dead-letter queue. `Err`: how long it has to wait.
    async fn settle(&self, error: MessageHandlerError) -> Result<(), Duration> {
        let Some(message) = self.messages.front() else { return Ok(()) };
        let ConsumerContext { client, queue, settings, failures, .. } = &*self.context;
        let backoff = settings.retry_backoff.delay(message.attempt);
        let log = FailedMessage { queue, message };
        let (reason, wait) = match error {
            MessageHandlerError::Later { after } => {
                log.postponed(after);
                return Err(after);
            }
            MessageHandlerError::Retry { reason } if !message.is_last_attempt => {
                log.retried(&reason, backoff);
                failures.increment(&queue.name, &message.message_id).await;
                return Err(backoff);
            }
            MessageHandlerError::Retry { reason } => {
                (format!("given up after {} attempts: {reason}", message.attempt), backoff)
            }
            MessageHandlerError::Dead { reason } => (reason, backoff),
        };
        match dead_letter::move_to_dead_letters(client, queue, message, &reason).await {
            Ok(()) => {
                log.moved(&reason);
                Ok(())
            }
            Err(error) => {
                log.not_moved(&reason, &error);
                Err(wait)
            }
        }
    }

    /// Returns all messages to the queue. The first is visible again after `wait`, the others when it is their turn in
    /// the group.
    async fn release(self, wait: Duration) {
        let first = self.messages.front().map(|first| (first, wait));
        // The last one first, for servers that put a returned message at the head of its group.
        let behind = self.messages.iter().skip(1).rev().map(|it| (it, Duration::ZERO));
        change_visibility(&self.context.client, &self.context.queue, behind.chain(first)).await;
    }
}

/// Renews the visibility of all messages at every heartbeat.
async fn renew(
    client: &Client,
    queue: &Queue,
    messages: &VecDeque<ReceivedMessage>,
    heartbeat: &mut Interval,
) -> std::convert::Infallible {
    loop {
        heartbeat.tick().await;
        let timeout = 2 * heartbeat.period();
        change_visibility(client, queue, messages.iter().map(|it| (it, timeout))).await;
    }
}

/// Best effort: otherwise a message is visible again when its timeout ends.
async fn change_visibility(
    client: &Client,
    queue: &Queue,
    messages: impl Iterator<Item = (&ReceivedMessage, Duration)>,
) {
    let entry = |(nth, (message, timeout)): (usize, (&ReceivedMessage, Duration))| {
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

/// Twelve hours: SQS's limit for a visibility timeout.
const MOST_SECONDS: i32 = 43_200;

/// Logs what becomes of a message that failed.
struct FailedMessage<'a> {
    queue: &'a Queue,
    message: &'a ReceivedMessage,
}

impl FailedMessage<'_> {
    fn postponed(&self, wait: Duration) {
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

    fn moved(&self, reason: &str) {
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

    fn not_moved(&self, reason: &str, error: &dead_letter::DeadLetteringError) {
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
