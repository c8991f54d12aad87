//! Captures, refunds and authorizations at a Stripe that forgets keys, loses requests and answers, and keeps its failures: each is
//! made once.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, Query, RawForm, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use payments::{Authorization, Capture, PaymentError, PaymentGateway, Refund, Stripe, StripeSettings, Void};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::form_urlencoded;

#[tokio::test]
async fn what_was_made_is_not_made_again_once_its_key_is_forgotten() {
    let fake = Fake::start().await;
    let (part, back) = (capture(&fake.pay().await, "s-1", 400), refund("f-1", 300));

    fake.goes(Fault::AnswerLost);
    assert_eq!(kind(&fake.stripe.capture(&part).await.map(drop)), "unknown");
    fake.forgets();
    fake.stripe.capture(&part).await.unwrap();
    assert_eq!(fake.moved(), (400, 0));

    fake.goes(Fault::AnswerLost);
    assert_eq!(kind(&fake.stripe.refund(&back).await.map(drop)), "unknown");
    fake.forgets();
    let found = fake.stripe.refund(&back).await.unwrap();
    fake.forgets();
    assert_eq!(fake.stripe.refund(&back).await.unwrap(), found);
    assert_eq!(fake.moved(), (400, 300));
    // Others of the same payment and amount are others.
    fake.stripe.capture(&capture("pi_1", "s-2", 400)).await.unwrap();
    fake.stripe.refund(&refund("f-2", 300)).await.unwrap();
    assert_eq!(fake.moved(), (800, 600));
}

#[tokio::test]
async fn a_failure_that_stripe_keeps_is_got_over_by_another_attempt() {
    let fake = Fake::start().await;
    let mut part = capture(&fake.pay().await, "s-1", 400);
    let mut back = refund("f-1", 300);
    fake.goes(Fault::Refuses);
    for _ in 0..2 {
        assert_eq!(kind(&fake.stripe.capture(&part).await.map(drop)), "refused");
    }
    part.retries = 1;
    fake.stripe.capture(&part).await.unwrap();

    fake.goes(Fault::Refuses);
    assert_eq!(kind(&fake.stripe.refund(&back).await.map(drop)), "refused");
    back.retries = 1;
    fake.stripe.refund(&back).await.unwrap();
    // Who does not know of the retry any more finds what came of it.
    back.retries = 0;
    fake.stripe.refund(&back).await.unwrap();
    assert_eq!(fake.moved(), (400, 300));
}

#[tokio::test]
async fn a_breakdown_that_stripe_keeps_is_got_over_by_itself() {
    for (fault, moved) in [(Fault::Breaks, 0), (Fault::BreaksBehind, 300)] {
        let fake = Fake::start().await;
        fake.stripe.capture(&capture(&fake.pay().await, "s-1", 400)).await.unwrap();
        fake.goes(fault);
        let back = refund("f-1", 300);
        assert_eq!(kind(&fake.stripe.refund(&back).await.map(drop)), "unknown");
        assert_eq!(fake.moved(), (400, moved));
        fake.stripe.refund(&back).await.unwrap();
        assert_eq!(fake.moved(), (400, 300));
    }
}

#[tokio::test]
async fn whatever_goes_wrong_twice_money_moves_once_and_in_the_end() {
    let faults = [Fault::AnswerLost, Fault::Lost, Fault::Breaks, Fault::BreaksBehind, Fault::Refuses];
    for (one, other) in faults.into_iter().flat_map(|one| faults.map(|other| (one, other))) {
        for forgets in [[false, false], [true, false], [false, true], [true, true]] {
            let fake = Fake::start().await;
            let mut part = capture(&fake.pay().await, "s-1", 400);
            let mut back = refund("f-1", 300);
            for (fault, forgets) in [one, other].into_iter().zip(forgets) {
                fake.goes(fault);
                if kind(&fake.stripe.capture(&part).await.map(drop)) == "refused" {
                    part.retries += 1;
                }
                if forgets {
                    fake.forgets();
                }
            }
            fake.goes_well();
            fake.stripe.capture(&part).await.unwrap();
            for (fault, forgets) in [one, other].into_iter().zip(forgets) {
                fake.goes(fault);
                if kind(&fake.stripe.refund(&back).await.map(drop)) == "refused" {
                    back.retries += 1;
                }
                if forgets {
                    fake.forgets();
                }
            }
            fake.goes_well();
            fake.stripe.refund(&back).await.unwrap();
            assert_eq!(fake.moved(), (400, 300), "{one:?}, {other:?}, {forgets:?}");
        }
    }
}

