//! Dead letters.

use embedded::sqs::Sqs;
use messaging::{
    DeadLetterOrigin, DeadLetterQueue, MessageSigningKeys, OutgoingMessage, Producer, ProducerSettings, Queue,
    QueueProvisioningSettings, Queues, queues,
};
use serde_json::json;

use crate::stub_sqs::StubSqs;
use crate::support::{Fixture, PATIENCE};

struct DeadLetters {
    sqs: Sqs,
    client: aws_sdk_sqs::Client,
    queues: Queues,
}

impl DeadLetters {
    async fn new() -> Self {
        let sqs = testkit::sqs().await;
        let client = testkit::sqs_client(&sqs.url());
        let queues = queues::ensure(&client, &QueueProvisioningSettings::default()).await.unwrap();
        Self { sqs, client, queues }
    }

    fn all(&self) -> Vec<DeadLetterQueue> {
        let of = |origin| DeadLetterQueue::of(self.client.clone(), origin, &self.queues);
        DeadLetterOrigin::ALL.map(of).into()
    }

    /// Puts messages that nobody can read among the dead letters of a queue.
    async fn put(&self, queue: &Queue, orders: std::ops::Range<usize>, keys: MessageSigningKeys) {
        let dead = Queue { url: queue.dead_letter_url.clone(), ..queue.clone() };
        let message = |order: usize| OutgoingMessage {
            group_id: format!("o-{order}"),
            dedup_id: format!("m-{order}"),
            body: "poison".to_owned(),
            attributes: vec![("ordo-error".to_owned(), "it is poison".to_owned())],
        };
        let producer = Producer::new(self.client.clone(), dead, keys, ProducerSettings::default());
        for sent in producer.send(orders.map(message).collect()).await {
            sent.unwrap();
        }
    }

    async fn count(&self) -> [u64; 2] {
        let all = self.all();
        [all[0].count().await.unwrap(), all[1].count().await.unwrap()]
    }
}

fn keys() -> MessageSigningKeys {
    testkit::MESSAGE_KEYS.parse().unwrap()
}

#[tokio::test]
async fn what_is_genuine_is_sent_again_and_what_is_forged_holds_up_nothing() {
    let letters = DeadLetters::new().await;
    letters.put(&letters.queues.notifications, 0..22, MessageSigningKeys::random("test").unwrap()).await;
    letters.put(&letters.queues.notifications, 22..30, keys()).await;
    letters.put(&letters.queues.replies, 0..3, keys()).await;
    let fixture = Fixture::new(letters.all()).await;
    let filter = json!({ "queue": "notifications", "error": "poison" });
    let body = json!({ "kind": "redrive_dead_letters", "filter": filter });
    let (_, preview) = fixture.post("/bulk-actions/preview", None, &body).await;
    assert_eq!((&preview["matched"], preview["items"].as_array().unwrap().len()), (&json!(30), 20));
    assert_eq!(letters.count().await, [30, 3]);

    let id = fixture.begin("redrive_dead_letters", filter, 100).await;
    let worker = fixture.work();
    let ended = fixture.ended(&id).await;
    worker.stop().await;
    assert_eq!(
        [&ended["state"], &ended["done"], &ended["failed"]],
        [&json!("finished"), &json!(8), &json!(22)],
        "{ended}"
    );
    assert_eq!(letters.count().await, [22, 3]);
    let unread = DeadLetterQueue::of(letters.client.clone(), DeadLetterOrigin::Replies, &letters.queues);
    assert_eq!(unread.count().await.unwrap(), 3);
    fixture.store.close().await;
    letters.sqs.stop().await;
}

