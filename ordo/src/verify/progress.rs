//! Every saga has ended, or waits for something that is recorded, or has unread events.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use domain::order::OrderStage;
use event_store::{PARTITIONS, partition_of};
use sagas::SAGAS;
use sqlx::PgConnection;

use super::findings::Findings;
use super::order::AuditedOrder;

/// A backlog of a hundred thousand orders takes some minutes.
const LATE: TimeDelta = TimeDelta::hours(1);

/// The number of orders by the state of their sagas.
#[derive(Debug, Default)]
pub(super) struct OrderCountsBySagaState {
    /// Done; the order stands.
    pub(super) completed: u64,
    /// Done; the order was rejected or cancelled.
    pub(super) compensated: u64,
    /// A step is due and will be done or retried.
    pub(super) waiting: u64,
    /// The sagas have not read all events yet.
    pub(super) in_flight: u64,
    /// Those of them that have waited longer than any backlog takes, and since when.
    pub(super) late: Option<(u64, DateTime<Utc>)>,
    /// Orders that wait for an operator, by step and reason.
    pub(super) reasons: BTreeMap<(String, String), u64>,
}

impl OrderCountsBySagaState {
    pub(super) fn stuck(&self) -> u64 {
        self.reasons.values().sum()
    }

    /// Notes sagas that nobody has read for too long.
    pub(super) fn check_late(&self, findings: &mut Findings) {
        let Some((orders, since)) = self.late else { return };
        let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
        let what = format!(
            "{orders} orders wait for them, the first since {since}: does a copy with the role sagas run, and is it stopped? \
             `ordo subscriptions list` says"
        );
        findings.add("sagas", what);
    }
}

/// Up to which positions the sagas have read the log.
pub(super) struct SagaCheckpoints {
    positions: [i64; PARTITIONS],
    now: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct SagaWorkRow {
    order_id: String,
    saga: String,
    step: String,
    stuck: bool,
    last_error: Option<String>,
}

/// The state of an order's sagas, the worst last.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum OrderSagasState {
    Ended,
    InFlight,
    Waiting,
    Stuck { step: String, why: String },
    Silent { step: &'static str },
}

impl SagaCheckpoints {
    pub(super) async fn read(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<Self, sqlx::Error> {
        let mut positions = [0; PARTITIONS];
        let rows: Vec<(i16, i64)> =
            sqlx::query_as("select partition, position from subscription_partitions where subscription = $1")
                .bind(subscription())
                .fetch_all(connection)
                .await?;
        for (partition, position) in rows {
            if let Some(known) = usize::try_from(partition).ok().and_then(|partition| positions.get_mut(partition)) {
                *known = position;
            }
        }
        Ok(Self { positions, now })
    }

    /// Checks the sagas of orders.
    pub(super) async fn check(
        &self,
        connection: &mut PgConnection,
        ids: &[String],
        orders: &[AuditedOrder],
        sagas: &mut OrderCountsBySagaState,
        findings: &mut Findings,
    ) -> Result<(), sqlx::Error> {
        let rows: Vec<SagaWorkRow> = sqlx::query_as(
            "select order_id, saga, step, stuck, last_error from saga_work where saga = any($1) and order_id = any($2)",
        )
        .bind(SAGAS.map(|saga| saga.name).to_vec())
        .bind(ids)
        .fetch_all(&mut *connection)
        .await?;
        let rows: HashMap<(&str, &str), &SagaWorkRow> =
            rows.iter().map(|row| ((row.order_id.as_str(), row.saga.as_str()), row)).collect();
        let parked: Vec<(String, Option<String>)> = sqlx::query_as(
            "select distinct on (stream_id) stream_id, error from parked_events
              where subscription = $1 and stream_type = 'order' and stream_id = any($2) order by stream_id, position",
        )
        .bind(subscription())
        .bind(ids)
        .fetch_all(connection)
        .await?;
        let parked: HashMap<String, Option<String>> = parked.into_iter().collect();
        for order in orders {
            match self.state(order, &rows, &parked) {
                OrderSagasState::Ended if order.placed.stage() == OrderStage::Pending => {
                    findings.add(order.about(), "it is pending, and nothing is due that could end it");
                }
                OrderSagasState::Ended if order.is_undone() => sagas.compensated += 1,
                OrderSagasState::Ended => sagas.completed += 1,
                OrderSagasState::InFlight => {
                    sagas.in_flight += 1;
                    if self.now - order.last_at > LATE {
                        let (count, first) = sagas.late.unwrap_or((0, order.last_at));
                        sagas.late = Some((count + 1, first.min(order.last_at)));
                    }
                }
                OrderSagasState::Waiting => sagas.waiting += 1,
                OrderSagasState::Stuck { step, why } => *sagas.reasons.entry((step, why)).or_default() += 1,
                OrderSagasState::Silent { step } => {
                    findings.add(order.about(), format!("{step} is due, and nobody will look: half done in silence"));
                }
            }
        }
        Ok(())
    }

    fn state(
        &self,
        order: &AuditedOrder,
        rows: &HashMap<(&str, &str), &SagaWorkRow>,
        parked: &HashMap<String, Option<String>>,
    ) -> OrderSagasState {
        let passed = self.positions.get(partition_of(&order.id)).copied().unwrap_or_default();
        let of_saga = |saga: &&'static sagas::Saga| {
            let Some(step) = saga.next(&order.placed, self.now).step() else { return OrderSagasState::Ended };
            if let Some(row) = rows.get(&(order.id.as_str(), saga.name)) {
                let why = || row.last_error.clone().unwrap_or_default();
                return if row.stuck {
                    OrderSagasState::Stuck { step: row.step.clone(), why: why() }
                } else {
                    OrderSagasState::Waiting
                };
            }
            if let Some(error) = parked.get(&order.id) {
                let why = format!("its events are parked: {}", error.as_deref().unwrap_or("by another"));
                return OrderSagasState::Stuck { step: step.name().to_owned(), why };
            }
            if order.last_position > passed {
                OrderSagasState::InFlight
            } else {
                OrderSagasState::Silent { step: step.name() }
            }
        };
        SAGAS.iter().map(of_saga).max().unwrap_or(OrderSagasState::Ended)
    }
}

/// The sagas share one subscription, named after the first.
fn subscription() -> &'static str {
    SAGAS[0].name
}

/// Checks that the orders of all waiting sagas exist.
pub(super) async fn check_strays(connection: &mut PgConnection, findings: &mut Findings) -> Result<(), sqlx::Error> {
    let strays: Vec<(String, String)> = sqlx::query_as(
        "select w.order_id, w.saga from saga_work w
          where not exists (select from events e where e.aggregate_type = 'order' and e.aggregate_id = w.order_id)
          order by 1, 2",
    )
    .fetch_all(connection)
    .await?;
    for (order_id, saga) in strays {
        findings.add(format!("order {order_id}"), format!("{saga} waits for it, and there is no such order"));
    }
    Ok(())
}