#[tokio::test]
async fn an_authorization_is_found_and_let_go_of_once_its_key_is_forgotten() {
    let fake = Fake::start().await;
    fake.goes(Fault::AnswerLost);
    assert_eq!(kind(&fake.stripe.authorize(&authorization()).await.map(drop)), "unknown");
    fake.forgets();
    assert_eq!(fake.stripe.find(&authorization()).await.unwrap().unwrap().reference, "pi_1");
    fake.forgets();
    fake.stripe.abandon(&authorization()).await.unwrap();
    let intents = fake.books.lock().unwrap().intents.clone();
    assert_eq!(intents.values().map(|intent| intent.status).collect::<Vec<_>>(), ["canceled"]);
}

#[tokio::test]
async fn keys_that_are_too_long_for_stripe_are_told_apart_by_their_hash() {
    let fake = Fake::start().await;
    let long = |end: &str| format!("{}:capture:{}{end}", "o".repeat(128), "s".repeat(127));
    let payment = fake.pay().await;
    for end in ["1", "2"] {
        let part = Capture { key: long(end), ..capture(&payment, "", 400) };
        assert_eq!(part.key.len(), 265);
        fake.stripe.capture(&part).await.unwrap();
        fake.stripe.capture(&part).await.unwrap();
    }
    assert_eq!(fake.moved(), (800, 0));
    assert!(fake.books.lock().unwrap().keys.keys().all(|key| key.len() <= 255));
}

#[tokio::test]
async fn a_refund_is_found_among_hundreds() {
    let fake = Fake::start().await;
    fake.stripe.capture(&capture(&fake.pay().await, "s-1", 1_000)).await.unwrap();
    for nth in 0..150 {
        fake.stripe.refund(&refund(&format!("f-{nth}"), 1)).await.unwrap();
    }
    fake.forgets();
    for nth in [0, 49, 50, 149] {
        fake.stripe.refund(&refund(&format!("f-{nth}"), 1)).await.unwrap();
    }
    assert_eq!(fake.moved(), (1_000, 150));
}

#[tokio::test]
async fn marks_that_do_not_agree_with_what_was_received_prove_nothing() {
    let fake = Fake::start().await;
    let part = capture(&fake.pay().await, "s-1", 400);
    fake.stripe.capture(&part).await.unwrap();
    fake.books.lock().unwrap().intents.get_mut("pi_1").unwrap().received = 0;
    assert_eq!(kind(&fake.stripe.capture(&part).await.map(drop)), "unknown");
}

#[tokio::test]
async fn a_capture_that_an_earlier_build_made_without_a_mark_is_not_made_again() {
    let fake = Fake::start().await;
    let first = capture(&fake.pay().await, "s-1", 400);
    fake.stripe.capture(&first).await.unwrap();
    fake.forgets_marks();
    fake.forgets();
    // Whether that was this one is for people to say.
    assert_eq!(kind(&fake.stripe.capture(&first).await.map(drop)), "unknown");
    assert_eq!(fake.moved(), (400, 0));

    // What is recorded is no other's.
    let second = Capture { recorded_minor: 400, ..capture("pi_1", "s-2", 300) };
    fake.stripe.capture(&second).await.unwrap();
    fake.forgets();
    fake.stripe.capture(&second).await.unwrap();
    fake.stripe.capture(&Capture { recorded_minor: 700, ..capture("pi_1", "s-3", 300) }).await.unwrap();
    assert_eq!(fake.moved(), (1_000, 0));
}

