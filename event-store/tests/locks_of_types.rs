//! Locks on hot streams: streams of another type do not wait for them, and of what is stored under them somebody is told.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use cqrs_es::{Aggregate, DomainEvent};
use domain::ids::{LocationId, OrderId};
use domain::order_number::{OrderNumberSeries, OrderNumberSeriesEvent};
use domain::stock::{Stock, StockEvent, StockReceived};
use event_store::{AppendError, AppendQueueSettings, EventStore, Metadata, NewEvent, StreamAppend, StreamLocks};

const SKU: &str = "sku-1";

fn ids(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

fn receipt(sku: &str, expected_version: i64) -> StreamAppend {
    let received = StockReceived { unit: None, quantity: 2, location: LocationId::default() };
    append(Stock::TYPE, sku, expected_version, &StockEvent::StockReceived(received))
}

fn append(stream_type: &'static str, id: &str, expected_version: i64, event: &impl DomainEvent) -> StreamAppend {
    let events = vec![NewEvent::new(event, &Metadata::default()).unwrap()];
    StreamAppend { stream_type, stream_id: id.to_owned(), expected_version, events }
}

/// A copy: a store with a pool of its own.
async fn copy(database: &testkit::Database) -> EventStore {
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(5).connect(database.url()).await.unwrap();
    EventStore::start(pool, AppendQueueSettings::default())
}

#[tokio::test]
async fn a_stream_of_another_type_waits_for_no_turn_on_one_of_the_same_name() {
    let database = testkit::database().await;
    let (stock_store, series_store) = (copy(&database).await, copy(&database).await);
    let stock = StreamLocks::<Stock>::new(stock_store.clone(), 10);
    let series = StreamLocks::<OrderNumberSeries>::new(series_store, 10);
    let issued = OrderNumberSeries::default().next(SKU, &OrderId::parse("o-1").unwrap());
    let issued = append(OrderNumberSeries::TYPE, SKU, 0, &OrderNumberSeriesEvent::OrderNumberIssued(issued));
    stock_store.append(vec![receipt(SKU, 0), issued]).await.unwrap();

    let of_stock = stock.lock(ids(&[SKU])).await.unwrap();
    let of_series = series.lock(ids(&[SKU])).await.unwrap();
    // Neither has gone on without its lock.
    let held = "select count(*) from pg_locks where locktype = 'advisory' and granted and objsubid = 2
                 and database = (select oid from pg_database where datname = current_database())";
    assert_eq!(sqlx::query_scalar::<_, i64>(held).fetch_one(database.pool()).await.unwrap(), 2);
    assert_eq!((of_stock.stream(SKU).version, of_series.stream(SKU).state.issued), (1, 1));
}

#[tokio::test]
async fn of_what_is_stored_somebody_is_told_once_and_of_what_is_not_nobody() {
    let database = testkit::database().await;
    let (one, other) = (copy(&database).await, copy(&database).await);
    let told: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let tells = Arc::clone(&told);
    let stream_locks = StreamLocks::<Stock>::new(one, 10)
        .observed_by(move |sku, event| tells.lock().unwrap().push((sku.to_owned(), event.event_type())));
    let clone = stream_locks.clone();
    clone.lock(ids(&[SKU])).await.unwrap().append(vec![receipt(SKU, 0)]).await.unwrap();
    // Another copy comes in between.
    let locked = stream_locks.lock(ids(&[SKU])).await.unwrap();
    other.append(vec![receipt(SKU, 1)]).await.unwrap();
    assert!(matches!(locked.append(vec![receipt(SKU, 1)]).await, Err(AppendError::Conflict)));
    let locked = stream_locks.lock(ids(&[SKU, "sku-2"])).await.unwrap();
    locked.append(vec![receipt(SKU, 2), receipt("sku-2", 0)]).await.unwrap();

    let mut told = std::mem::take(&mut *told.lock().unwrap());
    told.sort();
    assert_eq!(told, [SKU, SKU, "sku-2"].map(|sku| (sku.to_owned(), "StockReceived".to_owned())));
}
