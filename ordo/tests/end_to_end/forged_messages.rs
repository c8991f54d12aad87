//! Whoever can write to the queues, and has no key, changes nothing and has nothing sent.

use std::time::{Duration, Instant};

use aws_sdk_sqs::Client as Sqs;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry};
use futures_util::{StreamExt, stream};
use messaging::MessageSigningKeys;
use testkit::{demo_order, eventually, sqs_client};

use crate::support::{LogSummary, Ordo, log_summary, mails_by_order, run, until_mailed};

/// Bad messages in each queue, of all kinds together.
const BAD: usize = 5_000;
/// Orders before them, of which messages are copied, and among them.
const ORDERS: usize = 10;
/// What went to dead letters and did not come from there takes a while on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A message as it was in its queue.
#[derive(Clone)]
struct Copied {
    body: String,
    signature: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_bad_messages_change_nothing_and_hold_up_nothing() {
    // Given orders that are done, and copies of all messages about them.
    let (database, endpoint, inbox) = tokio::join!(testkit::durable_database(), testkit::sqs(), testkit::inbox());
    let (sqs_url, inbox_url) = (endpoint.url(), inbox.url());
    let settings = [
        ("DATABASE_URL", database.url()),
        ("AWS_ENDPOINT_URL_SQS", &sqs_url),
        ("AWS_ENDPOINT_URL_SESV2", &inbox_url),
        ("ORDO_DATABASE_CONNECTIONS", "16"),
        ("ORDO_READ_CONNECTIONS", "4"),
        ("ORDO_LOG", "off"),
    ];
    let migrated = run(&["migrate", "--queues"], &settings).await;
    assert_eq!(migrated.code, 0, "{}", migrated.err);
    let api = Ordo::serve("command-api", &settings).await;
    let mut sagas = Ordo::serve("sagas", &settings).await;
    let sqs = sqs_client(&sqs_url);
    let [requests_url, replies_url] = [url_of(&sqs, "ordo-notifications").await, url_of(&sqs, "ordo-replies").await];
    post(&api, "before").await;
    let requests = copies(&sqs, &requests_url).await;
    sagas.kill().await;
    let _notification = Ordo::serve("notification", &settings).await;
    let replies = copies(&sqs, &replies_url).await;
    let _sagas = Ordo::serve("sagas", &settings).await;
    until_mailed(database.url(), 10).await;

    // When
    let began = Instant::now();
    let bad = async {
        let [to_notification, to_sagas] =
            [flood(&requests, &replies, "notifications"), flood(&replies, &requests, "replies")];
        send(&sqs, &requests_url, to_notification).await;
        send(&sqs, &replies_url, to_sagas).await;
    };
    let valid = async {
        post(&api, "among").await;
        until_mailed(database.url(), 20).await;
        began.elapsed()
    };
    let ((), mailed) = tokio::join!(bad, valid);

    // Then what is bad is dead, all but the copies in their own queues, and nothing else has happened.
    let dead = BAD - BAD.div_ceil(KINDS);
    for name in ["ordo-notifications", "ordo-replies"] {
        let dead_letters = url_of(&sqs, &format!("{name}-dlq")).await;
        eventually(PATIENCE, || async { messages_in(&sqs, &dead_letters).await == dead }).await;
        let queue = url_of(&sqs, name).await;
        eventually(PATIENCE, || async { messages_in(&sqs, &queue).await == 0 }).await;
    }
    println!("{} bad messages: valid mails after {mailed:?}, all dealt with after {:?}", 2 * BAD, began.elapsed());
    let orders = ["before", "among"].iter().flat_map(|which| (0..ORDERS).map(move |nth| format!("{which}-{nth}")));
    assert_eq!(mails_by_order(&inbox.messages()), orders.map(|order| (order, 1)).collect());
    assert_eq!(inbox.accepted(), 2 * ORDERS as u64);
    assert_eq!(log_summary(database.url()).await, LogSummary { orders: 20, complete: 20, events: 100 });
    let told = run(&["dlq", "list", "--json", "--limit", "20"], &settings).await;
    for reason in ["is not signed", "not of the form", "does not fit", "signed by the key"] {
        assert!(told.out.contains(reason), "{reason}: {}", told.out);
    }
}

const KINDS: usize = 6;

/// Messages of every kind, in the groups of real orders and in others.
fn flood(genuine: &[Copied], others: &[Copied], queue: &str) -> Vec<SendMessageBatchRequestEntry> {
    // Under the same id.
    let forger = MessageSigningKeys::random("test").unwrap();
    let stranger = MessageSigningKeys::random("stranger").unwrap();
    let message = |nth: usize| {
        let copied = &genuine[nth % genuine.len()];
        let forged = copied.body.replace("customer@ordo.example", "eve@example.com").replace("sent.v1", "failed.v1");
        let (body, signature) = match nth % KINDS {
            0 => (copied.body.clone(), Some(copied.signature.clone())),
            1 => (forged, None),
            2 => (forged.clone(), Some(forger.sign(&format!("ordo-{queue}.fifo"), &forged))),
            3 => (forged.clone(), Some(stranger.sign(&format!("ordo-{queue}.fifo"), &forged))),
            4 => (format!("garbage {}", "\u{fffd}".repeat(nth)), Some("x,".repeat(nth))),
            _ => {
                let other = &others[nth % others.len()];
                (other.body.clone(), Some(other.signature.clone()))
            }
        };
        let group = if nth.is_multiple_of(2) { format!("before-{}", nth % ORDERS) } else { format!("nobody-{nth}") };
        let attribute = |text| MessageAttributeValue::builder().data_type("String").string_value(text).build().unwrap();
        SendMessageBatchRequestEntry::builder()
            .id((nth % 10).to_string())
            .message_group_id(group)
            .message_deduplication_id(format!("bad-{nth}"))
            .message_body(body)
            .set_message_attributes(signature.map(|it| [("ordo-signature".to_owned(), attribute(it))].into()))
            .build()
            .unwrap()
    };
    (0..BAD).map(message).collect()
}

async fn send(sqs: &Sqs, url: &str, messages: Vec<SendMessageBatchRequestEntry>) {
    let batches: Vec<Vec<_>> = messages.chunks(10).map(<[_]>::to_vec).collect();
    let sends = stream::iter(batches).map(|batch| async {
        let sent = sqs.send_message_batch().queue_url(url).set_entries(Some(batch)).send().await.unwrap();
        assert!(sent.failed.is_empty(), "{sent:?}");
    });
    sends.buffer_unordered(8).collect::<Vec<_>>().await;
}

async fn post(api: &Ordo, name: &str) {
    for nth in 0..ORDERS {
        let posted = api.client().order(&demo_order(&format!("{name}-{nth}"))).await;
        assert_eq!(posted.status, 201, "{}", posted.text());
    }
}

/// One message of each order, which stay where they are.
async fn copies(sqs: &Sqs, url: &str) -> Vec<Copied> {
    eventually(PATIENCE, || async { messages_in(sqs, url).await >= ORDERS }).await;
    let mut copies = Vec::new();
    while copies.len() < ORDERS {
        let receive = sqs.receive_message().queue_url(url).max_number_of_messages(10).visibility_timeout(0);
        let received = receive.message_attribute_names("All").send().await.unwrap().messages.unwrap_or_default();
        copies.extend(received.into_iter().map(|message| Copied {
            signature: message.message_attributes.unwrap()["ordo-signature"].string_value.clone().unwrap(),
            body: message.body.unwrap(),
        }));
    }
    copies
}

async fn url_of(sqs: &Sqs, name: &str) -> String {
    sqs.get_queue_url().queue_name(format!("{name}.fifo")).send().await.unwrap().queue_url.unwrap()
}

/// How many there are, hidden or not.
async fn messages_in(sqs: &Sqs, url: &str) -> usize {
    let names =
        [QueueAttributeName::ApproximateNumberOfMessages, QueueAttributeName::ApproximateNumberOfMessagesNotVisible];
    let asked = sqs.get_queue_attributes().queue_url(url).set_attribute_names(Some(names.to_vec()));
    asked.send().await.unwrap().attributes.unwrap().values().map(|count| count.parse::<usize>().unwrap()).sum()
}
