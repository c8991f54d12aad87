//! Handles one request: sends the mail, records the outcome and answers.

use std::error::Error;
use std::time::Instant;

use crate::address::SenderAddress;
use crate::delivery::{DeliveryOutcome, DeliveryRecordStore, DeliveryState, PendingDelivery};
use crate::mail::{Mail, StaffRecipients};
use crate::send_rate::{RecipientRateLimiter, SendRateLimiter};
use crate::ses::{SesMailer, SesSendError};
use crate::settings::NotificationSettings;
use chrono::Utc;
use error_chain::error_chain;
use mail_address::EmailAddress;
use messaging::{
    BatchingProducer, CloudEvent, MessageContract, MessageHandler, MessageHandlerError, NotificationFailed,
    NotificationRequested, NotificationSent, NotificationTemplate, OutgoingMessage, ReceivedMessage,
};

/// Handles requests for mails: sends the mail, records the outcome and answers.
pub(crate) struct MailRequestHandler {
    deliveries: DeliveryRecordStore,
    ses: SesMailer,
    answers: BatchingProducer,
    from: SenderAddress,
    default_recipient: EmailAddress,
    staff: StaffRecipients,
    send_rate: SendRateLimiter,
    recipients: RecipientRateLimiter,
}

impl MailRequestHandler {
    /// The addresses are the parsed ones of the settings.
    pub(crate) fn new(
        deliveries: DeliveryRecordStore,
        ses: SesMailer,
        answers: BatchingProducer,
        (from, default_recipient, staff): (SenderAddress, EmailAddress, StaffRecipients),
        settings: &NotificationSettings,
    ) -> Self {
        let send_rate = SendRateLimiter::new(settings.throttle_backoff, settings.paused_wait);
        let recipients = RecipientRateLimiter::new(settings.recipient_burst, settings.recipient_spacing);
        Self { deliveries, ses, answers, from, default_recipient, staff, send_rate, recipients }
    }
}

impl MessageHandler for MailRequestHandler {
    async fn handle(&self, message: &ReceivedMessage) -> Result<(), MessageHandlerError> {
        let event = CloudEvent::<NotificationRequested>::parse(&message.body).map_err(|error| dead(&error))?;
        if event.data.order_id != event.subject {
            return Err(MessageHandlerError::dead("the order id is not the event's subject"));
        }
        let outcome = self.decide(&event.data, message).await?;
        self.answer(&event, &outcome).await?;
        match outcome {
            DeliveryOutcome::Sent { .. } => Ok(()),
            // The request, or an earlier one, wanted no mail.
            DeliveryOutcome::Failed { .. } if event.data.withdraw || outcome.is_withdrawn() => Ok(()),
            DeliveryOutcome::Failed { reason } => Err(MessageHandlerError::dead(reason)),
        }
    }
}

impl MailRequestHandler {
    /// The recorded outcome of the mail: an earlier one, or that of sending it now.
    async fn decide(
        &self,
        request: &NotificationRequested,
        message: &ReceivedMessage,
    ) -> Result<DeliveryOutcome, MessageHandlerError> {
        let mail = Mail::compose(request, &self.from, &self.default_recipient, &self.staff);
        let record = PendingDelivery {
            notification_id: request.notification_id,
            order_id: request.order_id.clone(),
            template: request.template,
            recipient: mail.as_ref().ok().map(|mail| mail.recipient(request.template).to_owned()),
            attempts: message.attempt,
            retry_failed: request.retry_failed,
        };
        // Before the mail is looked at: a withdrawn one has no recipient.
        if request.withdraw {
            return self.withdraw(&record).await;
        }
        loop {
            // No claim is held while this waits.
            let turn = self.send_rate.turn().await;
            let delivery = match self.deliveries.claim(&record).await.map_err(|error| retry(&error))? {
                DeliveryState::Decided(outcome) => {
                    self.recipients.done(request.notification_id);
                    return Ok(outcome);
                }
                DeliveryState::Open(delivery) => delivery,
            };
            let mail = match &mail {
                Err(invalid) => return delivery.failed(error_chain(invalid)).await.map_err(|error| retry(&error)),
                Ok(mail) => mail,
            };
            self.admit(mail, request)?;
            let decided = match self.ses.send(mail, request.notification_id).await {
                Ok(provider_message_id) => {
                    self.send_rate.accepted();
                    delivery.sent(mail.recipient(request.template), provider_message_id).await
                }
                Err(SesSendError::Throttled) => {
                    self.send_rate.throttled(turn);
                    continue;
                }
                Err(SesSendError::Paused { reason }) => {
                    self.send_rate.paused(turn, &reason);
                    continue;
                }
                Err(SesSendError::Refused { reason }) => {
                    delivery.failed(mail.public_reason(request.template, reason)).await
                }
                Err(SesSendError::Failed { reason }) if message.is_last_attempt => {
                    let reason = mail.public_reason(request.template, reason);
                    delivery.failed(format!("given up after {} attempts: {reason}", message.attempt)).await
                }
                Err(SesSendError::Failed { reason }) => return Err(MessageHandlerError::retry(reason)),
            };
            self.recipients.done(request.notification_id);
            return decided.map_err(|error| retry(&error));
        }
    }

