//! A request under a key is carried out once, in the transaction that stores what comes of it.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use cqrs_es::Aggregate;
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderCommand, OrderError, OrderEvent, decide};
use event_store::{
    AppendError, AppendQueueSettings, Command, ConflictRetryPolicy, Decision, EventStore, HandleError, Handled,
    IdempotencyKey, Metadata, NewEvent, StreamAppend, Versioned, prune_idempotency_records,
};

fn request(key: &str) -> IdempotencyKey {
    IdempotencyKey { scope: "shop POST /orders".to_owned(), key: key.to_owned(), request_hash: [7; 32] }
}

fn create(order: &Order) -> Result<Vec<OrderEvent>, OrderError> {
    let demo = include_bytes!("../../domain/golden/posted/demo-order.json");
    decide(order, OrderCommand::CreateOrder(PostedOrder::parse(demo).unwrap().content))
}

fn append(id: &str, expected_version: i64) -> StreamAppend {
    let event = NewEvent::new(&create(&Order::default()).unwrap()[0], &Metadata::default()).unwrap();
    StreamAppend { stream_type: Order::TYPE, stream_id: id.to_owned(), expected_version, events: vec![event] }
}

async fn store(database: &testkit::Database) -> EventStore {
    EventStore::start(database.pool().clone(), AppendQueueSettings::default())
}

/// Creates the demo order, which it takes to be new at first.
struct Create<'a> {
    store: &'a EventStore,
    order_id: &'a str,
    assumed: Option<Versioned<Order>>,
}

impl Command for Create<'_> {
    type Refusal = OrderError;

    fn stream(&self) -> (&'static str, &str) {
        (Order::TYPE, self.order_id)
    }

    async fn decide(&mut self) -> Result<Decision<'_>, HandleError<OrderError>> {
        let order = match self.assumed.take() {
            Some(assumed) => assumed,
            None => self.store.load(self.order_id).await?,
        };
        let events = create(&order.state).map_err(HandleError::Refused)?;
        if events.is_empty() {
            return Ok(Decision::Unchanged(order.last()));
        }
        let append = StreamAppend::of::<Order>(self.order_id, order.version, &events, &Metadata::default())?;
        Ok(Decision::Append(vec![append].into()))
    }
}

async fn carry_out(store: &EventStore, order_id: &str, key: &str) -> Handled {
    let mut command = Create { store, order_id, assumed: Some(Versioned::default()) };
    store.handle(&mut command, Some(&request(key)), ConflictRetryPolicy::default()).await.unwrap()
}

async fn records(database: &testkit::Database) -> i64 {
    sqlx::query_scalar("select count(*) from idempotency_records").fetch_one(database.pool()).await.unwrap()
}

#[tokio::test]
async fn a_request_that_comes_again_comes_to_what_it_came_to_the_first_time() {
    let database = testkit::database().await;
    let store = store(&database).await;
    let Handled::Appended(first) = carry_out(&store, "a", "k").await else { panic!("not appended") };

    // Under the same id, and under one that the server made anew.
    for order_id in ["a", "b"] {
        let Handled::Replayed(outcome) = carry_out(&store, order_id, "k").await else { panic!("not repeated") };
        assert_eq!((outcome.stream_id.as_str(), outcome.version, outcome.position), ("a", 1, first.position));
        assert_eq!(outcome.request_hash, [7; 32]);
    }
    assert_eq!(store.load::<Order>("b").await.unwrap().version, 0);
    assert!(matches!(carry_out(&store, "b", "another key").await, Handled::Appended(_)));
    store.close().await;
}

#[tokio::test]
async fn of_many_requests_under_one_key_one_is_carried_out() {
    let database = testkit::database().await;
    let store = store(&database).await;
    // All at once, so that they share batches, with others between them that must not suffer.
    let requests = (0..60).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            let key = if n % 2 == 0 { "fought-over".to_owned() } else { format!("own-{n}") };
            carry_out(&store, &format!("order-{n}"), &key).await
        })
    });
    let mut carried_out = 0;
    let mut outcomes = Vec::new();
    for request in requests.collect::<Vec<_>>() {
        match request.await.unwrap() {
            Handled::Appended(_) => carried_out += 1,
            Handled::Replayed(outcome) => outcomes.push(outcome),
            Handled::Unchanged(order) => panic!("{order:?}"),
        }
    }
    assert_eq!((carried_out, outcomes.len()), (31, 29));
    assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]), "{outcomes:?}");
    assert_eq!(records(&database).await, 31);
    store.close().await;
}

#[tokio::test]
async fn a_conflict_leaves_no_record() {
    let database = testkit::database().await;
    let store = store(&database).await;
    store.append(vec![append("a", 0)]).await.unwrap();

    let conflict = store.append_once(vec![append("b", 0), append("a", 0)], request("k")).await;

    assert!(matches!(conflict, Err(AppendError::Conflict)), "{conflict:?}");
    assert_eq!((records(&database).await, store.load::<Order>("b").await.unwrap().version), (0, 0));
    // The key is still free.
    store.append_once(vec![append("b", 0), append("a", 1)], request("k")).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_request_that_changed_nothing_is_recorded_too() {
    let database = testkit::database().await;
    let store = store(&database).await;
    let first = store.append(vec![append("a", 0)]).await.unwrap();
    assert!(matches!(carry_out(&store, "a", "k").await, Handled::Unchanged(_)));

    let Handled::Replayed(outcome) = carry_out(&store, "b", "k").await else { panic!("not repeated") };

    assert_eq!((outcome.stream_id.as_str(), outcome.position), ("a", first.position));
    store.close().await;
}

#[tokio::test]
async fn records_are_kept_for_a_day_and_then_forgotten() {
    let database = testkit::database().await;
    let store = store(&database).await;
    for key in ["a", "b", "c"] {
        carry_out(&store, key, key).await;
    }
    let age = "update idempotency_records set recorded_at = now() - $2::interval where key = $1";
    for (key, old) in [("a", "23 hours 59 minutes"), ("b", "24 hours 1 minute")] {
        sqlx::query(age).bind(key).bind(old).execute(database.pool()).await.unwrap();
    }

    assert_eq!(prune_idempotency_records(database.pool()).await.unwrap(), 1);

    assert!(matches!(carry_out(&store, "a", "a").await, Handled::Replayed(_)));
    // Forgotten: what is left is that the order is there already.
    assert!(matches!(carry_out(&store, "b", "b").await, Handled::Unchanged(_)));
    store.close().await;
}
