//! Token buckets for any number of callers in a bounded amount of memory.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Blocks of cells. A caller has all its cells in one block, so that one lock and one page of memory do.
const BLOCKS: usize = 4096;
/// The cells of a caller, one in each row of its block.
const ROWS: usize = 4;
/// Cells in a row.
const ROW: usize = 128;
const CELLS: usize = ROWS * ROW;

/// How much a caller may take: a bucket of tokens, and the time in which an empty one is full again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenRate {
    tokens: u32,
    window: Duration,
}

/// Token buckets, one for each caller and none for each in memory.
///
/// A bucket is one instant: when it will be full again (the generic cell rate algorithm). The instants are kept as in a count-min
/// sketch. Each caller has four cells, which it may share with others, and its bucket is the least advanced of them. So a caller never
/// has more than its own bucket, however many callers there are, and nothing is ever forgotten before it is full. It has less only
/// while others have advanced all four of its cells. A caller is known by its hash under a random key, so nobody can look for callers
/// that share cells with another.
#[derive(Debug)]
pub struct TokenBuckets {
    /// The start of all instants, which are in nanoseconds.
    clock: Instant,
    key: RandomState,
    /// A block is empty until one of its callers comes.
    blocks: Box<[Mutex<Vec<u64>>]>,
}

/// A caller, as [`TokenBuckets`] know it. Two callers are the same one only by a chance of 1 in 2⁶⁴.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallerKey(u64);

/// What a caller's bucket holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketLevel {
    pub remaining: u32,
    /// The time until the bucket is full.
    pub full_in: Duration,
}

/// A caller's bucket is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketEmpty {
    /// The time until it holds a token.
    pub retry_after: Duration,
    /// The time until it is full.
    pub full_in: Duration,
}

impl TokenRate {
    /// The longest window.
    const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
    const MOST_TOKENS: u32 = 10_000_000;

    /// `None`: there are no tokens or too many, or the window is shorter than a second or longer than a day.
    #[must_use]
    pub fn new(tokens: u32, window: Duration) -> Option<Self> {
        let fits = (1..=Self::MOST_TOKENS).contains(&tokens) && window >= Duration::from_secs(1);
        (fits && window <= Self::LONGEST).then_some(Self { tokens, window })
    }

    #[must_use]
    pub fn tokens(&self) -> u32 {
        self.tokens
    }

    #[must_use]
    pub fn window(&self) -> Duration {
        self.window
    }

    /// The nanoseconds in which a token comes; never less than it takes.
    fn interval(&self) -> u64 {
        nanos(self.window).div_ceil(u64::from(self.tokens))
    }
}

impl Default for TokenBuckets {
    fn default() -> Self {
        let blocks = (0..BLOCKS).map(|_| Mutex::default()).collect();
        Self { clock: Instant::now(), key: RandomState::new(), blocks }
    }
}

impl TokenBuckets {
    #[must_use]
    pub fn caller(&self, caller: &impl Hash) -> CallerKey {
        CallerKey(self.key.hash_one(caller))
    }

    /// Takes a token.
    pub fn take(&self, caller: CallerKey, rate: &TokenRate, now: Instant) -> Result<BucketLevel, BucketEmpty> {
        let (now, interval, mut block) = (self.nanos_at(now), rate.interval(), self.block(caller));
        let mut cells = Cells::of(caller, &mut block);
        let full_at = cells.least().max(now) + interval;
        if full_at > now + interval * u64::from(rate.tokens) {
            return Err(empty(full_at - interval, now, rate));
        }
        cells.advance_to(full_at);
        Ok(tokens(full_at, now, rate))
    }

    /// Says whether there is a token, and takes none.
    pub fn peek(&self, caller: CallerKey, rate: &TokenRate, now: Instant) -> Result<BucketLevel, BucketEmpty> {
        let (now, interval, mut block) = (self.nanos_at(now), rate.interval(), self.block(caller));
        let full_at = Cells::of(caller, &mut block).least().max(now);
        if full_at + interval > now + interval * u64::from(rate.tokens) {
            return Err(empty(full_at, now, rate));
        }
        Ok(tokens(full_at, now, rate))
    }

