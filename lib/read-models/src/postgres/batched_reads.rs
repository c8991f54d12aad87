//! Reads the collections that several readers want at the same time in one query.
//!
//! A query for thirty collections takes as many round trips as a query for one. No reader waits for a timer: it reads
//! at once if a permit is free. If not, it waits with the others, and the first of them to get a permit reads for all
//! of them. So the more readers there are, the less each read costs.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bounds::ByteLimitedBatchSize;
use tokio::sync::{Semaphore, oneshot};

use crate::{Item, ReadModelStoreError};

/// The most concurrent queries; each uses a connection.
const MAX_QUERIES: usize = 4;
/// The most collections of a query. The whole answer is in memory, and no reader gets its part before the last one is
/// read. There are fewer after queries with large answers.
const MAX_COLLECTIONS: usize = 32;

/// Reads the collections that several readers want at the same time in one query.
#[derive(Debug)]
pub(super) struct CollectionReadBatcher {
    waiting: Mutex<Vec<WaitingReader>>,
    stride: Mutex<ByteLimitedBatchSize>,
    permits: Semaphore,
}

/// A reader that waits for a collection.
#[derive(Debug)]
struct WaitingReader {
    pk: String,
    reply: oneshot::Sender<Vec<Item>>,
}

impl CollectionReadBatcher {
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::default(),
            stride: Mutex::new(ByteLimitedBatchSize::of(MAX_COLLECTIONS)),
            permits: Semaphore::new(MAX_QUERIES),
        }
    }

    /// The items of a collection, ordered by sort key. They are read after this call. `read` reads several collections.
    pub(super) async fn collection<R>(
        &self,
        pk: &str,
        read: impl Fn(Vec<String>) -> R,
    ) -> Result<Vec<Item>, ReadModelStoreError>
    where
        R: Future<Output = Result<Vec<Item>, ReadModelStoreError>>,
    {
        let (reply, mut answer) = oneshot::channel();
        self.waiting().push(WaitingReader { pk: pk.to_owned(), reply });
        let answered = loop {
            let permit = tokio::select! {
                biased;
                answered = &mut answer => break answered,
                permit = self.permits.acquire() => permit,
            };
            let waiters = self.take_waiters();
            if waiters.is_empty() {
                // Another reader is reading it.
                drop(permit);
                break answer.await;
            }
            let pks: Vec<String> = waiters.keys().cloned().collect();
            let collections = pks.len();
            if let Ok(items) = read(pks).await {
                self.stride().observe(collections, items.iter().map(Item::size).sum());
                answer_all(waiters, items);
            }
        };
        match answered {
            Ok(items) => Ok(items),
            // The reader that read it failed, or was dropped with its request. Each of the others reads for itself.
            Err(_) => {
                let mut items = read(vec![pk.to_owned()]).await?;
                sort(&mut items);
                Ok(items)
            }
        }
    }

    /// The readers that have waited longest, by collection.
    fn take_waiters(&self) -> HashMap<String, Vec<oneshot::Sender<Vec<Item>>>> {
        let mut waiting = self.waiting();
        let some = waiting.len().min(self.stride().pieces());
        let mut waiters: HashMap<_, Vec<_>> = HashMap::with_capacity(some);
        for WaitingReader { pk, reply } in waiting.drain(..some).filter(|waiter| !waiter.reply.is_closed()) {
            waiters.entry(pk).or_default().push(reply);
        }
        waiters
    }

    fn stride(&self) -> MutexGuard<'_, ByteLimitedBatchSize> {
        self.stride.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<WaitingReader>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends each reader its collection. Readers that were dropped meanwhile are ignored.
fn answer_all(mut waiters: HashMap<String, Vec<oneshot::Sender<Vec<Item>>>>, items: Vec<Item>) {
    let mut collections: HashMap<String, Vec<Item>> = HashMap::with_capacity(waiters.len());
    for item in items {
        match collections.get_mut(&item.key.pk) {
            Some(collection) => collection.push(item),
            None => {
                collections.insert(item.key.pk.clone(), vec![item]);
            }
        }
    }
    for (pk, mut readers) in waiters.drain() {
        let mut items = collections.remove(&pk).unwrap_or_default();
        sort(&mut items);
        let last = readers.pop();
        for reader in readers {
            let _ = reader.send(items.clone());
        }
        let _ = last.map(|reader| reader.send(items));
    }
}

