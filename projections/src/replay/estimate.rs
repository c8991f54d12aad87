//! What a replay would do, without doing it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_store::EventFilter;
use event_store::bulk::{CopyOrder, copy_out};
use sqlx::{Connection, Executor, PgConnection};

use super::begin::kinds;
use super::folding::Folder;
use super::run::release;
use super::traffic::ALONE;
use super::{ReplayError, Replays, find, record};

/// As many events are tried out, or the first of them that have as many bytes: what comes of them is in memory together.
const SAMPLE: u64 = 50_000;
const SAMPLE_BYTES: usize = 64 << 20;

/// What a replay would do.
#[derive(Debug, Clone)]
pub struct Estimate {
    /// The projections, in the order of the registry.
    pub projections: Vec<&'static str>,
    /// How many events are to be folded.
    pub events: u64,
    /// How many were tried out to know how long that takes.
    pub sample: u64,
    /// How long it will take, about; `None`: there is nothing to fold, or writing can't be tried out here.
    pub expected: Option<Duration>,
    /// There is a replay of them that was begun: it would go on after so many events.
    pub begun: Option<u64>,
}

impl Replays {
    /// What a replay of these projections would do, and about how long. It folds and writes the first events in a transaction that
    /// is rolled back.
    pub async fn estimate(&self, names: &[String]) -> Result<Estimate, ReplayError> {
        let projections = find(names)?;
        let names: Vec<&'static str> = projections.iter().map(|projection| projection.name).collect();
        let mut session = self.session(&names).await?;
        let begun = match record::open(&mut session, &names).await?.as_slice() {
            [] => None,
            [one] if one.projections == names => Some(one.events),
            [other, ..] => return Err(ReplayError::Unfinished { projections: other.projections.join(", ") }),
        };
        let count = sqlx::query_scalar("select count(*) from events where aggregate_type = any($1)");
        let events: i64 = count.bind(kinds(&projections)).fetch_one(&mut session).await?;
        let events = u64::try_from(events).unwrap_or(0);

        let began = Instant::now();
        let mut reading = PgConnection::connect_with(&self.pool.connect_options()).await?;
        reading.execute("begin").await?;
        let mut transaction = session.begin().await?;
        let mut bulks = Vec::new();
        for name in &names {
            bulks.push(self.read_models.rehearse(name, &mut transaction).await?);
        }
        let mut parts = Vec::new();
        let mut folder = Folder::new(projections.clone(), Arc::new(ALONE.into()));
        let one_kind = <[&str; 1]>::try_from(kinds(&projections)).ok();
        let selection = EventFilter {
            stream_types: one_kind.map(|[kind]| kind.to_owned()).into_iter().collect(),
            ..EventFilter::default()
        };
        let mut log = copy_out(&mut reading, &selection, CopyOrder::ByStream).await?;
        let (mut sample, mut bytes) = (0, 0);
        while sample < SAMPLE
            && bytes < SAMPLE_BYTES
            && let Some(event) = log.next().await?
        {
            bytes += event.size();
            parts.extend(folder.event(&event.read()?)?);
            sample += 1;
        }
        drop(log);
        parts.push(folder.finish()?);
        for part in &parts {
            for (bulk, folded) in bulks.iter_mut().zip(&part.folded) {
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
        // There may be rows under way on it still.
        let _ = reading.close_hard().await;
        release(session).await;
        let left = events.saturating_sub(begun.unwrap_or(0));
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let expected =
            (sample > 0 && bulks.iter().all(Option::is_some)).then(|| took.mul_f64(left as f64 / sample as f64));
        Ok(Estimate { projections: names, events, sample, expected, begun })
    }
}
