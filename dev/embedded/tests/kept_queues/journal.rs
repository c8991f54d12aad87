//! The file that queues are kept in.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, SendMessageBatchRequestEntry};

use crate::support::{bodies, create, drain, folder, receive, send, start, url};

#[tokio::test]
async fn the_rest_of_a_write_that_broke_off_is_cut_off() {
    let folder = folder();
    two_messages(folder.path()).await;
    let journal = folder.path().join("queues.journal");
    let whole = fs::read(&journal).unwrap();
    // A piece of the last frame, bytes that the file grew by before they were written, and a frame whose content is not all there.
    let broken = [&[7, 0, 0][..], &[0; 4000], &[1, 0, 0, 0, 0x12, 0x34]];
    for end in broken {
        let mut torn = whole.clone();
        torn.extend_from_slice(end);
        fs::write(&journal, torn).unwrap();
        let (sqs, client) = start(folder.path()).await.unwrap();
        let queue = url(&client, "mails.fifo").await;
        assert_eq!(receive(&client, &queue).await.len(), 1);
        sqs.stop().await;
        assert_eq!(fs::read(&journal).unwrap(), whole);
    }

    // When the last write is there but for its last byte, then it never was.
    fs::write(&journal, &whole[..whole.len() - 1]).unwrap();
    let (sqs, client) = start(folder.path()).await.unwrap();
    let queue = url(&client, "mails.fifo").await;
    assert_eq!(bodies(&drain(&client, &queue).await), ["one"]);
    sqs.stop().await;
}

#[tokio::test]
async fn damage_in_the_middle_is_told_with_its_place() {
    let folder = folder();
    two_messages(folder.path()).await;
    let journal = folder.path().join("queues.journal");
    let whole = fs::read(&journal).unwrap();
    let first = b"ordo queues 1\n".len();
    // In the content, in a length, and in the checksum of a length.
    for at in [first + 40, first, first + 5] {
        let mut file = OpenOptions::new().write(true).open(&journal).unwrap();
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.write_all(&[whole[at] ^ 0x55]).unwrap();
        let error = start(folder.path()).await.unwrap_err().to_string();
        let told = format!("{} is damaged at byte {first}:", journal.display());
        assert!(error.starts_with(&told), "{error}");
        fs::write(&journal, &whole).unwrap();
    }
    start(folder.path()).await.unwrap().0.stop().await;

    fs::write(&journal, "something else").unwrap();
    let error = start(folder.path()).await.unwrap_err().to_string();
    assert_eq!(error, format!("{} is no journal of queues", journal.display()));
    assert_eq!(fs::read(&journal).unwrap(), b"something else");
}

#[tokio::test]
async fn a_folder_is_used_by_one_endpoint_and_its_file_is_nobody_elses() {
    let folder = folder();
    let (sqs, _) = start(folder.path()).await.unwrap();
    let error = start(folder.path()).await.unwrap_err().to_string();
    assert_eq!(error, format!("another process keeps its queues in {}", folder.path().display()));
    let mode = fs::metadata(folder.path().join("queues.journal")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    sqs.stop().await;
    start(folder.path()).await.unwrap().0.stop().await;
}

#[tokio::test]
async fn the_file_is_made_shorter_when_most_of_it_is_dead() {
    // Given: what is kept, around much that was deleted.
    let folder = folder();
    let (sqs, client) = start(folder.path()).await.unwrap();
    let queue = create(&client, "mails.fifo", &[]).await;
    send(&client, &queue, "kept", "first").await;
    let large = "x".repeat(250_000);
    for round in 0..4 {
        let entry = |nth: u32| {
            let entry = SendMessageBatchRequestEntry::builder().id(nth.to_string()).message_group_id(nth.to_string());
            entry.message_deduplication_id(format!("{round}-{nth}")).message_body(&large).build().unwrap()
        };
        let batch = client.send_message_batch().queue_url(&queue).set_entries(Some((0..10).map(entry).collect()));
        batch.send().await.unwrap();
        let received = receive(&client, &queue).await;
        let done = received.iter().enumerate().filter(|(_, message)| message.body() == Some(large.as_str()));
        let entry = |(nth, message): (usize, &Message)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(nth.to_string());
            entry.receipt_handle(message.receipt_handle().unwrap()).build().unwrap()
        };
        let batch = client.delete_message_batch().queue_url(&queue).set_entries(Some(done.map(entry).collect()));
        batch.send().await.unwrap();
    }
    send(&client, &queue, "kept", "second").await;
    sqs.stop().await;

    // Then
    let size = fs::metadata(folder.path().join("queues.journal")).unwrap().len();
    assert!(size < 3_000_000, "{size} bytes of 10,000,000");
    let (sqs, client) = start(folder.path()).await.unwrap();
    assert_eq!(bodies(&drain(&client, &url(&client, "mails.fifo").await).await), ["first", "second"]);
    sqs.stop().await;
}

/// A queue with two messages of a group.
async fn two_messages(folder: &Path) {
    let (sqs, client) = start(folder).await.unwrap();
    let queue = create(&client, "mails.fifo", &[]).await;
    send(&client, &queue, "a", "one").await;
    send(&client, &queue, "a", "two").await;
    sqs.stop().await;
}
