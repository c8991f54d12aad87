//! A database, queues, a provider that misbehaves, and copies of the sagas that can be stopped and killed; the test plays notification
//! and everybody else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use chrono::{TimeZone, Utc};
use cqrs_es::Aggregate;
use domain::ids::OrderId;
use domain::order::event::{CancellationRequested, OperatorIntervened};
use domain::order::parse::PostedOrder;
use domain::order::saga::{OperatorDecision, SagaStep};
use domain::order::units::unit_moves;
use domain::order::{Order, OrderCommand, OrderError, OrderEvent, PlacedOrder, Stage, decide, evolve};
use domain::stock::{self, Stock, StockCommand, StockReceived, TrackedStock};
use embedded::sqs::Sqs;
use event_store::{AppendError, AppendSettings, EventStore, Metadata, NewEvent, StreamAppend, StreamLocks};
use futures_util::future::join_all;
use messaging::{
    CloudEvent, Contract, NotificationRequested, NotificationSent, Outgoing, Producer, ProducerSettings, QueueSettings,
    Queues, Template, queues,
};
use sagas::SagaSettings;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use testkit::{Database, FaultyGateway, Payment};

use crate::copy::Copy;

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

/// All that must be the same when something is done a second time.
#[derive(Debug, PartialEq)]
pub(crate) struct Books {
    events: Vec<(String, i64, String)>,
    payments: BTreeMap<String, Payment>,
}

impl World {
    /// One copy of the sagas at work, and nothing yet to do.
    pub(crate) async fn start() -> Self {
        Self::with(SagaSettings { answer_deadline: NEVER, ..SagaSettings::default() }).await
    }

    pub(crate) async fn with(settings: SagaSettings) -> Self {
        let database = testkit::database().await;
        sqlx::raw_sql(include_str!("obstacles.sql")).execute(database.pool()).await.unwrap();
        let mut obstacle = PgConnection::connect(database.url()).await.unwrap();
        sqlx::query("select pg_advisory_lock($1)").bind(OBSTACLE).execute(&mut obstacle).await.unwrap();
        let sqs = testkit::sqs().await;
        let client = testkit::sqs_client(&sqs.url());
        let queues = queues::ensure(&client, &QueueSettings::default()).await.unwrap();
        let store = EventStore::start(database.pool().clone(), AppendSettings::default());
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
        let receive = |stock: &Stock| stock::decide(stock, StockCommand::Receive(StockReceived { quantity }));
        let stream = self.store.load::<Stock>(sku).await.unwrap();
        self.store.execute(sku, stream, &Metadata::default(), receive).await.unwrap();
    }

    /// Posts an order of these SKUs and quantities.
    pub(crate) async fn post(&self, order_id: &str, lines: &[(&str, u32)]) {
        let item = |(sku, quantity): &(&str, u32)| json!({ "sku": sku, "title": sku, "quantity": quantity, "unitPrice": "10.00" });
        let total: u32 = lines.iter().map(|(_, quantity)| quantity * 10).sum();
        let posted = json!({
            "orderId": order_id, "customerId": "c", "currency": "USD", "totalAmount": total,
            "items": lines.iter().map(item).collect::<Vec<_>>(),
        });
        let content = PostedOrder::parse(posted.to_string().as_bytes()).unwrap().content;
        self.ask(order_id, OrderCommand::CreateOrder(content)).await.unwrap();
    }

    /// Posts an order of units of `s` and has it promised; its customer knows.
    pub(crate) async fn promise(&self, order_id: &str, quantity: u32) {
        self.post(order_id, &[("s", quantity)]).await;
        assert_eq!(self.mail().await.template, Template::OrderConfirmed);
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
                for (sku, command) in unit_moves(&id, after, event) {
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
        let stock = StreamLocks::new(self.store.clone(), 100);
        let (actor, reason) = ("ann".to_owned(), "because".to_owned());
        let intervention = OperatorIntervened {
            decision,
            step,
            actor,
            reason,
            customer_message: Some(SORRY.to_owned()),
            notification_id: None,
        };
        sagas::operate::intervene(&self.store, &stock, order_id, intervention).await.unwrap();
    }

    // What can be seen.

    pub(crate) async fn order(&self, order_id: &str) -> PlacedOrder {
        match self.store.load::<Order>(order_id).await.unwrap().state {
            Order::Placed(order) => *order,
            Order::Absent => panic!("there is no order {order_id}"),
        }
    }

    pub(crate) async fn events(&self, order_id: &str) -> Vec<&'static str> {
        let events = self.store.read_stream::<Order>(order_id).await.unwrap();
        events.iter().map(|event| event.decode::<Order>().unwrap()).map(|event: OrderEvent| event.name()).collect()
    }

    pub(crate) async fn eventually_at(&self, order_id: &str, stage: Stage) {
        self.hurried(|| async { self.order(order_id).await.stage() == stage }).await;
    }

