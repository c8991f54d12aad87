//! The SQS endpoint, through the SDK that the platform uses.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::{Duration, Instant};

use aws_sdk_sqs::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::QueueAttributeName,
};
use embedded::sqs::Sqs;

async fn start() -> (Sqs, Client) {
    let sqs = Sqs::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(sqs.url())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    (sqs, Client::from_conf(config))
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
async fn a_taken_address_is_named() {
    let (sqs, _) = start().await;
    let address: std::net::SocketAddr = sqs.url().trim_start_matches("http://").parse().unwrap();
    let error = Sqs::start(address).await.unwrap_err().to_string();
    assert_eq!(error, format!("cannot listen on {address}: another process has that port"));
}