    /// Takes a token even if there is none: the bucket then owes it. For what was done before it was known who pays.
    pub fn charge(&self, caller: CallerKey, rate: &TokenRate, now: Instant) -> BucketLevel {
        let (now, mut block) = (self.nanos_at(now), self.block(caller));
        let mut cells = Cells::of(caller, &mut block);
        let full_at = cells.least().max(now) + rate.interval();
        cells.advance_to(full_at);
        tokens(full_at, now, rate)
    }

    /// The memory of all buckets.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        let used = (0..BLOCKS).map(|block| self.lock(block).capacity() * size_of::<u64>()).sum::<usize>();
        used + size_of_val(&*self.blocks)
    }

    fn block(&self, caller: CallerKey) -> MutexGuard<'_, Vec<u64>> {
        let mut block = self.lock(piece(caller, ROWS) % BLOCKS);
        if block.is_empty() {
            block.reserve_exact(CELLS);
            block.resize(CELLS, 0);
        }
        block
    }

    fn lock(&self, block: usize) -> MutexGuard<'_, Vec<u64>> {
        // A cell is one number: there is nothing half done.
        self.blocks[block].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nanos_at(&self, instant: Instant) -> u64 {
        nanos(instant.saturating_duration_since(self.clock))
    }
}

/// The cells of a caller in its block.
struct Cells<'a> {
    block: &'a mut [u64],
    at: [usize; ROWS],
}

impl<'a> Cells<'a> {
    fn of(caller: CallerKey, block: &'a mut [u64]) -> Self {
        let at = std::array::from_fn(|row| row * ROW + piece(caller, row) % ROW);
        Self { block, at }
    }

    fn least(&self) -> u64 {
        self.at.iter().map(|at| self.block[*at]).min().unwrap_or_default()
    }

    /// Cells that others have advanced further stay as they are.
    fn advance_to(&mut self, instant: u64) {
        for at in self.at {
            self.block[at] = self.block[at].max(instant);
        }
    }
}

/// The nth part of a caller's hash. Twelve bits are as many as the largest index needs.
fn piece(caller: CallerKey, nth: usize) -> usize {
    usize::try_from((caller.0 >> (12 * nth)) & 0xfff).unwrap_or_default()
}

fn tokens(full_at: u64, now: u64, rate: &TokenRate) -> BucketLevel {
    let (interval, missing) = (rate.interval(), full_at - now);
    let remaining = u64::from(rate.tokens).saturating_sub(missing.div_ceil(interval));
    BucketLevel { remaining: u32::try_from(remaining).unwrap_or(rate.tokens), full_in: Duration::from_nanos(missing) }
}

/// Of a bucket that is full at that instant.
fn empty(full_at: u64, now: u64, rate: &TokenRate) -> BucketEmpty {
    let interval = rate.interval();
    let token_at = full_at + interval - interval * u64::from(rate.tokens);
    let retry_after = Duration::from_nanos(token_at.saturating_sub(now));
    BucketEmpty { retry_after, full_in: Duration::from_nanos(full_at - now) }
}

