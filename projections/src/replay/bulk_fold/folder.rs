//! Folds events that come stream by stream, for several projections at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use domain::order::Order;
use domain::stock::Stock;
use event_store::BorrowedEvent;
use event_store::bulk::CopyRow;
use event_versions::Upcastable;
use read_models::{Item, Key, TallyAddition};
use tokio::sync::mpsc;

use crate::error::FoldError;
use crate::fold_context::FoldWorkingSet;
use crate::projection::{DecodedEvent, FollowedStreams, ProjectionDefinition, ProjectionFold};
use crate::replay::ReplayError;

/// A batch is complete once its items have this many bytes, even if it has fewer events than asked for.
const BATCH_BYTES: usize = 4 << 20;

/// The items that all events of some streams add up to.
#[derive(Default)]
pub(crate) struct FoldedStreamBatch {
    /// In the order of the projections.
    pub(crate) by_projection: Vec<BulkFoldResult>,
    pub(crate) events: i64,
    /// The last stream in the batch.
    pub(crate) stream_type: String,
    pub(crate) stream_id: String,
    bytes: usize,
}

/// What some streams fold to in one read model: items, and additions to tallies.
#[derive(Default)]
pub(crate) struct BulkFoldResult {
    pub(crate) items: Vec<Item>,
    pub(crate) tallies: BTreeMap<Key, TallyAddition>,
}

/// Folds one stream after the other. A stream takes as much memory as its items do, however many events it has.
pub(crate) struct BulkStreamFolder {
    projections: Vec<&'static ProjectionDefinition>,
    /// How many events make a batch. The writer changes it as the log gets busy or quiet.
    batch_size: Arc<AtomicI64>,
    batch: FoldedStreamBatch,
    stream: Option<FoldingStream>,
}

struct FoldingStream {
    stream_type: String,
    stream_id: String,
    /// In the order of the projections.
    items: Vec<FoldWorkingSet>,
}

impl BulkStreamFolder {
    pub(crate) fn new(projections: Vec<&'static ProjectionDefinition>, batch_size: Arc<AtomicI64>) -> Self {
        Self { batch: FoldedStreamBatch::empty(projections.len()), projections, batch_size, stream: None }
    }

    /// Folds chunks of events up to an empty one, which marks the end of the log, and sends the batches. If the chunks
    /// end without an empty one, the reader has failed, perhaps in the middle of a stream: then the batch in progress
    /// is dropped.
    pub(crate) fn run(
        mut self,
        mut chunks: mpsc::Receiver<Vec<CopyRow>>,
        batches: &mpsc::Sender<FoldedStreamBatch>,
    ) -> Result<(), ReplayError> {
        while let Some(chunk) = chunks.blocking_recv() {
            if chunk.is_empty() {
                // If nobody takes it, the writer has failed and has the reason.
                let _ = batches.blocking_send(self.finish()?);
                return Ok(());
            }
            for event in &chunk {
                if let Some(batch) = self.fold(&event.read()?)?
                    && batches.blocking_send(batch).is_err()
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Folds an event. Returns the batch of the streams before it, if that is complete.
    pub(crate) fn fold(&mut self, event: &BorrowedEvent<'_>) -> Result<Option<FoldedStreamBatch>, ReplayError> {
        let is_current = |it: &FoldingStream| it.stream_id == event.stream_id && it.stream_type == event.stream_type;
        let mut complete = None;
        if !self.stream.as_ref().is_some_and(is_current) {
            self.end_stream()?;
            if self.batch.events >= self.batch_size.load(Ordering::Relaxed) || self.batch.bytes >= BATCH_BYTES {
                complete = Some(std::mem::replace(&mut self.batch, FoldedStreamBatch::empty(self.projections.len())));
            }
        }
        let stream = self.stream.get_or_insert_with(|| FoldingStream {
            stream_type: event.stream_type.to_owned(),
            stream_id: event.stream_id.to_owned(),
            items: self.projections.iter().map(|_| FoldWorkingSet::default()).collect(),
        });
        if event.is_of::<Order>() {
            apply(&self.projections, stream, event, FollowedStreams::orders)?;
        } else if event.is_of::<Stock>() {
            apply(&self.projections, stream, event, FollowedStreams::stock)?;
        } else {
            return Ok(complete);
        }
        self.batch.events += 1;
        Ok(complete)
    }

    /// The last batch.
    pub(crate) fn finish(mut self) -> Result<FoldedStreamBatch, ReplayError> {
        self.end_stream()?;
        Ok(self.batch)
    }

    fn end_stream(&mut self) -> Result<(), ReplayError> {
        let Some(stream) = self.stream.take() else { return Ok(()) };
        let by_projection = &mut self.batch.by_projection;
        for ((projection, items), folded) in self.projections.iter().zip(stream.items).zip(by_projection) {
            let head = projection.follows.head(&stream.stream_id);
            let Some(change) = items.into_change(head, None)? else { continue };
            for tally in change.tallies {
                match folded.tallies.get_mut(&tally.key) {
                    Some(sum) => sum.add(&tally),
                    None => {
                        folded.tallies.insert(tally.key.clone(), tally);
                    }
                }
            }
            for item in change.others.into_iter().chain([change.head]) {
                self.batch.bytes += item.body.get().len();
                folded.items.push(item);
            }
        }
        (self.batch.stream_type, self.batch.stream_id) = (stream.stream_type, stream.stream_id);
        Ok(())
    }
}

impl FoldedStreamBatch {
    fn empty(projections: usize) -> Self {
        Self { by_projection: (0..projections).map(|_| BulkFoldResult::default()).collect(), ..Self::default() }
    }
}

/// Decodes an event once, and folds it for every projection that follows its stream.
fn apply<A: Upcastable>(
    projections: &[&'static ProjectionDefinition],
    stream: &mut FoldingStream,
    event: &BorrowedEvent<'_>,
    followed: fn(&FollowedStreams) -> Option<&ProjectionFold<A>>,
) -> Result<(), FoldError> {
    let mut decoded = None;
    for (projection, items) in projections.iter().zip(&mut stream.items) {
        let Some(fold) = followed(&projection.follows) else { continue };
        if decoded.is_none() {
            decoded = Some(DecodedEvent::decode(event)?);
        }
        if let Some(recorded) = &decoded {
            (fold.fold)(items, recorded)?;
        }
    }
    Ok(())
}

impl FollowedStreams {
    fn orders(&self) -> Option<&ProjectionFold<Order>> {
        match self {
            Self::Orders(fold) => Some(fold),
            Self::Stock(_) => None,
        }
    }

    fn stock(&self) -> Option<&ProjectionFold<Stock>> {
        match self {
            Self::Stock(fold) => Some(fold),
            Self::Orders(_) => None,
        }
    }

    fn head(&self, stream_id: &str) -> Key {
        match self {
            Self::Orders(fold) => (fold.head)(stream_id),
            Self::Stock(fold) => (fold.head)(stream_id),
        }
    }
}
