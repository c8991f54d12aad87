//! A circuit breaker: it stops calls to a provider that fails too many of them, and lets a few probe it every now and
//! then.
//!
//! It counts failures of the provider, which concern many orders. Repeated failures of one order say nothing about the
//! provider: they count once a minute.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When the breaker opens, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerSettings {
    /// How many of the last calls count.
    pub window: usize,
    /// With fewer calls in the window, it stays closed.
    pub at_least: usize,
    /// It opens when this many per cent of them failed.
    pub error_percent: u32,
    /// How long it stays open before it probes.
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
    /// All do.
    Closed,
    /// None do.
    Open,
    /// A few probes do, one of an order. They decide whether it closes.
    HalfOpen,
}

/// Whether a call speaks for the provider or against it, which the breaker counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallHealth {
    Healthy,
    Failing,
}

/// Stops calls to a provider that fails too often, and lets probes through after a while.
#[derive(Debug)]
pub(super) struct CircuitBreaker {
    settings: BreakerSettings,
    current: Mutex<BreakerInner>,
}

/// How many different orders probe. Several of them may fail for reasons of their own.
const PROBES: usize = 5;
/// Further failures of an order do not count for so long.
const FAILURE_TTL: Duration = Duration::from_secs(60);
/// The most failed orders that are remembered.
const MAX_REMEMBERED: usize = 10_000;

#[derive(Debug)]
struct BreakerInner {
    circuit: CircuitState,
    failed: RecentFailures,
}

/// The orders that failed within the last minute, the latest at the end.
#[derive(Debug, Default)]
struct RecentFailures {
    orders: HashSet<u64>,
    since: VecDeque<(Instant, u64)>,
}

#[derive(Debug)]
enum CircuitState {
    Closed {
        last: VecDeque<CallHealth>,
    },
    Open {
        until: Instant,
    },
    /// Some orders probe the provider.
    Probing {
        orders: Vec<u64>,
        failed: usize,
    },
}

/// The permission for one call. If it is dropped without an answer, it does not count.
#[derive(Debug)]
pub(super) struct CallPermit<'a> {
    breaker: &'a CircuitBreaker,
    order: u64,
    probe: bool,
    answered: bool,
}

impl CircuitBreaker {
    pub(super) fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            current: Mutex::new(BreakerInner { circuit: CircuitState::closed(), failed: RecentFailures::default() }),
        }
    }

    pub(super) fn state(&self) -> BreakerState {
        match &self.lock().circuit {
            CircuitState::Closed { .. } => BreakerState::Closed,
            CircuitState::Open { until } if Instant::now() < *until => BreakerState::Open,
            CircuitState::Open { .. } | CircuitState::Probing { .. } => BreakerState::HalfOpen,
        }
    }

    /// The permission for a call of an order, or how long to wait for one.
    pub(super) fn enter(&self, order: &str) -> Result<CallPermit<'_>, Duration> {
        let mut hasher = DefaultHasher::new();
        order.hash(&mut hasher);
        let order = hasher.finish();
        let mut state = self.lock();
        let probe = match &mut state.circuit {
            CircuitState::Closed { .. } => false,
            CircuitState::Open { until } => {
                let left = until.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    return Err(left);
                }
                state.circuit = CircuitState::Probing { orders: vec![order], failed: 0 };
                true
            }
            CircuitState::Probing { orders, .. } if orders.len() < PROBES && !orders.contains(&order) => {
                orders.push(order);
                true
            }
            // Enough orders probe already. If they fail, there is one more pause.
            CircuitState::Probing { .. } => return Err(self.settings.pause),
        };
        Ok(CallPermit { breaker: self, order, probe, answered: false })
    }

    fn record(&self, order: u64, probe: bool, health: CallHealth) {
        let mut state = self.lock();
        let state = &mut *state;
        if health == CallHealth::Failing && !state.failed.insert(order) {
            state.circuit.end_probe(order, probe);
            return;
        }
        let opens = match (&mut state.circuit, health) {
            (CircuitState::Probing { .. }, CallHealth::Healthy) if probe => {
                tracing::info!("the payment provider answers again");
                state.circuit = CircuitState::closed();
                false
            }
            (CircuitState::Probing { orders, failed }, CallHealth::Failing) if probe => {
                orders.retain(|other| *other != order);
                *failed += 1;
                *failed >= PROBES
            }
            (CircuitState::Closed { last }, _) => {
                last.push_back(health);
                if last.len() > self.settings.window {
                    last.pop_front();
                }
                health == CallHealth::Failing && self.too_many(last)
            }
            // A call that began before the breaker opened proves nothing.
            (CircuitState::Open { .. } | CircuitState::Probing { .. }, _) => false,
        };
        if opens {
            tracing::warn!(pause_s = self.settings.pause.as_secs_f64(), "the payment provider is failing");
            state.circuit = CircuitState::Open { until: Instant::now() + self.settings.pause };
        }
    }

    fn too_many(&self, last: &VecDeque<CallHealth>) -> bool {
        let failed = last.iter().filter(|health| **health == CallHealth::Failing).count();
        last.len() >= self.settings.at_least && failed * 100 >= last.len() * self.settings.error_percent as usize
    }

    fn lock(&self) -> MutexGuard<'_, BreakerInner> {
        // No code panics while it holds the lock.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CircuitState {
    fn closed() -> Self {
        Self::Closed { last: VecDeque::new() }
    }

    /// A probe ended without a result. Another order may probe.
    fn end_probe(&mut self, order: u64, probe: bool) {
        match self {
            Self::Probing { orders, .. } if probe => orders.retain(|other| *other != order),
            Self::Probing { .. } | Self::Closed { .. } | Self::Open { .. } => {}
        }
    }
}

impl RecentFailures {
    /// Records that an order failed. False: it had failed within the last minute.
    fn insert(&mut self, order: u64) -> bool {
        let now = Instant::now();
        while let Some((since, oldest)) = self.since.front() {
            if self.since.len() < MAX_REMEMBERED && now.duration_since(*since) < FAILURE_TTL {
                break;
            }
            self.orders.remove(oldest);
            self.since.pop_front();
        }
        let is_new = self.orders.insert(order);
        if is_new {
            self.since.push_back((now, order));
        }
        is_new
    }
}

impl CallPermit<'_> {
    pub(super) fn answered(mut self, health: CallHealth) {
        self.answered = true;
        self.breaker.record(self.order, self.probe, health);
    }
}

impl Drop for CallPermit<'_> {
    fn drop(&mut self) {
        // The caller gave up.
        if !self.answered {
            self.breaker.lock().circuit.end_probe(self.order, self.probe);
        }
    }
}