fn nanos(duration: Duration) -> u64 {
    // 292 years, halved so that a window more is no overflow.
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(tokens: u32, seconds: u64) -> TokenRate {
        TokenRate::new(tokens, Duration::from_secs(seconds)).unwrap()
    }

    #[test]
    fn a_bucket_is_emptied_and_fills_again() {
        let (buckets, rate, start) = (TokenBuckets::default(), rate(4, 2), Instant::now());
        let caller = buckets.caller(&"a");
        for remaining in (0..4).rev() {
            let full_in = Duration::from_millis(500) * (4 - remaining);
            assert_eq!(buckets.take(caller, &rate, start), Ok(BucketLevel { remaining, full_in }));
        }
        let (retry_after, full_in) = (Duration::from_millis(500), Duration::from_secs(2));
        let refused = Err(BucketEmpty { retry_after, full_in });
        assert_eq!((buckets.take(caller, &rate, start), buckets.peek(caller, &rate, start)), (refused, refused));

        let later = start + retry_after;
        assert_eq!(buckets.peek(caller, &rate, later).map(|tokens| tokens.remaining), Ok(1));
        assert!(buckets.take(caller, &rate, later).is_ok() && buckets.take(caller, &rate, later).is_err());
        let much_later = start + Duration::from_secs(3600);
        assert_eq!(buckets.peek(caller, &rate, much_later).map(|tokens| tokens.remaining), Ok(4));
    }

    #[test]
    fn what_was_charged_without_a_token_is_owed() {
        let (buckets, rate, now) = (TokenBuckets::default(), rate(2, 2), Instant::now());
        let caller = buckets.caller(&"a");
        let charged: Vec<_> = (0..5).map(|_| buckets.charge(caller, &rate, now).remaining).collect();
        assert_eq!(charged, [1, 0, 0, 0, 0]);
        assert_eq!(buckets.peek(caller, &rate, now).unwrap_err().retry_after, Duration::from_secs(4));
        assert!(buckets.take(caller, &rate, now + Duration::from_secs(3)).is_err());
        assert!(buckets.take(caller, &rate, now + Duration::from_secs(4)).is_ok());
    }

    #[test]
    fn a_rate_that_does_not_divide_its_window_gives_its_tokens_and_no_more() {
        for (tokens, seconds) in [(3, 1), (7, 60), (999_999, 1), (1, 86_400)] {
            let (buckets, rate, now) = (TokenBuckets::default(), rate(tokens, seconds), Instant::now());
            let caller = buckets.caller(&0);
            let taken = (0..=tokens).filter(|_| buckets.take(caller, &rate, now).is_ok()).count();
            assert_eq!(taken, usize::try_from(tokens).unwrap());
        }
    }

    #[test]
    fn a_rate_has_bounds() {
        let second = Duration::from_secs(1);
        assert_eq!(TokenRate::new(0, second), None);
        assert_eq!(TokenRate::new(TokenRate::MOST_TOKENS + 1, second), None);
        assert_eq!(TokenRate::new(1, Duration::from_millis(999)), None);
        assert_eq!(TokenRate::new(1, TokenRate::LONGEST + second), None);
        assert!(TokenRate::new(TokenRate::MOST_TOKENS, second).unwrap().interval() > 0);
    }

    #[test]
    fn a_million_callers_take_little_memory_and_none_gets_more_than_its_own() {
        let (buckets, rate, now) = (TokenBuckets::default(), rate(3, 60), Instant::now());
        let empty = buckets.bytes();
        assert!(empty < 256 * 1024, "{empty}");
        let mut most = 0;
        for nth in 0..1_000_000_u32 {
            let caller = buckets.caller(&nth);
            let taken = (0..4).filter(|_| buckets.take(caller, &rate, now).is_ok()).count();
            most = most.max(taken);
        }
        assert_eq!(most, 3);
        assert!(buckets.bytes() < 20 * 1024 * 1024, "{}", buckets.bytes());
        // The first of them has not been forgotten for the last.
        assert!((0..1_000).all(|nth| buckets.peek(buckets.caller(&nth), &rate, now).is_err()));
    }

    #[test]
    fn a_crowd_that_is_refused_leaves_the_others_their_tokens() {
        let (buckets, rate, now) = (TokenBuckets::default(), rate(3, 60), Instant::now());
        for nth in 0..10_000_u32 {
            let caller = buckets.caller(&("crowd", nth));
            while buckets.take(caller, &rate, now).is_ok() {}
        }
        let served = |nth: &u32| {
            let caller = buckets.caller(&("others", nth));
            (0..3).all(|_| buckets.take(caller, &rate, now).is_ok())
        };
        // By chance one in a million shares all its cells with them.
        assert!((0..1_000).filter(served).count() >= 998);
    }

    #[test]
    fn callers_at_the_same_time_take_no_token_twice() {
        let (buckets, rate, now) = (TokenBuckets::default(), rate(1_000, 60), Instant::now());
        let caller = buckets.caller(&"a");
        let take = || (0..1_000).filter(|_| buckets.take(caller, &rate, now).is_ok()).count();
        let taken = std::thread::scope(|scope| {
            let all: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            all.into_iter().map(|one| one.join().unwrap()).sum::<usize>()
        });
        assert_eq!(taken, 1_000);
    }
}
