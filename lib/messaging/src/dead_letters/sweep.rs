//! One look at a dead-letter queue, and what is done with what it finds.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use aws_sdk_sqs::operation::receive_message::ReceiveMessageOutput;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, MessageSystemAttributeName,
};
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::{DeadLetter, DeadLetterError, DeadLetters};
use crate::failure::{SqsError, answered};
use crate::producer::{Outgoing, Producer, ProducerSettings};

/// How long SQS may take to answer a call, the SDK's own retries included, and a long poll beyond its wait.
pub(super) const ANSWER_BOUND: Duration = Duration::from_secs(10);

/// SQS takes and gives no more messages in one call.
const BATCH: usize = 10;

/// For how long what was handed out stays hidden, unless it is renewed: how long others wait after a sweep that died.
const HOLD_SECONDS: i32 = 30;

/// How many calls renew or hand back at once: ten thousand dead letters take a second or two at a server that is far away.
const CONCURRENCY: usize = 16;

/// How often it is renewed. The caller may take the difference to [`HOLD_SECONDS`] between two calls.
const RENEW_AFTER: Duration = Duration::from_secs(10);

/// A receive that waits asks every server that SQS keeps the queue on; one that doesn't may come back empty for no reason.
const WAIT_SECONDS: i32 = 1;

/// A look at each dead letter of a queue, once. End it with [`Sweep::release`].
#[derive(Debug)]
pub struct Sweep {
    letters: DeadLetters,
    again: Producer,
    /// The receipts of what is hidden, by id.
    held: HashMap<String, String>,
    /// Everything that was handed out.
    seen: HashSet<String>,
    renewed: Instant,
}

impl Sweep {
    pub(super) fn new(letters: DeadLetters) -> Self {
        let again = Producer::new(letters.client.clone(), &letters.queue.url, ProducerSettings::default());
        Self { letters, again, held: HashMap::new(), seen: HashSet::new(), renewed: Instant::now() }
    }

    /// Whose dead letters these are.
    pub fn letters(&self) -> &DeadLetters {
        &self.letters
    }

    /// The next ones, up to ten; none if there are no more that can be seen. They are the caller's until the sweep is released.
    pub async fn next(&mut self, most: usize) -> Result<Vec<DeadLetter>, DeadLetterError> {
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
            for letter in received.into_iter().map(DeadLetter::from_sqs) {
                self.held.insert(letter.id.clone(), letter.receipt_handle.clone());
                // One that was not held long enough comes a second time.
                if self.seen.insert(letter.id.clone()) {
                    fresh.push(letter);
                }
            }
            if !fresh.is_empty() {
                return Ok(fresh);
            }
        }
    }

    /// The one with this id, its own or the one it had before.
    pub async fn find(&mut self, id: &str) -> Result<Option<DeadLetter>, DeadLetterError> {
        loop {
            let some = self.next(BATCH).await?;
            if some.is_empty() {
                return Ok(None);
            }
            if let Some(found) = some.into_iter().find(|letter| letter.is_called(id)) {
                return Ok(Some(found));
            }
        }
    }

    /// How many are there that this sweep has not handed out: those it did not get to, that wait behind others of their order,
    /// or that are in someone else's hands.
    pub async fn unseen(&self) -> Result<u64, DeadLetterError> {
        let all = self.letters.count().await?;
        Ok(all.saturating_sub(u64::try_from(self.held.len()).unwrap_or(u64::MAX)))
    }

    /// Sends messages to the queue that the dead letters were meant for, each in place of its dead letter, which is deleted then.
    /// The result has one entry per message, in the order given.
    pub async fn send_again(&mut self, messages: Vec<(&DeadLetter, Outgoing)>) -> Vec<Result<(), DeadLetterError>> {
        let (letters, outgoing): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let sent = self.again.send(outgoing).await;
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

    /// Deletes one for good.
    pub async fn discard(&mut self, letter: &DeadLetter) -> Result<(), DeadLetterError> {
        match self.delete(&[letter]).await.remove(&letter.id) {
            Some(source) => Err(DeadLetterError::Delete { id: letter.id.clone(), source }),
            None => Ok(()),
        }
    }

    /// Hands back whatever is left. If SQS does not answer, that happens by itself after half a minute.
    pub async fn release(self) {
        self.set_visibility(0).await;
    }

    async fn receive(&self, most: usize) -> Result<ReceiveMessageOutput, SqsError> {
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
            self.set_visibility(HOLD_SECONDS).await;
            self.renewed = Instant::now();
        }
    }

    /// Best effort: what could not be renewed is seen by others sooner, what could not be handed back later.
    async fn set_visibility(&self, seconds: i32) {
        let receipts: Vec<&String> = self.held.values().collect();
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

    /// Deletes them, and says by id why which were not.
    async fn delete(&mut self, letters: &[&DeadLetter]) -> HashMap<String, SqsError> {
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

    async fn delete_batch(&self, letters: &[&DeadLetter]) -> HashMap<String, SqsError> {
        let all = |error: &SqsError| letters.iter().map(|letter| (letter.id.clone(), error.clone())).collect();
        let entry = |(nth, letter): (usize, &&DeadLetter)| {
            let receipt = self.held.get(&letter.id).unwrap_or(&letter.receipt_handle);
            DeleteMessageBatchRequestEntry::builder().id(nth.to_string()).receipt_handle(receipt).build()
        };
        let entries: Vec<_> = match letters.iter().enumerate().map(entry).collect() {
            Ok(entries) => entries,
            Err(error) => return all(&SqsError::NotReached { reason: error.to_string() }),
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
            Some((letter.id.clone(), SqsError::Answered { code: failure.code().to_owned(), message }))
        });
        refused.collect()
    }
}
