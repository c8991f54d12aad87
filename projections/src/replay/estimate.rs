//! Estimates how long a replay would take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_store::EventFilter;
use event_store::bulk::{CopyOutOrder, copy_out};
use sqlx::{Connection, Executor, PgConnection};

use super::bulk_fold::{BulkStreamFolder, only_stream_type};
use super::run::release;
use super::throttle::QUIET_BATCH;
use super::{ReplayError, ReplayOperations, projections_named, stream_types, table};

/// The sample ends after this many events or bytes, whichever comes first. All of its items are in memory together.
const SAMPLE: u64 = 50_000;
const SAMPLE_BYTES: usize = 64 << 20;

/// What a replay would do, and how long it would take, as found before it begins.
#[derive(Debug, Clone)]
pub struct ReplayDryRun {
    /// The names of the projections, in the order of the registry.
    pub projections: Vec<&'static str>,
    /// How many events it would fold.
    pub events: u64,
    /// How many events the estimate is based on.
    pub sample: u64,
    /// How long it would take. `None`: the log is empty, or the store can't write a sample that is rolled back.
    pub expected: Option<Duration>,
    /// There is an unfinished replay of these projections, which would go on after so many events.
    pub begun: Option<u64>,
}

impl ReplayOperations {
    /// Folds and writes the first events of the log in a transaction that is rolled back, and measures how long that
    /// takes.
    pub async fn estimate(&self, names: &[String]) -> Result<ReplayDryRun, ReplayError> {
        let projections = projections_named(names)?;
        let names: Vec<&'static str> = projections.iter().map(|projection| projection.name).collect();
        let mut session = self.lock_projections(&names).await?;
        let begun = match table::unfinished(&mut session, &names).await?.as_slice() {
            [] => None,
            [same] if same.projections == names => Some(same.events),
            [other, ..] => return Err(ReplayError::Unfinished { projections: other.projections.join(", ") }),
        };
        let types = stream_types(&projections);
        let count = sqlx::query_scalar("select count(*) from events where aggregate_type = any($1)");
        let events: i64 = count.bind(&types).fetch_one(&mut session).await?;
        let events = u64::try_from(events).unwrap_or(0);

        let began = Instant::now();
        let mut reading = PgConnection::connect_with(&self.pool.connect_options()).await?;
        reading.execute("begin").await?;
        let mut transaction = session.begin().await?;
        let mut bulks = Vec::new();
        for name in &names {
            bulks.push(self.read_models.begin_trial(name, &mut transaction).await?);
        }
        let mut batches = Vec::new();
        let mut folder = BulkStreamFolder::new(projections, Arc::new(QUIET_BATCH.into()));
        let selection = EventFilter { stream_types: only_stream_type(&types), ..EventFilter::default() };
        let mut log = copy_out(&mut reading, &selection, CopyOutOrder::ByStream).await?;
        let (mut sample, mut bytes) = (0, 0);
        while sample < SAMPLE
            && bytes < SAMPLE_BYTES
            && let Some(event) = log.next().await?
        {
            bytes += event.size();
            batches.extend(folder.fold(&event.read()?)?);
            sample += 1;
        }
        drop(log);
        batches.push(folder.finish()?);
        for batch in &batches {
            for (bulk, folded) in bulks.iter_mut().zip(&batch.by_projection) {
                let tallies: Vec<_> = folded.tallies.values().cloned().collect();
                if let Some(bulk) = bulk {
                    bulk.add(&mut transaction, &folded.items, &tallies).await?;
                }
            }
        }
        for bulk in bulks.iter_mut().flatten() {
            bulk.finish(&mut transaction).await?;
        }
        transaction.rollback().await?;
        let took = began.elapsed();
        // The COPY may not be over: no orderly end of the session.
        let _ = reading.close_hard().await;
        release(session).await;
        let left = events.saturating_sub(begun.unwrap_or(0));
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let expected =
            (sample > 0 && bulks.iter().all(Option::is_some)).then(|| took.mul_f64(left as f64 / sample as f64));
        Ok(ReplayDryRun { projections: names, events, sample, expected, begun })
    }
}
