//! A database, queues, a provider that misbehaves, and copies of the sagas that can be stopped and killed; the test plays notification
//! and everybody else.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use cqrs_es::Aggregate;
use domain::ids::{LocationId, OrderId};
use domain::order::event::{CancellationRequested, OperatorIntervened};
use domain::order::parse::PostedOrder;
use domain::order::saga::{OperatorDecision, SagaStep};
use domain::order::units::implied_stock_commands;
use domain::order::{Order, OrderCommand, OrderError, decide, evolve};
use domain::quantity::UnitOfMeasure;
use domain::stock::{self, Stock, StockCommand, StockReceived};
use embedded::sqs::Sqs;
use event_store::{AppendError, AppendQueueSettings, EventStore, Metadata, NewEvent, StreamAppend, StreamLocks};
use messaging::{NotificationTemplate, QueueProvisioningSettings, Queues, queues};
use sagas::SagaSettings;
use sagas::operator::InterventionError;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use testkit::{Database, FaultyGateway};

use crate::copy::Copy;

mod notification;
mod observe;

pub(crate) use notification::sent;

/// What operators write for customers.
pub(crate) const SORRY: &str = "we are sorry";

/// Far longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// A deadline that no test waits for.
pub(crate) const NEVER: Duration = Duration::from_secs(3_600);
/// What one unit costs, in minor units.
pub(crate) const PRICE: i64 = 1_000;
/// The lock that holds up appends, any fixed number.
const OBSTACLE: i64 = 4_242;

pub(crate) struct World {
    pub(crate) database: Database,
    pub(crate) store: EventStore,
    pub(crate) gateway: FaultyGateway,
    pub(crate) copies: Vec<Copy>,
    pub(crate) settings: SagaSettings,
    pub(crate) sqs: Sqs,
    pub(crate) client: Client,
    pub(crate) queues: Queues,
    /// It has the lock that obstacles wait for.
    _obstacle: PgConnection,
}

impl World {
    /// One copy of the sagas at work, and nothing yet to do.
    pub(crate) async fn start() -> Self {
        Self::with(SagaSettings { reply_deadline: NEVER, ..SagaSettings::default() }).await
    }

    pub(crate) async fn with(settings: SagaSettings) -> Self {
        let database = testkit::database().await;
        sqlx::raw_sql(include_str!("obstacles.sql")).execute(database.pool()).await.unwrap();
        let mut obstacle = PgConnection::connect(database.url()).await.unwrap();
        sqlx::query("select pg_advisory_lock($1)").bind(OBSTACLE).execute(&mut obstacle).await.unwrap();
        let sqs = testkit::sqs().await;
        let client = testkit::sqs_client(&sqs.url());
        let queues = queues::ensure(&client, &QueueProvisioningSettings::default()).await.unwrap();
        let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
        let gateway = FaultyGateway::default();
        let mut world =
            Self { database, store, gateway, copies: vec![], settings, sqs, client, queues, _obstacle: obstacle };
        world.start_copy();
        world
    }

    pub(crate) fn start_copy(&mut self) {
        self.copies.push(Copy::start(self, Arc::new(self.gateway.clone())));
    }

    pub(crate) async fn stop_copies(&mut self) {
        for copy in self.copies.drain(..) {
            copy.stop().await;
        }
    }

    /// Kills all copies as a power cut does: what they were about to do never happens, and what they hold is free at once.
    pub(crate) async fn crash(&mut self) {
        self.copies.drain(..).for_each(Copy::kill);
        self.end_hung_appends().await;
        self.end_leases().await;
    }

    /// Kills the copy that has been at work for longest. What it holds is free at once.
    pub(crate) async fn crash_oldest(&mut self) {
        self.copies.remove(0).kill();
        self.end_leases().await;
        self.end_claims().await;
    }

    async fn end_leases(&self) {
        self.execute(
            "update subscription_partitions set leased_until = now() - interval '1 s' where owner is not null",
        )
        .await;
    }

    /// What copies that crashed were looking at is free at once.
    pub(crate) async fn end_claims(&self) {
        self.execute("update saga_work set claimed_until = null").await;
    }

    pub(crate) async fn execute(&self, statement: &str) {
        sqlx::query(statement).execute(self.database.pool()).await.unwrap();
    }

    pub(crate) async fn count(&self, query: &str) -> i64 {
        sqlx::query_scalar(query).fetch_one(self.database.pool()).await.unwrap()
    }

    // Obstacles in the way of what is to be stored.

    /// Has every append of such an event fail.
    pub(crate) async fn refuse(&self, event: &str) {
        self.execute(&format!("insert into obstacles values ('{event}', false)")).await;
    }

    /// Has every append of such an event hang, until the copies that wait for it crash.
    pub(crate) async fn hang(&self, event: &str) {
        self.execute(&format!("insert into obstacles values ('{event}', true)")).await;
    }

    pub(crate) async fn clear_the_way(&self) {
        self.execute("delete from obstacles").await;
    }

    pub(crate) async fn eventually_hangs(&self) {
        let hung = format!(
            "select count(*) from pg_locks where locktype = 'advisory' and objid = {OBSTACLE} and not granted
                and database = (select oid from pg_database where datname = current_database())"
        );
        testkit::eventually(PATIENCE, || async { self.count(&hung).await > 0 }).await;
    }

    async fn end_hung_appends(&self) {
        self.execute(&format!(
            "select pg_terminate_backend(pid) from pg_locks
              where locktype = 'advisory' and objid = {OBSTACLE} and not granted
                and database = (select oid from pg_database where datname = current_database())"
        ))
        .await;
    }

