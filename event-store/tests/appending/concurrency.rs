//! Commands that conflict, and commands that are decided again.

use domain::order::event::{CancellationRequested, OrderCreated};
use domain::order::{Order, OrderCommand, OrderError, OrderEvent, decide};
use event_store::{AppendError, HandleError, Handled, Metadata, Versioned};

use crate::support::*;

#[tokio::test]
async fn a_conflict_fails_its_own_command_only() {
    let database = testkit::database().await;
    let store = store(&database).await;
    store.append(vec![append("taken", 0, vec![created()])]).await.unwrap();

    // All at once, so that they share batches; every second one collides, half of those with each other.
    let appends = (0..40).map(|n| {
        let id = match n % 4 {
            1 => "taken".to_owned(),
            3 => "fought-over".to_owned(),
            _ => format!("free-{n}"),
        };
        let store = store.clone();
        tokio::spawn(async move { (id.clone(), store.append(vec![append(&id, 0, vec![created(), created()])]).await) })
    });
    let mut stored = Vec::new();
    for answer in appends.collect::<Vec<_>>() {
        match answer.await.unwrap() {
            (id, Ok(appended)) => stored.push((id, appended)),
            (id, Err(AppendError::Conflict)) => assert!(["taken", "fought-over"].contains(&id.as_str()), "{id}"),
            (id, Err(error)) => panic!("{id}: {error}"),
        }
    }

    assert_eq!(stored.iter().filter(|(id, _)| id.starts_with("free-")).count(), 20);
    assert_eq!(stored.iter().filter(|(id, _)| id == "fought-over").count(), 1);
    for (id, appended) in stored {
        let loaded: Versioned<Order> = store.load(&id).await.unwrap();
        assert_eq!((loaded.version, loaded.last_position), (appended.version, appended.position), "{id}");
    }
    assert_eq!(store.load::<Order>("taken").await.unwrap().version, 1);
    store.close().await;
}

#[tokio::test]
async fn an_append_over_several_streams_is_all_or_nothing() {
    let database = testkit::database().await;
    let store = store(&database).await;
    store.append(vec![append("b", 0, vec![created()])]).await.unwrap();

    let both = vec![append("a", 0, vec![created()]), append("b", 0, vec![created()])];
    assert!(matches!(store.append(both).await, Err(AppendError::Conflict)));
    assert_eq!(store.load::<Order>("a").await.unwrap().version, 0);

    let both = vec![append("a", 0, vec![created()]), append("b", 1, vec![created()])];
    assert_eq!(store.append(both).await.unwrap().version, 2);
    assert_eq!(store.load::<Order>("a").await.unwrap().version, 1);
    store.close().await;
}

