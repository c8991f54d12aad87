//! A shop whose orders were placed at times of the test's choosing, and its read side.

use access_control::{Principal, Role, Route, RoutePermission};
use axum::Router;
use axum::body::Body;
use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::DomainEvent;
use domain::ids::HoldId;
use domain::order::event::{
    OrderCancelled, OrderConfirmed, OrderDelivered, OrderHeld, OrderNumbered, OrderRejected, RejectionReason,
};
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderError, OrderEvent, OrderStatus, evolve};
use event_store::{AppendQueueSettings, EventStore, Handled, Metadata};
use http::{Request, Response, StatusCode};
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
    /// The routes without a caller.
    of_anyone: Router,
    store: EventStore,
    at_work: Option<(CancellationToken, JoinHandle<()>)>,
}

/// An order, and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) id: String,
    /// The number for people.
    pub(crate) number: Option<String>,
    pub(crate) customer: String,
    pub(crate) skus: Vec<String>,
    pub(crate) name: Option<&'static str>,
    /// Of the first line, whose title is the SKU otherwise.
    pub(crate) title: Option<&'static str>,
    pub(crate) email: Option<&'static str>,
    pub(crate) tags: Vec<&'static str>,
    pub(crate) channel: Option<&'static str>,
    pub(crate) source: Option<&'static str>,
    /// In exchange for goods of which order.
    pub(crate) exchange_for: Option<&'static str>,
    pub(crate) is_reserved: bool,
    pub(crate) is_authorized: bool,
    /// Whether something of it is to come back.
    pub(crate) is_returned: bool,
    pub(crate) currency: &'static str,
    /// In minor units.
    pub(crate) total: i64,
    pub(crate) at: DateTime<Utc>,
    pub(crate) status: OrderStatus,
    /// Since when it has that status.
    pub(crate) since: DateTime<Utc>,
    /// Whether a hold keeps it from being shipped.
    pub(crate) held: bool,
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
        let (read_models, slow) = (testkit::read_models(store.pool()), projections::SlowReads::default());
        let operate = projections::operate_routes(store.clone(), &*read_models, slow.clone());
        let of_anyone = Router::from(projections::routes(store.clone(), &*read_models, None, slow).merge(operate));
        let routes = testkit::called_by_shop(of_anyone.clone());
        let mut shop = Self { database, routes, of_anyone, store, at_work: None };
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
                select 'order', id, version, event_type, event_version, payload, '{}', at
                  from unnest($1::text[], $2::bigint[], $3::text[], $4::json[], $5::timestamptz[], $6::text[])
                       as e(id, version, event_type, payload, at, event_version)
                returning global_position)
             select max(global_position) from entered",
        )
        .bind(happened.iter().map(|it| it.order).collect::<Vec<_>>())
        .bind(happened.iter().map(|it| it.version).collect::<Vec<_>>())
        .bind(happened.iter().map(|it| it.event.name()).collect::<Vec<_>>())
        .bind(payloads)
        .bind(happened.iter().map(|it| it.at).collect::<Vec<_>>())
        .bind(happened.iter().map(|it| it.event.event_version()).collect::<Vec<_>>())
        .fetch_one(self.database.pool());
        position.await.unwrap()
    }

    /// Stores more of what happened to an order, and returns the position of its end.
    pub(crate) async fn add(&self, order_id: &str, events: &[OrderEvent]) -> i64 {
        let known = self.store.load::<Order>(order_id).await.unwrap();
        let decide = |_: &Order| Ok::<_, OrderError>(events.to_vec());
        match self.store.execute(order_id, known, &Metadata::default(), decide).await.unwrap() {
            Handled::Appended(appended) => appended.position,
            other @ (Handled::Unchanged(_) | Handled::Replayed(_)) => panic!("{other:?}"),
        }
    }

    /// Waits until a read model has passed a position.
    pub(crate) async fn reached(&self, projection: &str, position: i64) {
        self.store.until_passed(projection, position).await.unwrap();
    }

    pub(crate) async fn get(&self, uri: &str) -> (StatusCode, Value) {
        Self::answer(self.routes.clone(), uri).await
    }

    /// The answer to somebody of a role, before anything is left out of it.
    pub(crate) async fn get_as(&self, role: Role, uri: &str) -> (StatusCode, Value) {
        let grant = Route::find("GET", "/orders").unwrap().grant(role).unwrap();
        let of_customer = Principal::customer("test", "customer", None);
        let caller = if role == Role::Customer { of_customer } else { Principal::new(role, "test", None) };
        self.get_of(caller, grant, uri).await
    }

    pub(crate) async fn get_of(&self, caller: Principal, grant: RoutePermission, uri: &str) -> (StatusCode, Value) {
        Self::answer(testkit::called_by(self.of_anyone.clone(), caller, grant), uri).await
    }

    /// An answer whose body is not read yet.
    pub(crate) async fn raw(&self, caller: Principal, uri: &str, accept: &str) -> Response<Body> {
        let grant = Route::find("GET", "/orders/export").unwrap().grant(caller.role()).unwrap();
        let routes = testkit::called_by(self.of_anyone.clone(), caller, grant);
        routes.oneshot(Request::get(uri).header("accept", accept).body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn answer(routes: Router, uri: &str) -> (StatusCode, Value) {
        let request = Request::get(uri).body(Body::empty()).unwrap();
        let answer = routes.oneshot(request).await.unwrap();
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
            number: None,
            customer: customer.to_owned(),
            skus: vec!["headphone".to_owned()],
            name: None,
            title: None,
            email: None,
            tags: vec![],
            channel: None,
            source: None,
            exchange_for: None,
            is_reserved: false,
            is_authorized: false,
            is_returned: false,
            currency: "USD",
            total: 1_000,
            at: created,
            status: OrderStatus::Pending,
            since: created,
            held: false,
        }
    }

    pub(crate) fn that_is(self, status: OrderStatus, since: DateTime<Utc>) -> Self {
        Self { status, since, ..self }
    }

    /// Its version after all that happened.
    pub(crate) fn version(&self) -> usize {
        self.happenings().len()
    }

    /// The words by which it is found, if none has an accent.
    pub(crate) fn words(&self) -> impl Iterator<Item = String> {
        let texts =
            [Some(self.id.as_str()), self.number.as_deref(), self.name, self.email, self.title].into_iter().flatten();
        let texts = texts.chain(self.skus.iter().map(String::as_str)).collect::<Vec<_>>().join(" ").to_lowercase();
        texts.split(|it: char| !it.is_alphanumeric()).map(str::to_owned).collect::<Vec<_>>().into_iter()
    }

    /// What its answer says in a field.
    pub(crate) fn says(&self, name: &str) -> Option<String> {
        let mut order = Order::default();
        self.happenings().into_iter().for_each(|it| evolve(&mut order, it.event));
        let Order::Placed(placed) = order else { panic!("{self:?}") };
        let says = match name {
            "customerId" => json!(self.customer),
            "currency" => json!(self.currency),
            "channel" => json!(self.channel),
            "source" => json!(self.source),
            "status" => json!(placed.status),
            "paymentStatus" => json!(placed.payment_status()),
            "fulfilmentStatus" => json!(placed.fulfilment_status()),
            "returnsStatus" => json!(placed.returns_status()),
            _ => panic!("{name}"),
        };
        says.as_str().map(str::to_owned)
    }

    fn happenings(&self) -> Vec<Happening<'_>> {
        let first = self.total - i64::try_from(self.skus.len()).unwrap() + 1;
        let price = |nth| if nth == 0 { first } else { 1 };
        let line = |(nth, sku): (usize, &String)| {
            let title = self.title.filter(|_| nth == 0).unwrap_or(sku);
            json!({ "sku": sku, "title": title, "quantity": 1, "unitPriceMinor": price(nth) })
        };
        let lines: Vec<Value> = self.skus.iter().enumerate().map(line).collect();
        let content = json!({
            "customerId": self.customer, "currency": self.currency, "totalMinor": self.total, "lines": lines,
            "customer": self.name.map(|name| json!({ "name": name })), "customerEmail": self.email, "tags": self.tags, "channel": self.channel, "source": self.source,
            "exchangeFor": self.exchange_for.map(|order_id| json!({ "orderId": order_id, "returnId": "r" })),
        });
        let created = OrderEvent::OrderCreated(serde_json::from_value(content).unwrap());
        let event = |is_there: bool, event: Value| is_there.then(|| serde_json::from_value(event).unwrap());
        let reserved = json!({ "StockReserved": {
            "units": [{ "sku": self.skus[0], "quantity": 1 }], "expiresAt": "2030-01-01T00:00:00Z",
        } });
        let authorized = json!({ "PaymentAuthorized": { "reference": "p", "amountMinor": self.total } });
        let returned = json!({ "ReturnRequested": { "returnId": "r", "lines": [{ "lineNumber": 1, "quantity": 1 }] } });
        let before = [event(self.is_reserved, reserved), event(self.is_authorized, authorized)];
        let after = event(self.is_returned && self.status == OrderStatus::Completed, returned);
        let confirmed = || OrderEvent::OrderConfirmed(OrderConfirmed::default());
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
        let hold = || OrderHeld { hold_id: HoldId::parse("h").unwrap(), reason: "fraud check".to_owned() };
        let held = self.held.then(|| OrderEvent::OrderHeld(hold()));
        let numbered = self.number.as_ref().map(|number| {
            OrderEvent::OrderNumbered(OrderNumbered { order_number: number.clone(), series: "A".into(), sequence: 1 })
        });
        let events = [created]
            .into_iter()
            .chain(numbered)
            .chain(before.into_iter().flatten())
            .chain(since)
            .chain(held)
            .chain(after);
        // All that follows happened at once.
        let at = |version| if version == 1 { self.at } else { self.since };
        (1..)
            .zip(events)
            .map(|(version, event)| Happening { order: &self.id, version, event, at: at(version) })
            .collect()
    }
}

