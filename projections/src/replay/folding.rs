//! The bulk of a replay: the log, stream by stream, folded into items that are written in bulk.
//!
//! Three work at once, each as fast as the slowest: one reads the log, one folds, one writes. What is between them is bounded.

mod fold;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use bounds::Budget;
use event_store::EventFilter;
use event_store::bulk::{CopiedEvent, CopyOrder, copy_out};
use read_models::Bulk;
use sqlx::{Connection, Executor, PgConnection, PgPool};
use tokio::sync::mpsc;

pub(super) use self::fold::{Folder, Part};
use super::begin::kinds;
use super::traffic::Traffic;
use super::{Progress, Replay, ReplayError};

/// How many events go from the reader to the fold at once, and how many bytes.
const HANDFUL: usize = 512;
const HANDFUL_BYTES: usize = Budget::BYTES / 4;
/// How many handfuls, and how many parts, wait for whoever is next.
const HANDFULS: usize = 4;
const PARTS: usize = 2;

impl Replay {
    /// Folds what the log had when the replay began, as far as that is still to be done.
    pub(super) async fn fold(&mut self, report: &mut (impl FnMut(Progress) + Send)) -> Result<(), ReplayError> {
        let kinds = kinds(&self.projections);
        let begun = (!self.state.stream_type.is_empty())
            .then(|| (self.state.stream_type.clone(), self.state.stream_id.clone()));
        let selection = EventFilter {
            up_to: Some(self.state.horizon),
            after_stream: begun,
            // One kind is one range of the log's index.
            stream_types: <[&str; 1]>::try_from(kinds).ok().map(|[kind]| kind.to_owned()).into_iter().collect(),
            ..EventFilter::default()
        };
        let (handfuls, to_fold) = mpsc::channel(HANDFULS);
        let (parts, mut to_write) = mpsc::channel(PARTS);
        let reading = tokio::spawn(read(self.replays.pool.clone(), selection, handfuls));
        let mut traffic = Traffic::look(&mut self.session).await?;
        let size = Arc::new(AtomicI64::new(traffic.events_at_once()));
        let folder = Folder::new(self.projections.clone(), Arc::clone(&size));
        let folding = tokio::task::spawn_blocking(move || folder.run(to_fold, &parts));

        // What a part writes and the note of it are committed together. If a crash loses the last of them, it loses both.
        self.session.execute("set synchronous_commit = off").await?;
        let mut bulks = Vec::with_capacity(self.projections.len());
        for projection in &self.projections {
            bulks.push(self.replays.read_models.resume(projection.name, &mut self.session).await?);
        }
        if traffic.is_busy() {
            for bulk in &mut bulks {
                bulk.index_first(&mut self.session).await?;
            }
        }
        let mut began = Instant::now();
        let written = loop {
            size.store(traffic.events_at_once(), Ordering::Relaxed);
            let Some(part) = to_write.recv().await else { break Ok(()) };
            let writing = Instant::now();
            if let Err(error) = self.write(&mut bulks, &part, began).await {
                break Err(error);
            }
            began = Instant::now();
            report(self.progress());
            traffic.give_way(&mut self.session, writing.elapsed()).await?;
        };
        // Whoever is first to fail has the reason; the others end because their neighbour has.
        drop(to_write);
        written?;
        self.session.execute("reset synchronous_commit").await?;
        folding.await.map_err(|_| ReplayError::FoldEnded)??;
        reading.await.map_err(|_| ReplayError::FoldEnded)?
    }

    /// Writes a part, and how far the replay is, in one transaction.
    async fn write(&mut self, bulks: &mut [Box<dyn Bulk>], part: &Part, began: Instant) -> Result<(), ReplayError> {
        let mut transaction = self.session.begin().await?;
        for (bulk, folded) in bulks.iter_mut().zip(&part.folded) {
            let tallies: Vec<_> = folded.tallies.values().cloned().collect();
            bulk.add(&mut transaction, &folded.items, &tallies).await?;
        }
        let note = "update replays set events = events + $2, stream_type = $3, stream_id = $4, updated_at = now(),
                           working = working + make_interval(secs => $5)
                     where id = $1 returning events, cancelling";
        let noted: Option<(i64, bool)> = sqlx::query_as(note)
            .bind(self.state.id)
            .bind(part.events)
            .bind(&part.stream_type)
            .bind(&part.stream_id)
            .bind(began.elapsed().as_secs_f64())
            .fetch_optional(&mut *transaction)
            .await?;
        let Some((events, false)) = noted else { return Err(ReplayError::Cancelled) };
        transaction.commit().await?;
        self.state.events = u64::try_from(events).unwrap_or(0);
        Ok(())
    }
}

/// Reads the log and hands it on, and says when that was all of it.
async fn read(
    pool: PgPool,
    selection: EventFilter,
    handfuls: mpsc::Sender<Vec<CopiedEvent>>,
) -> Result<(), ReplayError> {
    // Its own connection: one that is left in the middle of a COPY is of no use to anyone else.
    let mut connection = PgConnection::connect_with(&pool.connect_options()).await?;
    let mut transaction = connection.begin().await?;
    let mut events = copy_out(&mut transaction, &selection, CopyOrder::ByStream).await?;
    let budget = Budget::of(HANDFUL).with_bytes(HANDFUL_BYTES);
    let (mut handful, mut room) = (Vec::with_capacity(HANDFUL), budget);
    while let Some(event) = events.next().await? {
        if !room.take(event.size()) {
            let full = std::mem::replace(&mut handful, Vec::with_capacity(HANDFUL));
            if handfuls.send(full).await.is_err() {
                return Ok(());
            }
            room = budget;
            room.take(event.size());
        }
        handful.push(event);
    }
    if !handful.is_empty() && handfuls.send(handful).await.is_err() {
        return Ok(());
    }
    // An empty one: these were all. If nobody takes it, the fold has failed, and says why.
    let _ = handfuls.send(Vec::new()).await;
    Ok(())
}
