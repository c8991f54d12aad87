//! A circuit breaker: it stops calls to a provider that fails too many of them, and lets some through now and then to see.
//!
//! What counts are the provider's failures, and it fails many orders. That one order fails again says nothing new: its failures
//! count once a minute.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When the breaker opens, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerSettings {
    /// How many of the last calls are looked at.
    pub window: usize,
    /// With fewer calls than that in the window it stays closed.
    pub at_least: usize,
    /// It opens when this many of a hundred failed.
    pub error_percent: u32,
    /// How long nothing goes through once it is open.
    pub pause: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { window: 100, at_least: 50, error_percent: 50, pause: Duration::from_secs(10) }
    }
}

/// Whether calls reach the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// They do.
    Closed,
    /// They don't.
    Open,
    /// A few do, of an order one each. What comes of them decides for the others.
    HalfOpen,
}

/// How a call found the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Well,
    Failing,
}

#[derive(Debug)]
pub(super) struct Breaker {
    settings: BreakerSettings,
    known: Mutex<Known>,
}

/// How many different orders go to see. Of the orders that fail by themselves several may come at once.
const PROBES: usize = 5;
/// For how long an order that failed says nothing new by failing.
const A_MINUTE: Duration = Duration::from_secs(60);
/// How many orders that failed are remembered at the most.
const REMEMBERED: usize = 10_000;

#[derive(Debug)]
struct Known {
    circuit: Circuit,
    failed: Failed,
}

/// The orders that failed within the last minute, the latest behind.
#[derive(Debug, Default)]
struct Failed {
    orders: HashSet<u64>,
    since: VecDeque<(Instant, u64)>,
}

#[derive(Debug)]
enum Circuit {
    Closed {
        last: VecDeque<Health>,
    },
    Open {
        until: Instant,
    },
    /// Some went to see.
    Probing {
        orders: Vec<u64>,
        failed: usize,
    },
}

/// Leave to make one call. Dropped without an answer, it says nothing about the provider.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    order: u64,
    probe: bool,
    answered: bool,
}

impl Breaker {
    pub(super) fn new(settings: BreakerSettings) -> Self {
        Self { settings, known: Mutex::new(Known { circuit: Circuit::closed(), failed: Failed::default() }) }
    }

    pub(super) fn state(&self) -> BreakerState {
        match &self.known().circuit {
            Circuit::Closed { .. } => BreakerState::Closed,
            Circuit::Open { until } if Instant::now() < *until => BreakerState::Open,
            Circuit::Open { .. } | Circuit::Probing { .. } => BreakerState::HalfOpen,
        }
    }

    /// Leave to call for an order, or how long it will take until there may be some.
    pub(super) fn enter(&self, order: &str) -> Result<Pass<'_>, Duration> {
        let mut hasher = DefaultHasher::new();
        order.hash(&mut hasher);
        let order = hasher.finish();
        let mut known = self.known();
        let probe = match &mut known.circuit {
            Circuit::Closed { .. } => false,
            Circuit::Open { until } => {
                let left = until.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    return Err(left);
                }
                known.circuit = Circuit::Probing { orders: vec![order], failed: 0 };
                true
            }
            Circuit::Probing { orders, .. } if orders.len() < PROBES && !orders.contains(&order) => {
                orders.push(order);
                true
            }
            // If they fail, it takes one more pause.
            Circuit::Probing { .. } => return Err(self.settings.pause),
        };
        Ok(Pass { breaker: self, order, probe, answered: false })
    }

    fn note(&self, order: u64, probe: bool, health: Health) {
        let mut known = self.known();
        let known = &mut *known;
        if health == Health::Failing && !known.failed.is_news(order) {
            known.circuit.came_back(order, probe);
            return;
        }
        let opens = match (&mut known.circuit, health) {
            (Circuit::Probing { .. }, Health::Well) if probe => {
                tracing::info!("the payment provider answers again");
                known.circuit = Circuit::closed();
                false
            }
            (Circuit::Probing { orders, failed }, Health::Failing) if probe => {
                orders.retain(|other| *other != order);
                *failed += 1;
                *failed >= PROBES
            }
            (Circuit::Closed { last }, _) => {
                last.push_back(health);
                if last.len() > self.settings.window {
                    last.pop_front();
                }
                health == Health::Failing && self.too_many(last)
            }
            // A call from before it opened: that it failed is no news, and that it did not proves little.
            (Circuit::Open { .. } | Circuit::Probing { .. }, _) => false,
        };
        if opens {
            tracing::warn!(pause_s = self.settings.pause.as_secs_f64(), "the payment provider is failing");
            known.circuit = Circuit::Open { until: Instant::now() + self.settings.pause };
        }
    }

    fn too_many(&self, last: &VecDeque<Health>) -> bool {
        let failed = last.iter().filter(|health| **health == Health::Failing).count();
        last.len() >= self.settings.at_least && failed * 100 >= last.len() * self.settings.error_percent as usize
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing panics while it is held.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Circuit {
    fn closed() -> Self {
        Self::Closed { last: VecDeque::new() }
    }

    /// One that went to see has nothing to tell: another may go.
    fn came_back(&mut self, order: u64, probe: bool) {
        match self {
            Self::Probing { orders, .. } if probe => orders.retain(|other| *other != order),
            Self::Probing { .. } | Self::Closed { .. } | Self::Open { .. } => {}
        }
    }
}

impl Failed {
    /// Notes that an order failed, and says whether that is news.
    fn is_news(&mut self, order: u64) -> bool {
        let now = Instant::now();
        while let Some((since, oldest)) = self.since.front() {
            if self.since.len() < REMEMBERED && now.duration_since(*since) < A_MINUTE {
                break;
            }
            self.orders.remove(oldest);
            self.since.pop_front();
        }
        let is_news = self.orders.insert(order);
        if is_news {
            self.since.push_back((now, order));
        }
        is_news
    }
}

impl Pass<'_> {
    pub(super) fn answered(mut self, health: Health) {
        self.answered = true;
        self.breaker.note(self.order, self.probe, health);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        // Whoever went to see gave up: the next one may.
        if !self.answered {
            self.breaker.known().circuit.came_back(self.order, self.probe);
        }
    }
}
