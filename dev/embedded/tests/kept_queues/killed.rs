//! What is in the queues after their process was killed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName};

use crate::support::{PATIENCE, Server, bodies, create, delete, drain, folder, receive, send, send_all, start, url};

#[tokio::test]
async fn what_was_not_deleted_comes_again_in_its_order() {
    // Given: of two groups, one message is done and one is in somebody's hands.
    let folder = folder();
    let mut server = Server::start(folder.path()).await;
    let queue = create(&server.client, "mails.fifo", &[]).await;
    let ids = send_all(&server.client, &queue, "a", &["a1", "a2", "a3", "a4"]).await;
    send(&server.client, &queue, "b", "b1").await;
    for body in ["a5", "a6"] {
        send(&server.client, &queue, "a", body).await;
    }
    let received = receive(&server.client, &queue).await;
    assert_eq!(bodies(&received), ["a1", "b1"]);
    delete(&server.client, &queue, &received[0]).await;
    let in_hand = receive(&server.client, &queue).await;
    assert_eq!(bodies(&in_hand), ["a2"]);

    for round in 0..2 {
        // When
        server.kill();
        server = Server::start(folder.path()).await;

        // Then
        let queue = url(&server.client, "mails.fifo").await;
        let again = receive(&server.client, &queue).await;
        assert_eq!(bodies(&again), ["a2", "b1"], "round {round}");
        assert_eq!(again[0].message_id(), Some(ids[1].as_str()));
        let sent_at = MessageSystemAttributeName::SentTimestamp;
        let of = |message: &aws_sdk_sqs::types::Message| message.attributes().unwrap()[&sent_at].clone();
        assert_eq!(of(&again[0]), of(&in_hand[0]));
    }
    let queue = url(&server.client, "mails.fifo").await;
    let hidden = server.client.get_queue_attributes().queue_url(&queue);
    let hidden =
        hidden.attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible).send().await.unwrap();
    assert_eq!(hidden.attributes.unwrap()[&QueueAttributeName::ApproximateNumberOfMessagesNotVisible], "2");
    server.kill();
    let server = Server::start(folder.path()).await;
    let rest = drain(&server.client, &url(&server.client, "mails.fifo").await).await;
    let of_a: Vec<_> = bodies(&rest).into_iter().filter(|body| body.starts_with('a')).collect();
    assert_eq!(of_a, ["a2", "a3", "a4", "a5", "a6"]);
    assert_eq!(rest.len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_that_was_answered_is_lost_and_none_that_was_deleted_comes_again() {
    // Given: many who send and receive at the same time.
    let folder = folder();
    let mut server = Server::start(folder.path()).await;
    let queue = create(&server.client, "mails.fifo", &[]).await;
    let (sent, deleted) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let mut at_work = Vec::new();
    for sender in 0..4 {
        let (client, queue, sent) = (server.client.clone(), queue.clone(), Arc::clone(&sent));
        at_work.push(tokio::spawn(async move {
            for nth in 0.. {
                let body = format!("{sender}-{nth}");
                let message = client.send_message().queue_url(&queue).message_group_id(sender.to_string());
                let message = message.message_deduplication_id(&body).message_body(&body);
                if message.send().await.is_err() {
                    return;
                }
                sent.lock().unwrap().push(body);
            }
        }));
    }
    let (client, reads, done) = (server.client.clone(), queue.clone(), Arc::clone(&deleted));
    at_work.push(tokio::spawn(async move {
        while let Ok(received) = client.receive_message().queue_url(&reads).send().await {
            for message in received.messages() {
                let handle = message.receipt_handle().unwrap();
                if client.delete_message().queue_url(&reads).receipt_handle(handle).send().await.is_err() {
                    return;
                }
                done.lock().unwrap().push(message.body().unwrap().to_owned());
            }
        }
    }));
    let until = tokio::time::Instant::now() + PATIENCE;
    while sent.lock().unwrap().len() < 200 || deleted.lock().unwrap().len() < 20 {
        assert!(tokio::time::Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    // When
    server.kill();
    for task in at_work {
        task.await.unwrap();
    }
    let server = Server::start(folder.path()).await;

    // Then
    let left = drain(&server.client, &url(&server.client, "mails.fifo").await).await;
    let left = bodies(&left);
    let (sent, deleted) = (sent.lock().unwrap(), deleted.lock().unwrap());
    for body in sent.iter() {
        assert!(left.contains(&body.as_str()) || deleted.contains(body) || is_the_next_of(&deleted, body), "{body}");
    }
    for body in deleted.iter() {
        assert!(!left.contains(&body.as_str()), "{body} was deleted");
    }
    let mut last: HashMap<&str, u32> = HashMap::new();
    for body in left {
        let (sender, nth) = body.split_once('-').unwrap();
        let nth = nth.parse().unwrap();
        assert!(last.insert(sender, nth).is_none_or(|before| before < nth), "{body} comes after a later one");
    }
}

/// Whether a deletion of it may have been made whose answer was not heard: it is behind the last of its group that was deleted.
fn is_the_next_of(deleted: &[String], body: &str) -> bool {
    let (sender, nth) = body.split_once('-').unwrap();
    let of_sender = deleted.iter().filter_map(|it| it.split_once('-')).filter(|(it, _)| *it == sender);
    let last = of_sender.filter_map(|(_, nth)| nth.parse::<i64>().ok()).max().unwrap_or(-1);
    nth.parse::<i64>().unwrap() == last + 1
}

#[tokio::test]
async fn messages_keep_their_attributes_and_queues_what_was_set() {
    // Given
    let folder = folder();
    let mut server = Server::start(folder.path()).await;
    let client = server.client.clone();
    let queue = create(&client, "plain", &[(QueueAttributeName::VisibilityTimeout, "7")]).await;
    let text = MessageAttributeValue::builder().data_type("String").string_value("OrderConfirmed").build().unwrap();
    let bytes =
        MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new([0, 255, 7])).build().unwrap();
    let message = client.send_message().queue_url(&queue).message_body("héllo\n\"}");
    let message = message.message_attributes("ce-type", text.clone()).message_attributes("key", bytes.clone());
    let told = message.send().await.unwrap();
    let size = QueueAttributeName::MaximumMessageSize;
    client.send_message().queue_url(&queue).message_body("x".repeat(5000)).send().await.unwrap();
    client.set_queue_attributes().queue_url(&queue).attributes(size.clone(), "2048").send().await.unwrap();
    client.tag_queue().queue_url(&queue).tags("owner", "shop").send().await.unwrap();
    let gone = create(&client, "gone", &[]).await;
    client.send_message().queue_url(&gone).message_body("gone").send().await.unwrap();
    client.delete_queue().queue_url(&gone).send().await.unwrap();
    let purged = create(&client, "purged", &[]).await;
    client.send_message().queue_url(&purged).message_body("before").send().await.unwrap();
    client.purge_queue().queue_url(&purged).send().await.unwrap();
    client.send_message().queue_url(&purged).message_body("after").send().await.unwrap();

    // When
    server.kill();
    let server = Server::start(folder.path()).await;

    // Then
    let client = &server.client;
    let queue = url(client, "plain").await;
    let set = client.get_queue_attributes().queue_url(&queue).attribute_names(QueueAttributeName::All).send().await;
    let set = set.unwrap().attributes.unwrap();
    assert_eq!((&*set[&QueueAttributeName::VisibilityTimeout], &*set[&size]), ("7", "2048"));
    let tags = client.list_queue_tags().queue_url(&queue).send().await.unwrap().tags.unwrap();
    assert_eq!(tags, [("owner".to_owned(), "shop".to_owned())].into());
    let received = receive(client, &queue).await;
    let message = received.iter().find(|it| it.message_id() == told.message_id()).unwrap();
    assert_eq!(message.body(), Some("héllo\n\"}"));
    let kept = message.message_attributes().unwrap();
    assert_eq!((&kept["ce-type"], &kept["key"]), (&text, &bytes));
    assert_eq!(received.len(), 2, "what is larger than the queue takes by now is still there");
    assert_eq!(bodies(&drain(client, &url(client, "purged").await).await), ["after"]);
    let queues = client.list_queues().send().await.unwrap();
    assert_eq!(queues.queue_urls().len(), 2, "{queues:?}");
}

#[tokio::test]
async fn dead_letters_stay_dead_letters() {
    // Given: a message that may be received once, and was.
    let folder = folder();
    let mut server = Server::start(folder.path()).await;
    let client = server.client.clone();
    let dead = create(&client, "dead.fifo", &[]).await;
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead.fifo","maxReceiveCount":"1"}"#;
    let visible = [(QueueAttributeName::VisibilityTimeout, "0"), (QueueAttributeName::RedrivePolicy, policy)];
    let queue = create(&client, "mails.fifo", &visible).await;
    let id = send(&client, &queue, "a", "poison").await;
    assert_eq!(receive(&client, &queue).await.len(), 1);
    let mut letters = Vec::new();
    let until = tokio::time::Instant::now() + PATIENCE;
    while letters.is_empty() {
        assert!(tokio::time::Instant::now() < until);
        assert!(receive(&client, &queue).await.is_empty());
        letters = receive(&client, &dead).await;
    }

    // When
    server.kill();
    let mut server = Server::start(folder.path()).await;

    // Then
    let client = server.client.clone();
    let (queue, dead) = (url(&client, "mails.fifo").await, url(&client, "dead.fifo").await);
    let sources = client.list_dead_letter_source_queues().queue_url(&dead).send().await.unwrap();
    assert_eq!(sources.queue_urls(), std::slice::from_ref(&queue));
    assert!(receive(&client, &queue).await.is_empty());
    let letters = receive(&client, &dead).await;
    assert_eq!(letters[0].message_id(), Some(id.as_str()));

    // When it was deleted there, then it is gone.
    delete(&client, &dead, &letters[0]).await;
    server.kill();
    let server = Server::start(folder.path()).await;
    for queue in ["mails.fifo", "dead.fifo"] {
        assert!(receive(&server.client, &url(&server.client, queue).await).await.is_empty(), "{queue}");
    }
}

#[tokio::test]
async fn a_purge_takes_no_dead_letter_with_it() {
    // Given: a message that was moved to the dead letters, where nobody has looked.
    let folder = folder();
    let mut server = Server::start(folder.path()).await;
    let client = server.client.clone();
    let dead = create(&client, "dead.fifo", &[]).await;
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead.fifo","maxReceiveCount":1}"#;
    let visible = [(QueueAttributeName::VisibilityTimeout, "0"), (QueueAttributeName::RedrivePolicy, policy)];
    let queue = create(&client, "mails.fifo", &visible).await;
    send(&client, &queue, "a", "poison").await;
    assert_eq!(receive(&client, &queue).await.len(), 1);
    send(&client, &queue, "b", "harmless").await;
    assert_eq!(bodies(&receive(&client, &queue).await), ["harmless"]);
    send(&client, &queue, "c", "unseen").await;

    // When
    client.purge_queue().queue_url(&queue).send().await.unwrap();
    client.delete_queue().queue_url(&queue).send().await.unwrap();
    server.kill();
    let server = Server::start(folder.path()).await;

    // Then: what was received as often as it may be is there, and nothing else.
    let letters = drain(&server.client, &dead).await;
    assert_eq!(bodies(&letters), ["poison", "harmless"]);
}

#[tokio::test]
async fn who_sends_again_after_a_crash_sends_nothing_twice() {
    let folder = folder();
    let (sqs, client) = start(folder.path()).await.unwrap();
    let queue = create(&client, "mails.fifo", &[]).await;
    let id = send(&client, &queue, "a", "once").await;
    assert_eq!(send(&client, &queue, "a", "once").await, id);
    sqs.stop().await;

    let (sqs, client) = start(folder.path()).await.unwrap();
    let queue = url(&client, "mails.fifo").await;
    assert_eq!(send(&client, &queue, "a", "once").await, id);
    assert_eq!(bodies(&drain(&client, &queue).await), ["once"]);
    sqs.stop().await;
}

#[tokio::test]
async fn a_delete_with_an_earlier_handle_takes_nothing_out_of_the_journal() {
    let folder = folder();
    let (sqs, client) = start(folder.path()).await.unwrap();
    let queue = create(&client, "mails.fifo", &[]).await;
    send(&client, &queue, "a", "one").await;
    let earlier = receive(&client, &queue).await.remove(0);
    let shown = client.change_message_visibility().queue_url(&queue).visibility_timeout(0);
    shown.receipt_handle(earlier.receipt_handle().unwrap()).send().await.unwrap();
    let later = receive(&client, &queue).await.remove(0);
    assert_ne!(earlier.receipt_handle(), later.receipt_handle());
    delete(&client, &queue, &earlier).await;
    sqs.stop().await;

    let (sqs, client) = start(folder.path()).await.unwrap();
    assert_eq!(bodies(&drain(&client, &url(&client, "mails.fifo").await).await), ["one"]);
    sqs.stop().await;
}

#[tokio::test]
async fn an_attribute_that_no_new_queue_may_have_is_refused() {
    let folder = folder();
    let (sqs, client) = start(folder.path()).await.unwrap();
    let queue = create(&client, "mails", &[]).await;
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:mails-dlq","maxReceiveCount":"0"}"#;
    let change = client.set_queue_attributes().queue_url(&queue).attributes(QueueAttributeName::RedrivePolicy, policy);
    let refused = change.send().await.unwrap_err().into_service_error();
    assert!(refused.message().is_some_and(|message| message.contains("maxReceiveCount")), "{refused:?}");
    sqs.stop().await;
    let (sqs, client) = start(folder.path()).await.unwrap();
    url(&client, "mails").await;
    sqs.stop().await;
}
