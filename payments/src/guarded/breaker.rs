//! A circuit breaker: it stops calls to a provider that fails too many of them, and lets one through now and then to see.

use std::collections::VecDeque;
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
        Self { window: 20, at_least: 10, error_percent: 50, pause: Duration::from_secs(10) }
    }
}

/// Whether calls reach the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// They do.
    Closed,
    /// They don't.
    Open,
    /// The next one does, or is on its way, alone. What comes of it decides for the others.
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
    circuit: Mutex<Circuit>,
}

#[derive(Debug)]
enum Circuit {
    Closed { last: VecDeque<Health> },
    Open { until: Instant },
    Probing,
}

/// Leave to make one call. Dropped without an answer, it says nothing about the provider.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    probe: bool,
    answered: bool,
}

impl Breaker {
    pub(super) fn new(settings: BreakerSettings) -> Self {
        Self { settings, circuit: Mutex::new(Circuit::closed()) }
    }

    pub(super) fn state(&self) -> BreakerState {
        match &*self.circuit() {
            Circuit::Closed { .. } => BreakerState::Closed,
            Circuit::Open { until } if Instant::now() < *until => BreakerState::Open,
            Circuit::Open { .. } | Circuit::Probing => BreakerState::HalfOpen,
        }
    }

    /// Leave to call, or how long it will take until there may be some.
    pub(super) fn enter(&self) -> Result<Pass<'_>, Duration> {
        let mut circuit = self.circuit();
        let probe = match &*circuit {
            Circuit::Closed { .. } => false,
            Circuit::Open { until } => {
                let left = until.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    return Err(left);
                }
                *circuit = Circuit::Probing;
                true
            }
            // If the probe fails, it takes one more pause.
            Circuit::Probing => return Err(self.settings.pause),
        };
        Ok(Pass { breaker: self, probe, answered: false })
    }

    fn note(&self, probe: bool, health: Health) {
        let mut circuit = self.circuit();
        let opens = match (&mut *circuit, health) {
            (Circuit::Probing, Health::Well) if probe => {
                tracing::info!("the payment provider answers again");
                *circuit = Circuit::closed();
                false
            }
            (Circuit::Probing, Health::Failing) if probe => true,
            (Circuit::Closed { last }, _) => {
                last.push_back(health);
                if last.len() > self.settings.window {
                    last.pop_front();
                }
                health == Health::Failing && self.too_many(last)
            }
            // A call from before it opened: that it failed is no news, and that it did not proves little.
            (Circuit::Open { .. } | Circuit::Probing, _) => false,
        };
        if opens {
            tracing::warn!(pause_s = self.settings.pause.as_secs_f64(), "the payment provider is failing");
            *circuit = Circuit::Open { until: Instant::now() + self.settings.pause };
        }
    }

    fn too_many(&self, last: &VecDeque<Health>) -> bool {
        let failed = last.iter().filter(|health| **health == Health::Failing).count();
        last.len() >= self.settings.at_least && failed * 100 >= last.len() * self.settings.error_percent as usize
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        // Nothing panics while it is held.
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Circuit {
    fn closed() -> Self {
        Self::Closed { last: VecDeque::new() }
    }
}

impl Pass<'_> {
    pub(super) fn answered(mut self, health: Health) {
        self.answered = true;
        self.breaker.note(self.probe, health);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        // Whoever probed gave up: the next one may.
        if self.probe && !self.answered {
            *self.breaker.circuit() = Circuit::Open { until: Instant::now() };
        }
    }
}
