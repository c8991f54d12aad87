//! Compares one read model with the folds of its streams.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bounds::Budget;
use event_store::{PARTITIONS, StoredEvent, partition_of};
use read_models::{Generation, GenerationStore, GenerationTable, Item, Key, ReadModelStoreError};
use sqlx::PgConnection;

use super::bloom_filter::BloomFilter;
use super::difference::difference;
use super::report::VerificationReport;
use super::stream::RefoldedStream;
use super::sums::{ExpectedTallies, TallyComparisonResult};
use crate::error::ProjectError;
use crate::projection::ProjectionDefinition;

/// How many items are read at once, beside the bytes of a budget.
const BATCH: usize = 1_000;

/// The check of one read model against the folds of its streams.
#[derive(Debug)]
pub(super) struct ReadModelCheck {
    projection: &'static ProjectionDefinition,
    table: Arc<dyn GenerationTable>,
    /// The projection's checkpoints, by partition.
    checkpoints: [i64; PARTITIONS],
    /// The log's last position when the verification began.
    last: i64,
    /// The stream whose events are coming.
    current: Option<RefoldedStream>,
    /// The streams before it that are still to be compared, and how many more fit into memory.
    pending: Vec<RefoldedStream>,
    budget: Budget,
    sums: ExpectedTallies,
    seen_keys: BloomFilter,
    /// Of the items that were written after the verification began, the newest.
    newest: Option<(i64, Key)>,
    /// Whether any events are parked: tallies can't be compared then.
    has_parked_events: bool,
}

impl ReadModelCheck {
    pub(super) async fn new(
        connection: &mut PgConnection,
        read_models: &dyn GenerationStore,
        projection: &'static ProjectionDefinition,
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
        let has_parked_events = sqlx::query_scalar(parked).bind(projection.name).fetch_one(connection).await?;
        Ok(Self {
            projection,
            table: read_models.table(projection.name, Generation::Live),
            checkpoints,
            last,
            current: None,
            pending: Vec::new(),
            budget: Budget::of(BATCH),
            sums: ExpectedTallies::default(),
            seen_keys: BloomFilter::new(),
            newest: None,
            has_parked_events,
        })
    }

    /// Folds the next events of the current stream, or begins the next stream.
    pub(super) fn fold(&mut self, events: &[StoredEvent], report: &mut VerificationReport) {
        let Some(first) = events.first() else { return };
        let follows = &self.projection.follows;
        if first.stream_type != follows.stream_type() {
            return;
        }
        let stream = match self.current.take_if(|stream| stream.id == first.stream_id) {
            Some(stream) => stream,
            None => {
                self.end_of_stream();
                RefoldedStream::new(&first.stream_id, self.checkpoints[partition_of(&first.stream_id)])
            }
        };
        let stream = self.current.insert(stream);
        let could_be_folded = stream.failed.is_none();
        stream.fold(follows, events);
        if could_be_folded && let Some(error) = &stream.failed {
            let cause = std::error::Error::source(error).map_or_else(String::new, |cause| format!(": {cause}"));
            let key = Key::new(follows.stream_type(), &*stream.id);
            report.add(self.projection.name, &key, format!("its events can't be folded: {error}{cause}"));
        }
    }

    /// The current stream has no more events.
    pub(super) fn end_of_stream(&mut self) {
        let Some(stream) = self.current.take() else { return };
        for items in
            [Some(&stream.to_checkpoint), stream.to_end.as_ref()].into_iter().flatten().map(|folded| &folded.items)
        {
            items.keys().for_each(|key| self.seen_keys.insert(key));
            items.values().for_each(|item| self.budget.spend(item.size()));
        }
        self.sums.add(&stream);
        self.pending.push(stream);
    }

    /// Compares the pending streams with the stored items, once there are enough of them or at the end.
    pub(super) async fn compare_pending(
        &mut self,
        connection: &mut PgConnection,
        at_the_end: bool,
        report: &mut VerificationReport,
    ) -> Result<(), ProjectError> {
        if !self.budget.is_used_up() && !at_the_end {
            return Ok(());
        }
        self.budget = Budget::of(BATCH);
        let streams = std::mem::take(&mut self.pending);
        let parked = self.streams_with_parked_events(connection, &streams).await?;
        let keys: HashSet<&Key> = streams.iter().flat_map(RefoldedStream::keys).collect();
        let keys: Vec<Key> = keys.into_iter().cloned().collect();
        let stored = self.stored(&keys).await?;
        for stream in &streams {
            if stream.failed.is_some() || parked.contains(&stream.id) {
                report.skipped += u64::try_from(stream.to_checkpoint.items.len()).unwrap_or(0);
                continue;
            }
            let mut keys: Vec<&Key> = stream.keys().collect::<HashSet<_>>().into_iter().collect();
            keys.sort_unstable();
            for key in keys {
                self.compare(stream, key, stored.get(key), report);
            }
        }
        Ok(())
    }

