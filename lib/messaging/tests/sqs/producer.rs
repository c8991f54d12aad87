use chrono::DateTime;
use messaging::{
    BatchingProducer, CloudEvent, ConsumerSettings, NotificationRequested, NotificationTemplate, OutgoingMessage,
    Producer, ProducerSettings, Queue, SendError,
};
use uuid::Uuid;

use crate::stage::{Act, Script, Stage, outgoing, quick, receive};

#[tokio::test]
async fn an_event_travels_with_its_attributes() {
    let stage = Stage::new().await;
    let event = CloudEvent::new("o-1", DateTime::UNIX_EPOCH, request()).traced(Some("00-trace".into()));
    let producer = Producer::new(
        stage.client.clone(),
        stage.queue.clone(),
        testkit::MESSAGE_KEYS.parse().unwrap(),
        ProducerSettings::default(),
    );

    producer.send(vec![OutgoingMessage::event(&event, 1).unwrap()]).await.remove(0).unwrap();

    let received = receive(&stage.client, &stage.queue.url).await.remove(0);
    assert_eq!(CloudEvent::parse(received.body().unwrap()).unwrap(), event);
    let attributes = received.message_attributes.unwrap();
    let attribute = |name: &str| attributes[name].string_value().unwrap();
    assert_eq!(attribute("content-type"), "application/cloudevents+json; charset=utf-8");
    assert_eq!(attribute("ce-type"), "ordo.notification.requested.v1");
    assert_eq!(attribute("ce-id"), event.id.to_string());
    assert_eq!(attribute("traceparent"), "00-trace");
}

#[tokio::test]
async fn a_repeated_send_is_dropped_and_a_second_attempt_is_not() {
    let stage = Stage::new().await;
    let event = CloudEvent::new("o-1", DateTime::UNIX_EPOCH, request());
    let producer = Producer::new(
        stage.client.clone(),
        stage.queue.clone(),
        testkit::MESSAGE_KEYS.parse().unwrap(),
        ProducerSettings::default(),
    );
    let script = Script::new(|_| Act::Done);

    for attempt in [1, 1, 2] {
        producer.send(vec![OutgoingMessage::event(&event, attempt).unwrap()]).await.remove(0).unwrap();
    }

    let consumer = stage.consume(quick(), &script);
    script.saw(2).await;
    consumer.stop().await;
    assert_eq!(script.seen().len(), 2);
    assert!(stage.is_empty().await);
}

#[tokio::test]
async fn a_message_that_is_too_long_says_so_and_the_others_are_sent() {
    let stage = Stage::new().await;
    let settings = ProducerSettings { batch_bytes: 1024, ..ProducerSettings::default() };
    let producer =
        Producer::new(stage.client.clone(), stage.queue.clone(), testkit::MESSAGE_KEYS.parse().unwrap(), settings);
    let messages = vec![outgoing("o-1", "first"), outgoing("o-2", &"x".repeat(1025)), outgoing("o-3", "last")];

    let sent = producer.send(messages).await;

    assert!(sent[0].is_ok() && sent[2].is_ok(), "{sent:?}");
    assert!(matches!(sent[1], Err(SendError::TooLong { bytes: 1128, limit: 1024 })), "{sent:?}");
    assert_eq!(receive(&stage.client, &stage.queue.url).await.len(), 2);
}

#[tokio::test]
async fn many_messages_arrive_in_the_order_of_their_groups() {
    let stage = Stage::new().await;
    let script = Script::new(|_| Act::Done);
    let bodies: Vec<(String, String)> = (0..120).map(|nth| (format!("o-{}", nth % 7), format!("{nth:03}"))).collect();
    let messages: Vec<(&str, &str)> = bodies.iter().map(|(group, body)| (group.as_str(), body.as_str())).collect();

    stage.send(&messages).await;

    let consumer = stage.consume(ConsumerSettings { pollers: 2, ..quick() }, &script);
    script.saw(120).await;
    consumer.stop().await;
    for group in 0..7 {
        let group = format!("o-{group}");
        let of_group = |body: &&(String, String)| body.0 == group;
        let sent: Vec<_> = bodies.iter().filter(of_group).map(|body| body.1.clone()).collect();
        let seen: Vec<_> = script.seen().into_iter().filter(|it| it.group_id == group).map(|it| it.body).collect();
        assert_eq!(seen, sent);
    }
}

#[tokio::test]
async fn single_messages_sent_at_the_same_time_share_batches_and_each_has_its_result() {
    let stage = Stage::new().await;
    let settings = ProducerSettings { batch_bytes: 1024, ..ProducerSettings::default() };
    let joined = BatchingProducer::start(Producer::new(
        stage.client.clone(),
        stage.queue.clone(),
        testkit::MESSAGE_KEYS.parse().unwrap(),
        settings,
    ));
    let script = Script::new(|_| Act::Done);

    let sends = (0..30).map(|nth| {
        let joined = joined.clone();
        let body = if nth == 7 { "x".repeat(1025) } else { nth.to_string() };
        async move { joined.send(outgoing(&format!("o-{nth}"), &body)).await.is_ok() }
    });
    let sent = futures_util::future::join_all(sends).await;

    assert!(sent.iter().enumerate().all(|(nth, &sent)| sent == (nth != 7)), "{sent:?}");
    let consumer = stage.consume(quick(), &script);
    script.saw(29).await;
    consumer.stop().await;
}

#[tokio::test]
async fn without_a_queue_every_message_says_so() {
    let stage = Stage::new().await;
    let nowhere = Queue { url: stage.queue.url.replace("notifications", "nowhere"), ..stage.queue.clone() };
    let producer = Producer::new(
        stage.client.clone(),
        nowhere,
        testkit::MESSAGE_KEYS.parse().unwrap(),
        ProducerSettings::default(),
    );

    let sent = producer.send(vec![outgoing("o-1", "one"), outgoing("o-2", "two")]).await;

    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|it| matches!(it, Err(SendError::Batch { .. }))), "{sent:?}");
    let words = error_chain::error_chain(sent[0].as_ref().unwrap_err());
    assert!(words.starts_with("the batch could not be sent: SQS answered "), "{words}");
    assert_eq!(words.matches("does not exist").count(), 1, "{words}");
}

fn request() -> NotificationRequested {
    NotificationRequested {
        notification_id: Uuid::from_u128(7),
        attempt: 1,
        template: NotificationTemplate::OrderConfirmed,
        recipient: None,
        order_id: "o-1".into(),
        order_number: None,
        locale: None,
        customer_id: Some("c-1".into()),
        currency: "JPY".into(),
        total_amount: "0".into(),
        lines: vec![],
        omitted_lines: 0,
        details: messaging::OrderDetails::default(),
        reason: None,
        rejection: None,
        shipment: None,
        refund_amount: None,
        paid_elsewhere: false,
        retry_failed: false,
        withdraw: false,
    }
}
