//! The first phase of a replay: folds the log stream by stream, and writes the items in bulk.
//!
//! A reader, a folder and a writer work at the same time. Bounded channels between them hold each to the speed of the
//! slowest.

mod folder;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use bounds::Budget;
use event_store::EventFilter;
use event_store::bulk::{CopyOutOrder, CopyRow, copy_out};
use read_models::GenerationLoader;
use sqlx::{Connection, Executor, PgConnection, PgPool};
use tokio::sync::mpsc;

pub(super) use self::folder::{BulkStreamFolder, FoldedStreamBatch};
use super::throttle::ReplayThrottle;
use super::{ExclusiveReplay, ReplayError, ReplayProgress, stream_types, table};

/// How many events, and how many bytes of them, go from the reader to the folder at once.
const CHUNK: usize = 512;
const CHUNK_BYTES: usize = Budget::BYTES / 4;
/// How many chunks wait for the folder, and how many batches for the writer.
const WAITING_CHUNKS: usize = 4;
const WAITING_BATCHES: usize = 2;

impl ExclusiveReplay {
    /// Folds the log up to where it ended when the replay began, from the stream after the last one that is written.
    pub(super) async fn bulk_fold(
        &mut self,
        report: &mut (impl FnMut(ReplayProgress) + Send),
    ) -> Result<(), ReplayError> {
        let last_written = (!self.state.stream_type.is_empty())
            .then(|| (self.state.stream_type.clone(), self.state.stream_id.clone()));
        let selection = EventFilter {
            up_to: Some(self.state.horizon),
            after_stream: last_written,
            stream_types: only_stream_type(&stream_types(&self.projections)),
            ..EventFilter::default()
        };
        let (chunks, to_fold) = mpsc::channel(WAITING_CHUNKS);
        let (batches, mut to_write) = mpsc::channel(WAITING_BATCHES);
        let reading = tokio::spawn(read_log(self.replays.pool.clone(), selection, chunks));
        let mut throttle = ReplayThrottle::measure(&mut self.session).await?;
        let batch_size = Arc::new(AtomicI64::new(throttle.batch_size()));
        let folder = BulkStreamFolder::new(self.projections.clone(), Arc::clone(&batch_size));
        let folding = tokio::task::spawn_blocking(move || folder.run(to_fold, &batches));

        // A batch and the record of it are committed together. A crash that loses the last of these commits loses both.
        self.session.execute("set synchronous_commit = off").await?;
        let mut bulks = Vec::with_capacity(self.projections.len());
        for projection in &self.projections {
            bulks.push(self.replays.read_models.resume_next(projection.name, &mut self.session).await?);
        }
        if throttle.is_busy() {
            for bulk in &mut bulks {
                bulk.create_indexes_first(&mut self.session).await?;
            }
        }
        let mut began = Instant::now();
        let written = loop {
            batch_size.store(throttle.batch_size(), Ordering::Relaxed);
            let Some(batch) = to_write.recv().await else { break Ok(()) };
            let writing = Instant::now();
            if let Err(error) = self.write(&mut bulks, &batch, began).await {
                break Err(error);
            }
            began = Instant::now();
            report(self.progress());
            throttle.pause_after(&mut self.session, writing.elapsed()).await?;
        };
        // The first task to fail has the reason. The others end because their neighbour has ended.
        drop(to_write);
        written?;
        self.session.execute("reset synchronous_commit").await?;
        folding.await.map_err(|_| ReplayError::FoldEnded)??;
        reading.await.map_err(|_| ReplayError::FoldEnded)?
    }

    /// Writes a batch, and records the progress, in one transaction.
    async fn write(
        &mut self,
        bulks: &mut [Box<dyn GenerationLoader>],
        batch: &FoldedStreamBatch,
        began: Instant,
    ) -> Result<(), ReplayError> {
        let mut transaction = self.session.begin().await?;
        for (bulk, folded) in bulks.iter_mut().zip(&batch.by_projection) {
            let tallies: Vec<_> = folded.tallies.values().cloned().collect();
            bulk.add(&mut transaction, &folded.items, &tallies).await?;
        }
        let last_stream = (&*batch.stream_type, &*batch.stream_id);
        let events =
            table::record_folded(&mut transaction, self.state.id, batch.events, last_stream, began.elapsed()).await?;
        let Some(events) = events else { return Err(ReplayError::Cancelled) };
        transaction.commit().await?;
        self.state.events = u64::try_from(events).unwrap_or(0);
        Ok(())
    }
}

/// The one stream type to read, which is one range of the log's index; empty, which means all types, if there are
/// several.
pub(super) fn only_stream_type(types: &[&str]) -> Vec<String> {
    if let [only] = types { vec![(*only).to_owned()] } else { vec![] }
}

/// Reads the log in chunks. An empty chunk marks its end.
async fn read_log(pool: PgPool, selection: EventFilter, chunks: mpsc::Sender<Vec<CopyRow>>) -> Result<(), ReplayError> {
    // Not from the pool: a connection in the middle of a COPY can't be used for anything else.
    let mut connection = PgConnection::connect_with(&pool.connect_options()).await?;
    let mut transaction = connection.begin().await?;
    let mut events = copy_out(&mut transaction, &selection, CopyOutOrder::ByStream).await?;
    let budget = Budget::of(CHUNK).with_bytes(CHUNK_BYTES);
    let (mut chunk, mut room) = (Vec::with_capacity(CHUNK), budget);
    while let Some(event) = events.next().await? {
        if !room.take(event.size()) {
            let full = std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK));
            if chunks.send(full).await.is_err() {
                return Ok(());
            }
            room = budget;
            room.take(event.size());
        }
        chunk.push(event);
    }
    if !chunk.is_empty() && chunks.send(chunk).await.is_err() {
        return Ok(());
    }
    // If nobody takes it, the folder has failed and has the reason.
    let _ = chunks.send(Vec::new()).await;
    Ok(())
}
