//! Endpoints on a folder, in this process and in others, and what the tests ask of them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry};
use embedded::sqs::{Sqs, SqsOptions, SqsStartError};
use tempfile::TempDir;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn client(url: &str) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::new(embedded::sqs::REGION))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

/// An endpoint in this process.
pub(crate) async fn start(folder: &Path) -> Result<(Sqs, Client), SqsStartError> {
    let options = SqsOptions { folder: Some(folder.to_owned()), ..SqsOptions::default() };
    let sqs = Sqs::start_alone(([127, 0, 0, 1], 0).into(), options).await?;
    let client = client(&sqs.url());
    Ok((sqs, client))
}

/// An endpoint in a process of its own: this test binary, running only [`server`].
pub(crate) struct Server {
    process: Child,
    pub(crate) client: Client,
}

impl Server {
    pub(crate) async fn start(folder: &Path) -> Self {
        let notes = tempfile::tempdir().unwrap();
        let note = notes.path().join("ready");
        let process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "support::server", "--ignored"])
            .env("QUEUES_FOLDER", folder)
            .env("QUEUES_NOTE", &note)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + PATIENCE;
        while !note.exists() {
            assert!(Instant::now() < until, "the endpoint is not ready");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let client = client(&fs::read_to_string(&note).unwrap());
        Self { process, client }
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "not a test: the process that others start and kill"]
async fn server() {
    let (sqs, _) = start(&PathBuf::from(env::var_os("QUEUES_FOLDER").unwrap())).await.unwrap();
    let note = PathBuf::from(env::var_os("QUEUES_NOTE").unwrap());
    let draft = note.with_extension("draft");
    fs::write(&draft, sqs.url()).unwrap();
    fs::rename(draft, note).unwrap();
    std::future::pending::<()>().await;
}

/// Makes a queue, FIFO if its name says so, and returns its URL.
pub(crate) async fn create(client: &Client, name: &str, attributes: &[(QueueAttributeName, &str)]) -> String {
    let mut creation = client.create_queue().queue_name(name);
    if name.ends_with(".fifo") {
        creation = creation.attributes(QueueAttributeName::FifoQueue, "true");
    }
    for (attribute, value) in attributes {
        creation = creation.attributes(attribute.clone(), *value);
    }
    creation.send().await.unwrap().queue_url.unwrap()
}

pub(crate) async fn url(client: &Client, name: &str) -> String {
    client.get_queue_url().queue_name(name).send().await.unwrap().queue_url.unwrap()
}

/// Sends a message to a FIFO queue, and returns its id.
pub(crate) async fn send(client: &Client, queue: &str, group: &str, body: &str) -> String {
    let message = client.send_message().queue_url(queue).message_group_id(group).message_deduplication_id(body);
    message.message_body(body).send().await.unwrap().message_id.unwrap()
}

/// Sends messages of a group at once, and returns their ids.
pub(crate) async fn send_all(client: &Client, queue: &str, group: &str, bodies: &[&str]) -> Vec<String> {
    let entry = |body: &&str| {
        let entry = SendMessageBatchRequestEntry::builder().id(*body).message_body(*body);
        entry.message_group_id(group).message_deduplication_id(*body).build().unwrap()
    };
    let entries = bodies.iter().map(entry).collect();
    let sent = client.send_message_batch().queue_url(queue).set_entries(Some(entries)).send().await.unwrap();
    assert!(sent.failed().is_empty(), "{sent:?}");
    sent.successful().iter().map(|it| it.message_id().to_owned()).collect()
}

/// What can be received at once.
pub(crate) async fn receive(client: &Client, queue: &str) -> Vec<Message> {
    let received = client.receive_message().queue_url(queue).max_number_of_messages(10).message_attribute_names("All");
    let received = received.message_system_attribute_names(MessageSystemAttributeName::All);
    received.send().await.unwrap().messages.unwrap_or_default()
}

pub(crate) async fn delete(client: &Client, queue: &str, message: &Message) {
    let handle = message.receipt_handle().unwrap();
    client.delete_message().queue_url(queue).receipt_handle(handle).send().await.unwrap();
}

/// Receives and deletes until nothing is left.
pub(crate) async fn drain(client: &Client, queue: &str) -> Vec<Message> {
    let mut all = Vec::new();
    loop {
        let received = receive(client, queue).await;
        if received.is_empty() {
            return all;
        }
        for message in &received {
            delete(client, queue, message).await;
        }
        all.extend(received);
    }
}

pub(crate) fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body().unwrap()).collect()
}