/// So many orders over ten days and, some, weeks earlier; always the same ones of the same seed. Several were
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
        let day = if dice.random_bool(0.9) { at("2026-11-01T00:00:00Z") } else { at("2026-09-15T00:00:00Z") };
        let created = day + TimeDelta::minutes(dice.random_range(0..10 * 24) * 60);
        let skus = (0..dice.random_range(1..4)).map(|_| (*skus.choose(&mut dice).unwrap()).to_owned()).collect();
        let status = *statuses.choose(&mut dice).unwrap();
        let later = created + TimeDelta::hours(dice.random_range(0..100));
        Placed {
            id: format!("o-{nth}"),
            number: (!nth.is_multiple_of(4)).then(|| format!("A-{nth:06}")),
            customer: format!("c-{}", dice.random_range(0..5)),
            skus,
            name: *[None, Some("Ada Lovelace"), Some("Charles Babbage")].choose(&mut dice).unwrap(),
            title: None,
            email: *[None, Some("a@example.com"), Some("A@Example.com"), Some("b@example.com")]
                .choose(&mut dice)
                .unwrap(),
            tags: [&[][..], &[], &["gift"], &["gift", "for you"], &["for you"]].choose(&mut dice).unwrap().to_vec(),
            channel: *[None, Some("web"), Some("shop")].choose(&mut dice).unwrap(),
            source: *[None, Some("mail"), Some("friends")].choose(&mut dice).unwrap(),
            exchange_for: *[None, Some("o-0"), Some("o-1")].choose(&mut dice).unwrap(),
            is_reserved: dice.random_bool(0.5),
            is_authorized: dice.random_bool(0.5),
            is_returned: dice.random_bool(0.5),
            currency: ["USD", "EUR", "JPY"].choose(&mut dice).unwrap(),
            total: dice.random_range(3..1_000_000),
            at: created,
            status,
            since: if status == OrderStatus::Pending { created } else { later },
            held: nth.is_multiple_of(3) && matches!(status, OrderStatus::Pending | OrderStatus::Confirmed),
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
        "items": content.lines.iter().map(line).collect::<Vec<_>>(), "tags": content.tags,
        "customer": content.customer.as_ref().map(|customer| json!({ "name": customer.name })),
        "customerEmail": content.customer_email, "channel": content.channel, "source": content.source,
        "exchangeFor": content.exchange_for,
    });
    assert_eq!(PostedOrder::parse(body.to_string().as_bytes()).unwrap().content, *content);
}