#[tokio::test]
async fn all_that_match_are_discarded() {
    let letters = DeadLetters::new().await;
    letters.put(&letters.queues.notifications, 0..12, keys()).await;
    letters.put(&letters.queues.replies, 0..3, keys()).await;
    let fixture = Fixture::new(letters.all()).await;
    let none = fixture.begin("discard_dead_letters", json!({ "type": "another" }), 100).await;
    let worker = fixture.work();
    let none = fixture.ended(&none).await;
    assert_eq!([&none["matched"], &none["done"], &none["note"]], [&json!(0), &json!(0), &json!(null)], "{none}");
    assert_eq!(letters.count().await, [12, 3]);
    let all = fixture.begin("discard_dead_letters", json!({}), 100).await;
    let all = fixture.ended(&all).await;
    worker.stop().await;
    assert_eq!([&all["matched"], &all["done"], &all["failed"]], [&json!(15), &json!(15), &json!(0)], "{all}");
    assert_eq!(letters.count().await, [0, 0]);
    fixture.store.close().await;
    letters.sqs.stop().await;
}

#[tokio::test]
async fn a_batch_that_was_found_too_late_is_left_to_the_process_that_has_the_lease_by_then() {
    let sqs = StubSqs::start(3).await;
    let fixture = Fixture::new(sqs.dead_letters()).await;
    // They are counted before it begins: one receive has them, the next none.
    sqs.let_receive(2);
    let id = fixture.begin("redrive_dead_letters", json!({}), 100).await;
    let shown = sqs.calls("ChangeMessageVisibilityBatch").len();
    let worker = fixture.work();
    testkit::eventually(PATIENCE, || async { sqs.calls("ReceiveMessage").len() > 2 }).await;
    fixture.execute("update bulk_actions set claim = gen_random_uuid(), leased_until = 'infinity'").await;
    sqs.let_receive(1_000);
    // It hides what it has found no longer, and does nothing else.
    testkit::eventually(PATIENCE, || async { sqs.calls("ChangeMessageVisibilityBatch").len() > shown }).await;
    worker.stop().await;
    assert!(sqs.calls("SendMessageBatch").is_empty() && sqs.calls("DeleteMessageBatch").is_empty());
    let action = fixture.action(&id).await;
    assert_eq!([&action["state"], &action["done"], &action["failed"]], [&json!("running"), &json!(0), &json!(0)]);
    fixture.store.close().await;
}

#[tokio::test]
async fn a_batch_is_discarded_by_one_call() {
    let sqs = StubSqs::start(10).await;
    sqs.let_receive(1_000);
    let fixture = Fixture::new(sqs.dead_letters()).await;
    let id = fixture.begin("discard_dead_letters", json!({}), 100).await;
    let worker = fixture.work();
    let ended = fixture.ended(&id).await;
    worker.stop().await;
    assert_eq!([&ended["state"], &ended["done"]], [&json!("finished"), &json!(10)], "{ended}");
    assert_eq!(sqs.calls("DeleteMessageBatch").len(), 1);
    fixture.store.close().await;
}

#[tokio::test]
async fn what_was_found_while_the_database_failed_is_found_again() {
    let sqs = StubSqs::start(3).await;
    sqs.let_receive(1_000);
    let fixture = Fixture::new(sqs.dead_letters()).await;
    // The renewal of the lease, which is all that changes this column alone after the action was taken, fails once.
    fixture.execute("create sequence renewals").await;
    let fail_once = "create function fail_once() returns trigger language plpgsql as
                     $$ begin if nextval('renewals') = 1 then raise 'the database fails'; end if; return new; end $$";
    fixture.execute(fail_once).await;
    let trigger = "create trigger fail_once before update on bulk_actions for each row
                   when (old.claim = new.claim and old.updated_at = new.updated_at and old.note is not distinct from new.note
                         and new.leased_until is not null)
                   execute function fail_once()";
    fixture.execute(trigger).await;
    let id = fixture.begin("redrive_dead_letters", json!({}), 100).await;
    let worker = fixture.work();
    let ended = fixture.ended(&id).await;
    worker.stop().await;
    assert_eq!(
        [&ended["state"], &ended["matched"], &ended["done"], &ended["failed"]],
        [&json!("finished"), &json!(3), &json!(3), &json!(0)],
        "{ended}"
    );
    assert_eq!(sqs.calls("SendMessageBatch").len(), 1);
    let renewed: i64 =
        sqlx::query_scalar("select last_value from renewals").fetch_one(fixture.database.pool()).await.unwrap();
    assert_eq!(renewed, 2);
    fixture.store.close().await;
}