    /// The outcome of the mail so far. If there is none, the mail is recorded as withdrawn.
    async fn withdraw(&self, record: &PendingDelivery) -> Result<DeliveryOutcome, MessageHandlerError> {
        let claim = self.deliveries.claim(record).await.map_err(|error| retry(&error))?;
        self.recipients.done(record.notification_id);
        match claim {
            DeliveryState::Decided(outcome) => Ok(outcome),
            DeliveryState::Open(delivery) => delivery.withdrawn().await.map_err(|error| retry(&error)),
        }
    }

    /// Checks the recipient's limit. A mail over the limit goes back to the queue until its turn, so that no other mail
    /// waits for it. The default recipient and staff are the shop itself and have no limit.
    fn admit(&self, mail: &Mail, request: &NotificationRequested) -> Result<(), MessageHandlerError> {
        let [to] = &mail.to[..] else { return Ok(()) };
        if *to == self.default_recipient || request.template == NotificationTemplate::StaffNewOrder {
            return Ok(());
        }
        let now = Instant::now();
        let turn = self.recipients.turn(to, request.notification_id, now);
        if turn <= now { Ok(()) } else { Err(MessageHandlerError::Later { after: turn.duration_since(now) }) }
    }

    /// Answers every request, even a repeated one: the first answer may have been lost.
    async fn answer(
        &self,
        request: &CloudEvent<NotificationRequested>,
        outcome: &DeliveryOutcome,
    ) -> Result<(), MessageHandlerError> {
        let NotificationRequested { notification_id, template, .. } = request.data;
        let answer = match outcome.clone() {
            DeliveryOutcome::Sent { recipient, provider_message_id } => {
                self.outgoing(request, NotificationSent { notification_id, template, recipient, provider_message_id })?
            }
            DeliveryOutcome::Failed { reason } => {
                self.outgoing(request, NotificationFailed { notification_id, template, reason })?
            }
        };
        let answered = self.answers.send(answer).await;
        answered
            .map_err(|error| MessageHandlerError::retry(format!("the answer was not sent: {}", error_chain(&error))))?;
        // Without the recipient, which is personal data.
        match outcome {
            DeliveryOutcome::Sent { .. } => tracing::debug!(%notification_id, order_id = request.subject, "mail sent"),
            DeliveryOutcome::Failed { reason } if request.data.withdraw || outcome.is_withdrawn() => {
                tracing::debug!(%notification_id, order_id = request.subject, reason, "mail not sent");
            }
            DeliveryOutcome::Failed { reason } => {
                tracing::warn!(%notification_id, order_id = request.subject, reason, "mail given up");
            }
        }
        Ok(())
    }

    fn outgoing<T: MessageContract>(
        &self,
        request: &CloudEvent<NotificationRequested>,
        answer: T,
    ) -> Result<OutgoingMessage, MessageHandlerError> {
        let event = CloudEvent::new(&request.subject, Utc::now(), answer).traced(request.traceparent.clone());
        OutgoingMessage::event(&event, request.data.attempt).map_err(|error| dead(&error))
    }
}

fn retry(error: &dyn Error) -> MessageHandlerError {
    MessageHandlerError::retry(error_chain(error))
}

fn dead(error: &dyn Error) -> MessageHandlerError {
    MessageHandlerError::dead(error_chain(error))
}
