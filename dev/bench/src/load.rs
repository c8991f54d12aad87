//! The load generator: one thread, many connections, and what became of each request.
//!
//! It must cost less than what it measures, so it runs on a single-threaded runtime of its own and shares the processors with the
//! server as little as it can.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::connection::{Answer, Connection};
use crate::pace::{Turn, Turns};

/// How long to wait for answers once the time is up.
const LAST_ANSWERS: Duration = Duration::from_secs(15);
/// Before a connection that failed is opened again.
const RECONNECT: Duration = Duration::from_millis(20);

/// What is sent. Each connection has a copy of its own.
pub(crate) trait Requests: Clone + Send + 'static {
    /// The status that answers one that succeeded.
    const SUCCESS: u16;

    /// The bytes of the `nth`.
    fn request(&mut self, nth: u64) -> &[u8];
}

/// What to send, how fast, for how long.
#[derive(Debug, Clone)]
pub(crate) struct Load<R> {
    pub(crate) address: SocketAddr,
    pub(crate) requests: R,
    pub(crate) connections: usize,
    /// `None`: a closed loop.
    pub(crate) per_second: Option<f64>,
    /// What is due in this time at first is sent, and not measured.
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
}

/// A load under way.
pub(crate) struct Running {
    /// What is due between these is measured.
    pub(crate) from: Instant,
    pub(crate) until: Instant,
    ended: oneshot::Receiver<anyhow::Result<Tally>>,
}

impl<R: Requests> Load<R> {
    /// Opens all connections, then starts.
    pub(crate) async fn start(self) -> anyhow::Result<Running> {
        let (tell_started, started) = oneshot::channel();
        let (tell_ended, ended) = oneshot::channel();
        std::thread::Builder::new().name("load".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let tally = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(self.run(tell_started)));
            // The receiver is gone if the benchmark was interrupted.
            let _ = tell_ended.send(tally);
        })?;
        match started.await {
            Ok((from, until)) => Ok(Running { from, until, ended }),
            Err(_) => Err(ended.await?.err().unwrap_or_else(|| anyhow!("the load could not be started"))),
        }
    }

    async fn run(self, started: oneshot::Sender<(Instant, Instant)>) -> anyhow::Result<Tally> {
        let mut connections = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            let connected = connect(self.address).await;
            connections.push(connected.with_context(|| format!("cannot connect to {}", self.address))?);
        }
        let begin = Instant::now();
        let from = begin + self.warm_up;
        let until = from + self.duration;
        let turns = Turns::start(self.per_second, begin, until);
        let tally = Arc::new(Mutex::new(Tally::new(from, until)));
        let mut working = JoinSet::new();
        for connection in connections {
            let worker = Worker {
                address: self.address,
                connection: Some(connection),
                requests: self.requests.clone(),
                turns: turns.clone(),
                tally: Arc::clone(&tally),
            };
            working.spawn(worker.run());
        }
        let _ = started.send((from, until));

        tokio::time::sleep_until(from.into()).await;
        let before = processor_time();
        tokio::time::sleep_until(until.into()).await;
        let processor = processor_time().saturating_sub(before);
        let all_answered = async { while working.join_next().await.is_some() {} };
        let answered = tokio::time::timeout(LAST_ANSWERS, all_answered).await;

        let mut tally = std::mem::replace(&mut *lock(&tally), Tally::new(from, until));
        tally.processor = processor;
        if answered.is_err() {
            tally.failed += u64::try_from(working.len()).unwrap_or(u64::MAX);
            tally.first_failure.get_or_insert_with(|| "there was no answer".to_owned());
        }
        for due in turns.missed() {
            tally.missed(due, until);
        }
        Ok(tally)
    }
}

impl Running {
    /// Waits for the last answer.
    pub(crate) async fn tally(self) -> anyhow::Result<Tally> {
        self.ended.await.context("the load generator died")?
    }
}

/// The processor time of this thread.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

pub(crate) async fn connect(address: SocketAddr) -> io::Result<Connection> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(Connection::new(stream))
}