    pub(crate) async fn eventually_has(&self, order_id: &str, event: &str) {
        self.hurried(|| async { self.events(order_id).await.contains(&event) }).await;
    }

    /// Waits, while whatever is to be tried again later is tried at once.
    pub(crate) async fn hurried<Answer: Future<Output = bool>>(&self, mut holds: impl FnMut() -> Answer) {
        testkit::eventually(PATIENCE, || {
            let holds = holds();
            async {
                let due = "update saga_work set due_at = now() where failures > 0 and not stuck and due_at > now()
                            and (saga, order_id) in (select saga, order_id from saga_work for update skip locked)";
                self.execute(due).await;
                holds.await
            }
        })
        .await;
    }

    pub(crate) async fn stock(&self, sku: &str) -> TrackedStock {
        match self.store.load::<Stock>(sku).await.unwrap().state {
            Stock::Tracked(tracked) => tracked,
            Stock::Untracked => panic!("{sku} is not tracked"),
        }
    }

    /// Waits until something could not be done for the order.
    pub(crate) async fn eventually_fails(&self, order_id: &str) {
        let failed = format!("select count(*) from saga_work where order_id = '{order_id}' and failures > 0");
        testkit::eventually(PATIENCE, || async { self.count(&failed).await > 0 }).await;
    }

    /// What a step that is stuck says of why.
    pub(crate) async fn eventually_stuck(&self, order_id: &str, step: SagaStep) -> String {
        let row = "select last_error from saga_work where order_id = $1 and step = $2 and stuck";
        let error = || async {
            let row = sqlx::query_scalar::<_, String>(row).bind(order_id).bind(step.name());
            row.fetch_optional(self.database.pool()).await.unwrap()
        };
        self.hurried(|| async { error().await.is_some() }).await;
        error().await.unwrap_or_default()
    }

    /// The same, whatever the step: the one whose outcome can't be stored is not always the one that fails.
    pub(crate) async fn eventually_stuck_anywhere(&self, order_id: &str) -> String {
        let row = "select last_error from saga_work where order_id = $1 and stuck";
        let error = || async {
            let row = sqlx::query_scalar::<_, String>(row).bind(order_id);
            row.fetch_optional(self.database.pool()).await.unwrap()
        };
        self.hurried(|| async { error().await.is_some() }).await;
        error().await.unwrap_or_default()
    }

    /// Waits until the sagas have heard and seen everything and wait for nothing.
    pub(crate) async fn eventually_nothing_waits(&self) {
        self.hurried(|| self.is_at_rest()).await;
    }

    pub(crate) async fn books(&self) -> Books {
        let events = sqlx::query_as("select aggregate_id, sequence, event_type from events order by global_position");
        let events = events.fetch_all(self.database.pool()).await.unwrap();
        Books { events, payments: self.gateway.payments() }
    }

    pub(crate) async fn requests_waiting(&self) -> u32 {
        messages_in(&self.client, &self.queues.notifications.url).await
    }

    /// Answers that are not recorded yet.
    pub(crate) async fn answers_waiting(&self) -> u32 {
        messages_in(&self.client, &self.queues.replies.url).await
    }

    /// Waits until the sagas have seen all that happened.
    pub(crate) async fn eventually_caught_up(&self) {
        let behind = "select 16 - count(*) from subscription_partitions
                       where subscription = 'order_fulfilment' and position >= (select max(global_position) from events)";
        testkit::eventually(PATIENCE, || async { self.count(behind).await == 0 }).await;
    }

    /// Has everything that ever happened come to the sagas again, as after a crash that lost all their records.
    pub(crate) async fn deliver_everything_again(&mut self) {
        self.stop_copies().await;
        self.execute("delete from subscription_partitions").await;
        self.execute("delete from saga_work").await;
        self.start_copy();
        self.eventually_caught_up().await;
    }

    // Notification.

    /// Takes the next request for a mail and reports that the mail went out.
    pub(crate) async fn mail(&self) -> NotificationRequested {
        self.mails(1).await.remove(0)
    }

    /// Answers every request for a mail until nothing is left to be done, and says which those were.
    pub(crate) async fn mails_to_the_end(&self) -> Vec<NotificationRequested> {
        let mut mails = Vec::new();
        loop {
            self.hurried(|| async { self.requests_waiting().await > 0 || self.is_at_rest().await }).await;
            match self.requests_waiting().await {
                0 if self.is_at_rest().await => return mails,
                waiting => mails.extend(self.mails(waiting.try_into().unwrap()).await),
            }
        }
    }

    /// Whether all answers are recorded, and the sagas have seen everything and wait for nothing.
    async fn is_at_rest(&self) -> bool {
        let busy = "select (select count(*) from saga_work)
                         + (select 16 - count(*) from subscription_partitions
                             where subscription = 'order_fulfilment'
                               and position >= (select max(global_position) from events))";
        // What comes of an answer is there when it is gone.
        self.answers_waiting().await == 0 && self.count(busy).await == 0
    }