#[tokio::test]
async fn a_refund_that_an_earlier_build_made_without_a_mark_is_not_made_again() {
    let fake = Fake::start().await;
    fake.stripe.capture(&capture(&fake.pay().await, "s-1", 1_000)).await.unwrap();
    fake.stripe.refund(&refund("f-1", 300)).await.unwrap();
    fake.forgets_marks();
    fake.forgets();
    assert_eq!(kind(&fake.stripe.refund(&refund("f-1", 300)).await.map(drop)), "unknown");
    assert_eq!(fake.moved(), (1_000, 300));

    // One of another amount is another, and so is one that is recorded.
    fake.stripe.refund(&refund("f-2", 200)).await.unwrap();
    fake.stripe.refund(&Refund { recorded: vec!["re_1".to_owned(), "re_2".to_owned()], ..refund("f-3", 300) }).await.unwrap();
    assert_eq!(fake.moved(), (1_000, 800));
}

#[tokio::test]
async fn a_refund_that_an_operator_recorded_hides_no_other_without_a_mark() {
    let fake = Fake::start().await;
    fake.stripe.capture(&capture(&fake.pay().await, "s-1", 1_000)).await.unwrap();
    // An earlier build made it, and its answer was lost.
    fake.stripe.refund(&refund("f-2", 300)).await.unwrap();
    fake.forgets_marks();
    fake.forgets();
    // An operator paid the one before by a bank transfer, and said so.
    let by_hand = Refund { recorded: vec!["bank transfer 17".to_owned()], ..refund("f-2", 300) };
    assert_eq!(kind(&fake.stripe.refund(&by_hand).await.map(drop)), "unknown");
    assert_eq!(fake.moved(), (1_000, 300));

    // Beside one with a mark it is no other's either.
    let marked = fake.stripe.refund(&refund("f-3", 200)).await.unwrap().reference;
    let by_hand = Refund { recorded: vec!["bank transfer 17".to_owned(), marked], ..refund("f-2", 300) };
    assert_eq!(kind(&fake.stripe.refund(&by_hand).await.map(drop)), "unknown");
    assert_eq!(fake.moved(), (1_000, 500));
}

#[tokio::test]
async fn letting_go_is_tried_again_at_stripe_each_time_and_no_failure_of_it_is_kept() {
    let fake = Fake::start().await;
    let reference = fake.pay().await;
    fake.books.lock().unwrap().refused_cancels = 1;
    let rest = Void { key: "order-1:void:rest".to_owned(), reference };
    assert_eq!(kind(&fake.stripe.void(&rest).await), "refused");
    fake.stripe.void(&rest).await.unwrap();
    assert_eq!(fake.books.lock().unwrap().intents["pi_1"].status, "canceled");
}

fn authorization() -> Authorization {
    Authorization {
        key: "order-1:authorize:0".to_owned(),
        order_id: "order-1".to_owned(),
        amount_minor: 1_000,
        currency: "USD".to_owned(),
        token: Some("pm_card_visa".to_owned()),
    }
}

fn capture(payment: &str, shipment: &str, amount_minor: i64) -> Capture {
    let (key, reference) = (format!("order-1:capture:{shipment}"), payment.to_owned());
    Capture { key, reference, amount_minor, currency: "USD".to_owned(), last: false, recorded_minor: 0, retries: 0 }
}

fn refund(name: &str, amount_minor: i64) -> Refund {
    let (key, reference) = (format!("order-1:refund:{name}"), "pi_1".to_owned());
    Refund { key, reference, amount_minor, currency: "USD".to_owned(), recorded: vec![], retries: 0 }
}

