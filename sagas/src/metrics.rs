//! The metrics of the sagas.

use std::sync::Arc;
use std::time::Duration;

use domain::order::MailOutcome;
use domain::order::event::MailTemplate;
use domain::order::saga::SagaStep;
use messaging::NotificationTemplate;
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
use crate::outcome::{StepError, StepOutcome, StepProgress};
use crate::report::{self, GivenUpMailFilter};
use crate::saga::{Saga, StepUndo};

/// For how long a count of the given-up mails is used.
const RECOUNT: Duration = Duration::from_secs(30);

/// The metrics of the sagas. Clones share them.
#[derive(Debug, Clone)]
pub struct SagaMetrics {
    steps: Family<OutcomeLabels, Counter>,
    duration: Family<StepLabels, Histogram>,
    waiting: Family<StepLabels, Gauge>,
    stuck: Family<StepLabels, Gauge>,
    unknown: Gauge,
    mails: Family<MailLabels, Counter>,
    given_up: Family<TemplateLabels, Gauge>,
    /// When the given-up mails were last counted.
    counted: Arc<Mutex<Option<Instant>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MailLabels {
    template: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TemplateLabels {
    template: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    saga: &'static str,
    step: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    saga: &'static str,
    step: &'static str,
}

impl Default for SagaMetrics {
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

impl SagaMetrics {
    /// Registers the metrics.
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

    /// Reads from the database how many orders wait, so that every process shows the same.
    pub async fn refresh(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
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
        // Every step has a value, also if nothing waits there.
        for at in all_steps() {
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

    /// Counts the given-up mails, unless they were counted a moment ago: the query reads every mail that ever was.
    async fn count_given_up(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let Ok(mut counted) = self.counted.try_lock() else { return Ok(()) };
        if counted.is_some_and(|at| at.elapsed() < RECOUNT) {
            return Ok(());
        }
        let given_up = report::count_given_up(pool, GivenUpMailFilter::default()).await?;
        *counted = Some(Instant::now());
        for template in NotificationTemplate::ALL.map(NotificationTemplate::as_str) {
            let count = given_up.iter().find(|(of, _)| of == template).map_or(0, |(_, count)| *count);
            self.given_up.get_or_create(&TemplateLabels { template }).set(count);
        }
        Ok(())
    }

    /// An order has the outcome of a mail.
    pub(crate) fn mail_outcome(&self, template: MailTemplate, outcome: MailOutcome) {
        let outcome = match outcome {
            MailOutcome::Sent => "sent",
            MailOutcome::Failed => "failed",
        };
        self.mails.get_or_create(&MailLabels { template: template.name(), outcome }).inc();
    }

    pub(crate) fn step_outcome(&self, saga: &Saga, step: SagaStep, outcome: &StepOutcome) {
        let outcome = match outcome {
            Ok(StepProgress::Advanced) => "done",
            Ok(StepProgress::RequestSent) => "asked",
            Ok(StepProgress::Running(_)) => "under_way",
            Ok(StepProgress::Waiting(_)) => "waiting",
            Ok(StepProgress::LeftToPerson) => "left_to_person",
            Err(StepError::Failed(_) | StepError::Unreachable(_)) => "failed",
            Err(StepError::Stuck(_)) => "stuck",
        };
        self.steps.get_or_create(&OutcomeLabels { saga: saga.name, step: step.name(), outcome }).inc();
    }

    pub(crate) fn step_duration(&self, saga: &Saga, step: SagaStep, time: Duration) {
        self.duration.get_or_create(&StepLabels { saga: saga.name, step: step.name() }).observe(time.as_secs_f64());
    }
}

fn all_steps() -> Vec<StepLabels> {
    let mut all = Vec::new();
    for saga in SAGAS {
        let mut at = |step: SagaStep| all.push(StepLabels { saga: saga.name, step: step.name() });
        for step in saga.steps {
            at(step.name);
            if let StepUndo::By(undo) = &step.undo {
                at(undo.name);
            }
        }
        if saga.has_pivot() {
            at(SagaStep::CloseOrder);
        }
    }
    all
}
