//! A Stripe that keeps books, forgets keys, and loses requests and answers.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, Query, RawForm, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use payments::{
    AuthorizationRequest, CaptureRequest, PaymentError, PaymentGateway, RefundRequest, Stripe, StripeSettings,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::form_urlencoded;

pub(crate) fn authorization() -> AuthorizationRequest {
    AuthorizationRequest {
        key: "order-1:authorize:0".to_owned(),
        order_id: "order-1".to_owned(),
        amount_minor: 1_000,
        currency: "USD".to_owned(),
        token: Some("pm_card_visa".to_owned()),
    }
}

pub(crate) fn capture(payment: &str, shipment: &str, amount_minor: i64) -> CaptureRequest {
    let (key, reference) = (format!("order-1:capture:{shipment}"), payment.to_owned());
    CaptureRequest {
        key,
        reference,
        amount_minor,
        currency: "USD".to_owned(),
        last: false,
        recorded_minor: 0,
        retries: 0,
    }
}

pub(crate) fn refund(name: &str, amount_minor: i64) -> RefundRequest {
    let (key, reference) = (format!("order-1:refund:{name}"), "pi_1".to_owned());
    RefundRequest { key, reference, amount_minor, currency: "USD".to_owned(), recorded: vec![], retries: 0 }
}

pub(crate) fn kind(outcome: &Result<(), PaymentError>) -> &'static str {
    match outcome {
        Ok(()) => "done",
        Err(PaymentError::Declined { .. }) => "declined",
        Err(PaymentError::Unknown { .. }) => "unknown",
        Err(PaymentError::Unavailable { .. }) => "unavailable",
        Err(PaymentError::Refused { .. }) => "refused",
    }
}

/// What goes wrong with a request that moves money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is carried out, and its answer gets lost.
    AnswerLost,
    /// It gets lost.
    Lost,
    /// Stripe breaks down before it is carried out, and keeps that answer.
    Breaks,
    /// The same, after it is carried out.
    BreaksBehind,
    /// Stripe refuses it, and keeps that answer.
    Refuses,
}

/// A Stripe with books.
pub(crate) struct Fake {
    pub(crate) stripe: Stripe,
    pub(crate) books: Arc<Mutex<Books>>,
}

#[derive(Default)]
pub(crate) struct Books {
    pub(crate) intents: BTreeMap<String, Intent>,
    pub(crate) refunds: Vec<(String, HashMap<String, String>)>,
    pub(crate) keys: HashMap<String, (String, u16, Value)>,
    pub(crate) faults: VecDeque<Fault>,
    /// How many more requests to let go are refused.
    pub(crate) refused_cancels: usize,
}