fn kind(outcome: &Result<(), PaymentError>) -> &'static str {
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
enum Fault {
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
struct Fake {
    stripe: Stripe,
    books: Arc<Mutex<Books>>,
}

#[derive(Default)]
struct Books {
    intents: BTreeMap<String, Intent>,
    refunds: Vec<(String, HashMap<String, String>)>,
    keys: HashMap<String, (String, u16, Value)>,
    faults: VecDeque<Fault>,
    /// How many more requests to let go are refused.
    refused_cancels: usize,
}

#[derive(Clone)]
struct Intent {
    amount: i64,
    received: i64,
    status: &'static str,
    metadata: HashMap<String, String>,
}

impl Fake {
    async fn start() -> Self {
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

    async fn pay(&self) -> String {
        self.stripe.authorize(&authorization()).await.unwrap().reference
    }

    /// Has the next request that is carried out go wrong.
    fn goes(&self, fault: Fault) {
        self.books.lock().unwrap().faults.push_back(fault);
    }

    fn goes_well(&self) {
        self.books.lock().unwrap().faults.clear();
    }

    fn forgets(&self) {
        self.books.lock().unwrap().keys.clear();
    }

    /// Everything is as a build left it that marked nothing.
    fn forgets_marks(&self) {
        let mut books = self.books.lock().unwrap();
        books.intents.values_mut().for_each(|intent| intent.metadata.retain(|name, _| name == "ordo_key"));
        books.refunds.iter_mut().for_each(|(_, form)| form.retain(|name, _| !name.starts_with("metadata")));
    }

    /// What was taken and given back.
    fn moved(&self) -> (i64, i64) {
        let books = self.books.lock().unwrap();
        let amount = |refund: &(String, HashMap<String, String>)| refund.1["amount"].parse::<i64>().unwrap();
        (books.intents.values().map(|it| it.received).sum(), books.refunds.iter().map(amount).sum())
    }
}

type Shared = State<Arc<Mutex<Books>>>;

fn read(form: &[u8]) -> HashMap<String, String> {
    form_urlencoded::parse(form).into_owned().collect()
}

fn metadata(form: &HashMap<String, String>) -> impl Iterator<Item = (String, String)> {
    let name = |name: &str| Some(name.strip_prefix("metadata[")?.strip_suffix(']')?.to_owned());
    form.iter().filter_map(move |(key, value)| Some((name(key)?, value.clone())))
}

impl Books {
    /// A request under a key: once, and then its answer again.
    fn under_key(
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

    fn intent(&self, id: &str) -> Value {
        let Intent { received, status, metadata, .. } = &self.intents[id];
        json!({"id": id, "status": status, "amount_received": received, "latest_charge": "ch_1", "metadata": metadata})
    }

    async fn pay(State(books): Shared, headers: HeaderMap, RawForm(form): RawForm) -> Response {
        books.lock().unwrap().under_key(&headers, &form, |books, form| {
            let id = format!("pi_{}", books.intents.len() + 1);
            let metadata = metadata(&form).collect();
            let amount = form["amount"].parse().unwrap();
            let intent = Intent { amount, received: 0, status: "requires_capture", metadata };
            books.intents.insert(id.clone(), intent);
            (200, books.intent(&id))
        })
    }

    async fn search(State(books): Shared, Query(query): Query<HashMap<String, String>>) -> Response {
        let books = books.lock().unwrap();
        let found = books
            .intents
            .iter()
            .filter(|(_, intent)| query["query"] == format!("metadata['ordo_key']:'{}'", intent.metadata["ordo_key"]));
        let found: Vec<_> = found.map(|(id, _)| books.intent(id)).collect();
        Json(json!({"data": found, "has_more": false})).into_response()
    }

    async fn show(State(books): Shared, Path(id): Path<String>) -> Response {
        Json(books.lock().unwrap().intent(&id)).into_response()
    }

    async fn capture(
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
    async fn cancel(State(books): Shared, Path(id): Path<String>, headers: HeaderMap) -> Response {
        let mut books = books.lock().unwrap();
        assert!(!headers.contains_key("idempotency-key"));
        if books.refused_cancels > 0 {
            books.refused_cancels -= 1;
            return (StatusCode::BAD_REQUEST, Json(json!({"error": {"message": "not now"}}))).into_response();
        }
        books.intents.get_mut(&id).unwrap().status = "canceled";
        Json(books.intent(&id)).into_response()
    }

    async fn refund(State(books): Shared, headers: HeaderMap, RawForm(form): RawForm) -> Response {
        books.lock().unwrap().under_key(&headers, &form, |books, form| {
            let id = format!("re_{}", books.refunds.len() + 1);
            books.refunds.push((id.clone(), form));
            (200, json!({"id": id, "status": "pending"}))
        })
    }

    /// The latest first, as Stripe lists them.
    async fn list(State(books): Shared, Query(query): Query<HashMap<String, String>>) -> Response {
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
