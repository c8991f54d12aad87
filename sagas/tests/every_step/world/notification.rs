//! The test plays notification: it takes requests for mails, and answers them.

use std::collections::BTreeSet;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use chrono::{TimeZone, Utc};
use futures_util::future::join_all;
use messaging::{
    CloudEvent, MessageContract, NotificationRequested, NotificationSent, OutgoingMessage, Producer, ProducerSettings,
};

use super::{PATIENCE, World};

impl World {
    /// Takes the next request for a mail and reports that the mail went out.
    pub(crate) async fn mail(&self) -> NotificationRequested {
        self.mails(1).await.remove(0)
    }

    /// Answers every request for a mail until nothing is left to be done, and says which those were.
    pub(crate) async fn mails_to_the_end(&self) -> Vec<NotificationRequested> {
        let mut mails = Vec::new();
        loop {
            self.hurried(|| async { self.requests_waiting().await > 0 || self.is_at_rest().await }).await;
            match self.requests_waiting().await {
                0 if self.is_at_rest().await => return mails,
                waiting => mails.extend(self.mails(waiting.try_into().unwrap()).await),
            }
        }
    }

    /// Whether all answers are recorded, and the sagas have seen everything and wait for nothing.
    pub(super) async fn is_at_rest(&self) -> bool {
        let busy = "select (select count(*) from saga_work)
                         + (select 16 - count(*) from subscription_partitions
                             where subscription = 'order_fulfilment'
                               and position >= (select max(global_position) from events))";
        // What comes of an answer is there when it is gone.
        self.answers_waiting().await == 0 && self.count(busy).await == 0
    }

    /// So many of them, once they have been asked for.
    pub(crate) async fn hurried_mails(&self, count: usize) -> Vec<NotificationRequested> {
        self.hurried(|| async { self.requests_waiting().await as usize >= count }).await;
        self.mails(count).await
    }

    /// The same for so many, each of which is another mail.
    pub(crate) async fn mails(&self, count: usize) -> Vec<NotificationRequested> {
        let (mut mails, mut known) = (Vec::new(), BTreeSet::new());
        while mails.len() < count {
            let requests = self.requests().await;
            join_all(requests.iter().map(|request| self.answer(&request.order_id, sent(request)))).await;
            assert!(requests.iter().all(|mail| known.insert(mail.notification_id)), "a mail was asked for twice");
            mails.extend(requests);
        }
        mails
    }

    /// Takes the next request for a mail.
    pub(crate) async fn unanswered_mail(&self) -> NotificationRequested {
        self.requests().await.remove(0)
    }

    /// Takes some requests, at least one.
    async fn requests(&self) -> Vec<NotificationRequested> {
        let url = &self.queues.notifications.url;
        let receive = self.client.receive_message().queue_url(url).max_number_of_messages(10).wait_time_seconds(20);
        let received = tokio::time::timeout(PATIENCE, receive.send()).await.unwrap().unwrap();
        assert!(!received.messages().is_empty(), "no request came");
        join_all(received.messages().iter().map(|message| async {
            let receipt = message.receipt_handle().unwrap();
            self.client.delete_message().queue_url(url).receipt_handle(receipt).send().await.unwrap();
            let request: CloudEvent<NotificationRequested> = CloudEvent::parse(message.body().unwrap()).unwrap();
            request.data
        }))
        .await
    }

    /// Reports what became of a mail.
    pub(crate) async fn answer<T: MessageContract>(&self, order_id: &str, answer: T) {
        let replies = Producer::new(
            self.client.clone(),
            self.queues.replies.clone(),
            testkit::MESSAGE_KEYS.parse().unwrap(),
            ProducerSettings::default(),
        );
        let event = CloudEvent::new(order_id, Utc.timestamp_opt(0, 0).unwrap(), answer);
        replies.send(vec![OutgoingMessage::event(&event, 1).unwrap()]).await.remove(0).unwrap();
    }
}

/// The report that a mail went out.
pub(crate) fn sent(request: &NotificationRequested) -> NotificationSent {
    NotificationSent {
        notification_id: request.notification_id,
        template: request.template,
        recipient: "customer@example.com".into(),
        provider_message_id: "m".into(),
    }
}

/// How many messages a queue has, those included that somebody is at work on.
pub(super) async fn messages_in(client: &Client, url: &str) -> u32 {
    let (ready, taken) =
        (QueueAttributeName::ApproximateNumberOfMessages, QueueAttributeName::ApproximateNumberOfMessagesNotVisible);
    let asked = client.get_queue_attributes().queue_url(url).attribute_names(ready).attribute_names(taken);
    let counted = asked.send().await.unwrap();
    counted.attributes().unwrap().values().map(|count| count.parse::<u32>().unwrap()).sum()
}
