//! The first dead letters of each queue, and one by its id.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use error_chain::error_chain;
use messaging::{DeadLetter, DeadLetterError, DeadLetterOrigin, DeadLetterQueue, DeadLetterScan};
use problem::{Problem, ProblemType};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::{DeadLetters, Inner};

/// The most that SQS gives in one call.
const RECEIVED_AT_ONCE: usize = 10;
/// How long what was read is shown before it is read again.
const FRESH: Duration = Duration::from_secs(5);
/// How long it is shown while it is read again. To read a long queue takes seconds, and its page says how old it is.
const SHOWN: Duration = Duration::from_mins(1);
/// How long a request waits until others have read the queues.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a list reads of a queue.
const OF_A_LIST: LookBounds = LookBounds { letters: 100, bytes: 4 << 20, time: Duration::from_secs(3) };
/// How many are looked through for one.
const OF_A_SEARCH: LookBounds = LookBounds { letters: 2_000, bytes: usize::MAX, time: Duration::from_secs(10) };

/// How far a queue is read. What is reached first ends the reading.
#[derive(Debug, Clone, Copy)]
pub struct LookBounds {
    pub letters: usize,
    /// Of bodies and attributes. The last batch may go beyond.
    pub bytes: usize,
    pub time: Duration,
}

/// What was read of a queue, the oldest first.
#[derive(Debug)]
pub struct DeadLetterLook {
    pub origin: DeadLetterOrigin,
    pub letters: Vec<DeadLetter>,
    /// About how many there are that were not read: the bounds came first, they wait behind others, or someone else has them.
    pub unseen: u64,
}

/// Where a dead letter is.
pub enum Whereabouts {
    /// Held by this scan, which has to be released.
    Here(DeadLetterScan, Box<DeadLetter>),
    /// It is not among those that were looked through. About so many were not.
    NotSeen(u64),
}

/// What all queues were read as, and when.
#[derive(Clone)]
pub(crate) struct SharedLook {
    pub(crate) at: DateTime<Utc>,
    read_at: Instant,
    pub(crate) queues: Arc<Vec<DeadLetterLook>>,
}

/// Reads the first dead letters of a queue, and leaves them where they are. `waits`: an empty answer of the queue is not believed at once.
pub async fn look_at(
    queue: &DeadLetterQueue,
    bounds: LookBounds,
    waits: bool,
) -> Result<DeadLetterLook, DeadLetterError> {
    let mut scan = queue.sweep();
    let read = read(&mut scan, bounds, waits).await;
    let unseen = scan.unseen().await;
    scan.release().await;
    let mut letters = read?;
    letters.sort_by_key(|letter| letter.since);
    Ok(DeadLetterLook { origin: queue.origin(), letters, unseen: unseen? })
}

async fn read(scan: &mut DeadLetterScan, bounds: LookBounds, waits: bool) -> Result<Vec<DeadLetter>, DeadLetterError> {
    let (mut letters, mut bytes, begun) = (Vec::new(), 0, Instant::now());
    while letters.len() < bounds.letters && bytes < bounds.bytes && begun.elapsed() < bounds.time {
        // So that nobody waits for an empty queue's answer.
        if !waits && scan.unseen().await? == 0 {
            break;
        }
        let most = (bounds.letters - letters.len()).min(RECEIVED_AT_ONCE);
        let some = if waits { scan.next(most).await? } else { scan.next_at_once(most).await? };
        if some.is_empty() {
            break;
        }
        bytes += some.iter().map(DeadLetter::bytes).sum::<usize>();
        letters.extend(some);
    }
    Ok(letters)
}

/// Finds the dead letter with this id, now or in its original queue.
pub async fn find(queue: &DeadLetterQueue, id: &str, bounds: LookBounds) -> Result<Whereabouts, DeadLetterError> {
    let mut scan = queue.sweep();
    let found = scan.find(id, bounds.letters, bounds.time).await;
    let unseen = match found {
        Ok(Some(letter)) => return Ok(Whereabouts::Here(scan, Box::new(letter))),
        Ok(None) => scan.unseen().await,
        Err(error) => Err(error),
    };
    scan.release().await;
    unseen.map(Whereabouts::NotSeen)
}

/// How many there are for which reason, the most frequent first.
pub fn by_reason<'a>(letters: impl Iterator<Item = &'a DeadLetter>) -> Vec<(&'a str, u64)> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for letter in letters {
        *counts.entry(letter.why()).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| Reverse(*count));
    counts
}

