//! A shop whose orders were placed at times of the test's choosing, and its read side.

use axum::Router;
use axum::body::Body;
use chrono::{DateTime, TimeDelta, Utc};
use domain::order::event::{OrderCancelled, OrderConfirmed, OrderDelivered, OrderRejected, RejectionReason};
use domain::order::parse::PostedOrder;
use domain::order::{OrderEvent, OrderStatus};
use event_store::{AppendQueueSettings, EventStore};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use testkit::Database;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// The read side of a database.
pub(crate) struct Shop {
    pub(crate) database: Database,
    routes: Router,
    store: EventStore,
    at_work: Option<(CancellationToken, JoinHandle<()>)>,
}

/// An order, and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) id: String,
    pub(crate) customer: String,
    pub(crate) skus: Vec<String>,
    pub(crate) currency: &'static str,
    /// In minor units.
    pub(crate) total: i64,
    pub(crate) at: DateTime<Utc>,
    pub(crate) status: OrderStatus,
    /// Since when it has that status.
    pub(crate) since: DateTime<Utc>,
}

/// An event of an order.
struct Happening<'a> {
    order: &'a str,
    version: i64,
    event: OrderEvent,
    at: DateTime<Utc>,
}

impl Shop {
    /// With its projections at work.
    pub(crate) async fn open() -> Self {
        let database = testkit::database().await;
        projections::create_tables(&*testkit::read_models(database.pool()), &[]).await.unwrap();
        let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
        let routes =
            testkit::called_by_shop(projections::routes(store.clone(), &*testkit::read_models(store.pool()), None));
        let mut shop = Self { database, routes, store, at_work: None };
        shop.go_on();
        shop
    }

    pub(crate) fn go_on(&mut self) {
        let stop = CancellationToken::new();
        let read_models = testkit::read_models(self.store.pool());
        let running = tokio::spawn(projections::run(self.store.clone(), read_models, stop.clone()));
        self.at_work = Some((stop, running));
    }

    pub(crate) async fn pause(&mut self) {
        if let Some((stop, running)) = self.at_work.take() {
            stop.cancel();
            running.await.unwrap();
        }
    }

    pub(crate) async fn close(mut self) {
        self.pause().await;
        self.store.close().await;
    }

    /// Enters what happened to these orders into the log, in the order of its times, and returns the position of its
    /// end.
    pub(crate) async fn take(&self, orders: &[Placed]) -> i64 {
        let mut happened: Vec<Happening<'_>> = orders.iter().flat_map(Placed::happenings).collect();
        happened.sort_by_key(|it| (it.at, it.version));
        let payloads: Vec<Value> = happened.iter().map(|it| serde_json::to_value(&it.event).unwrap()).collect();
        let position = sqlx::query_scalar(
            "with entered as (
                insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, recorded_at)
                select 'order', id, version, event_type, '1.0', payload, '{}', at
                  from unnest($1::text[], $2::bigint[], $3::text[], $4::json[], $5::timestamptz[])
                       as e(id, version, event_type, payload, at)
                returning global_position)
             select max(global_position) from entered",
        )
        .bind(happened.iter().map(|it| it.order).collect::<Vec<_>>())
        .bind(happened.iter().map(|it| it.version).collect::<Vec<_>>())
        .bind(happened.iter().map(|it| it.event.name()).collect::<Vec<_>>())
        .bind(payloads)
        .bind(happened.iter().map(|it| it.at).collect::<Vec<_>>())
        .fetch_one(self.database.pool());
        position.await.unwrap()
    }

    /// Waits until a read model has passed a position.
    pub(crate) async fn reached(&self, projection: &str, position: i64) {
        self.store.until_passed(projection, position).await.unwrap();
    }

    pub(crate) async fn get(&self, uri: &str) -> (StatusCode, Value) {
        let request = Request::get(uri).body(Body::empty()).unwrap();
        let answer = self.routes.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{uri}: {body:?}")))
    }

    pub(crate) async fn ok(&self, uri: &str) -> Value {
        let (status, answer) = self.get(uri).await;
        assert_eq!(status, StatusCode::OK, "{uri}: {answer}");
        answer
    }

    /// The pages of a question to their end: the ids of the orders of each.
    pub(crate) async fn pages(&self, uri: &str) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut next = uri.to_owned();
        loop {
            let page = self.ok(&next).await;
            pages.push(ids(&page));
            let Some(cursor) = page["cursor"].as_str() else { return pages };
            assert!(pages.len() < 1_000, "{uri} has no end");
            let and = if uri.contains('?') { '&' } else { '?' };
            next = format!("{uri}{and}cursor={cursor}");
        }
    }
}

