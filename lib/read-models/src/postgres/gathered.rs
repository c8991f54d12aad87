//! Collections that several readers want at the same time are read together.
//!
//! A query costs the same round trips for one collection as for thirty, and so does having a connection from the pool and giving
//! it back. Nobody waits for a timer: who comes when a turn is free reads at once; who comes while all turns are taken is
//! gathered, and the first to get a turn reads for all that wait. So a read costs less the more there are.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bounds::BatchSize;
use tokio::sync::{Semaphore, oneshot};

use crate::{Item, StoreError};

/// How many queries are under way at once, each with a connection.
const TURNS: usize = 4;
/// The most collections of a query: its answer is in memory whole, and the first in it waits for the last. It is fewer where those
/// before were large.
const MOST: usize = 32;

/// The readers of one table.
#[derive(Debug)]
pub(super) struct Gathered {
    waiting: Mutex<Vec<Wanted>>,
    stride: Mutex<BatchSize>,
    turns: Semaphore,
}

/// A collection that is waited for.
#[derive(Debug)]
struct Wanted {
    pk: String,
    tell: oneshot::Sender<Vec<Item>>,
}

impl Gathered {
    pub(super) fn new() -> Self {
        Self { waiting: Mutex::default(), stride: Mutex::new(BatchSize::of(MOST)), turns: Semaphore::new(TURNS) }
    }

    /// The items of a collection by their sort keys, as they are when this is called or later. `read` reads those of several.
    pub(super) async fn collection<R>(&self, pk: &str, read: impl Fn(Vec<String>) -> R) -> Result<Vec<Item>, StoreError>
    where
        R: Future<Output = Result<Vec<Item>, StoreError>>,
    {
        let (tell, mut told) = oneshot::channel();
        self.waiting().push(Wanted { pk: pk.to_owned(), tell });
        let answer = loop {
            let turn = tokio::select! {
                biased;
                answer = &mut told => break answer,
                turn = self.turns.acquire() => turn,
            };
            let wanted = self.take();
            if wanted.is_empty() {
                // Somebody is reading it.
                drop(turn);
                break told.await;
            }
            let pks: Vec<String> = wanted.keys().cloned().collect();
            let collections = pks.len();
            if let Ok(items) = read(pks).await {
                self.stride().observe(collections, items.iter().map(Item::size).sum());
                answer_all(wanted, items);
            }
        };
        match answer {
            Ok(items) => Ok(items),
            // Whoever read it failed, or went away with its client: everybody finds out for themselves.
            Err(_) => {
                let mut items = read(vec![pk.to_owned()]).await?;
                sort(&mut items);
                Ok(items)
            }
        }
    }

    /// Those who have waited longest, by what they want.
    fn take(&self) -> HashMap<String, Vec<oneshot::Sender<Vec<Item>>>> {
        let mut waiting = self.waiting();
        let some = waiting.len().min(self.stride().pieces());
        let mut wanted: HashMap<_, Vec<_>> = HashMap::with_capacity(some);
        for Wanted { pk, tell } in waiting.drain(..some).filter(|wanted| !wanted.tell.is_closed()) {
            wanted.entry(pk).or_default().push(tell);
        }
        wanted
    }

    fn stride(&self) -> MutexGuard<'_, BatchSize> {
        self.stride.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Wanted>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands everybody the collection that they want. Who has gone away meanwhile gets none.
fn answer_all(mut wanted: HashMap<String, Vec<oneshot::Sender<Vec<Item>>>>, items: Vec<Item>) {
    let mut collections: HashMap<String, Vec<Item>> = HashMap::with_capacity(wanted.len());
    for item in items {
        match collections.get_mut(&item.key.pk) {
            Some(collection) => collection.push(item),
            None => {
                collections.insert(item.key.pk.clone(), vec![item]);
            }
        }
    }
    for (pk, mut readers) in wanted.drain() {
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
        gathered: Gathered,
        queries: AtomicUsize,
        open: Semaphore,
        broken: bool,
    }

    impl Store {
        fn new(open: usize) -> Self {
            Self { gathered: Gathered::new(), queries: AtomicUsize::new(0), open: Semaphore::new(open), broken: false }
        }

        async fn read(&self, pk: &str) -> Result<Vec<String>, StoreError> {
            let items = self.gathered.collection(pk, |pks| async move {
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
        Item { key: Key::new(pk, sk), index_keys: [None, None, None], version: 1, body }
    }

    #[tokio::test]
    async fn everybody_gets_what_they_want_and_those_who_wait_are_read_for_together() {
        let store = Arc::new(Store::new(0));
        let wants = |nth: usize| if nth.is_multiple_of(10) { "nothing".to_owned() } else { format!("p-{}", nth % 7) };
        let reader = |nth: usize| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.read(&wants(nth)).await.unwrap() })
        };
        let readers: Vec<_> = (0..100).map(reader).collect();
        // All have begun.
        while store.queries.load(Ordering::SeqCst) < TURNS {
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
        assert!(queries <= TURNS + 100 / MOST + 1, "{queries}");
    }

    #[tokio::test]
    async fn who_is_alone_reads_at_once() {
        let store = Store::new(1);
        assert_eq!(store.read("p").await.unwrap(), ["p/a", "p/b"]);
        assert_eq!(store.queries.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_takes_nobody_along() {
        let store = Arc::new(Store::new(0));
        let spawn = |pk: &'static str| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.read(pk).await.unwrap() })
        };
        let gone: Vec<_> = (0..TURNS).map(|_| spawn("gone")).collect();
        while store.queries.load(Ordering::SeqCst) < TURNS {
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
    async fn everybody_is_told_of_a_failure() {
        let store = Arc::new(Store { broken: true, ..Store::new(1_000) });
        let spawn = |nth: usize| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.read(&format!("p-{nth}")).await })
        };
        for reader in (0..50).map(spawn).collect::<Vec<_>>() {
            assert!(matches!(reader.await.unwrap(), Err(StoreError::Database(_))));
        }
    }
}
