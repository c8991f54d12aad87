//! Reads a dead-letter queue once, and redrives or deletes what it has read.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use aws_sdk_sqs::operation::receive_message::ReceiveMessageOutput;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, MessageSystemAttributeName,
};
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::{DeadLetter, DeadLetterError, DeadLetterQueue};
use crate::error::{CallError, MessagingService, answered};
use crate::producer::{OutgoingMessage, Producer, ProducerSettings};
use crate::signature::MessageSigningKeys;

/// How long SQS may take to answer a call, with the SDK's own retries, or a long poll after its waiting time.
pub(super) const ANSWER_BOUND: Duration = Duration::from_secs(10);

/// SQS's limit for one call.
const BATCH: usize = 10;

/// The visibility timeout of dead letters that are read. It is renewed; if the process dies, others wait for it.
const HOLD_SECONDS: i32 = 30;

/// The most concurrent calls that change visibility. With a distant server, ten thousand dead letters take a second or
/// two.
const CONCURRENCY: usize = 16;

/// How often visibility is renewed. Between two calls, the caller may take the difference to [`HOLD_SECONDS`].
const RENEW_AFTER: Duration = Duration::from_secs(10);

/// Long polling asks all servers of the queue. Short polling may return nothing although there are messages.
const WAIT_SECONDS: i32 = 1;

/// After so many empty receives in a row those that are left wait behind others of their order.
const EMPTY_RECEIVES: u32 = 3;

/// Reads each dead letter of a queue once. It has to end with [`DeadLetterScan::release`].
#[derive(Debug)]
pub struct DeadLetterScan {
    letters: DeadLetterQueue,
    /// The receipt handles of the hidden dead letters, by id.
    held: HashMap<String, String>,
    /// The ids of all dead letters that were returned.
    seen: HashSet<String>,
    renewed: Instant,
}

impl DeadLetterScan {
    pub(super) fn new(letters: DeadLetterQueue) -> Self {
        Self { letters, held: HashMap::new(), seen: HashSet::new(), renewed: Instant::now() }
    }

    pub fn letters(&self) -> &DeadLetterQueue {
        &self.letters
    }

    /// The next dead letters, up to ten. None: there are no more that are visible. They stay hidden from others until
    /// the sweep is released.
    ///
    /// A receive may come back empty although there are messages, so it is tried again while the queue counts visible ones.
    pub async fn next(&mut self, most: usize) -> Result<Vec<DeadLetter>, DeadLetterError> {
        for _ in 1..EMPTY_RECEIVES {
            let letters = self.next_at_once(most).await?;
            if !letters.is_empty() || self.letters.count_visible().await? == 0 {
                return Ok(letters);
            }
        }
        self.next_at_once(most).await
    }

    /// The same for who is waited for: what does not come at once is left out.
    pub async fn next_at_once(&mut self, most: usize) -> Result<Vec<DeadLetter>, DeadLetterError> {
        loop {
            self.renew().await;
            let received = self.receive(most).await;
            let received = received
                .map_err(|source| DeadLetterError::Receive { queue: self.letters.queue.name.clone(), source })?
                .messages
                .unwrap_or_default();
            if received.is_empty() {
                return Ok(Vec::new());
            }
            let mut fresh = Vec::with_capacity(received.len());
            for letter in received.into_iter().map(|it| DeadLetter::from_sqs(it, &self.letters.queue.name)) {
                self.held.insert(letter.id.clone(), letter.receipt_handle.clone());
                // A dead letter whose visibility timeout has passed is received a second time.
                if self.seen.insert(letter.id.clone()) {
                    fresh.push(letter);
                }
            }
            if !fresh.is_empty() {
                return Ok(fresh);
            }
        }
    }

    /// The dead letter with this id, now or in its original queue, if it is among the next `most` and comes within `time`.
    pub async fn find(&mut self, id: &str, most: usize, time: Duration) -> Result<Option<DeadLetter>, DeadLetterError> {
        let (begun, mut looked_at) = (Instant::now(), 0);
        loop {
            if looked_at >= most || begun.elapsed() >= time {
                return Ok(None);
            }
            let letters = self.next(BATCH).await?;
            if letters.is_empty() {
                return Ok(None);
            }
            looked_at += letters.len();
            if let Some(found) = letters.into_iter().find(|letter| letter.has_id(id)) {
                return Ok(Some(found));
            }
        }
    }

    /// How many dead letters this sweep has not returned: it did not get to them, they wait behind others of their
    /// order, or someone else has them.
    pub async fn unseen(&self) -> Result<u64, DeadLetterError> {
        let all = self.letters.count().await?;
        Ok(all.saturating_sub(u64::try_from(self.held.len()).unwrap_or(u64::MAX)))
    }

    /// Signs messages and sends them to the original queue, each in place of its dead letter, which is deleted then. The
    /// result has one entry per message, in the order given.
    pub async fn redrive(
        &mut self,
        messages: Vec<(&DeadLetter, OutgoingMessage)>,
        keys: &MessageSigningKeys,
    ) -> Vec<Result<(), DeadLetterError>> {
        let (letters, outgoing): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let DeadLetterQueue { client, queue, .. } = self.letters.clone();
        let sent = Producer::new(client, queue, keys.clone(), ProducerSettings::default()).send(outgoing).await;
        let arrived: Vec<_> =
            letters.iter().zip(&sent).filter(|(_, sent)| sent.is_ok()).map(|(letter, _)| *letter).collect();
        let mut kept = self.delete(&arrived).await;
        let result = |(letter, sent): (&&DeadLetter, _)| match (sent, kept.remove(&letter.id)) {
            (Err(source), _) => Err(DeadLetterError::Send { id: letter.id.clone(), source }),
            (Ok(()), Some(source)) => Err(DeadLetterError::SentOnly { id: letter.id.clone(), source }),
            (Ok(()), None) => Ok(()),
        };
        letters.iter().zip(sent).map(result).collect()
    }

