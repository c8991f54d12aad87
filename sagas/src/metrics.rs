//! What is counted of the sagas.

use std::sync::Arc;
use std::time::Duration;

use domain::order::MailOutcome;
use domain::order::event::MailTemplate;
use domain::order::saga::SagaStep;
use messaging::Template;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use sqlx::{PgPool, Row};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::SAGAS;
use crate::report::{self, GivenUpFilter};
use crate::saga::{Done, Outcome, Saga, StepError, Undo};

/// For how long a count of the mails that were given up is good.
const RECOUNT: Duration = Duration::from_secs(30);

/// Figures of the sagas; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    steps: Family<CameTo, Counter>,
    duration: Family<At, Histogram>,
    waiting: Family<At, Gauge>,
    stuck: Family<At, Gauge>,
    unknown: Gauge,
    mails: Family<Mailed, Counter>,
    given_up: Family<OfTemplate, Gauge>,
    /// When those were counted last.
    counted: Arc<Mutex<Option<Instant>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Mailed {
    template: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTemplate {
    template: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CameTo {
    saga: &'static str,
    step: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct At {
    saga: &'static str,
    step: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            steps: Family::default(),
            // 1 ms to 16 s.
            duration: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 15))),
            waiting: Family::default(),
            stuck: Family::default(),
            unknown: Gauge::default(),
            mails: Family::default(),
            given_up: Family::default(),
            counted: Arc::default(),
        }
    }
}

impl Metrics {
    /// Enters them into a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("mails", "What became of mails, as orders have it", self.mails.clone());
        let given_up = "Mails that were given up, and that no operator has decided about since";
        registry.register("mails_given_up", given_up, self.given_up.clone());
        let registry = registry.sub_registry_with_prefix("saga");
        registry.register("steps", "What steps came to, order by order", self.steps.clone());
        let duration = "How long a step took for all orders that were at it together";
        registry.register_with_unit("step_duration", duration, Unit::Seconds, self.duration.clone());
        let waiting = "Orders that wait at a step: for an answer, or to be tried again";
        registry.register("waiting", waiting, self.waiting.clone());
        let stuck = "Orders that are stuck at a step until an operator decides";
        registry.register("stuck", stuck, self.stuck.clone());
        let unknown = "Orders that wait in a saga that this build does not know, and leaves alone";
        registry.register("unknown", unknown, self.unknown.clone());
    }

    /// Asks the database how many orders wait, so that every process shows the same.
    pub async fn ask(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let rows = sqlx::query(
            "select saga, step, count(*) filter (where not stuck), count(*) filter (where stuck)
               from saga_work group by saga, step",
        );
        let rows = rows.fetch_all(pool).await?;
        let mut counts = Vec::with_capacity(rows.len());
        for row in &rows {
            let (saga, step): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            counts.push((saga, step, row.try_get::<i64, _>(2)?, row.try_get::<i64, _>(3)?));
        }
        // Each step there is, so that where nothing is stuck it says so.
        for at in everywhere() {
            let count = counts.iter().find(|(saga, step, ..)| saga == at.saga && step == at.step);
            let (waiting, stuck) = count.map_or((0, 0), |(.., waiting, stuck)| (*waiting, *stuck));
            self.waiting.get_or_create(&at).set(waiting);
            self.stuck.get_or_create(&at).set(stuck);
        }
        let is_known = |saga: &str| SAGAS.iter().any(|known| known.name == saga);
        let unknown = counts.iter().filter(|(saga, ..)| !is_known(saga));
        self.unknown.set(unknown.map(|(.., waiting, stuck)| waiting + stuck).sum());
        self.count_given_up(pool).await
    }

    /// Counts the mails that were given up, if that was some time ago: it looks at every mail that ever was.
    async fn count_given_up(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let Ok(mut counted) = self.counted.try_lock() else { return Ok(()) };
        if counted.is_some_and(|at| at.elapsed() < RECOUNT) {
            return Ok(());
        }
        let given_up = report::count_given_up(pool, GivenUpFilter::default()).await?;
        *counted = Some(Instant::now());
        for template in Template::ALL.map(Template::as_str) {
            let count = given_up.iter().find(|(of, _)| of == template).map_or(0, |(_, count)| *count);
            self.given_up.get_or_create(&OfTemplate { template }).set(count);
        }
        Ok(())
    }

    /// It is on its order that a mail went out, or was given up.
    pub(crate) fn mailed(&self, template: MailTemplate, outcome: MailOutcome) {
        let outcome = match outcome {
            MailOutcome::Sent => "sent",
            MailOutcome::Failed => "failed",
        };
        self.mails.get_or_create(&Mailed { template: template.name(), outcome }).inc();
    }

    pub(crate) fn came_to(&self, saga: &Saga, step: SagaStep, outcome: &Outcome) {
        let outcome = match outcome {
            Ok(Done::Moved) => "done",
            Ok(Done::Asked) => "asked",
            Ok(Done::UnderWay(_)) => "under_way",
            Err(StepError::Failed(_) | StepError::Unreachable(_)) => "failed",
            Err(StepError::Stuck(_)) => "stuck",
        };
        self.steps.get_or_create(&CameTo { saga: saga.name, step: step.name(), outcome }).inc();
    }

    pub(crate) fn took(&self, saga: &Saga, step: SagaStep, time: Duration) {
        self.duration.get_or_create(&At { saga: saga.name, step: step.name() }).observe(time.as_secs_f64());
    }
}

fn everywhere() -> Vec<At> {
    let mut all = Vec::new();
    for saga in SAGAS {
        let mut at = |step: SagaStep| all.push(At { saga: saga.name, step: step.name() });
        for step in saga.steps {
            at(step.name);
            if let Undo::By(undo) = &step.undo {
                at(undo.name);
            }
        }
        if saga.has_pivot() {
            at(SagaStep::CloseOrder);
        }
    }
    all
}
