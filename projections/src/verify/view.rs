//! One read model: what its streams come to, and what is stored of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bounds::Budget;
use event_store::{PARTITIONS, StoredEvent, partition_of};
use read_models::{Generation, Item, Key, ReadModels, StoreError, Table};
use sqlx::PgConnection;

use super::Verified;
use super::difference::difference;
use super::marks::Marks;
use super::stream::Stream;
use super::sums::{Compared, Sums};
use crate::projection::{ProjectError, Projection};

/// Items read at once, beside the bytes of a budget.
const BATCH: usize = 1_000;

/// A read model.
#[derive(Debug)]
pub(super) struct View {
    projection: &'static Projection,
    table: Arc<dyn Table>,
    /// How far the projection has come, by partition.
    checkpoints: [i64; PARTITIONS],
    /// The log's last position.
    last: i64,
    /// The stream that is being read, and those that have been, with so many items.
    reading: Option<Stream>,
    read: Vec<Stream>,
    room: Budget,
    sums: Sums,
    marks: Marks,
    /// The item that is said to be written by the latest event, of those behind the log's last position.
    newest: Option<(i64, Key)>,
    /// Whether events of any stream are parked: then nothing can be said of sums.
    parked: bool,
}

impl View {
    pub(super) async fn new(
        connection: &mut PgConnection,
        read_models: &dyn ReadModels,
        projection: &'static Projection,
        last: i64,
    ) -> Result<Self, sqlx::Error> {
        let positions = "select partition, position from subscription_partitions where subscription = $1";
        let positions: Vec<(i16, i64)> =
            sqlx::query_as(positions).bind(projection.name).fetch_all(&mut *connection).await?;
        let mut checkpoints = [0; PARTITIONS];
        for (partition, position) in positions {
            if let Some(checkpoint) = usize::try_from(partition).ok().and_then(|nth| checkpoints.get_mut(nth)) {
                *checkpoint = position;
            }
        }
        let parked = "select exists (select from parked_events where subscription = $1)";
        let parked = sqlx::query_scalar(parked).bind(projection.name).fetch_one(connection).await?;
        Ok(Self {
            projection,
            table: read_models.table(projection.name, Generation::Live),
            checkpoints,
            last,
            reading: None,
            read: Vec::new(),
            room: Budget::of(BATCH),
            sums: Sums::default(),
            marks: Marks::new(),
            newest: None,
            parked,
        })
    }

    /// Events of one stream, which go on from those before if those were of it, too.
    pub(super) fn fold(&mut self, events: &[StoredEvent], found: &mut Verified) {
        let Some(first) = events.first() else { return };
        let follows = &self.projection.follows;
        if first.stream_type != follows.stream_type() {
            return;
        }
        let stream = match self.reading.take_if(|stream| stream.id == first.stream_id) {
            Some(stream) => stream,
            None => {
                self.end_of_stream();
                Stream::new(&first.stream_id, self.checkpoints[partition_of(&first.stream_id)])
            }
        };
        let stream = self.reading.insert(stream);
        let could_be_folded = stream.failed.is_none();
        stream.fold(follows, events);
        if could_be_folded && let Some(error) = &stream.failed {
            let cause = std::error::Error::source(error).map_or_else(String::new, |cause| format!(": {cause}"));
            let key = Key::new(follows.stream_type(), &*stream.id);
            found.add(self.projection.name, &key, format!("its events can't be folded: {error}{cause}"));
        }
    }

    /// The stream that is being read has no more events.
    pub(super) fn end_of_stream(&mut self) {
        let Some(stream) = self.reading.take() else { return };
        for items in [Some(&stream.at), stream.all.as_ref()].into_iter().flatten().map(|folded| &folded.items) {
            items.keys().for_each(|key| self.marks.put(key));
            items.values().for_each(|item| self.room.spend(item.size()));
        }
        self.sums.add(&stream);
        self.read.push(stream);
    }

    /// Compares the streams that were read with what is stored; when there are enough of them, or at the end.
    pub(super) async fn look_up(
        &mut self,
        connection: &mut PgConnection,
        at_the_end: bool,
        found: &mut Verified,
    ) -> Result<(), ProjectError> {
        if !self.room.is_used_up() && !at_the_end {
            return Ok(());
        }
        self.room = Budget::of(BATCH);
        let streams = std::mem::take(&mut self.read);
        let parked = self.parked_of(connection, &streams).await?;
        let keys: HashSet<&Key> = streams.iter().flat_map(Stream::keys).collect();
        let keys: Vec<Key> = keys.into_iter().cloned().collect();
        let stored = self.stored(&keys).await?;
        for stream in &streams {
            if stream.failed.is_some() || parked.contains(&stream.id) {
                found.left_out += u64::try_from(stream.at.items.len()).unwrap_or(0);
                continue;
            }
            let mut keys: Vec<&Key> = stream.keys().collect::<HashSet<_>>().into_iter().collect();
            keys.sort_unstable();
            for key in keys {
                self.compare(stream, key, stored.get(key), found);
            }
        }
        Ok(())
    }