pub(crate) fn ids(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|order| order["orderId"].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

impl Placed {
    /// An order of one headphone that nothing has become of yet.
    pub(crate) fn new(id: &str, customer: &str, created: DateTime<Utc>) -> Self {
        Self {
            id: id.to_owned(),
            customer: customer.to_owned(),
            skus: vec!["headphone".to_owned()],
            currency: "USD",
            total: 1_000,
            at: created,
            status: OrderStatus::Pending,
            since: created,
        }
    }

    pub(crate) fn that_is(self, status: OrderStatus, since: DateTime<Utc>) -> Self {
        Self { status, since, ..self }
    }

    fn happenings(&self) -> Vec<Happening<'_>> {
        let first = self.total - i64::try_from(self.skus.len()).unwrap() + 1;
        let price = |nth| if nth == 0 { first } else { 1 };
        let line = |(nth, sku)| json!({ "sku": sku, "title": sku, "quantity": 1, "unitPriceMinor": price(nth) });
        let lines: Vec<Value> = self.skus.iter().enumerate().map(line).collect();
        let content = json!({
            "customerId": self.customer, "currency": self.currency, "totalMinor": self.total, "lines": lines,
        });
        let created = OrderEvent::OrderCreated(serde_json::from_value(content).unwrap());
        let confirmed = || OrderEvent::OrderConfirmed(OrderConfirmed {});
        let rejected = || OrderEvent::OrderRejected(OrderRejected { reason: RejectionReason::NotPaidInTime });
        let since = match self.status {
            OrderStatus::Pending => vec![],
            OrderStatus::Confirmed => vec![confirmed()],
            OrderStatus::Completed => vec![confirmed(), OrderEvent::OrderDelivered(OrderDelivered {})],
            OrderStatus::Rejected => vec![rejected()],
            OrderStatus::Cancelled => {
                vec![confirmed(), OrderEvent::OrderCancelled(OrderCancelled { reason: None })]
            }
        };
        let events = [created].into_iter().chain(since);
        // All that follows happened at once.
        let at = |version| if version == 1 { self.at } else { self.since };
        (1..)
            .zip(events)
            .map(|(version, event)| Happening { order: &self.id, version, event, at: at(version) })
            .collect()
    }
}

/// So many orders over ten days and, some, half a year earlier; always the same ones of the same seed. Several were
/// created, or changed their status, at the same moment.
pub(crate) fn any(seed: u64, count: usize) -> Vec<Placed> {
    let mut dice = StdRng::seed_from_u64(seed);
    let skus = ["headphone", "cable", "case", "stand"];
    let statuses = [
        OrderStatus::Pending,
        OrderStatus::Confirmed,
        OrderStatus::Confirmed,
        OrderStatus::Completed,
        OrderStatus::Rejected,
        OrderStatus::Cancelled,
    ];
    let order = |nth: usize| {
        let day = if dice.random_bool(0.9) { at("2026-11-01T00:00:00Z") } else { at("2026-05-01T00:00:00Z") };
        let created = day + TimeDelta::minutes(dice.random_range(0..10 * 24) * 60);
        let skus = (0..dice.random_range(1..4)).map(|_| (*skus.choose(&mut dice).unwrap()).to_owned()).collect();
        let status = *statuses.choose(&mut dice).unwrap();
        let later = created + TimeDelta::hours(dice.random_range(0..100));
        Placed {
            id: format!("o-{nth}"),
            customer: format!("c-{}", dice.random_range(0..5)),
            skus,
            currency: ["USD", "EUR", "JPY"].choose(&mut dice).unwrap(),
            total: dice.random_range(3..1_000_000),
            at: created,
            status,
            since: if status == OrderStatus::Pending { created } else { later },
        }
    };
    (0..count).map(order).collect()
}

/// An order that a client could post.
#[test]
fn what_the_shop_takes_is_what_clients_can_post() {
    let orders = any(1, 1);
    let OrderEvent::OrderCreated(content) = &orders[0].happenings()[0].event else { panic!("nothing was created") };
    let line = |line: &domain::order::event::OrderLine| {
        let price = line.unit_price(content.currency).to_string();
        json!({ "sku": line.sku, "title": line.title, "quantity": line.quantity, "unitPrice": price })
    };
    let body = json!({
        "customerId": content.customer_id, "currency": content.currency, "totalAmount": content.total().to_string(),
        "items": content.lines.iter().map(line).collect::<Vec<_>>(),
    });
    assert_eq!(PostedOrder::parse(body.to_string().as_bytes()).unwrap().content, *content);
}
