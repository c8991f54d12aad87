use std::time::{Duration, Instant};

use messaging::{ConsumerSettings, MessageSigningKeys, QueueProvisioningSettings, queues};

use crate::stage::{Act, PATIENCE, Script, Stage, prefix, quick, receive};

#[tokio::test]
async fn a_message_that_is_done_is_gone() {
    let stage = Stage::new().await;
    let script = Script::new(|_| Act::Done);
    stage.send(&[("o-1", "hello")]).await;

    let consumer = stage.consume(quick(), &script);
    script.saw(1).await;
    consumer.stop().await;

    let seen = script.seen().remove(0);
    assert_eq!((seen.group_id.as_str(), seen.body.as_str(), seen.receive_count), ("o-1", "hello", 1));
    assert_eq!(seen.attributes["ce-type"], "test.v1");
    assert!(!seen.is_last_attempt);
    assert!(stage.is_empty().await);
}

#[tokio::test]
async fn a_message_that_failed_comes_again_and_is_counted() {
    let stage = Stage::new().await;
    let script = Script::new(|message| if message.receive_count < 3 { Act::Fail("not yet") } else { Act::Done });
    stage.send(&[("o-1", "hello")]).await;

    let consumer = stage.consume(ConsumerSettings { max_attempts: 3, ..quick() }, &script);
    script.saw(3).await;
    consumer.stop().await;

    let attempts: Vec<_> = script.seen().iter().map(|it| (it.receive_count, it.is_last_attempt)).collect();
    assert_eq!(attempts, [(1, false), (2, false), (3, true)]);
    assert!(stage.is_empty().await);
    assert!(stage.dead_letters().await.is_empty());
}

#[tokio::test]
async fn a_message_whose_time_has_not_come_spends_no_attempt() {
    let stage = Stage::new().await;
    let script = Script::new(|message| if message.receive_count < 4 { Act::Wait } else { Act::Done });
    stage.send(&[("o-1", "hello")]).await;

    let consumer = stage.consume(ConsumerSettings { max_attempts: 1, ..quick() }, &script);
    script.saw(4).await;
    consumer.stop().await;

    let attempts: Vec<_> = script.seen().iter().map(|it| (it.receive_count, it.attempt)).collect();
    assert_eq!(attempts, [(1, 1), (2, 1), (3, 1), (4, 1)]);
    assert!(stage.is_empty().await);
    assert!(stage.dead_letters().await.is_empty());
}

#[tokio::test]
async fn a_poison_message_ends_in_the_dead_letter_queue_with_its_error_while_the_rest_is_done() {
    let stage = Stage::new().await;
    let script = Script::new(|message| if message.body == "poison" { Act::Fail("can't be read") } else { Act::Done });
    stage.send(&[("o-1", "poison"), ("o-1", "behind"), ("o-2", "beside")]).await;

    let consumer = stage.consume(ConsumerSettings { max_attempts: 2, ..quick() }, &script);
    script.saw(4).await;
    consumer.stop().await;

    assert!(stage.is_empty().await);
    let dead = stage.dead_letters().await;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].body(), Some("poison"));
    let attributes = dead[0].message_attributes.as_ref().unwrap();
    assert_eq!(attributes["ordo-error"].string_value(), Some("given up after 2 attempts: can't be read"));
    assert_eq!(attributes["ce-type"].string_value(), Some("test.v1"));
}

#[tokio::test]
async fn a_message_that_never_can_be_done_is_tried_once() {
    let stage = Stage::new().await;
    let script = Script::new(|_| Act::Die("no such template"));
    stage.send(&[("o-1", "hello")]).await;

    let consumer = stage.consume(quick(), &script);
    testkit::eventually(PATIENCE, || stage.is_empty()).await;
    consumer.stop().await;

    assert_eq!(script.seen().len(), 1);
    let dead = stage.dead_letters().await.remove(0);
    assert_eq!(dead.message_attributes.unwrap()["ordo-error"].string_value(), Some("no such template"));
}

#[tokio::test]
async fn a_panic_is_a_failure_like_any_other() {
    let stage = Stage::new().await;
    let script = Script::new(|message| if message.body == "bomb" { Act::Panic("boom") } else { Act::Done });
    stage.send(&[("o-1", "bomb"), ("o-2", "calm")]).await;

    let consumer = stage.consume(ConsumerSettings { max_attempts: 1, ..quick() }, &script);
    testkit::eventually(PATIENCE, || stage.is_empty()).await;
    consumer.stop().await;

    let dead = stage.dead_letters().await.remove(0);
    let error = dead.message_attributes.unwrap()["ordo-error"].string_value().unwrap().to_owned();
    assert_eq!(error, "given up after 1 attempts: the handler panicked: boom");
    assert!(script.bodies().contains(&"calm".to_owned()));
}

