//! Locks on hot streams: commands wait for each other, load once and append once, instead of colliding.
//!
//! Commands that decide on the same version collide and are decided again ([`EventStore::handle`]), which is best where collisions
//! are rare. On a hot stream nearly all would collide. Here each command locks its streams first: in the process by mutexes, between
//! processes by advisory locks of the database. The locks only spare conflicts; correctness rests on the versions, as always. So a
//! command goes on without a lock that another process does not release.

pub(crate) mod catch_up;
mod pending;
mod striped_locks;

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cqrs_es::Aggregate;
use event_versions::{Snapshotted, Upcastable};
use lru::LruCache;
use sqlx::PgConnection;

use self::pending::PendingStreamEvents;
use self::striped_locks::{AdvisoryLocksGuard, ProcessLock, StripedLocks};
use crate::append::{Append, AppendError, AppendPosition, AppendStoredCallback, StreamAppend};
use crate::read::{ReadError, Versioned};
use crate::snapshots::{self, SnapshotWriter, is_due};
use crate::{EventStore, partition_of};

/// Locks streams of an aggregate, and caches their folded state, so that a command reads only what others have appended since.
/// Clones share the locks and the cache.
#[derive(Clone)]
pub struct StreamLocks<A: Aggregate> {
    store: EventStore,
    locks: StripedLocks,
    cache: Arc<Mutex<FoldedStreamCache<A>>>,
    /// Held while one chunk of streams that are far behind is folded.
    folding: Arc<tokio::sync::Mutex<()>>,
    snapshots: SnapshotWriter,
    observer: Option<StoredEventObserver<A>>,
}

/// Is told of each event that was appended under the locks and is stored, with the id of its stream.
type StoredEventObserver<A> = Arc<dyn Fn(&str, &<A as Aggregate>::Event) + Send + Sync>;

/// Folded streams by id; the least recently used are dropped. They may be behind the database. They are ahead of it only if it lost
/// commits, which the next read notices.
type FoldedStreamCache<A> = LruCache<String, Arc<Versioned<A>>>;
/// Folded streams by id.
type FoldedStreams<A> = HashMap<String, Arc<Versioned<A>>>;

/// Streams that are locked and up to date. The locks are released when their events are appended, or on drop.
pub struct LockedStreams<'a, A: Aggregate> {
    owner: &'a StreamLocks<A>,
    streams: FoldedStreams<A>,
    absent: Versioned<A>,
    _in_process: Vec<ProcessLock<'a>>,
    _in_database: Option<AdvisoryLocksGuard>,
}

