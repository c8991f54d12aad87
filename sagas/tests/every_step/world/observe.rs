//! What can be seen from outside, and what must hold at the end.

use std::collections::BTreeMap;

use domain::order::saga::SagaStep;
use domain::order::{Order, OrderEvent, OrderStage, PlacedOrder};
use domain::stock::{Stock, TrackedStock};
use messaging::NotificationTemplate;
use testkit::Payment;

use super::notification::messages_in;
use super::{PATIENCE, World};

/// All that must be the same when something is done a second time.
#[derive(Debug, PartialEq)]
pub(crate) struct Books {
    events: Vec<(String, i64, String)>,
    payments: BTreeMap<String, Payment>,
}

impl World {
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

    pub(crate) async fn eventually_at(&self, order_id: &str, stage: OrderStage) {
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

    /// The order is undone: nothing is held or taken for it, and its one mail says why.
    pub(crate) async fn is_undone(&self, order_id: &str, template: NotificationTemplate, why: &str) {
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
        assert!(matches!(order.stage(), OrderStage::Rejected | OrderStage::Cancelled), "{:?}", order.stage());
        for (key, payment) in self.gateway.payments() {
            let is_ours = key.split(':').next() == Some(order_id);
            assert!(!is_ours || (!payment.is_held() && payment.captured == 0), "{key}: {payment:?}");
        }
        for line in &order.content.lines {
            if let Stock::Tracked(stock) = self.store.load::<Stock>(line.sku.as_str()).await.unwrap().state {
                assert!(
                    stock.locations.values().flat_map(|it| it.reservations.keys()).all(|id| id.as_str() != order_id),
                    "{stock:?}"
                );
            }
        }
    }
}