#[tokio::test]
async fn a_failed_message_holds_back_its_group_and_no_other() {
    let stage = Stage::new().await;
    let script = Script::new(|it| match (it.body.as_str(), it.receive_count) {
        ("1", 1) => Act::Fail("once"),
        _ => Act::Done,
    });
    stage.send(&[("o-1", "1"), ("o-1", "2"), ("o-1", "3"), ("o-2", "other")]).await;

    let consumer = stage.consume(quick(), &script);
    testkit::eventually(PATIENCE, || stage.is_empty()).await;
    consumer.stop().await;

    let of_group: Vec<_> = script.seen().into_iter().filter(|it| it.group_id == "o-1").map(|it| it.body).collect();
    assert_eq!(of_group, ["1", "1", "2", "3"]);
}

#[tokio::test]
async fn a_slow_message_is_renewed_and_handled_once() {
    let stage = Stage::new().await;
    let script = Script::new(|_| Act::DoneAfter(Duration::from_millis(4500)));
    stage.send(&[("o-1", "slow")]).await;
    let settings = ConsumerSettings { visibility_timeout: Duration::from_secs(2), ..quick() };

    let consumers = [stage.consume(settings, &script), stage.consume(settings, &script)];
    testkit::eventually(PATIENCE, || stage.is_empty()).await;
    for consumer in consumers {
        consumer.stop().await;
    }

    assert_eq!(script.bodies(), ["slow"]);
}

#[tokio::test]
async fn at_shutdown_work_in_progress_is_finished() {
    let stage = Stage::new().await;
    let script = Script::new(|_| Act::DoneAfter(Duration::from_millis(300)));
    stage.send(&[("o-1", "hello")]).await;

    let consumer = stage.consume(quick(), &script);
    script.saw(1).await;
    consumer.stop().await;

    assert!(stage.is_empty().await);
}

#[tokio::test]
async fn at_shutdown_what_takes_too_long_is_handed_back_at_once() {
    let stage = Stage::new().await;
    let script = Script::new(|_| Act::DoneAfter(Duration::from_secs(600)));
    stage.send(&[("o-1", "endless"), ("o-2", "endless too")]).await;
    let settings = ConsumerSettings { shutdown_grace: Duration::from_millis(50), ..quick() };

    let consumer = stage.consume(settings, &script);
    script.saw(2).await;
    let began = Instant::now();
    consumer.stop().await;

    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(receive(&stage.client, &stage.queue.url).await.len(), 2, "visible long before their timeout");
}

#[tokio::test]
async fn what_is_handed_back_at_shutdown_was_no_attempt() {
    let stage = Stage::new().await;
    stage.send(&[("o-1", "hello")]).await;
    let settings = ConsumerSettings { shutdown_grace: Duration::ZERO, max_attempts: 2, ..quick() };
    for _ in 0..3 {
        let interrupted = Script::new(|_| Act::DoneAfter(Duration::from_secs(600)));
        let consumer = stage.consume(settings, &interrupted);
        interrupted.saw(1).await;
        consumer.stop().await;
    }

    let script = Script::new(|message| if message.attempt == 1 { Act::Fail("once") } else { Act::Done });
    let consumer = stage.consume(settings, &script);
    testkit::eventually(PATIENCE, || stage.is_empty()).await;
    consumer.stop().await;

    let attempts: Vec<_> = script.seen().iter().map(|it| (it.attempt, it.is_last_attempt)).collect();
    assert_eq!(attempts, [(1, false), (2, true)]);
    assert!(stage.dead_letters().await.is_empty());
    let left: i64 =
        sqlx::query_scalar("select count(*) from message_failures").fetch_one(&stage.database).await.unwrap();
    assert_eq!(left, 0, "what is done is forgotten");
}