#[tokio::test]
async fn a_command_on_a_stream_that_moved_on_is_decided_again() {
    let database = testkit::database().await;
    let store = store(&database).await;
    let create = |order: &Order| decide(order, OrderCommand::CreateOrder(content()));
    let cancel = CancellationRequested { reason: None };
    let cancel = |order: &Order| decide(order, OrderCommand::CancelOrder(cancel.clone()));
    let metadata = Metadata::default();

    let first = store.execute("a", Versioned::default(), &metadata, create).await.unwrap();
    let Handled::Appended(first) = first else { panic!("{first:?}") };
    // Thirty who all believe that the order is new; the append tells them that it is not.
    let cancels = (0..30).map(|_| {
        store.execute("a", Versioned::default(), &metadata, |order: &Order| match order {
            Order::Absent => decide(order, OrderCommand::CreateOrder(content())),
            Order::Placed(_) => cancel(order),
        })
    });
    let mut changed = 0;
    for cancel in cancels.collect::<Vec<_>>() {
        changed += usize::from(matches!(cancel.await.unwrap(), Handled::Appended(_)));
    }
    assert_eq!(changed, 1);

    let again = store.execute("a", Versioned::default(), &metadata, create).await.unwrap();
    let Handled::Unchanged(at) = again else { panic!("{again:?}") };
    let stream: Versioned<Order> = store.load("a").await.unwrap();
    assert_eq!((at, stream.first_position), (stream.last(), first.position));
    assert_eq!(at.version, 2);
    let other = OrderCreated { total_minor: 1, ..content() };
    let refused = store.execute("a", Versioned::default(), &metadata, |order: &Order| {
        decide(order, OrderCommand::CreateOrder(other.clone()))
    });
    assert!(matches!(refused.await, Err(HandleError::Refused(OrderError::ExistsWithOtherContent))));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_overtaken_each_time_is_told_the_version() {
    let database = testkit::database().await;
    let store = store(&database).await;
    let faster = store.clone();
    // Given: whenever it decides, somebody else changes the stream before it can append.
    let overtaken = |_: &Order| {
        let overtake = async {
            let version = faster.load::<Order>("a").await.unwrap().version;
            faster.append(vec![append("a", version, vec![created()])]).await.unwrap();
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(overtake));
        Ok::<_, OrderError>(vec![OrderEvent::OrderCreated(content())])
    };

    let given_up = store.execute("a", Versioned::default(), &Metadata::default(), overtaken).await.unwrap_err();

    let current = store.load::<Order>("a").await.unwrap().version;
    assert!(matches!(given_up, HandleError::Contended { current_version } if current_version == current), "{given_up}");
    assert_eq!(current, 5);
    store.close().await;
}

#[tokio::test]
async fn a_version_that_the_stream_has_not_reached_is_a_conflict_that_hurts_nobody_else() {
    let database = testkit::database().await;
    let store = store(&database).await;
    store.append(vec![append("a", 0, vec![created()])]).await.unwrap();
    // Given: commands that share a batch.
    let mut holder = database.pool().begin().await.unwrap();
    sqlx::query(HELD).execute(&mut *holder).await.unwrap();
    let commands = [
        vec![append("first", 0, vec![created()])],
        vec![append("b", 0, vec![created()])],
        vec![append("a", 2, vec![created()])],
        vec![append("c", 0, vec![created()]), append("nobody", 7, vec![created()])],
        vec![append("a", 1, vec![created(), created()])],
    ];
    let mut answers = Vec::new();
    for command in commands {
        let store = store.clone();
        answers.push(tokio::spawn(async move { store.append(command).await }));
        tokio::task::yield_now().await;
    }
    holder.rollback().await.unwrap();

    let mut stored = Vec::new();
    for answer in answers {
        stored.push(answer.await.unwrap());
    }
    assert!(stored[0].is_ok() && stored[1].is_ok() && stored[4].is_ok(), "{stored:?}");
    for early in [&stored[2], &stored[3]] {
        assert!(matches!(early, Err(AppendError::Conflict)), "{stored:?}");
    }
    for (id, version) in [("a", 3), ("b", 1), ("c", 0), ("nobody", 0)] {
        assert_eq!(store.load::<Order>(id).await.unwrap().version, version, "{id}");
    }
    store.close().await;
}

#[tokio::test]
async fn an_event_without_the_one_before_it_is_refused_whoever_writes_it() {
    let database = testkit::database().await;
    let insert = async |rows: &str| {
        let statement = format!(
            "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
             select 'order', id, version, 'E', '1.0', '{{}}', '{{}}' from (values {rows}) as e(id, version)"
        );
        sqlx::query(&statement).execute(database.pool()).await
    };
    for gap in ["('a', 2)", "('a', 1), ('a', 3)", "('a', 1), ('b', 1), ('b', 2), ('c', 5)"] {
        let refused = insert(gap).await.unwrap_err();
        let constraint = refused.as_database_error().unwrap().constraint();
        assert_eq!(constraint, Some("events_follow_one_another"), "{gap}");
    }
    insert("('a', 2), ('a', 1), ('b', 1), ('b', 2)").await.unwrap();
    insert("('b', 3), ('a', 3), ('a', 4)").await.unwrap();
    // Another kind of stream with the same name is another stream.
    let other =
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                 values ('parcel', 'a', 5, 'E', '1.0', '{}', '{}')";
    assert!(sqlx::query(other).execute(database.pool()).await.is_err());
}
