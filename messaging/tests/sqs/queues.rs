use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName as Attribute;
use messaging::{QueueError, QueueSettings, queues};

use crate::stage::{client, prefix};

#[tokio::test]
async fn queues_are_created_with_their_dead_letter_queues_and_found_again() {
    let (client, _endpoint) = client().await;
    let settings = QueueSettings { prefix: prefix(), ..QueueSettings::default() };

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
    let before = QueueSettings { prefix: prefix(), ..QueueSettings::default() };
    queues::ensure(&client, &before).await.unwrap();
    let after = QueueSettings { visibility_timeout: Duration::from_secs(77), max_receive_count: 9, ..before };

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
    let settings = QueueSettings { prefix: prefix(), ..QueueSettings::default() };

    let error = queues::find(&client, &settings).await.unwrap_err();

    assert_eq!(error.to_string(), format!("queue `{}-notifications.fifo` could not be found", settings.prefix));
}

#[tokio::test]
async fn settings_out_of_bounds_are_named_before_anything_is_created() {
    let (client, _endpoint) = client().await;
    let settings = QueueSettings { prefix: "a b".into(), max_receive_count: 0, ..QueueSettings::default() };

    let QueueError::Settings { source } = queues::ensure(&client, &settings).await.unwrap_err() else { panic!() };

    let named: Vec<_> = source.0.iter().map(|mistake| mistake.setting).collect();
    assert_eq!(named, ["prefix", "max_receive_count"]);
}