#[tokio::test]
async fn no_more_messages_are_in_work_than_allowed() {
    let stage = Stage::new().await;
    let script = Script::new(|_| Act::DoneAfter(Duration::from_secs(600)));
    let groups: Vec<_> = (0..9).map(|nth| (format!("o-{nth}"), format!("{nth}"))).collect();
    stage.send(&groups.iter().map(|(group, body)| (group.as_str(), body.as_str())).collect::<Vec<_>>()).await;
    let settings = ConsumerSettings { concurrency: 4, shutdown_grace: Duration::ZERO, ..quick() };

    let consumer = stage.consume(settings, &script);
    script.saw(4).await;

    assert_eq!(receive(&stage.client, &stage.queue.url).await.len(), 5, "left to other consumers");
    assert_eq!(script.seen().len(), 4);
    consumer.stop().await;
}

#[tokio::test]
async fn a_consumer_outlives_a_queue_that_is_not_there() {
    let mut stage = Stage::new().await;
    let settings = QueueProvisioningSettings { prefix: prefix(), ..QueueProvisioningSettings::default() };
    let mut queue = stage.queue.clone();
    queue.name = format!("{}-notifications.fifo", settings.prefix);
    queue.url = stage.queue.url.replace(&stage.queue.name, &queue.name);
    let script = Script::new(|_| Act::Done);

    let consumer = crate::stage::run(stage.client.clone(), queue.clone(), quick(), &script, &stage.database);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(queues::ensure(&stage.client, &settings).await.unwrap().notifications.url, queue.url);
    stage.queue = queue;
    stage.send(&[("o-1", "at last")]).await;

    script.saw(1).await;
    consumer.stop().await;
}

#[tokio::test]
async fn what_is_not_signed_is_dead_at_once_and_its_group_goes_on() {
    let stage = Stage::new().await;
    let script = Script::new(|_| Act::Done);
    let genuine = |body: &str| stage.keys().sign(&stage.queue.name, body);
    stage.send(&[("o-1", "first")]).await;
    for (body, signature) in [
        ("unsigned", None),
        ("changed", Some(genuine("something else"))),
        ("of another queue", Some(stage.keys().sign("other.fifo", "of another queue"))),
        (
            "of a stranger",
            Some(MessageSigningKeys::random("stranger").unwrap().sign(&stage.queue.name, "of a stranger")),
        ),
        ("signed in vain", Some("v1".to_owned())),
    ] {
        stage.send_raw("o-1", body, signature).await;
    }
    stage.send_raw("o-1", "copied", Some(genuine("copied"))).await;
    stage.send(&[("o-1", "last")]).await;

    let consumer = stage.consume(quick(), &script);
    script.saw(3).await;
    consumer.stop().await;

    assert_eq!(script.bodies(), ["first", "copied", "last"]);
    let mut reasons = Vec::new();
    while reasons.len() < 5 {
        for dead in stage.dead_letters().await {
            let attributes = dead.message_attributes.unwrap();
            reasons.push(format!("{}: {}", dead.body.unwrap(), attributes["ordo-error"].string_value().unwrap()));
            let receipt = dead.receipt_handle.unwrap();
            let deleted = stage.client.delete_message().queue_url(&stage.queue.dead_letter_url).receipt_handle(receipt);
            deleted.send().await.unwrap();
        }
    }
    assert_eq!(
        reasons,
        [
            "unsigned: the message is not signed",
            "changed: the message's signature does not fit its body and its queue",
            "of another queue: the message's signature does not fit its body and its queue",
            "of a stranger: the message is signed by the key `stranger`, which is not known here",
            "signed in vain: the message's signature is not of the form v1,KEY,SECONDS,HMAC",
        ]
    );
}

#[tokio::test]
async fn a_message_too_long_for_a_reason_beside_it_does_not_hold_up_its_group() {
    let stage = Stage::new().await;
    let script = Script::new(|_| Act::Done);
    // As long as the server takes: the limit was raised once.
    let mut longest = 1024 * 1024;
    if !stage.try_send_raw("o-1", &"ä".repeat(longest / 2), None).await {
        longest = 256 * 1024;
        stage.send_raw("o-1", &"ä".repeat(longest / 2), None).await;
    }
    stage.send(&[("o-1", "behind")]).await;

    let consumer = stage.consume(quick(), &script);
    script.saw(1).await;
    consumer.stop().await;

    assert_eq!(script.bodies(), ["behind"]);
    let dead = stage.dead_letters().await.remove(0);
    assert_eq!(dead.message_attributes.unwrap()["ordo-error"].string_value(), Some("the message is not signed"));
    assert!(dead.body.unwrap().len() > longest - 4096);
}
