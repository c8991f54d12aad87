//! A store of read models, and short words for what tests do with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use read_models::{
    Generation, GenerationStore, GenerationTable, Index, Item, ItemPage, Key, Query, QueryScope, ReadModelStoreError,
    SortOrder, StreamItemChanges, TallyAddition,
};
use serde_json::value::{RawValue, to_raw_value};
use testkit::Database;

/// The read model of the tests.
pub(crate) const THINGS: &str = "things";

pub(crate) struct World {
    pub(crate) database: Database,
    pub(crate) read_models: Arc<dyn GenerationStore>,
    /// Whether its indexes find what is in a table of more than a megabyte.
    pub(crate) has_whole_indexes: bool,
    /// Whether a transaction fails while something else is written, as moto's do.
    takes_turns: bool,
    #[cfg(feature = "dynamodb")]
    pub(crate) emulator: Option<testkit::Dynamodb>,
}

impl World {
    pub(crate) async fn postgres() -> Self {
        let database = testkit::database().await;
        let read_models = testkit::read_models(database.pool());
        let world = Self {
            database,
            read_models,
            has_whole_indexes: true,
            takes_turns: false,
            #[cfg(feature = "dynamodb")]
            emulator: None,
        };
        world.with_things().await
    }

    #[cfg(feature = "dynamodb")]
    pub(crate) async fn dynamodb() -> Self {
        Self::of(testkit::dynamodb().await, testkit::dynamodb_client).await
    }

    #[cfg(feature = "dynamodb")]
    pub(crate) async fn of(emulator: testkit::Dynamodb, client: fn(&str) -> aws_sdk_dynamodb::Client) -> Self {
        let (client, database) = (client(&emulator.url()), testkit::database().await);
        let read_models =
            Arc::new(read_models::dynamodb::DynamodbReadModels::new(client, database.pool().clone(), "test"));
        Self { database, read_models, has_whole_indexes: false, takes_turns: false, emulator: Some(emulator) }
            .with_things()
            .await
    }

    #[cfg(feature = "dynamodb")]
    pub(crate) async fn moto() -> Self {
        let moto = std::env::var("ORDO_TEST_MOTO").unwrap();
        let database = testkit::database().await;
        // It serves them all, and keeps what earlier runs left.
        let prefix = format!("test-{:032x}", rand::random::<u128>());
        let read_models = testkit::dynamodb_read_models(&moto, &prefix, database.pool());
        Self { database, read_models, has_whole_indexes: true, takes_turns: true, emulator: None }.with_things().await
    }

    async fn with_things(self) -> Self {
        self.read_models.create(THINGS).await.unwrap();
        self
    }

    pub(crate) fn table(&self, generation: Generation) -> Arc<dyn GenerationTable> {
        self.read_models.table(THINGS, generation)
    }

    pub(crate) fn live(&self) -> Arc<dyn GenerationTable> {
        self.table(Generation::Live)
    }

    /// Writes in a transaction that commits if that worked.
    pub(crate) async fn write_to(
        &self,
        generation: Generation,
        changes: &[StreamItemChanges],
    ) -> Result<(), ReadModelStoreError> {
        let mut transaction = self.database.pool().begin().await?;
        self.table(generation).write(&mut transaction, changes).await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(crate) async fn write(&self, changes: &[StreamItemChanges]) -> Result<(), ReadModelStoreError> {
        self.write_to(Generation::Live, changes).await
    }

    /// Writes them together, if the store can.
    pub(crate) async fn write_at_once(&self, changes: &[StreamItemChanges]) {
        for batch in changes.chunks(if self.takes_turns { 1 } else { changes.len() }) {
            self.write(batch).await.unwrap();
        }
    }

    /// Puts items that are streams of their own.
    pub(crate) async fn put(&self, items: &[Item]) {
        let changes: Vec<StreamItemChanges> = items.iter().map(|item| change(item.clone(), None)).collect();
        self.write(&changes).await.unwrap();
    }

    /// The last that was written of an item, as a writer sees it.
    pub(crate) async fn stored(&self, key: &Key) -> Option<Item> {
        let mut connection = self.database.pool().acquire().await.unwrap();
        let mut found = self.live().get(&mut connection, std::slice::from_ref(key)).await.unwrap();
        assert!(found.len() < 2, "{found:?}");
        found.pop()
    }

    pub(crate) async fn body(&self, key: &Key) -> Option<String> {
        self.stored(key).await.map(|item| item.body.get().to_owned())
    }

    /// All numbers of a tally.
    pub(crate) async fn tally(&self, sk: &str) -> Option<(i64, BTreeMap<String, i64>)> {
        self.stored(&Key::new("SUMS", sk)).await.map(|item| (item.version, item.read().unwrap()))
    }

    /// The keys of all pages, one after the other.
    pub(crate) async fn walk(&self, query: &Query<'_>) -> Vec<String> {
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = self.live().query(&Query { cursor: cursor.as_deref(), ..query.clone() }).await.unwrap();
            assert!(page.items.len() <= usize::from(query.limit));
            seen.extend(names(&page));
            cursor = page.cursor;
            if cursor.is_none() {
                return seen;
            }
        }
    }
}

pub(crate) fn key(id: &str) -> Key {
    Key::new(format!("THING#{id}"), "#META")
}

pub(crate) fn json(text: &str) -> Box<RawValue> {
    to_raw_value(text).unwrap()
}

/// A thing that gsi1 has among all, at this place.
pub(crate) fn item(id: &str, sort: &str, version: i64, body: &str) -> Item {
    Item { key: key(id), index_keys: [Some(Key::new("ALL", sort)), None, None], version, body: json(body), words: None }
}

/// Something that hangs on a thing.
pub(crate) fn part(id: &str, sk: &str, version: i64, body: &str) -> Item {
    Item {
        key: Key::new(format!("THING#{id}"), sk),
        index_keys: [None, None, None],
        version,
        body: json(body),
        words: None,
    }
}

pub(crate) fn change(head: Item, base: Option<i64>) -> StreamItemChanges {
    StreamItemChanges { head, base, others: vec![], tallies: vec![] }
}

pub(crate) fn tally(sk: &str, version: i64, numbers: &[(&str, i64)]) -> TallyAddition {
    let add = numbers.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect();
    TallyAddition { key: Key::new("SUMS", sk), version, add }
}

pub(crate) fn numbers(numbers: &[(&str, i64)]) -> BTreeMap<String, i64> {
    numbers.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
}

/// All things, along gsi1.
pub(crate) fn all(partitions: &[String], order: SortOrder, limit: u16) -> Query<'_> {
    let scope = QueryScope::Index(Index::Gsi1, partitions);
    Query { name: "all", scope, from: None, until: None, order, limit, cursor: None }
}

/// What the things of a page are called.
pub(crate) fn names(page: &ItemPage) -> Vec<String> {
    page.items.iter().map(|item| item.key.pk.trim_start_matches("THING#").to_owned()).collect()
}