fn sort(items: &mut [Item]) {
    items.sort_unstable_by(|one, other| one.key.sk.cmp(&other.key.sk));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::value::RawValue;

    use super::*;
    use crate::Key;

    /// A store that counts its queries and answers them when it is let.
    struct Store {
        batched: CollectionReadBatcher,
        queries: AtomicUsize,
        open: Semaphore,
        broken: bool,
    }

    impl Store {
        fn new(open: usize) -> Self {
            Self {
                batched: CollectionReadBatcher::new(),
                queries: AtomicUsize::new(0),
                open: Semaphore::new(open),
                broken: false,
            }
        }

        async fn read(&self, pk: &str) -> Result<Vec<String>, ReadModelStoreError> {
            let items = self.batched.collection(pk, |pks| async move {
                self.queries.fetch_add(1, Ordering::SeqCst);
                drop(self.open.acquire().await);
                if self.broken {
                    return Err(sqlx::Error::PoolClosed.into());
                }
                let items = |pk: String| ["b", "a"].map(|sk| item(&pk, sk));
                Ok(pks.into_iter().filter(|pk| pk != "nothing").flat_map(items).collect())
            });
            Ok(items.await?.into_iter().map(|item| format!("{}/{}", item.key.pk, item.key.sk)).collect())
        }
    }

    fn item(pk: &str, sk: &str) -> Item {
        let body = RawValue::from_string("{}".to_owned()).unwrap();
        Item { key: Key::new(pk, sk), index_keys: [None, None, None], version: 1, body, words: None }
    }

    #[tokio::test]
    async fn every_reader_gets_its_collection_and_those_that_wait_share_a_query() {
        let store = Arc::new(Store::new(0));
        let wants = |nth: usize| if nth.is_multiple_of(10) { "nothing".to_owned() } else { format!("p-{}", nth % 7) };
        let reader = |nth: usize| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.read(&wants(nth)).await.unwrap() })
        };
        let readers: Vec<_> = (0..100).map(reader).collect();
        // All have begun.
        while store.queries.load(Ordering::SeqCst) < MAX_QUERIES {
            tokio::task::yield_now().await;
        }
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        store.open.add_permits(1_000);
        for (nth, reader) in readers.into_iter().enumerate() {
            let pk = wants(nth);
            let expected = if pk == "nothing" { vec![] } else { vec![format!("{pk}/a"), format!("{pk}/b")] };
            assert_eq!(reader.await.unwrap(), expected);
        }
        let queries = store.queries.load(Ordering::SeqCst);
        assert!(queries <= MAX_QUERIES + 100 / MAX_COLLECTIONS + 1, "{queries}");
    }

    #[tokio::test]
    async fn a_single_reader_reads_at_once() {
        let store = Store::new(1);
        assert_eq!(store.read("p").await.unwrap(), ["p/a", "p/b"]);
        assert_eq!(store.queries.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_reader_that_is_dropped_stops_no_other() {
        let store = Arc::new(Store::new(0));
        let spawn = |pk: &'static str| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.read(pk).await.unwrap() })
        };
        let gone: Vec<_> = (0..MAX_QUERIES).map(|_| spawn("gone")).collect();
        while store.queries.load(Ordering::SeqCst) < MAX_QUERIES {
            tokio::task::yield_now().await;
        }
        let stay: Vec<_> = (0..10).map(|_| spawn("stay")).collect();
        tokio::task::yield_now().await;
        gone.iter().for_each(tokio::task::JoinHandle::abort);
        store.open.add_permits(1_000);
        for stays in stay {
            assert_eq!(stays.await.unwrap(), ["stay/a", "stay/b"]);
        }
    }

    #[tokio::test]
    async fn every_reader_gets_the_failure() {
        let store = Arc::new(Store { broken: true, ..Store::new(1_000) });
        let spawn = |nth: usize| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.read(&format!("p-{nth}")).await })
        };
        for reader in (0..50).map(spawn).collect::<Vec<_>>() {
            assert!(matches!(reader.await.unwrap(), Err(ReadModelStoreError::Database(_))));
        }
    }
}