impl<A: Snapshotted> StreamLocks<A> {
    /// Caches up to `capacity` folded streams, at least one.
    pub fn new(store: EventStore, capacity: usize) -> Self {
        let cache = LruCache::new(NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN));
        Self {
            store,
            locks: StripedLocks::of(A::TYPE),
            cache: Arc::new(Mutex::new(cache)),
            folding: Arc::default(),
            snapshots: SnapshotWriter::default(),
            observer: None,
        }
    }

    /// Tells `observer` of each event that is stored from now on by these locks and their clones. It must not wait: the locks are held. If
    /// the answer of the database is lost, it is not told.
    #[must_use]
    pub fn observed_by(self, observer: impl Fn(&str, &A::Event) + Send + Sync + 'static) -> Self {
        Self { observer: Some(Arc::new(observer)), ..self }
    }

    /// Locks these streams and brings them up to date. Streams without events are not locked: of two commands that begin the same
    /// stream the second meets a conflict.
    ///
    /// A stream that is far behind is folded before it is locked. What was folded stays in the cache if this fails or is cancelled.
    pub async fn lock(&self, ids: BTreeSet<String>) -> Result<LockedStreams<'_, A>, ReadError> {
        let mut streams = HashMap::with_capacity(ids.len());
        loop {
            self.find(&ids, &mut streams).await?;
            let partitions: BTreeSet<usize> = streams.keys().map(|id| partition_of(id)).collect();
            let in_process = self.locks.lock_in_process(&partitions).await;
            let mut in_database = self.locks.lock_in_database(self.store.pool(), &partitions).await;
            let up_to_date = match &mut in_database {
                _ if streams.is_empty() => true,
                Some(lock) => self.catch_up(lock.connection(), &mut streams).await?,
                None => self.catch_up(&mut *self.store.pool().acquire().await?, &mut streams).await?,
            };
            if up_to_date {
                return Ok(LockedStreams {
                    owner: self,
                    streams,
                    absent: Versioned::default(),
                    _in_process: in_process,
                    _in_database: in_database,
                });
            }
            drop((in_database, in_process));
            self.fold_without_locks(&mut streams).await?;
        }
    }

    /// How many folded streams are cached now.
    pub fn cached(&self) -> usize {
        self.cache().len()
    }

    /// Adds those of the streams that have events and are not added yet. Their cached state is taken when they are read: as long as
    /// nothing else holds it, it is changed in place.
    async fn find(&self, ids: &BTreeSet<String>, streams: &mut FoldedStreams<A>) -> Result<(), ReadError> {
        let (mut found, unknown): (Vec<String>, Vec<String>) = {
            let cache = self.cache();
            ids.iter().filter(|id| !streams.contains_key(*id)).cloned().partition(|id| cache.contains(id))
        };
        if !unknown.is_empty() {
            found.extend(catch_up::existing::<A>(self.store.pool(), unknown).await?);
        }
        streams.extend(found.into_iter().map(|id| (id, Arc::default())));
        Ok(())
    }

    /// Folds streams until little is missing, without locks, so that nobody waits for it. In this process one chunk is folded at a
    /// time, from where the last one ended: commands that want the same stream fold it together, over one connection.
    async fn fold_without_locks(&self, streams: &mut FoldedStreams<A>) -> Result<(), ReadError> {
        self.start_from_snapshots(streams).await?;
        loop {
            let _chunk = self.folding.lock().await;
            let mut connection = self.store.pool().acquire().await?;
            if self.catch_up(&mut connection, streams).await? {
                return Ok(());
            }
        }
    }

    /// Takes snapshots that are newer than the cache. Of several commands that want the same snapshot the first reads it.
    async fn start_from_snapshots(&self, streams: &mut FoldedStreams<A>) -> Result<(), ReadError> {
        let _chunk = self.folding.lock().await;
        self.take_cached(streams);
        let newer = snapshots::newer(&mut *self.store.pool().acquire().await?, streams).await?;
        let mut cache = self.cache();
        for (id, stream) in newer {
            store_in_cache(&mut cache, &id, &stream);
            streams.insert(id, stream);
        }
        Ok(())
    }

    /// Takes the cached state of streams where it is newer.
    fn take_cached(&self, streams: &mut FoldedStreams<A>) {
        let mut cache = self.cache();
        for (id, stream) in streams.iter_mut() {
            if let Some(newer) = cache.get(id).filter(|cached| cached.version > stream.version) {
                *stream = Arc::clone(newer);
            }
        }
    }

    /// Reads one chunk of the events that streams lack, and says whether they are up to date then. Streams of which the database lost
    /// events are taken out, to be found again.
    async fn catch_up(&self, connection: &mut PgConnection, streams: &mut FoldedStreams<A>) -> Result<bool, ReadError> {
        self.take_cached(streams);
        let read = catch_up::read_chunk(connection, streams).await;
        let mut cache = self.cache();
        // Events that were folded before an error are right.
        streams.iter().for_each(|(id, stream)| store_in_cache(&mut cache, id, stream));
        let chunk = read?;
        for id in &chunk.lost {
            drop((cache.pop(id), streams.remove(id)));
        }
        for (id, stream) in chunk.snapshots_due {
            self.snapshots.write(&self.store, id, stream);
        }
        Ok(!chunk.more && chunk.lost.is_empty())
    }

    fn cache(&self) -> MutexGuard<'_, FoldedStreamCache<A>> {
        // Every change is a single operation, so a panic leaves the cache consistent.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a, A: Snapshotted> LockedStreams<'a, A> {
    /// A locked stream as it is now; a stream without events is the default, at version 0.
    pub fn stream(&self, id: &str) -> &Versioned<A> {
        self.streams.get(id).map_or(&self.absent, |stream| &**stream)
    }

    /// Appends events to these streams: see [`LockedStreams::into_append`].
    pub async fn append(self, streams: Vec<StreamAppend>) -> Result<AppendPosition, AppendError> {
        let store = self.owner.store.clone();
        store.append(self.into_append(streams)).await
    }

    /// Events for these streams, and for streams of other kinds beside them, to be appended while the locks are held. After a conflict
    /// the next lock sees what others appended.
    pub fn into_append(self, streams: Vec<StreamAppend>) -> Append<'a> {
        let pending = PendingStreamEvents::of(&streams);
        Append { streams, locks: Some(Box::new(LockedAppend { locked: self, pending })) }
    }
}

/// Locked streams, and the events that are being appended to them.
struct LockedAppend<'a, A: Upcastable> {
    locked: LockedStreams<'a, A>,
    pending: Vec<PendingStreamEvents<A>>,
}

impl<A: Snapshotted> AppendStoredCallback for LockedAppend<'_, A> {
    /// Nothing is cached before it is known to be stored.
    fn stored(self: Box<Self>, appended: AppendPosition) {
        let Self { mut locked, pending } = *self;
        if let Some(observer) = &locked.owner.observer {
            pending.iter().for_each(|stored| stored.tell(&**observer));
        }
        locked.update_cache(pending, appended);
    }
}

impl<A: Snapshotted> LockedStreams<'_, A> {
    /// Folds events that are stored now into the cached streams.
    fn update_cache(&mut self, pending: Vec<PendingStreamEvents<A>>, appended: AppendPosition) {
        let mut cache = self.owner.cache();
        for events in pending {
            let mut stream = self.streams.remove(&events.stream_id).unwrap_or_default();
            let newer = cache.peek(&events.stream_id).is_some_and(|cached| cached.version > stream.version);
            if newer || stream.version != events.expected_version {
                continue;
            }
            // Nothing else holds it then, so that it is changed in place.
            cache.pop(&events.stream_id);
            let before = stream.version;
            let id = events.fold_into(Arc::make_mut(&mut stream), appended.position);
            if is_due(before, stream.version) {
                self.owner.snapshots.write(&self.owner.store, id.clone(), Arc::clone(&stream));
            }
            cache.put(id, stream);
        }
    }
}

/// Caches a stream that has events, unless a newer version of it is cached.
fn store_in_cache<A>(cache: &mut FoldedStreamCache<A>, id: &str, stream: &Arc<Versioned<A>>) {
    if stream.version > 0 && cache.peek(id).is_none_or(|cached| cached.version < stream.version) {
        cache.put(id.to_owned(), Arc::clone(stream));
    }
}