    /// Deletes dead letters. The result has one entry for each, in the order given.
    pub async fn discard(&mut self, letters: &[&DeadLetter]) -> Vec<Result<(), DeadLetterError>> {
        let mut kept = self.delete(letters).await;
        let result = |letter: &&DeadLetter| match kept.remove(&letter.id) {
            Some(source) => Err(DeadLetterError::Delete { id: letter.id.clone(), source }),
            None => Ok(()),
        };
        letters.iter().map(result).collect()
    }

    /// Makes dead letters visible again to which nothing was done, and has them come once more.
    pub async fn put_back(&mut self, letters: &[DeadLetter]) {
        let receipts: Vec<String> = letters.iter().filter_map(|letter| self.held.remove(&letter.id)).collect();
        for letter in letters {
            self.seen.remove(&letter.id);
        }
        self.set_visibility(receipts.iter().collect(), 0).await;
    }

    /// Makes the remaining dead letters visible again. If SQS does not answer, they are visible by themselves after
    /// half a minute.
    pub async fn release(self) {
        self.set_visibility(self.held.values().collect(), 0).await;
    }

    async fn receive(&self, most: usize) -> Result<ReceiveMessageOutput, CallError> {
        let request = self
            .letters
            .client
            .receive_message()
            .queue_url(&self.letters.queue.dead_letter_url)
            .max_number_of_messages(i32::try_from(most.clamp(1, BATCH)).unwrap_or(1))
            .wait_time_seconds(WAIT_SECONDS)
            .visibility_timeout(HOLD_SECONDS)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All);
        answered(ANSWER_BOUND, request.send()).await
    }

    async fn renew(&mut self) {
        if self.renewed.elapsed() >= RENEW_AFTER {
            self.set_visibility(self.held.values().collect(), HOLD_SECONDS).await;
            self.renewed = Instant::now();
        }
    }

    /// Best effort: otherwise others see the dead letters sooner or later than intended.
    async fn set_visibility(&self, receipts: Vec<&String>, seconds: i32) {
        let batches = stream::iter(receipts.chunks(BATCH));
        batches.for_each_concurrent(CONCURRENCY, |batch| self.set_visibility_of(batch, seconds)).await;
    }

    async fn set_visibility_of(&self, receipts: &[&String], seconds: i32) {
        let entry = |(nth, receipt): (usize, &&String)| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(nth.to_string())
                .receipt_handle(*receipt)
                .visibility_timeout(seconds)
                .build()
        };
        let Ok(entries) = receipts.iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>() else { return };
        let queue = &self.letters.queue;
        let request = self.letters.client.change_message_visibility_batch();
        let request = request.queue_url(&queue.dead_letter_url).set_entries(Some(entries));
        if let Err(error) = answered(ANSWER_BOUND, request.send()).await {
            tracing::warn!(queue = queue.name, %error, "the visibility of dead letters was not changed");
        }
    }

    /// Deletes dead letters. Returns the errors by id.
    async fn delete(&mut self, letters: &[&DeadLetter]) -> HashMap<String, CallError> {
        let mut kept = HashMap::new();
        for batch in letters.chunks(BATCH) {
            let failures = self.delete_batch(batch).await;
            for letter in batch.iter().filter(|letter| !failures.contains_key(&letter.id)) {
                self.held.remove(&letter.id);
            }
            kept.extend(failures);
        }
        kept
    }

    async fn delete_batch(&self, letters: &[&DeadLetter]) -> HashMap<String, CallError> {
        let all = |error: &CallError| letters.iter().map(|letter| (letter.id.clone(), error.clone())).collect();
        let entry = |(nth, letter): (usize, &&DeadLetter)| {
            let receipt = self.held.get(&letter.id).unwrap_or(&letter.receipt_handle);
            DeleteMessageBatchRequestEntry::builder().id(nth.to_string()).receipt_handle(receipt).build()
        };
        let entries: Vec<_> = match letters.iter().enumerate().map(entry).collect() {
            Ok(entries) => entries,
            Err(error) => {
                return all(&CallError::NotReached { service: MessagingService::Sqs, reason: error.to_string() });
            }
        };
        let url = &self.letters.queue.dead_letter_url;
        let request = self.letters.client.delete_message_batch().queue_url(url).set_entries(Some(entries));
        let answer = match answered(ANSWER_BOUND, request.send()).await {
            Ok(answer) => answer,
            Err(error) => return all(&error),
        };
        let refused = answer.failed().iter().filter_map(|failure| {
            let letter = letters.get(failure.id().parse::<usize>().ok()?)?;
            let message = failure.message().unwrap_or_default().to_owned();
            Some((
                letter.id.clone(),
                CallError::Answered { service: MessagingService::Sqs, code: failure.code().to_owned(), message },
            ))
        });
        refused.collect()
    }
}
