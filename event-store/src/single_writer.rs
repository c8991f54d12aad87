//! Streams that many commands go to at once, decided by one at a time: load once, decide many, append once.
//!
//! With [`EventStore::execute`] those who decided on the same version collide and try again, which is best where collisions
//! are rare. On a hot stream nearly all would collide. Here they take turns: within the process by locks, between processes by
//! advisory locks of the database. Turns only spare conflicts; what makes the result right are the versions, as always. So
//! whoever can't have its turn, because another copy froze in the middle of its own, goes on without.

mod catch_up;
mod turns;
mod written;

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_versions::Versioned;
use lru::LruCache;

use self::turns::{Everywhere, Here, Turns};
use self::written::Written;
use crate::append::{AppendError, Appended, StreamAppend};
use crate::idempotency::OnceOnly;
use crate::read::{Loaded, ReadError};
use crate::{EventStore, partition_of};

/// Takes turns on the streams of an aggregate and remembers them folded, so that a turn reads only what others wrote meanwhile.
/// Clones share the memory and the turns.
#[derive(Clone)]
pub struct SingleWriter<A> {
    store: EventStore,
    turns: Turns,
    known: Arc<Mutex<Known<A>>>,
}

/// Folded streams, the least recently used of which are forgotten. None is ahead of the database, unless that lost commits: a turn
/// finds out.
type Known<A> = LruCache<String, Arc<Loaded<A>>>;

/// A turn on some streams, which are as the database has them. It ends when it has appended, or is dropped.
pub struct Turn<'a, A> {
    writer: &'a SingleWriter<A>,
    streams: HashMap<String, Arc<Loaded<A>>>,
    absent: Loaded<A>,
    _here: Vec<Here<'a>>,
    _everywhere: Option<Everywhere>,
}

impl<A: Versioned + Clone> SingleWriter<A> {
    /// Remembers up to `capacity` folded streams, at least one.
    pub fn new(store: EventStore, capacity: usize) -> Self {
        let known = LruCache::new(NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN));
        Self { store, turns: Turns::default(), known: Arc::new(Mutex::new(known)) }
    }

    /// Waits for its turn on these streams and brings them up to date. Streams without events are not waited for: whoever is
    /// second to begin one meets a conflict.
    pub async fn turn(&self, ids: BTreeSet<String>) -> Result<Turn<'_, A>, ReadError> {
        let existing = self.existing(ids).await?;
        let partitions: BTreeSet<usize> = existing.iter().map(|id| partition_of(id)).collect();
        let here = self.turns.here(&partitions).await;
        let mut everywhere = self.turns.everywhere(self.store.pool(), &partitions).await;
        let mut streams: HashMap<_, _> = {
            let mut known = self.known();
            existing.into_iter().map(|id| (id.clone(), known.get(&id).cloned().unwrap_or_default())).collect()
        };
        if !streams.is_empty() {
            let lost = match &mut everywhere {
                Some(lock) => catch_up::catch_up(lock.connection(), &mut streams).await?,
                None => catch_up::catch_up(&mut *self.store.pool().acquire().await?, &mut streams).await?,
            };
            let mut known = self.known();
            lost.iter().for_each(|id| drop(known.pop(id)));
            streams.iter().for_each(|(id, stream)| remember(&mut known, id, stream));
        }
        Ok(Turn { writer: self, streams, absent: Loaded::default(), _here: here, _everywhere: everywhere })
    }

    /// How many folded streams it remembers now.
    pub fn remembered(&self) -> usize {
        self.known().len()
    }

    /// Those of the streams that have events.
    async fn existing(&self, ids: BTreeSet<String>) -> Result<BTreeSet<String>, ReadError> {
        let (mut existing, unknown): (BTreeSet<_>, BTreeSet<_>) = {
            let known = self.known();
            ids.into_iter().partition(|id| known.contains(id))
        };
        if !unknown.is_empty() {
            existing.extend(catch_up::existing::<A>(self.store.pool(), unknown).await?);
        }
        Ok(existing)
    }

    fn known(&self) -> MutexGuard<'_, Known<A>> {
        // Every change is a single one.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Versioned + Clone> Turn<'_, A> {
    /// A stream of this turn as it is now; one without events: the default, at version 0.
    pub fn stream(&self, id: &str) -> &Loaded<A> {
        self.streams.get(id).map_or(&self.absent, |stream| &**stream)
    }

    /// Appends events to streams of this turn, and of other kinds beside them: all or nothing. After a conflict the next turn
    /// sees what others wrote.
    pub async fn append(self, streams: Vec<StreamAppend>) -> Result<Appended, AppendError> {
        self.finish(streams, None).await
    }

    /// [`Turn::append`], once for the request's key: see [`EventStore::append_once`].
    pub async fn append_once(self, streams: Vec<StreamAppend>, request: OnceOnly) -> Result<Appended, AppendError> {
        self.finish(streams, Some(request)).await
    }

    async fn finish(mut self, streams: Vec<StreamAppend>, request: Option<OnceOnly>) -> Result<Appended, AppendError> {
        let written = Written::<A>::of(&streams);
        let store = &self.writer.store;
        // Until it is known to be stored, nothing of it is remembered.
        let appended = match request {
            Some(request) => store.append_once(streams, request).await?,
            None => store.append(streams).await?,
        };
        let mut known = self.writer.known();
        for written in written {
            let mut stream = self.streams.remove(&written.stream_id).unwrap_or_default();
            let newer = known.peek(&written.stream_id).is_some_and(|known| known.version > stream.version);
            if newer || stream.version != written.expected_version {
                continue;
            }
            // Held here alone then, it changes in its place.
            known.pop(&written.stream_id);
            let id = written.fold_into(Arc::make_mut(&mut stream), appended.position);
            known.put(id, stream);
        }
        Ok(appended)
    }
}

/// Remembers a stream that has events, unless more of it is known.
fn remember<A>(known: &mut Known<A>, id: &str, stream: &Arc<Loaded<A>>) {
    if stream.version > 0 && known.peek(id).is_none_or(|before| before.version < stream.version) {
        known.put(id.to_owned(), Arc::clone(stream));
    }
}
