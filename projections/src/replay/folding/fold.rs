//! Events in the order of their streams, folded by several projections at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use domain::order::Order;
use domain::stock::Stock;
use event_store::EventRef;
use event_store::bulk::CopiedEvent;
use event_versions::Upcastable;
use read_models::{Item, Key, Tally};
use tokio::sync::mpsc;

use crate::items::Items;
use crate::projection::{Fact, Fold, FoldError, Follows, Projection};
use crate::replay::ReplayError;

/// A part is handed on when it holds as many bytes of items, if not as many events before.
const BYTES: usize = 4 << 20;

/// What some streams, all of their events, add up to.
#[derive(Default)]
pub(crate) struct Part {
    /// By projection.
    pub(crate) folded: Vec<Folded>,
    pub(crate) events: i64,
    /// The last stream in it.
    pub(crate) stream_type: String,
    pub(crate) stream_id: String,
    bytes: usize,
}

/// What a projection made of them.
#[derive(Default)]
pub(crate) struct Folded {
    pub(crate) items: Vec<Item>,
    pub(crate) tallies: BTreeMap<Key, Tally>,
}

/// Folds stream after stream. A stream of any length takes as much memory as its items do.
pub(crate) struct Folder {
    projections: Vec<&'static Projection>,
    /// How many events a part has.
    size: Arc<AtomicI64>,
    part: Part,
    stream: Option<Stream>,
}

/// The stream that is being folded.
struct Stream {
    kind: String,
    id: String,
    /// By projection.
    items: Vec<Items>,
}

impl Folder {
    pub(crate) fn new(projections: Vec<&'static Projection>, size: Arc<AtomicI64>) -> Self {
        Self { part: Part::of(projections.len()), projections, size, stream: None }
    }

    /// Folds what comes, up to an empty handful, which says that this was all, and hands on parts until nobody takes them. If no more
    /// comes without that, the reader has failed, perhaps in the middle of a stream: what is begun then is handed on to nobody.
    pub(crate) fn run(
        mut self,
        mut handfuls: mpsc::Receiver<Vec<CopiedEvent>>,
        parts: &mpsc::Sender<Part>,
    ) -> Result<(), ReplayError> {
        while let Some(handful) = handfuls.blocking_recv() {
            if handful.is_empty() {
                // The writer, if it has gone, says why.
                let _ = parts.blocking_send(self.finish()?);
                return Ok(());
            }
            for event in &handful {
                if let Some(part) = self.event(&event.read()?)?
                    && parts.blocking_send(part).is_err()
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Folds an event; sometimes a part is full then.
    pub(crate) fn event(&mut self, event: &EventRef<'_>) -> Result<Option<Part>, ReplayError> {
        let goes_on = self.stream.as_ref().is_some_and(|it| it.id == event.stream_id && it.kind == event.stream_type);
        let mut full = None;
        if !goes_on {
            self.end_stream()?;
            if self.part.events >= self.size.load(Ordering::Relaxed) || self.part.bytes >= BYTES {
                full = Some(std::mem::replace(&mut self.part, Part::of(self.projections.len())));
            }
        }
        let stream = self.stream.get_or_insert_with(|| Stream {
            kind: event.stream_type.to_owned(),
            id: event.stream_id.to_owned(),
            items: self.projections.iter().map(|_| Items::default()).collect(),
        });
        if event.is_of::<Order>() {
            apply(&self.projections, stream, event, Follows::orders)?;
        } else if event.is_of::<Stock>() {
            apply(&self.projections, stream, event, Follows::stock)?;
        } else {
            return Ok(full);
        }
        self.part.events += 1;
        Ok(full)
    }

    /// What is left.
    pub(crate) fn finish(mut self) -> Result<Part, ReplayError> {
        self.end_stream()?;
        Ok(self.part)
    }

    fn end_stream(&mut self) -> Result<(), ReplayError> {
        let Some(stream) = self.stream.take() else { return Ok(()) };
        for ((projection, items), folded) in self.projections.iter().zip(stream.items).zip(&mut self.part.folded) {
            let Some(change) = items.into_change(projection.follows.head(&stream.id), None)? else { continue };
            for tally in change.tallies {
                match folded.tallies.get_mut(&tally.key) {
                    Some(sum) => sum.add(&tally),
                    None => {
                        folded.tallies.insert(tally.key.clone(), tally);
                    }
                }
            }
            for item in change.others.into_iter().chain([change.head]) {
                self.part.bytes += item.body.get().len();
                folded.items.push(item);
            }
        }
        (self.part.stream_type, self.part.stream_id) = (stream.kind, stream.id);
        Ok(())
    }
}

impl Part {
    fn of(projections: usize) -> Self {
        Self { folded: (0..projections).map(|_| Folded::default()).collect(), ..Self::default() }
    }
}

/// Has every projection that follows such streams fold an event, which is decoded once.
fn apply<A: Upcastable>(
    projections: &[&'static Projection],
    stream: &mut Stream,
    event: &EventRef<'_>,
    followed: fn(&Follows) -> Option<&Fold<A>>,
) -> Result<(), FoldError> {
    let mut fact = None;
    for (projection, items) in projections.iter().zip(&mut stream.items) {
        let Some(fold) = followed(&projection.follows) else { continue };
        if fact.is_none() {
            fact = Some(Fact::of(event)?);
        }
        if let Some(fact) = &fact {
            (fold.fold)(items, fact)?;
        }
    }
    Ok(())
}

impl Follows {
    fn orders(&self) -> Option<&Fold<Order>> {
        match self {
            Self::Orders(fold) => Some(fold),
            Self::Stock(_) => None,
        }
    }

    fn stock(&self) -> Option<&Fold<Stock>> {
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
