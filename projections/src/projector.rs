//! Projects events: folds them over the stored items and writes what changed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use bounds::ByteLimitedBatchSize;
use cqrs_es::Aggregate;
use event_store::{StoredEvent, Subscriber, SubscriberError};
use event_versions::Upcastable;
use read_models::{GenerationTable, Item, Key, StreamItemChanges};
use sqlx::PgConnection;

use crate::error::ProjectError;
use crate::fold_context::FoldWorkingSet;
use crate::projection::{DecodedEvent, FollowedStreams, ProjectionDefinition, ProjectionFold};

/// A projection that follows the log. It writes each batch in the transaction that moves its checkpoint.
pub(crate) struct Projector {
    projection: &'static ProjectionDefinition,
    table: Arc<dyn GenerationTable>,
    stride: ByteLimitedBatchSize,
}

impl Projector {
    pub(crate) fn new(projection: &'static ProjectionDefinition, table: Arc<dyn GenerationTable>) -> Self {
        Self { projection, table, stride: ByteLimitedBatchSize::of(usize::MAX) }
    }
}

#[async_trait]
impl Subscriber for Projector {
    fn name(&self) -> &str {
        self.projection.name
    }

    fn follows(&self) -> Option<&'static str> {
        Some(self.projection.follows.stream_type())
    }

    async fn handle(&mut self, events: &[StoredEvent], transaction: &mut PgConnection) -> Result<(), SubscriberError> {
        Ok(project(self.projection, &*self.table, transaction, events, &mut self.stride).await?)
    }
}

/// Folds events over the items of a table and writes what changed. The events are folded in chunks of as many streams
/// as fit into memory: a small event may change large items.
pub(crate) async fn project(
    projection: &ProjectionDefinition,
    table: &dyn GenerationTable,
    transaction: &mut PgConnection,
    mut events: &[StoredEvent],
    stride: &mut ByteLimitedBatchSize,
) -> Result<(), ProjectError> {
    while !events.is_empty() {
        let mut streams: HashSet<&str> = HashSet::new();
        let mut end = 0;
        for event in events {
            if streams.len() >= stride.pieces() && !streams.contains(&*event.stream_id) {
                break;
            }
            streams.insert(&event.stream_id);
            end += 1;
        }
        let (chunk, rest) = events.split_at(end);
        let changes = match &projection.follows {
            FollowedStreams::Orders(fold) => changes(fold, table, transaction, chunk).await?,
            FollowedStreams::Stock(fold) => changes(fold, table, transaction, chunk).await?,
        };
        table.write(transaction, &changes).await?;
        stride.observe(streams.len(), changes.iter().flat_map(StreamItemChanges::items).map(Item::size).sum());
        events = rest;
    }
    Ok(())
}

/// What events change about the stored items, stream by stream.
async fn changes<A: Upcastable>(
    fold: &ProjectionFold<A>,
    table: &dyn GenerationTable,
    connection: &mut PgConnection,
    events: &[StoredEvent],
) -> Result<Vec<StreamItemChanges>, ProjectError> {
    let streams = by_stream(fold, events)?;
    let mut keys: Vec<Key> = streams.iter().flat_map(StreamEvents::keys).cloned().collect();
    keys.sort_unstable();
    keys.dedup();
    let stored = table.get(connection, &keys).await?;
    let mut stored: HashMap<Key, Item> = stored.into_iter().map(|item| (item.key.clone(), item)).collect();
    let mut changes = Vec::with_capacity(streams.len());
    for stream in streams {
        let items = FoldWorkingSet::of(stream.keys().filter_map(|key| stored.remove(key)));
        changes.extend(fold.apply(items, stream.head, &stream.events)?);
    }
    Ok(changes)
}

/// The events of one stream in a batch, and the keys of the items that their fold reads.
struct StreamEvents<A: Aggregate> {
    head: Key,
    keys_to_load: Vec<Key>,
    events: Vec<DecodedEvent<A>>,
}

impl<A: Aggregate> StreamEvents<A> {
    fn keys(&self) -> impl Iterator<Item = &Key> {
        [&self.head].into_iter().chain(&self.keys_to_load)
    }
}

/// Decodes the events that the projection handles, and groups them by stream. The streams keep the order of their first
/// events.
fn by_stream<A: Upcastable>(
    fold: &ProjectionFold<A>,
    events: &[StoredEvent],
) -> Result<Vec<StreamEvents<A>>, ProjectError> {
    let mut streams: Vec<StreamEvents<A>> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for event in events.iter().filter(|event| event.is_of::<A>()) {
        let recorded = DecodedEvent::decode(&event.borrowed())?;
        if !(fold.handles)(&recorded.event) {
            continue;
        }
        let place = *places.entry(&event.stream_id).or_insert(streams.len());
        if place == streams.len() {
            let head = (fold.head)(&event.stream_id);
            streams.push(StreamEvents { head, keys_to_load: Vec::new(), events: Vec::new() });
        }
        let stream = &mut streams[place];
        stream.keys_to_load.extend((fold.keys_to_load)(&recorded));
        stream.events.push(recorded);
    }
    Ok(streams)
}