    fn compare(&mut self, stream: &Stream, key: &Key, stored: Option<&Item>, found: &mut Verified) {
        let name = self.projection.name;
        let at = stream.at.items.get(key);
        let all = stream.all.as_ref().and_then(|all| all.items.get(key));
        let Some(stored) = stored else {
            match at {
                Some(_) => found.add(name, key, "it is missing".to_owned()),
                None => found.left_out += 1,
            }
            return;
        };
        if self.is_later(stored) {
            found.left_out += 1;
            return;
        }
        let alike = |should: &Item| difference(stored, should).is_none();
        let between =
            all.is_some_and(|all| stored.version < all.version) && at.is_none_or(|at| stored.version > at.version);
        if at.is_some_and(alike) || all.is_some_and(alike) {
            found.alike += 1;
        } else if between {
            found.left_out += 1;
        } else if let Some(what) = at.or(all).and_then(|should| difference(stored, should)) {
            found.add(name, key, what);
        }
    }

    /// Whether an event wrote it that was appended after the verification began.
    fn is_later(&mut self, stored: &Item) -> bool {
        let later = stored.version > self.last;
        if later && self.newest.as_ref().is_none_or(|(version, _)| stored.version > *version) {
            self.newest = Some((stored.version, stored.key.clone()));
        }
        later
    }

    /// Compares the sums with what is stored.
    pub(super) async fn compare_sums(&mut self, found: &mut Verified) -> Result<(), ProjectError> {
        let sums = std::mem::take(&mut self.sums);
        if self.parked || sums.len() == 0 {
            sums.iter().for_each(|(key, _)| self.marks.put(key));
            found.left_out += u64::try_from(sums.len()).unwrap_or(0);
            return Ok(());
        }
        let all: Vec<_> = sums.iter().collect();
        for some in all.chunks(BATCH) {
            let keys: Vec<Key> = some.iter().map(|(key, _)| (*key).clone()).collect();
            let stored = self.stored(&keys).await?;
            for (key, sum) in some {
                self.marks.put(key);
                let stored = stored.get(*key);
                if stored.is_some_and(|stored| self.is_later(stored)) {
                    found.left_out += 1;
                    continue;
                }
                match sum.compare(stored) {
                    Compared::Alike => found.alike += 1,
                    Compared::OnTheMove => found.left_out += 1,
                    Compared::Different(what) => found.add(self.projection.name, key, what),
                }
            }
        }
        Ok(())
    }

    /// Finds items that no stream has, and such as claim to be of events that there are not.
    pub(super) async fn find_strays(
        &mut self,
        connection: &mut PgConnection,
        found: &mut Verified,
    ) -> Result<(), ProjectError> {
        let name = self.projection.name;
        let mut after = None;
        loop {
            let scanned = self.table.scan(after.as_ref(), u16::try_from(BATCH).unwrap_or(u16::MAX)).await?;
            for item in &scanned.items {
                if !self.is_later(item) && !self.marks.has(&item.key) {
                    found.add(name, &item.key, "no event makes such an item".to_owned());
                }
            }
            after = scanned.after;
            if after.is_none() {
                break;
            }
        }
        if let Some((version, key)) = &self.newest {
            // As of now, in whatever transaction.
            let end = "select last_value from events_global_position";
            let end: i64 = sqlx::query_scalar(end).fetch_one(connection).await?;
            if *version > end {
                found.add(name, key, format!("it is as of position {version}, and the log ends at {end}"));
            }
        }
        Ok(())
    }

    async fn stored(&self, keys: &[Key]) -> Result<HashMap<Key, Item>, StoreError> {
        let items = self.table.find(keys).await?;
        Ok(items.into_iter().map(|item| (item.key.clone(), item)).collect())
    }

    /// Those of the streams that have parked events.
    async fn parked_of(
        &self,
        connection: &mut PgConnection,
        streams: &[Stream],
    ) -> Result<HashSet<String>, sqlx::Error> {
        if !self.parked {
            return Ok(HashSet::new());
        }
        let parked = "select distinct stream_id from parked_events
                       where subscription = $1 and stream_type = $2 and stream_id = any($3)";
        let parked: Vec<String> = sqlx::query_scalar(parked)
            .bind(self.projection.name)
            .bind(self.projection.follows.stream_type())
            .bind(streams.iter().map(|stream| stream.id.as_str()).collect::<Vec<_>>())
            .fetch_all(connection)
            .await?;
        Ok(parked.into_iter().collect())
    }
}

impl Stream {
    /// The keys of all its items; some twice.
    fn keys(&self) -> impl Iterator<Item = &Key> {
        self.at.items.keys().chain(self.all.iter().flat_map(|all| all.items.keys()))
    }
}