#[derive(Clone)]
pub(crate) struct Intent {
    pub(crate) amount: i64,
    pub(crate) received: i64,
    pub(crate) status: &'static str,
    pub(crate) metadata: HashMap<String, String>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let books = Arc::new(Mutex::new(Books::default()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = StripeSettings {
            url: format!("http://{}", listener.local_addr().unwrap()),
            secret_key: "sk_test_secret".to_owned(),
            connect_timeout: Duration::from_secs(10),
        };
        let routes = Router::new()
            .route("/v1/payment_intents", post(Books::pay))
            .route("/v1/payment_intents/search", get(Books::search))
            .route("/v1/payment_intents/{id}", get(Books::show))
            .route("/v1/payment_intents/{id}/capture", post(Books::capture))
            .route("/v1/payment_intents/{id}/cancel", post(Books::cancel))
            .route("/v1/refunds", get(Books::list).post(Books::refund))
            .with_state(books.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { stripe: Stripe::new(&settings).unwrap(), books }
    }

    pub(crate) async fn pay(&self) -> String {
        self.stripe.authorize(&authorization()).await.unwrap().reference
    }

    /// Has the next request that is carried out go wrong.
    pub(crate) fn goes(&self, fault: Fault) {
        self.books.lock().unwrap().faults.push_back(fault);
    }

    pub(crate) fn goes_well(&self) {
        self.books.lock().unwrap().faults.clear();
    }

    pub(crate) fn forgets(&self) {
        self.books.lock().unwrap().keys.clear();
    }

    /// Everything is as a build left it that marked nothing.
    pub(crate) fn forgets_marks(&self) {
        let mut books = self.books.lock().unwrap();
        books.intents.values_mut().for_each(|intent| intent.metadata.retain(|name, _| name == "ordo_key"));
        books.refunds.iter_mut().for_each(|(_, form)| form.retain(|name, _| !name.starts_with("metadata")));
    }

    /// What was taken and given back.
    pub(crate) fn moved(&self) -> (i64, i64) {
        let books = self.books.lock().unwrap();
        let amount = |refund: &(String, HashMap<String, String>)| refund.1["amount"].parse::<i64>().unwrap();
        (books.intents.values().map(|it| it.received).sum(), books.refunds.iter().map(amount).sum())
    }
}

pub(crate) type Shared = State<Arc<Mutex<Books>>>;

pub(crate) fn read(form: &[u8]) -> HashMap<String, String> {
    form_urlencoded::parse(form).into_owned().collect()
}

pub(crate) fn metadata(form: &HashMap<String, String>) -> impl Iterator<Item = (String, String)> {
    let name = |name: &str| Some(name.strip_prefix("metadata[")?.strip_suffix(']')?.to_owned());
    form.iter().filter_map(move |(key, value)| Some((name(key)?, value.clone())))
}

impl Books {
    /// A request under a key: once, and then its answer again.
    pub(crate) fn under_key(
        &mut self,
        headers: &HeaderMap,
        form: &[u8],
        carry_out: impl FnOnce(&mut Self, HashMap<String, String>) -> (u16, Value),
    ) -> Response {
        let key = headers["idempotency-key"].to_str().unwrap().to_owned();
        let request = String::from_utf8(form.to_vec()).unwrap();
        if let Some((before, status, answer)) = self.keys.get(&key) {
            if *before != request {
                let error = json!({"error": {"type": "idempotency_error", "message": "it was another request"}});
                return (StatusCode::BAD_REQUEST, Json(error)).into_response();
            }
            let status = StatusCode::from_u16(*status).unwrap();
            return (status, [("idempotent-replayed", "true")], Json(answer.clone())).into_response();
        }
        let error = |code: &str| json!({"error": {"code": code, "message": "no"}});
        let (status, answer) = match self.faults.pop_front() {
            Some(Fault::Lost) => return StatusCode::BAD_GATEWAY.into_response(),
            Some(Fault::AnswerLost) => {
                let (status, answer) = carry_out(self, read(form));
                self.keys.insert(key, (request, status, answer));
                return StatusCode::BAD_GATEWAY.into_response();
            }
            Some(Fault::Breaks) => (500, error("broken")),
            Some(Fault::BreaksBehind) => {
                carry_out(self, read(form));
                (500, error("broken"))
            }
            Some(Fault::Refuses) => (400, error("no_balance")),
            None => carry_out(self, read(form)),
        };
        self.keys.insert(key, (request, status, answer.clone()));
        (StatusCode::from_u16(status).unwrap(), Json(answer)).into_response()
    }

    pub(crate) fn intent(&self, id: &str) -> Value {
        let Intent { received, status, metadata, .. } = &self.intents[id];
        json!({"id": id, "status": status, "amount_received": received, "latest_charge": "ch_1", "metadata": metadata})
    }

    pub(crate) async fn pay(State(books): Shared, headers: HeaderMap, RawForm(form): RawForm) -> Response {
        books.lock().unwrap().under_key(&headers, &form, |books, form| {
            let id = format!("pi_{}", books.intents.len() + 1);
            let metadata = metadata(&form).collect();
            let amount = form["amount"].parse().unwrap();
            let intent = Intent { amount, received: 0, status: "requires_capture", metadata };
            books.intents.insert(id.clone(), intent);
            (200, books.intent(&id))
        })
    }

    pub(crate) async fn search(State(books): Shared, Query(query): Query<HashMap<String, String>>) -> Response {
        let books = books.lock().unwrap();
        let found = books
            .intents
            .iter()
            .filter(|(_, intent)| query["query"] == format!("metadata['ordo_key']:'{}'", intent.metadata["ordo_key"]));
        let found: Vec<_> = found.map(|(id, _)| books.intent(id)).collect();
        Json(json!({"data": found, "has_more": false})).into_response()
    }

    pub(crate) async fn show(State(books): Shared, Path(id): Path<String>) -> Response {
        Json(books.lock().unwrap().intent(&id)).into_response()
    }

    pub(crate) async fn capture(
        State(books): Shared,
        Path(id): Path<String>,
        headers: HeaderMap,
        RawForm(form): RawForm,
    ) -> Response {
        books.lock().unwrap().under_key(&headers, &form, |books, form| {
            let intent = books.intents.get_mut(&id).unwrap();
            intent.received += form["amount_to_capture"].parse::<i64>().unwrap();
            assert!(intent.received <= intent.amount);
            intent.metadata.extend(metadata(&form));
            (200, books.intent(&id))
        })
    }

    /// Under a key its failures would be kept.
    pub(crate) async fn cancel(State(books): Shared, Path(id): Path<String>, headers: HeaderMap) -> Response {
        let mut books = books.lock().unwrap();
        assert!(!headers.contains_key("idempotency-key"));
        if books.refused_cancels > 0 {
            books.refused_cancels -= 1;
            return (StatusCode::BAD_REQUEST, Json(json!({"error": {"message": "not now"}}))).into_response();
        }
        books.intents.get_mut(&id).unwrap().status = "canceled";
        Json(books.intent(&id)).into_response()
    }

    pub(crate) async fn refund(State(books): Shared, headers: HeaderMap, RawForm(form): RawForm) -> Response {
        books.lock().unwrap().under_key(&headers, &form, |books, form| {
            let id = format!("re_{}", books.refunds.len() + 1);
            books.refunds.push((id.clone(), form));
            (200, json!({"id": id, "status": "pending"}))
        })
    }

    /// The latest first, as Stripe lists them.
    pub(crate) async fn list(State(books): Shared, Query(query): Query<HashMap<String, String>>) -> Response {
        let books = books.lock().unwrap();
        let after = query.get("starting_after");
        let older = books.refunds.iter().rev().skip_while(|(id, _)| after.is_some_and(|after| after != id));
        let older: Vec<_> = older.skip(usize::from(after.is_some())).collect();
        let limit = query["limit"].parse().unwrap();
        let page = older.iter().take(limit).map(|(id, form)| {
            let metadata: HashMap<_, _> = metadata(form).collect();
            let amount: i64 = form["amount"].parse().unwrap();
            json!({"id": id, "status": "succeeded", "amount": amount, "metadata": metadata})
        });
        Json(json!({"data": page.collect::<Vec<_>>(), "has_more": older.len() > limit})).into_response()
    }
}
