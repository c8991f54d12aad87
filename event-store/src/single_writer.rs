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

use event_versions::Snapshotted;
use lru::LruCache;
use sqlx::PgConnection;

use self::turns::{Everywhere, Here, Turns};
use self::written::Written;
use crate::append::{AppendError, Appended, StreamAppend};
use crate::idempotency::OnceOnly;
use crate::read::{Loaded, ReadError};
use crate::snapshot::{self, Taking, is_due};
use crate::{EventStore, partition_of};

/// Takes turns on the streams of an aggregate and remembers them folded, so that a turn reads only what others wrote meanwhile.
/// Clones share the memory and the turns.
#[derive(Clone)]
pub struct SingleWriter<A> {
    store: EventStore,
    turns: Turns,
    known: Arc<Mutex<Known<A>>>,
    /// Held by whoever folds a piece of streams that are far behind.
    folding: Arc<tokio::sync::Mutex<()>>,
    snapshots: Taking,
}

/// Folded streams, the least recently used of which are forgotten. They may be behind the database, and are ahead only of one that
/// lost commits: a turn finds out.
type Known<A> = LruCache<String, Arc<Loaded<A>>>;
/// Folded streams, by their ids.
type Streams<A> = HashMap<String, Arc<Loaded<A>>>;

/// A turn on some streams, which are as the database has them. It ends when it has appended, or is dropped.
pub struct Turn<'a, A> {
    writer: &'a SingleWriter<A>,
    streams: Streams<A>,
    absent: Loaded<A>,
    _here: Vec<Here<'a>>,
    _everywhere: Option<Everywhere>,
}

impl<A: Snapshotted> SingleWriter<A> {
    /// Remembers up to `capacity` folded streams, at least one.
    pub fn new(store: EventStore, capacity: usize) -> Self {
        let known = LruCache::new(NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN));
        Self {
            store,
            turns: Turns::default(),
            known: Arc::new(Mutex::new(known)),
            folding: Arc::default(),
            snapshots: Taking::default(),
        }
    }

    /// Waits for its turn on these streams and brings them up to date. Streams without events are not waited for: whoever is
    /// second to begin one meets a conflict.
    ///
    /// A stream that is far behind is folded before the turn. What was folded stays remembered when this fails or is given up.
    pub async fn turn(&self, ids: BTreeSet<String>) -> Result<Turn<'_, A>, ReadError> {
        let mut streams = HashMap::with_capacity(ids.len());
        loop {
            self.find(&ids, &mut streams).await?;
            let partitions: BTreeSet<usize> = streams.keys().map(|id| partition_of(id)).collect();
            let here = self.turns.here(&partitions).await;
            let mut everywhere = self.turns.everywhere(self.store.pool(), &partitions).await;
            let up_to_date = match &mut everywhere {
                _ if streams.is_empty() => true,
                Some(lock) => self.read_on(lock.connection(), &mut streams).await?,
                None => self.read_on(&mut *self.store.pool().acquire().await?, &mut streams).await?,
            };
            if up_to_date {
                return Ok(Turn {
                    writer: self,
                    streams,
                    absent: Loaded::default(),
                    _here: here,
                    _everywhere: everywhere,
                });
            }
            drop((everywhere, here));
            self.fold_ahead(&mut streams).await?;
        }
    }

    /// How many folded streams it remembers now.
    pub fn remembered(&self) -> usize {
        self.known().len()
    }

    /// Adds those of the streams that are not there yet and have events. What is remembered of them is taken when they are read: as
    /// long as it is held by nobody else, it changes in its place.
    async fn find(&self, ids: &BTreeSet<String>, streams: &mut Streams<A>) -> Result<(), ReadError> {
        let (mut found, unknown): (Vec<String>, Vec<String>) = {
            let known = self.known();
            ids.iter().filter(|id| !streams.contains_key(*id)).cloned().partition(|id| known.contains(id))
        };
        if !unknown.is_empty() {
            found.extend(catch_up::existing::<A>(self.store.pool(), unknown).await?);
        }
        streams.extend(found.into_iter().map(|id| (id, Arc::default())));
        Ok(())
    }

    /// Folds streams until little is missing, and nobody has to wait for it: without a turn. In this process one piece is folded at
    /// a time, from where the last one ended, so those who want the same stream fold it together, and take one connection.
    async fn fold_ahead(&self, streams: &mut Streams<A>) -> Result<(), ReadError> {
        self.begin_with_snapshots(streams).await?;
        loop {
            let _piece = self.folding.lock().await;
            let mut connection = self.store.pool().acquire().await?;
            if self.read_on(&mut connection, streams).await? {
                return Ok(());
            }
        }
    }

    /// What snapshots know beyond what is remembered. Of those who want the same one, the first reads it.
    async fn begin_with_snapshots(&self, streams: &mut Streams<A>) -> Result<(), ReadError> {
        let _piece = self.folding.lock().await;
        self.take_remembered(streams);
        let newer = snapshot::newer(&mut *self.store.pool().acquire().await?, streams).await?;
        let mut known = self.known();
        for (id, stream) in newer {
            remember(&mut known, &id, &stream);
            streams.insert(id, stream);
        }
        Ok(())
    }

    /// What is remembered of streams by now.
    fn take_remembered(&self, streams: &mut Streams<A>) {
        let mut known = self.known();
        for (id, stream) in streams.iter_mut() {
            if let Some(newer) = known.get(id).filter(|known| known.version > stream.version) {
                *stream = Arc::clone(newer);
            }
        }
    }

    /// Reads one piece of what streams lack, and says whether they are up to date then. Those of which the database lost events
    /// are taken out, to be found again.
    async fn read_on(&self, connection: &mut PgConnection, streams: &mut Streams<A>) -> Result<bool, ReadError> {
        self.take_remembered(streams);
        let read = catch_up::read_on(connection, streams).await;
        let mut known = self.known();
        // What came before an error is right.
        streams.iter().for_each(|(id, stream)| remember(&mut known, id, stream));
        let read = read?;
        for id in &read.lost {
            drop((known.pop(id), streams.remove(id)));
        }
        for (id, stream) in read.due {
            self.snapshots.take(&self.store, id, stream);
        }
        Ok(!read.more && read.lost.is_empty())
    }

    fn known(&self) -> MutexGuard<'_, Known<A>> {
        // Every change is a single one.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Snapshotted> Turn<'_, A> {
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
            let before = stream.version;
            let id = written.fold_into(Arc::make_mut(&mut stream), appended.position);
            if is_due(before, stream.version) {
                self.writer.snapshots.take(store, id.clone(), Arc::clone(&stream));
            }
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
