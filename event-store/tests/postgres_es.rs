//! A stock cqrs-es on postgres-es reads what this store wrote, and this store reads what that wrote.

use std::collections::HashMap;

use cqrs_es::persist::PersistedEventStore;
use cqrs_es::{CqrsFramework, EventStore as _};
use domain::{Order, OrderCommand, OrderStatus, PostedOrder, decide};
use event_store::{AppendSettings, EventStore, Loaded, Metadata};
use postgres_es::PostgresEventRepository;

#[tokio::test]
async fn each_reads_what_the_other_wrote() {
    let database = testkit::database().await;
    let ours = EventStore::start(database.pool().clone(), AppendSettings::default());
    let stock = || {
        let repository = PostgresEventRepository::new(database.pool().clone());
        PersistedEventStore::<_, Order>::new_event_store(repository)
    };
    let content = PostedOrder::parse(testkit::demo_order("a").to_string().as_bytes()).unwrap().content;
    let create = |order: &Order| decide(order, OrderCommand::CreateOrder(content.clone()));
    let metadata = Metadata { actor: Some("shop".into()), ..Metadata::default() };
    ours.execute("a", Loaded::default(), &metadata, create).await.unwrap();

    let read = stock().load_events("a").await.unwrap();
    assert_eq!((read.len(), read[0].sequence), (1, 1));
    assert_eq!(read[0].metadata["actor"], "shop");

    let framework = CqrsFramework::new(stock(), vec![], ());
    let theirs = HashMap::from([("actor".to_owned(), "stock".to_owned())]);
    framework.execute_with_metadata("a", OrderCommand::ConfirmOrder, theirs).await.unwrap();
    framework.execute("b", OrderCommand::CreateOrder(content.clone())).await.unwrap();

    let a: Loaded<Order> = ours.load("a").await.unwrap();
    let Order::Placed(order) = a.state else { panic!("no order") };
    assert_eq!((a.version, order.status), (2, OrderStatus::Confirmed));
    let events = ours.read_stream::<Order>("a").await.unwrap();
    assert_eq!(events[1].metadata().actor.as_deref(), Some("stock"));
    let b: Loaded<Order> = ours.load("b").await.unwrap();
    assert!(b.first_position > a.last_position);
    ours.close().await;
}
