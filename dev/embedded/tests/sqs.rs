//! The SQS endpoint, through the SDK that the platform uses.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::{Duration, Instant};

use aws_sdk_sqs::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::QueueAttributeName,
};
use embedded::sqs::{Sqs, SqsOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn start() -> (Sqs, Client) {
    let sqs = Sqs::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let client = client(&sqs);
    (sqs, client)
}

fn client(sqs: &Sqs) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(sqs.url())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

#[tokio::test]
async fn what_is_sent_is_received_until_it_is_deleted() {
    let (sqs, client) = start().await;
    let queue = client
        .create_queue()
        .queue_name("mails")
        .attributes(QueueAttributeName::VisibilityTimeout, "0")
        .send()
        .await
        .unwrap();
    let queue = queue.queue_url().unwrap();
    assert!(queue.starts_with(&sqs.url()), "{queue} names the endpoint");

    client.send_message().queue_url(queue).message_body("hello").send().await.unwrap();
    let receive = || client.receive_message().queue_url(queue).wait_time_seconds(0).send();
    let first = receive().await.unwrap();
    let again = receive().await.unwrap();
    assert_eq!(first.messages()[0].body(), Some("hello"));
    assert_eq!(again.messages()[0].body(), Some("hello"), "it comes again until it is deleted");

    let handle = again.messages()[0].receipt_handle().unwrap();
    client.delete_message().queue_url(queue).receipt_handle(handle).send().await.unwrap();
    assert!(receive().await.unwrap().messages().is_empty());
    sqs.stop().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_long_polls() {
    let (sqs, client) = start().await;
    let queue = client.create_queue().queue_name("mails").send().await.unwrap();
    let poll = client.receive_message().queue_url(queue.queue_url().unwrap()).wait_time_seconds(20).send();
    let poll = tokio::spawn(poll);
    // The poll is under way once its connection is: give it the time to get there.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    sqs.stop().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    poll.abort();
}

#[tokio::test]
async fn an_error_is_named_as_aws_names_it() {
    let (sqs, client) = start().await;
    let nowhere = format!("{}/000000000000/nowhere", sqs.url());
    let error = client.send_message().queue_url(&nowhere).message_body("hello").send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_queue_does_not_exist(), "{error:?}");

    let answer = post(&sqs, "SendMessage", &format!(r#"{{"QueueUrl":"{nowhere}","MessageBody":"hello"}}"#)).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("x-amzn-query-error: AWS.SimpleQueueService.NonExistentQueue;Sender\r\n"), "{answer}");
    assert!(answer.contains(r#""__type":"com.amazonaws.sqs#QueueDoesNotExist""#), "{answer}");
}

#[tokio::test]
async fn a_dead_letter_queue_knows_its_sources_and_counts_are_taken_as_text() {
    let (_sqs, client) = start().await;
    let dead = client.create_queue().queue_name("dead").send().await.unwrap();
    let dead = dead.queue_url().unwrap();
    for (name, count) in [("as-text", r#""3""#), ("as-number", "3")] {
        let policy =
            format!(r#"{{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":{count}}}"#);
        let created = client.create_queue().queue_name(name).attributes(QueueAttributeName::RedrivePolicy, policy);
        created.send().await.unwrap();
    }

    let sources = client.list_dead_letter_source_queues().queue_url(dead).send().await.unwrap();
    let mut names: Vec<&str> = sources.queue_urls().iter().map(|url| url.rsplit('/').next().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["as-number", "as-text"]);
}

#[tokio::test]
async fn nothing_is_handed_to_a_client_that_has_hung_up() {
    let folder = tempfile::tempdir().unwrap();
    for folder in [None, Some(folder.path().to_owned())] {
        // Given: somebody who waits for messages, and goes.
        let options = SqsOptions { folder, ..SqsOptions::default() };
        let sqs = Sqs::start_alone(([127, 0, 0, 1], 0).into(), options).await.unwrap();
        let client = client(&sqs);
        let queue = client.create_queue().queue_name("mails").send().await.unwrap();
        let queue = queue.queue_url().unwrap();
        for nth in 0..5 {
            let body = format!(r#"{{"QueueUrl":"{queue}","WaitTimeSeconds":20,"VisibilityTimeout":3600}}"#);
            let stream = begin_to_post(&sqs, "ReceiveMessage", &body).await;
            client.get_queue_url().queue_name("mails").send().await.unwrap();
            drop(stream);
            client.get_queue_url().queue_name("mails").send().await.unwrap();

            // When
            client.send_message().queue_url(queue).message_body(nth.to_string()).send().await.unwrap();

            // Then
            let received = client.receive_message().queue_url(queue).wait_time_seconds(0).send().await.unwrap();
            assert_eq!(received.messages()[0].body(), Some(&*nth.to_string()));
        }
        sqs.stop().await;
    }
}

#[tokio::test]
async fn queues_have_the_address_that_clients_elsewhere_reach() {
    let options = SqsOptions { public: Some(("queues".to_owned(), 4566)), ..SqsOptions::default() };
    let sqs = Sqs::start_alone(([127, 0, 0, 1], 0).into(), options).await.unwrap();
    let client = client(&sqs);
    let queue = client.create_queue().queue_name("mails").send().await.unwrap().queue_url.unwrap();
    assert_eq!(queue, "http://queues:4566/000000000000/mails");
    client.send_message().queue_url(queue).message_body("hello").send().await.unwrap();
}

/// The whole answer to a request, as it comes.
async fn post(sqs: &Sqs, operation: &str, body: &str) -> String {
    let mut stream = begin_to_post(sqs, operation, body).await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn begin_to_post(sqs: &Sqs, operation: &str, body: &str) -> TcpStream {
    let address = sqs.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nX-Amz-Target: AmazonSQS.{operation}\r\nConnection: close\r\n\
         Content-Type: application/x-amz-json-1.0\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let (sqs, _) = start().await;
    let address: std::net::SocketAddr = sqs.url().trim_start_matches("http://").parse().unwrap();
    let error = Sqs::start(address).await.unwrap_err().to_string();
    assert_eq!(error, format!("cannot listen on {address}: another process has that port"));
}

#[tokio::test]
async fn no_page_of_another_site_reaches_a_queue() {
    let (sqs, client) = start().await;
    let queue = client.create_queue().queue_name("mails").send().await.unwrap();
    let queue = queue.queue_url().unwrap();
    client.send_message().queue_url(queue).message_body("hello").send().await.unwrap();
    let address = sqs.url().trim_start_matches("http://").to_owned();
    let body = format!("Action=PurgeQueue&QueueUrl={queue}");
    let head = "POST / HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded\r\nconnection: close";
    for (headers, status) in [
        (format!("host: {address}\r\norigin: https://elsewhere.example"), "403"),
        ("host: rebound.example".to_owned(), "421"),
    ] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let request = format!("{head}\r\n{headers}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(&answer[9..12], status, "{answer}");
    }
    let received = client.receive_message().queue_url(queue).send().await.unwrap();
    assert_eq!(received.messages().len(), 1);
}
