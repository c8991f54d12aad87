//! A shop with an order, and a client that posts.

use std::sync::Arc;

use access_control::{Principal, RoutePermission};
use axum::Router;
use axum::body::Body;
use chrono::DateTime;
use command_api::SupportRefundLimits;
use domain::ids::ShipmentId;
use domain::order::event::{PaymentAuthorized, PaymentCaptured, StockReserved};
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderCommand, OrderEvent, OrderGrowthLimits, decide};
use event_store::{EventStore, Metadata, StoreSettings, StreamLocks, Versioned};
use http::{HeaderMap, Request};
use serde_json::{Value, json};
use testkit::Database;
use tower::ServiceExt;

/// The write side of a database.
pub(crate) struct Shop {
    _database: Arc<Database>,
    pub(crate) store: EventStore,
    /// Nobody calls them yet.
    bare: Router,
    pub(crate) routes: Router,
}

fn routes(store: &EventStore) -> Router {
    let stock = StreamLocks::new(store.clone(), 16);
    let refunds = SupportRefundLimits::parse("USD=10").unwrap();
    command_api::routes(store.clone(), stock, OrderGrowthLimits::default(), refunds).into()
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let database = Arc::new(testkit::database().await);
        let store = EventStore::start(database.pool().clone(), StoreSettings::default());
        let bare = routes(&store);
        Self { routes: testkit::called_by_shop(bare.clone()), bare, _database: database, store }
    }

    /// The same shop, called by somebody else.
    pub(crate) fn called_by(&self, caller: Principal, grant: RoutePermission) -> Self {
        let routes = testkit::called_by(self.bare.clone(), caller, grant);
        Self { routes, bare: self.bare.clone(), _database: Arc::clone(&self._database), store: self.store.clone() }
    }

    /// A shop with an order `a`: two headphones at 10.00 and a cable at 5.50, confirmed.
    pub(crate) async fn with_confirmed_order() -> Self {
        let shop = Self::open().await;
        shop.confirm("a").await;
        shop
    }

    /// The same with all of it sent and paid for.
    pub(crate) async fn with_shipped_order() -> Self {
        let shop = Self::with_confirmed_order().await;
        assert_eq!(shop.post("/orders/a/ship", json!({ "shipmentId": "s-1" })).await.status, 202);
        let shipment_id = ShipmentId::parse("s-1").unwrap();
        let captured =
            PaymentCaptured { payment_number: None, shipment_id, amount_minor: 2_550, reference: "cap-1".into() };
        shop.does("a", OrderCommand::RecordPaymentCaptured(captured)).await;
        shop
    }

    pub(crate) async fn confirm(&self, order_id: &str) {
        let body = json!({
            "customerId": "customer-42", "currency": "USD", "totalAmount": "25.50",
            "items": [{ "sku": "headphones", "title": "Headphones", "quantity": 2, "unitPrice": 10 },
                      { "sku": "cable", "title": "Cable", "quantity": 1, "unitPrice": "5.50" }]
        });
        let content = PostedOrder::parse(body.to_string().as_bytes()).unwrap().content;
        let expires_at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let authorized = PaymentAuthorized { payment_number: None, reference: "pay-1".into(), amount_minor: 2_550 };
        self.does(order_id, OrderCommand::CreateOrder(content)).await;
        self.does(
            order_id,
            OrderCommand::RecordStockReserved(StockReserved { units: vec![], expires_at, backorders: vec![] }),
        )
        .await;
        self.does(order_id, OrderCommand::RecordPaymentAuthorized(authorized)).await;
        self.does(order_id, OrderCommand::ConfirmOrder { mail_staff: false }).await;
    }

    pub(crate) async fn does(&self, order_id: &str, command: OrderCommand) {
        let known = self.load(order_id).await;
        let decide = |order: &Order| decide(order, command.clone());
        self.store.execute(order_id, known, &Metadata::default(), decide).await.unwrap();
    }

    pub(crate) async fn load(&self, order_id: &str) -> Versioned<Order> {
        self.store.load(order_id).await.unwrap()
    }

    pub(crate) async fn version(&self) -> i64 {
        self.load("a").await.version
    }

    pub(crate) async fn last_event(&self) -> OrderEvent {
        self.store.read_stream::<Order>("a").await.unwrap().last().unwrap().decode::<Order>().unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.post_with(path, body, &[]).await
    }

    pub(crate) async fn post_with(&self, path: &str, body: Value, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::post(path).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        let request = Request::put(path).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let answer = self.routes.clone().oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{body:?}")),
        }
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn violation(&self) -> (&str, &str) {
        assert_eq!(self.status, 422, "{}", self.body);
        let [only] = self.body["errors"].as_array().unwrap().as_slice() else { panic!("{}", self.body) };
        (only["pointer"].as_str().unwrap(), only["code"].as_str().unwrap())
    }
}
