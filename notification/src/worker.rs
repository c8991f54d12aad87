//! One request: decide it, record that, answer it.

use std::error::Error;
use std::time::Instant;

use crate::address::{EmailAddress, Sender};
use crate::delivery::{Claim, Deliveries, Outcome, Record};
use crate::mail::Mail;
use crate::pace::{Pace, Recipients};
use crate::ses::{NotSent, Ses};
use crate::settings::NotificationSettings;
use chrono::Utc;
use error_chain::error_chain;
use messaging::{
    CloudEvent, Contract, Handler, HandlerError, JoinedProducer, NotificationFailed, NotificationRequested,
    NotificationSent, Outgoing, Received,
};
use uuid::Uuid;

/// Handles requests for mails.
pub(crate) struct Worker {
    deliveries: Deliveries,
    ses: Ses,
    answers: JoinedProducer,
    from: Sender,
    default_recipient: EmailAddress,
    pace: Pace,
    recipients: Recipients,
}

impl Worker {
    /// The addresses are those of the settings.
    pub(crate) fn new(
        deliveries: Deliveries,
        ses: Ses,
        answers: JoinedProducer,
        (from, default_recipient): (Sender, EmailAddress),
        settings: &NotificationSettings,
    ) -> Self {
        let pace = Pace::new(settings.throttle_backoff, settings.paused_wait);
        let recipients = Recipients::new(settings.recipient_burst, settings.recipient_spacing);
        Self { deliveries, ses, answers, from, default_recipient, pace, recipients }
    }
}

impl Handler for Worker {
    async fn handle(&self, message: &Received) -> Result<(), HandlerError> {
        let event = CloudEvent::<NotificationRequested>::parse(&message.body).map_err(|error| dead(&error))?;
        if event.data.order_id != event.subject {
            return Err(HandlerError::dead("the order id is not the event's subject"));
        }
        let outcome = self.decide(&event.data, message).await?;
        self.answer(&event, &outcome).await?;
        match outcome {
            Outcome::Sent { .. } => Ok(()),
            // That is what was asked for, then or now.
            Outcome::Failed { .. } if event.data.withdraw || outcome.is_withdrawn() => Ok(()),
            Outcome::Failed { reason } => Err(HandlerError::dead(reason)),
        }
    }
}

impl Worker {
    /// The recorded outcome: an earlier one, or that of sending the mail now.
    async fn decide(&self, request: &NotificationRequested, message: &Received) -> Result<Outcome, HandlerError> {
        let mail = Mail::compose(request, &self.from, &self.default_recipient);
        let record = Record {
            notification_id: request.notification_id,
            order_id: request.order_id.clone(),
            template: request.template,
            recipient: mail.as_ref().ok().map(|mail| mail.to.as_str().to_owned()),
            attempts: message.attempt,
            retry_failed: request.retry_failed,
        };
        // Before the mail: one that is withdrawn is to nobody.
        if request.withdraw {
            return self.withdraw(&record).await;
        }
        loop {
            // Waiting for a turn holds no claim.
            let turn = self.pace.turn().await;
            let delivery = match self.deliveries.claim(&record).await.map_err(|error| retry(&error))? {
                Claim::Decided(outcome) => {
                    self.recipients.done(request.notification_id);
                    return Ok(outcome);
                }
                Claim::Open(delivery) => delivery,
            };
            let mail = match &mail {
                Err(unmailable) => {
                    return delivery.failed(error_chain(unmailable)).await.map_err(|error| retry(&error));
                }
                Ok(mail) => mail,
            };
            self.admit(mail, request.notification_id)?;
            let decided = match self.ses.send(mail, request.notification_id).await {
                Ok(provider_message_id) => {
                    self.pace.accepted();
                    delivery.sent(mail.to.as_str(), provider_message_id).await
                }
                Err(NotSent::Throttled) => {
                    self.pace.throttled(turn);
                    continue;
                }
                Err(NotSent::Paused { reason }) => {
                    self.pace.paused(turn, &reason);
                    continue;
                }
                Err(NotSent::Refused { reason }) => delivery.failed(reason).await,
                Err(NotSent::Failed { reason }) if message.is_last_attempt => {
                    delivery.failed(format!("given up after {} attempts: {reason}", message.attempt)).await
                }
                Err(NotSent::Failed { reason }) => return Err(HandlerError::retry(reason)),
            };
            self.recipients.done(request.notification_id);
            return decided.map_err(|error| retry(&error));
        }
    }

    /// What became of the mail before; if that is nothing, that it never will be sent.
    async fn withdraw(&self, record: &Record) -> Result<Outcome, HandlerError> {
        let claim = self.deliveries.claim(record).await.map_err(|error| retry(&error))?;
        self.recipients.done(record.notification_id);
        match claim {
            Claim::Decided(outcome) => Ok(outcome),
            Claim::Open(delivery) => delivery.withdrawn().await.map_err(|error| retry(&error)),
        }
    }

    /// Whether the recipient gets this mail now; else it comes again when it is its turn, so that nobody else waits for it here. The
    /// default recipient is the shop, which gets all of its mails.
    fn admit(&self, mail: &Mail, notification_id: Uuid) -> Result<(), HandlerError> {
        if mail.to == self.default_recipient {
            return Ok(());
        }
        let now = Instant::now();
        let turn = self.recipients.turn(&mail.to, notification_id, now);
        if turn <= now { Ok(()) } else { Err(HandlerError::Later { after: turn.duration_since(now) }) }
    }

    /// Every request is answered, a repeated one too: the first answer may have been lost.
    async fn answer(&self, request: &CloudEvent<NotificationRequested>, outcome: &Outcome) -> Result<(), HandlerError> {
        let NotificationRequested { notification_id, template, .. } = request.data;
        let answer = match outcome.clone() {
            Outcome::Sent { recipient, provider_message_id } => {
                self.outgoing(request, NotificationSent { notification_id, template, recipient, provider_message_id })?
            }
            Outcome::Failed { reason } => {
                self.outgoing(request, NotificationFailed { notification_id, template, reason })?
            }
        };
        let answered = self.answers.send(answer).await;
        answered.map_err(|error| HandlerError::retry(format!("the answer was not sent: {}", error_chain(&error))))?;
        // Without the recipient: whom a shop writes to does not belong in its logs.
        match outcome {
            Outcome::Sent { .. } => tracing::debug!(%notification_id, order_id = request.subject, "mail sent"),
            Outcome::Failed { reason } if request.data.withdraw || outcome.is_withdrawn() => {
                tracing::debug!(%notification_id, order_id = request.subject, reason, "mail not sent");
            }
            Outcome::Failed { reason } => {
                tracing::warn!(%notification_id, order_id = request.subject, reason, "mail given up");
            }
        }
        Ok(())
    }

    fn outgoing<T: Contract>(
        &self,
        request: &CloudEvent<NotificationRequested>,
        answer: T,
    ) -> Result<Outgoing, HandlerError> {
        let event = CloudEvent::new(&request.subject, Utc::now(), answer).traced(request.traceparent.clone());
        Outgoing::event(&event, request.data.attempt).map_err(|error| dead(&error))
    }
}

fn retry(error: &dyn Error) -> HandlerError {
    HandlerError::retry(error_chain(error))
}

fn dead(error: &dyn Error) -> HandlerError {
    HandlerError::dead(error_chain(error))
}
