//! What the sagas and the notification service work with.

use std::sync::Arc;
use std::time::Duration;

use domain::stock::Stock;
use event_store::{EventStore, StreamLocks};
use messaging::{Consumer, Producer, ProducerSettings, Queues};
use notification::{NotificationDependencies, NotificationSettings};
use payments::Guarded;
use sagas::{AwaitedByMails, SagaDependencies, SagaSettings};

use crate::connections::SharedClients;
use crate::migrate;
use crate::settings::Settings;

/// The time after a payment call's time-out before the saga asks for its outcome.
const PAYMENT_MARGIN: Duration = Duration::from_secs(2);

pub(super) async fn sagas(
    settings: &Settings,
    connections: &SharedClients,
    store: EventStore,
    stock: StreamLocks<Stock>,
    payments: &Arc<Guarded>,
) -> anyhow::Result<SagaDependencies> {
    let (sqs, keys) = (&connections.sqs, settings.message_keys()?);
    let Queues { notifications, replies } = migrate::find_queues(sqs, settings).await?;
    Ok(SagaDependencies {
        stock,
        store,
        payments: Arc::clone(payments) as Arc<dyn payments::PaymentGateway>,
        notifications: Producer::new(sqs.clone(), notifications, keys.clone(), ProducerSettings::default()),
        replies: Consumer::new(sqs.clone(), replies, keys.clone(), settings.replies.settings())?,
        settings: SagaSettings {
            reply_deadline: settings.notification_deadline,
            reservation_hold: settings.reservation_hold,
            locations: settings.locations.clone().unwrap_or_default().into(),
            step_deadline: settings.saga_deadline,
            payment_call_timeout: settings.payment.timeout + PAYMENT_MARGIN,
            mail_staff: !settings.mail_staff.is_empty(),
            awaited_by_mails: AwaitedByMails {
                numbers: settings.order_numbers.is_some().then_some(documents::ORDER_NUMBERS),
                documents: settings.seller.is_some() && settings.document_url.is_some(),
                ..AwaitedByMails::default()
            },
            document_url: settings.document_url.clone(),
        },
    })
}

pub(super) async fn notification(
    settings: &Settings,
    connections: &SharedClients,
) -> anyhow::Result<(NotificationDependencies, NotificationSettings)> {
    let queues = migrate::find_queues(&connections.sqs, settings).await?;
    let deps = NotificationDependencies {
        pool: connections.database.clone(),
        sqs: connections.sqs.clone(),
        queues,
        keys: settings.message_keys()?.clone(),
        ses: connections.ses.clone(),
    };
    let settings = NotificationSettings {
        from: settings.mail_from.clone(),
        default_recipient: settings.mail_default_recipient.clone(),
        staff: settings.mail_staff.clone(),
        staff_locale: settings.mail_staff_locale.clone(),
        smtputf8: settings.mail_smtputf8,
        consumer: settings.notifications.settings(),
        ..NotificationSettings::default()
    };
    Ok((deps, settings))
}
