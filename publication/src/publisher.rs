//! Sends events to the queue or the topic.
//!
//! A batch that is taken in part must not change the order of an order's events. So they are sent in rounds: a round has one event
//! of each order, and the next round begins once all of it was accepted.

use std::collections::HashMap;

use async_trait::async_trait;
use cqrs_es::Aggregate;
use domain::order::Order;
use error_chain::error_chain;
use event_store::read::last_position;
use event_store::{StoredEvent, Subscriber, SubscriberError};
use messaging::SendError;
use sqlx::PgConnection;
use webhooks::EnvelopeError;

use crate::message::{EventMessage, MessageError};
use crate::target::{OpenTarget, TargetError};
use crate::{PublicationHealth, PublicationMetrics, PublicationSettings, PublicationTarget};

pub(crate) struct EventPublisher {
    target: PublicationTarget,
    settings: PublicationSettings,
    health: PublicationHealth,
    metrics: PublicationMetrics,
    /// `None`: the target is looked for when there is something to send.
    open: Option<OpenTarget>,
}

impl EventPublisher {
    pub(crate) fn new(
        target: PublicationTarget,
        settings: PublicationSettings,
        health: PublicationHealth,
        metrics: PublicationMetrics,
    ) -> Self {
        Self { target, settings, health, metrics, open: None }
    }

    /// Finds the target, unless it is known.
    async fn opened(&mut self) -> Result<OpenTarget, TargetError> {
        if let Some(open) = &self.open {
            return Ok(open.clone());
        }
        let open = self.target.open().await?;
        Ok(self.open.insert(open).clone())
    }

    async fn publish(&mut self, events: &[StoredEvent]) -> Result<(), SubscriberError> {
        let types = &self.settings.event_types;
        let wanted: Vec<_> =
            events.iter().filter(|event| types.is_empty() || types.contains(&event.event_type)).collect();
        // What this build can't read it can't publish either.
        for event in events {
            event.decode::<Order>()?;
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let target = self.opened().await.map_err(SubscriberError::unavailable)?;
        for round in rounds(wanted) {
            let messages = round.iter().map(|event| self.message(event, target.message_bytes));
            let messages: Vec<EventMessage> = messages.collect::<Result<_, _>>()?;
            let (messages, by_reference): (Vec<_>, Vec<_>) =
                messages.into_iter().map(|it| (it.message, it.by_reference)).unzip();
            let mut failure = None;
            for (sent, by_reference) in target.send(messages).await.into_iter().zip(by_reference) {
                match sent {
                    Ok(()) => self.metrics.sent(&self.target, by_reference),
                    // A message that is refused for good is found when its order is tried alone.
                    Err(error) => failure = Some(worse(failure, error)),
                }
            }
            if let Some(error) = failure {
                return Err(kind_of(error));
            }
        }
        Ok(())
    }

    fn message(&self, event: &StoredEvent, most_bytes: usize) -> Result<EventMessage, SubscriberError> {
        let message = EventMessage::of(event, self.settings.role, most_bytes).map_err(|error| match error {
            MessageError::Envelope(EnvelopeError::Unknown(unknown)) => SubscriberError::from(unknown),
            error @ (MessageError::Envelope(EnvelopeError::Json(_)) | MessageError::StreamId(_)) => {
                SubscriberError::poison(error)
            }
        })?;
        if message.by_reference {
            tracing::warn!(
                order_id = event.stream_id,
                position = event.position,
                event_type = event.event_type,
                most_bytes,
                "an event is too large to be published with its data: it says where the data is"
            );
        }
        Ok(message)
    }

    /// Makes known what came of an attempt.
    fn note(&mut self, outcome: &Result<(), SubscriberError>) {
        match outcome {
            Ok(()) => self.health.set(None),
            Err(error) => {
                self.metrics.failed(&self.target);
                let problem = match error {
                    // The subscription says so itself.
                    SubscriberError::Unknown(_) | SubscriberError::Poison(_) => None,
                    SubscriberError::Unavailable(cause) => {
                        // It may have been deleted, and made again elsewhere.
                        self.open = None;
                        let problem = format!("events wait for the {}: {}", self.target, error_chain(&**cause));
                        tracing::warn!("{problem}");
                        Some(problem)
                    }
                };
                self.health.set(problem);
            }
        }
    }
}

#[async_trait]
impl Subscriber for EventPublisher {
    fn name(&self) -> &str {
        self.target.subscription()
    }

    fn follows(&self) -> Option<&'static str> {
        Some(Order::TYPE)
    }

    /// Nobody wants all of history.
    async fn begins_after(&mut self, transaction: &mut PgConnection) -> Result<i64, sqlx::Error> {
        last_position(transaction).await
    }

    async fn handle(&mut self, events: &[StoredEvent], _transaction: &mut PgConnection) -> Result<(), SubscriberError> {
        let published = self.publish(events).await;
        self.note(&published);
        published
    }
}

/// Each event in the first round in which no earlier one of its order is left.
fn rounds(events: Vec<&StoredEvent>) -> Vec<Vec<&StoredEvent>> {
    let mut next_round: HashMap<&str, usize> = HashMap::new();
    let mut rounds: Vec<Vec<&StoredEvent>> = Vec::new();
    for event in events {
        let round = next_round.entry(&event.stream_id).or_default();
        if *round == rounds.len() {
            rounds.push(Vec::new());
        }
        rounds[*round].push(event);
        *round += 1;
    }
    rounds
}

/// One that will go away by itself says more than one that stays: while it lasts, nothing is parked.
fn worse(one: Option<SendError>, other: SendError) -> SendError {
    match one {
        Some(one) if !is_about_the_message(&one) => one,
        _ => other,
    }
}

fn kind_of(error: SendError) -> SubscriberError {
    if is_about_the_message(&error) { SubscriberError::poison(error) } else { SubscriberError::unavailable(error) }
}

/// Whether the same message would fail again.
fn is_about_the_message(error: &SendError) -> bool {
    match error {
        SendError::TooLong { .. } | SendError::Build { .. } => true,
        SendError::Refused { sender_fault, .. } => *sender_fault,
        SendError::Batch { .. } | SendError::TimedOut { .. } | SendError::Unanswered => false,
    }
}