    // What people do.

    pub(crate) async fn receive(&self, sku: &str, quantity: u32) {
        self.receive_at("default", sku, quantity).await;
    }

    pub(crate) async fn receive_at(&self, location: &str, sku: &str, quantity: u32) {
        self.receive_in(None, location, sku, quantity).await;
    }

    /// `quantity` is in thousandths of the unit, if there is one.
    pub(crate) async fn receive_in(&self, unit: Option<&str>, location: &str, sku: &str, quantity: u32) {
        let location = LocationId::parse(location).unwrap();
        let unit = unit.map(|unit| UnitOfMeasure::parse(unit).unwrap());
        let receive = |stock: &Stock| {
            stock::decide(stock, StockCommand::Receive(StockReceived { unit, quantity, location: location.clone() }))
        };
        let stream = self.store.load::<Stock>(sku).await.unwrap();
        self.store.execute(sku, stream, &Metadata::default(), receive).await.unwrap();
    }

    /// Posts an order of these SKUs and quantities.
    pub(crate) async fn post(&self, order_id: &str, lines: &[(&str, u32)]) {
        self.post_paid(order_id, lines, &json!([])).await;
    }

    /// The same with these payments.
    pub(crate) async fn post_paid(&self, order_id: &str, lines: &[(&str, u32)], payments: &Value) {
        let item = |(sku, quantity): &(&str, u32)| json!({ "sku": sku, "title": sku, "quantity": quantity, "unitPrice": "10.00" });
        let total: u32 = lines.iter().map(|(_, quantity)| quantity * 10).sum();
        let posted = json!({
            "orderId": order_id, "customerId": "c", "currency": "USD", "totalAmount": total,
            "items": lines.iter().map(item).collect::<Vec<_>>(), "payments": payments,
        });
        let content = PostedOrder::parse(posted.to_string().as_bytes()).unwrap().content;
        self.ask(order_id, OrderCommand::CreateOrder(content)).await.unwrap();
    }

    /// Posts an order of units of `s` and has it promised; its customer knows.
    pub(crate) async fn promise(&self, order_id: &str, quantity: u32) {
        self.post(order_id, &[("s", quantity)]).await;
        assert_eq!(self.mail().await.template, NotificationTemplate::OrderConfirmed);
        self.eventually_nothing_waits().await;
    }

    pub(crate) async fn ask(&self, order_id: &str, command: OrderCommand) -> Result<(), OrderError> {
        let metadata = Metadata { actor: Some("customer".into()), ..Metadata::default() };
        let id = OrderId::parse(order_id).unwrap();
        loop {
            let mut order = self.store.load::<Order>(order_id).await.unwrap();
            let events = decide(&order.state, command.clone())?;
            if events.is_empty() {
                return Ok(());
            }
            // With what it means for units, as customers' commands are stored.
            let mut streams = Vec::new();
            for event in &events {
                evolve(&mut order.state, event.clone());
                let Order::Placed(after) = &order.state else { panic!("there is no order {order_id}") };
                for (sku, command) in implied_stock_commands(&id, after, event) {
                    let stock = self.store.load::<Stock>(sku.as_str()).await.unwrap();
                    let moved = stock::decide(&stock.state, command).unwrap();
                    let moved = moved.iter().map(|event| NewEvent::new(event, &metadata).unwrap()).collect();
                    streams.push(append::<Stock>(sku.as_str(), stock.version, moved));
                }
            }
            let events = events.iter().map(|event| NewEvent::new(event, &metadata).unwrap()).collect();
            streams.push(append::<Order>(order_id, order.version, events));
            streams.retain(|stream| !stream.events.is_empty());
            match self.store.append(streams).await {
                Ok(_) => return Ok(()),
                Err(AppendError::Conflict) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) async fn cancel(&self, order_id: &str) -> Result<(), OrderError> {
        let reason = Some("changed my mind".to_owned());
        self.ask(order_id, OrderCommand::CancelOrder(CancellationRequested { reason })).await
    }

    pub(crate) async fn intervene(&self, order_id: &str, step: SagaStep, decision: OperatorDecision) {
        self.intervene_on(order_id, step, decision, None).await;
    }

    /// The same about one of several payments.
    pub(crate) async fn intervene_on(
        &self,
        order_id: &str,
        step: SagaStep,
        decision: OperatorDecision,
        payment_number: Option<u32>,
    ) {
        self.try_intervene_on(order_id, step, decision, payment_number).await.unwrap();
    }

    pub(crate) async fn try_intervene_on(
        &self,
        order_id: &str,
        step: SagaStep,
        decision: OperatorDecision,
        payment_number: Option<u32>,
    ) -> Result<Vec<&'static str>, InterventionError> {
        let stock = StreamLocks::new(self.store.clone(), 100);
        let (actor, reason) = ("ann".to_owned(), "because".to_owned());
        let intervention = OperatorIntervened {
            payment_number,
            decision,
            step,
            actor,
            reason,
            customer_message: Some(SORRY.to_owned()),
            notification_id: None,
        };
        sagas::operator::intervene(&self.store, &stock, order_id, intervention, None).await
    }

    pub(crate) async fn end(mut self) {
        self.stop_copies().await;
        self.store.close().await;
        self.sqs.stop().await;
    }
}

fn append<A: Aggregate>(stream_id: &str, version: i64, events: Vec<NewEvent>) -> StreamAppend {
    StreamAppend { stream_type: A::TYPE, stream_id: stream_id.to_owned(), expected_version: version, events }
}