/// One connection at a time.
struct Worker<R> {
    address: SocketAddr,
    connection: Option<Connection>,
    requests: R,
    turns: Turns,
    tally: Arc<Mutex<Tally>>,
}

impl<R: Requests> Worker<R> {
    async fn run(mut self) {
        while let Some(turn) = self.turns.next().await {
            let sent = Instant::now();
            let answer = self.send(turn.nth).await;
            lock(&self.tally).note(turn, sent, R::SUCCESS, &answer, Instant::now());
            match answer {
                Ok(Answer { closes: false, .. }) => {}
                Ok(_) => self.connection = None,
                Err(_) => {
                    self.connection = None;
                    tokio::time::sleep(RECONNECT).await;
                }
            }
        }
    }

    async fn send(&mut self, nth: u64) -> io::Result<Answer> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(connect(self.address).await?),
        };
        connection.exchange(self.requests.request(nth)).await
    }
}

fn lock(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What became of the requests.
#[derive(Debug)]
pub(crate) struct Tally {
    from: Instant,
    until: Instant,
    /// Of the requests that were due while it was measured and succeeded, in microseconds.
    pub(crate) latencies: Histogram<u64>,
    /// Of those that were refused because the server was busy, from when they were sent: how fast it says so.
    pub(crate) refusals: Histogram<u64>,
    /// Requests that succeeded while it was measured.
    pub(crate) accepted: u64,
    /// Requests that were due while it was measured.
    pub(crate) offered: u64,
    /// Of those, how many no connection was free for in time.
    pub(crate) missed: u64,
    /// Answers that are neither success nor refusal, by status.
    pub(crate) other: BTreeMap<u16, u64>,
    /// Requests without an answer.
    pub(crate) failed: u64,
    pub(crate) first_failure: Option<String>,
    /// Those that succeeded at any time, those of the warm-up included.
    pub(crate) accepted_in_all: u64,
    /// What the load generator took of a processor while it was measured.
    pub(crate) processor: Duration,
}

impl Tally {
    fn new(from: Instant, until: Instant) -> Self {
        Self {
            from,
            until,
            latencies: histogram(),
            refusals: histogram(),
            accepted: 0,
            offered: 0,
            missed: 0,
            other: BTreeMap::new(),
            failed: 0,
            first_failure: None,
            accepted_in_all: 0,
            processor: Duration::ZERO,
        }
    }

    fn note(&mut self, turn: Turn, sent: Instant, success: u16, answer: &io::Result<Answer>, done: Instant) {
        let was_due = turn.due >= self.from && turn.due < self.until;
        let was_done = done >= self.from && done < self.until;
        self.offered += u64::from(was_due);
        let latency = micros(done.saturating_duration_since(turn.due));
        match answer {
            Ok(Answer { status, .. }) if *status == success => {
                self.accepted_in_all += 1;
                self.accepted += u64::from(was_done);
                if was_due {
                    self.latencies.saturating_record(latency);
                }
            }
            Ok(Answer { status: 503, .. }) if was_due => {
                self.refusals.saturating_record(micros(done.saturating_duration_since(sent)));
            }
            Ok(Answer { status: 503, .. }) => {}
            Ok(Answer { status, .. }) => *self.other.entry(*status).or_default() += 1,
            Err(error) => {
                self.failed += 1;
                self.first_failure.get_or_insert_with(|| error.to_string());
            }
        }
    }

    /// A request that was never sent has waited until the time was up, and nobody knows how much longer it would have.
    fn missed(&mut self, due: Instant, until: Instant) {
        if due >= self.from {
            self.offered += 1;
            self.missed += 1;
            self.latencies.saturating_record(micros(until.saturating_duration_since(due)));
        }
    }

    /// Requests that came to nothing, and not because the server said that it was busy.
    pub(crate) fn errors(&self) -> u64 {
        self.failed + self.other.values().sum::<u64>()
    }
}

/// Of microseconds, up to a minute, to three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    // These bounds are within what it takes.
    Histogram::new_with_max(60_000_000, 3).unwrap_or_else(|_| unreachable!("the bounds are constants"))
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
