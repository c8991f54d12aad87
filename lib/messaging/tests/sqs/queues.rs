use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName as Attribute;
use messaging::{
    DeadLetterOrigin, Producer, ProducerSettings, Queue, QueueProvisioningSettings, QueueSetupError, Queues,
    QueuesHealth, queues,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::faulty::{Answer, FaultySqs};
use crate::stage::{PATIENCE, client, outgoing, prefix};

#[tokio::test]
async fn queues_are_created_with_their_dead_letter_queues_and_found_again() {
    let (client, _endpoint) = client().await;
    let settings = QueueProvisioningSettings { prefix: prefix(), ..QueueProvisioningSettings::default() };

    let created = queues::ensure(&client, &settings).await.unwrap();
    let again = queues::ensure(&client, &settings).await.unwrap();
    let found = queues::find(&client, &settings).await.unwrap();

    assert_eq!(created.notifications.name, format!("{}-notifications.fifo", settings.prefix));
    assert!(created.replies.dead_letter_url.ends_with(&format!("{}-replies-dlq.fifo", settings.prefix)));
    for (one, other) in [(&created, &again), (&created, &found)] {
        assert_eq!(one.notifications, other.notifications);
        assert_eq!(one.replies, other.replies);
    }
}

#[tokio::test]
async fn a_queue_has_the_attributes_of_the_settings_also_when_it_existed_with_others() {
    let (client, _endpoint) = client().await;
    let before = QueueProvisioningSettings { prefix: prefix(), ..QueueProvisioningSettings::default() };
    queues::ensure(&client, &before).await.unwrap();
    let after =
        QueueProvisioningSettings { visibility_timeout: Duration::from_secs(77), max_receive_count: 9, ..before };

    let queue = queues::ensure(&client, &after).await.unwrap().notifications;

    let attributes = client.get_queue_attributes().queue_url(&queue.url).attribute_names(Attribute::All).send().await;
    let attributes = attributes.unwrap().attributes.unwrap();
    assert_eq!(attributes[&Attribute::VisibilityTimeout], "77");
    assert_eq!(attributes[&Attribute::FifoQueue], "true");
    assert_eq!(attributes[&Attribute::DeduplicationScope], "messageGroup");
    assert_eq!(attributes[&Attribute::FifoThroughputLimit], "perMessageGroupId");
    let redrive: serde_json::Value = serde_json::from_str(&attributes[&Attribute::RedrivePolicy]).unwrap();
    assert_eq!(redrive["maxReceiveCount"], 9);
    assert!(redrive["deadLetterTargetArn"].as_str().unwrap().ends_with("-notifications-dlq.fifo"));
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_named() {
    let (client, _endpoint) = client().await;
    let settings = QueueProvisioningSettings { prefix: prefix(), ..QueueProvisioningSettings::default() };

    let error = queues::find(&client, &settings).await.unwrap_err();

    assert_eq!(error.to_string(), format!("queue `{}-notifications.fifo` could not be found", settings.prefix));
}

#[tokio::test]
async fn settings_out_of_bounds_are_named_before_anything_is_created() {
    let (client, _endpoint) = client().await;
    let settings = QueueProvisioningSettings {
        prefix: "a b".into(),
        max_receive_count: 0,
        ..QueueProvisioningSettings::default()
    };

    let QueueSetupError::Settings { source } = queues::ensure(&client, &settings).await.unwrap_err() else { panic!() };

    let named: Vec<_> = source.0.iter().map(|mistake| mistake.setting).collect();
    assert_eq!(named, ["prefix", "max_receive_count"]);
}

#[tokio::test]
async fn a_queue_that_is_deleted_is_made_again_and_dead_letters_are_counted() {
    let (client, _endpoint) = client().await;
    let settings = QueueProvisioningSettings { prefix: prefix(), ..QueueProvisioningSettings::default() };
    let made = queues::ensure(&client, &settings).await.unwrap();
    let kept = Kept::start(&client, &settings, &made);
    let dead_letters = Queue { url: made.replies.dead_letter_url.clone(), ..made.replies.clone() };
    let dead = Producer::new(
        client.clone(),
        dead_letters,
        testkit::MESSAGE_KEYS.parse().unwrap(),
        ProducerSettings::default(),
    );
    dead.send(vec![outgoing("o-1", "dead")]).await.remove(0).unwrap();
    let counted =
        || [DeadLetterOrigin::Notifications, DeadLetterOrigin::Replies].map(|origin| kept.watch.dead_letters(origin));
    testkit::eventually(PATIENCE, || std::future::ready(counted() == [Some(0), Some(1)])).await;

    client.delete_queue().queue_url(&made.notifications.url).send().await.unwrap();
    client.delete_queue().queue_url(&made.replies.dead_letter_url).send().await.unwrap();

    testkit::eventually(PATIENCE, || async { queues::find(&client, &settings).await.is_ok_and(|found| found == made) })
        .await;
    testkit::eventually(PATIENCE, || std::future::ready(counted() == [Some(0), Some(0)])).await;
    assert_eq!(kept.watch.problem(), None);
    kept.end().await;
}

#[tokio::test]
async fn a_queue_that_can_not_be_made_again_is_said_to_be_missing() {
    let sqs = FaultySqs::start(|call, _| match call {
        "GetQueueAttributes" => Answer::NoQueue,
        _ => Answer::Broken,
    })
    .await;
    let queues = Queues { notifications: sqs.queue(), replies: sqs.queue() };
    let kept = Kept::start(&testkit::sqs_client(&sqs.url), &QueueProvisioningSettings::default(), &queues);

    let says_why = "queue `ordo-notifications-dlq.fifo` could not be created: SQS answered InternalError: no message";
    testkit::eventually(PATIENCE, || std::future::ready(kept.watch.problem().as_deref() == Some(says_why))).await;
    assert_eq!(kept.watch.dead_letters(DeadLetterOrigin::Replies), None);
    kept.end().await;
}

#[tokio::test]
async fn queues_that_are_not_there_when_a_role_starts_are_made() {
    let (client, _endpoint) = client().await;
    let settings = QueueProvisioningSettings { prefix: prefix(), ..QueueProvisioningSettings::default() };

    let made = queues::find_or_create(&client, &settings).await.unwrap();

    assert_eq!(queues::find(&client, &settings).await.unwrap(), made);
}

/// Queues that are looked after.
struct Kept {
    watch: QueuesHealth,
    stop: CancellationToken,
    keeping: JoinHandle<()>,
}

impl Kept {
    fn start(client: &Client, settings: &QueueProvisioningSettings, queues: &Queues) -> Self {
        let (watch, stop) = (QueuesHealth::default(), CancellationToken::new());
        let (client, settings, queues) = (client.clone(), settings.clone(), queues.clone());
        let pause = Duration::from_millis(20);
        let keeping = tokio::spawn(queues::maintain(client, settings, queues, watch.clone(), pause, stop.clone()));
        Self { watch, stop, keeping }
    }

    async fn end(self) {
        self.stop.cancel();
        self.keeping.await.unwrap();
    }
}