    fn compare(&mut self, stream: &RefoldedStream, key: &Key, stored: Option<&Item>, report: &mut VerificationReport) {
        let name = self.projection.name;
        let at_checkpoint = stream.to_checkpoint.items.get(key);
        let at_end = stream.to_end.as_ref().and_then(|folded| folded.items.get(key));
        let Some(stored) = stored else {
            match at_checkpoint {
                Some(_) => report.add(name, key, "it is missing".to_owned()),
                None => report.skipped += 1,
            }
            return;
        };
        if self.is_later(stored) {
            report.skipped += 1;
            return;
        }
        let matches = |should: &Item| difference(stored, should).is_none();
        let between = at_end.is_some_and(|end| stored.version < end.version)
            && at_checkpoint.is_none_or(|at| stored.version > at.version);
        if at_checkpoint.is_some_and(matches) || at_end.is_some_and(matches) {
            report.matching += 1;
        } else if between {
            report.skipped += 1;
        } else if let Some(what) = at_checkpoint.or(at_end).and_then(|should| difference(stored, should)) {
            report.add(name, key, what);
        }
    }

    /// Whether an event after the end of the snapshot wrote the item.
    fn is_later(&mut self, stored: &Item) -> bool {
        let later = stored.version > self.last;
        if later && self.newest.as_ref().is_none_or(|(version, _)| stored.version > *version) {
            self.newest = Some((stored.version, stored.key.clone()));
        }
        later
    }

    /// Compares the tallies with the stored ones.
    pub(super) async fn compare_sums(&mut self, report: &mut VerificationReport) -> Result<(), ProjectError> {
        let sums = std::mem::take(&mut self.sums);
        if self.has_parked_events || sums.len() == 0 {
            sums.iter().for_each(|(key, _)| self.seen_keys.insert(key));
            report.skipped += u64::try_from(sums.len()).unwrap_or(0);
            return Ok(());
        }
        let all: Vec<_> = sums.iter().collect();
        for some in all.chunks(BATCH) {
            let keys: Vec<Key> = some.iter().map(|(key, _)| (*key).clone()).collect();
            let stored = self.stored(&keys).await?;
            for (key, sum) in some {
                self.seen_keys.insert(key);
                let stored = stored.get(*key);
                if stored.is_some_and(|stored| self.is_later(stored)) {
                    report.skipped += 1;
                    continue;
                }
                match sum.compare(stored) {
                    TallyComparisonResult::Equal => report.matching += 1,
                    TallyComparisonResult::Changing => report.skipped += 1,
                    TallyComparisonResult::Different(what) => report.add(self.projection.name, key, what),
                }
            }
        }
        Ok(())
    }

    /// Finds stored items that no stream makes, and items with a version beyond the end of the log.
    pub(super) async fn find_orphans(
        &mut self,
        connection: &mut PgConnection,
        report: &mut VerificationReport,
    ) -> Result<(), ProjectError> {
        let name = self.projection.name;
        let mut after = None;
        loop {
            let scanned = self.table.scan(after.as_ref(), u16::try_from(BATCH).unwrap_or(u16::MAX)).await?;
            for item in &scanned.items {
                if !self.is_later(item) && !self.seen_keys.may_contain(&item.key) {
                    report.add(name, &item.key, "no event makes such an item".to_owned());
                }
            }
            after = scanned.after;
            if after.is_none() {
                break;
            }
        }
        if let Some((version, key)) = &self.newest {
            // A sequence shows its present value in any transaction.
            let end = "select last_value from events_global_position";
            let end: i64 = sqlx::query_scalar(end).fetch_one(connection).await?;
            if *version > end {
                report.add(name, key, format!("it is as of position {version}, and the log ends at {end}"));
            }
        }
        Ok(())
    }

    async fn stored(&self, keys: &[Key]) -> Result<HashMap<Key, Item>, ReadModelStoreError> {
        let items = self.table.find(keys).await?;
        Ok(items.into_iter().map(|item| (item.key.clone(), item)).collect())
    }

    /// Those of the streams that have parked events.
    async fn streams_with_parked_events(
        &self,
        connection: &mut PgConnection,
        streams: &[RefoldedStream],
    ) -> Result<HashSet<String>, sqlx::Error> {
        if !self.has_parked_events {
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

impl RefoldedStream {
    /// The keys of its items; some come twice.
    fn keys(&self) -> impl Iterator<Item = &Key> {
        self.to_checkpoint.items.keys().chain(self.to_end.iter().flat_map(|folded| folded.items.keys()))
    }
}