    /// So many of them, once they have been asked for.
    pub(crate) async fn hurried_mails(&self, count: usize) -> Vec<NotificationRequested> {
        self.hurried(|| async { self.requests_waiting().await as usize >= count }).await;
        self.mails(count).await
    }

    /// The same for so many, each of which is another mail.
    pub(crate) async fn mails(&self, count: usize) -> Vec<NotificationRequested> {
        let (mut mails, mut known) = (Vec::new(), BTreeSet::new());
        while mails.len() < count {
            let requests = self.requests().await;
            join_all(requests.iter().map(|request| self.answer(&request.order_id, sent(request)))).await;
            assert!(requests.iter().all(|mail| known.insert(mail.notification_id)), "a mail was asked for twice");
            mails.extend(requests);
        }
        mails
    }

    /// Takes the next request for a mail.
    pub(crate) async fn unanswered_mail(&self) -> NotificationRequested {
        self.requests().await.remove(0)
    }

    /// Takes some requests, at least one.
    async fn requests(&self) -> Vec<NotificationRequested> {
        let url = &self.queues.notifications.url;
        let receive = self.client.receive_message().queue_url(url).max_number_of_messages(10).wait_time_seconds(20);
        let received = tokio::time::timeout(PATIENCE, receive.send()).await.unwrap().unwrap();
        assert!(!received.messages().is_empty(), "no request came");
        join_all(received.messages().iter().map(|message| async {
            let receipt = message.receipt_handle().unwrap();
            self.client.delete_message().queue_url(url).receipt_handle(receipt).send().await.unwrap();
            let request: CloudEvent<NotificationRequested> = CloudEvent::parse(message.body().unwrap()).unwrap();
            request.data
        }))
        .await
    }

    /// Reports what became of a mail.
    pub(crate) async fn answer<T: Contract>(&self, order_id: &str, answer: T) {
        let replies = Producer::new(self.client.clone(), &self.queues.replies.url, ProducerSettings::default());
        let event = CloudEvent::new(order_id, Utc.timestamp_opt(0, 0).unwrap(), answer);
        replies.send(vec![Outgoing::event(&event, 1).unwrap()]).await.remove(0).unwrap();
    }

    // What must hold at the end.

    /// The order is undone: nothing is held or taken for it, and its one mail says why.
    pub(crate) async fn is_undone(&self, order_id: &str, template: Template, why: &str) {
        let mail = self.mail().await;
        assert_eq!((mail.order_id.as_str(), mail.template), (order_id, template));
        let told = mail.reason.unwrap_or_default();
        assert!(told.contains(why), "{told}");
        let private = ["because", "no funds", "ordered", "left"];
        assert!(!private.iter().any(|word| told.contains(word)), "{told}");
        self.eventually_nothing_waits().await;
        assert_eq!(self.requests_waiting().await, 0);
        self.holds_nothing(order_id).await;
    }

    /// Nothing is held or taken for the order.
    pub(crate) async fn holds_nothing(&self, order_id: &str) {
        let order = self.order(order_id).await;
        assert!(matches!(order.stage(), Stage::Rejected | Stage::Cancelled), "{:?}", order.stage());
        for (key, payment) in self.gateway.payments() {
            let is_ours = key.split(':').next() == Some(order_id);
            assert!(!is_ours || (!payment.is_held() && payment.captured == 0), "{key}: {payment:?}");
        }
        for line in &order.content.lines {
            if let Stock::Tracked(stock) = self.store.load::<Stock>(line.sku.as_str()).await.unwrap().state {
                assert!(stock.reservations.keys().all(|id| id.as_str() != order_id), "{stock:?}");
            }
        }
    }

    pub(crate) async fn end(mut self) {
        self.stop_copies().await;
        self.store.close().await;
        self.sqs.stop().await;
    }
}

/// The report that a mail went out.
pub(crate) fn sent(request: &NotificationRequested) -> NotificationSent {
    NotificationSent {
        notification_id: request.notification_id,
        template: request.template,
        recipient: "customer@example.com".into(),
        provider_message_id: "m".into(),
    }
}

fn append<A: Aggregate>(stream_id: &str, version: i64, events: Vec<NewEvent>) -> StreamAppend {
    StreamAppend { stream_type: A::TYPE, stream_id: stream_id.to_owned(), expected_version: version, events }
}

/// How many messages a queue has, those included that somebody is at work on.
async fn messages_in(client: &Client, url: &str) -> u32 {
    let (ready, taken) =
        (QueueAttributeName::ApproximateNumberOfMessages, QueueAttributeName::ApproximateNumberOfMessagesNotVisible);
    let asked = client.get_queue_attributes().queue_url(url).attribute_names(ready).attribute_names(taken);
    let counted = asked.send().await.unwrap();
    counted.attributes().unwrap().values().map(|count| count.parse::<u32>().unwrap()).sum()
}