impl DeadLetters {
    /// The first of all queues, as they were a moment ago. Who asks after a while may be shown what was read up to a minute ago.
    pub(crate) async fn look(&self) -> Result<SharedLook, Problem> {
        match self.0.latest() {
            Some(latest) if latest.is_fresh() => return Ok(latest),
            Some(latest) => {
                // Whoever has the turn reads them, or is about to forget what was read.
                if let Ok(turn) = Arc::clone(&self.0.turn).try_acquire_owned() {
                    drop(self.read(turn));
                }
                return Ok(latest);
            }
            None => {}
        }
        let turn = self.turn().await?;
        // Whoever had the turn before may have read them.
        match self.0.latest() {
            Some(latest) => Ok(latest),
            None => self.read(turn).await.map_err(Problem::internal)?,
        }
    }

    /// Reads the first of all queues, to the end: whoever asks may go away, and what is being read is hidden from others.
    fn read(&self, turn: OwnedSemaphorePermit) -> JoinHandle<Result<SharedLook, Problem>> {
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            let _turn = turn;
            let (at, mut queues) = (Utc::now(), Vec::new());
            for queue in &inner.queues {
                let look = look_at(queue, OF_A_LIST, false).await;
                let look = look.inspect_err(|error| {
                    tracing::warn!(queue = queue.queue_name(), error = %error_chain(error), "dead letters can't be read");
                });
                queues.push(look.map_err(unreachable)?);
            }
            let look = SharedLook { at, read_at: Instant::now(), queues: Arc::new(queues) };
            *inner.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(look.clone());
            Ok(look)
        })
    }

    /// One, by its id. `Err`: about how many were not looked through.
    pub(crate) async fn letter(&self, origin: DeadLetterOrigin, id: &str) -> Result<Result<DeadLetter, u64>, Problem> {
        let look = self.look().await?;
        let of_queue = look.queues.iter().filter(|look| look.origin == origin);
        if let Some(letter) = of_queue.flat_map(|look| &look.letters).find(|letter| letter.has_id(id)) {
            return Ok(Ok(letter.clone()));
        }
        let (turn, dead_letters, id) = (self.turn().await?, self.clone(), id.to_owned());
        let searching = tokio::spawn(async move {
            let _turn = turn;
            Ok(match dead_letters.search(origin, &id).await? {
                Whereabouts::Here(scan, letter) => {
                    scan.release().await;
                    Ok(*letter)
                }
                Whereabouts::NotSeen(unseen) => Err(unseen),
            })
        });
        searching.await.map_err(Problem::internal)?
    }

    pub(crate) async fn search(&self, origin: DeadLetterOrigin, id: &str) -> Result<Whereabouts, Problem> {
        let queue = self.0.queues.iter().find(|queue| queue.origin() == origin);
        let queue = queue.ok_or_else(unknown_queues)?;
        find(queue, id, OF_A_SEARCH).await.map_err(unreachable)
    }

    /// The turn to read the queues.
    pub(crate) async fn turn(&self) -> Result<OwnedSemaphorePermit, Problem> {
        if self.0.queues.is_empty() {
            return Err(unknown_queues());
        }
        match timeout(PATIENCE, Arc::clone(&self.0.turn).acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => {
                let detail = "others look through the dead letters; nothing was done";
                Err(Problem::new(ProblemType::Overloaded, detail).retry_after(Duration::from_secs(5)))
            }
        }
    }

    /// What was read is not so any more.
    pub(crate) fn forget(&self) {
        *self.0.latest.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Inner {
    fn latest(&self) -> Option<SharedLook> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        latest.filter(|look| look.read_at.elapsed() < SHOWN)
    }
}

impl SharedLook {
    fn is_fresh(&self) -> bool {
        self.read_at.elapsed() < FRESH
    }
}

fn unknown_queues() -> Problem {
    let detail = "this process did not find the queues when it started; ask one that has the role sagas";
    Problem::new(ProblemType::Overloaded, detail).retry_after(Duration::from_mins(1))
}

/// Nothing was done.
fn unreachable(error: DeadLetterError) -> Problem {
    let detail = "the queues do not answer; nothing was done";
    Problem::new(ProblemType::Overloaded, detail).retry_after(Duration::from_secs(5)).caused_by(error)
}
