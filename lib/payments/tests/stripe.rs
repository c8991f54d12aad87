//! What the Stripe adapter sends, and what it makes of every kind of answer.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Form, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{RequestExt, body::Body};
use payments::{
    AuthorizationRequest, CaptureRequest, PaymentError, PaymentGateway, RefundRequest, Stripe, StripeSettings,
    VoidRequest,
};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

const INTENT: &str = r#"{"id": "pi_1", "status": "requires_capture", "latest_charge": "ch_1"}"#;
/// A list or a search that has nothing.
const NOTHING: &str = r#"{"data": [], "has_more": false}"#;

#[tokio::test]
async fn an_authorization_is_an_intent_confirmed_at_once_under_its_key() {
    let fake = Fake::start(&[(200, INTENT)]).await;
    assert_eq!(fake.stripe.authorize(&authorization()).await.unwrap().reference, "pi_1");
    let asked = &fake.asked()[0];
    assert_eq!(asked.line, "POST /v1/payment_intents");
    assert_eq!(asked.headers["idempotency-key"], "order-1:authorize");
    assert_eq!(asked.headers["authorization"], "Bearer sk_test_secret");
    let form = [
        ("amount", "12999"),
        ("capture_method", "manual"),
        ("confirm", "true"),
        ("currency", "usd"),
        ("metadata[order_id]", "order-1"),
        ("metadata[ordo_key]", "ordo_m_20c2aac15b8821d0cc43fc736dae42ef"),
        ("off_session", "true"),
        ("payment_method", "pm_card_visa"),
        ("payment_method_options[card][request_multicapture]", "if_available"),
        ("payment_method_types[]", "card"),
    ];
    assert_eq!(asked.form, form.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
}

#[tokio::test]
async fn an_authorization_is_found_by_asking_for_it_again_under_the_same_key() {
    let fake = Fake::start(&[(500, "{}"), (200, NOTHING), (200, INTENT)]).await;
    assert!(matches!(fake.stripe.authorize(&authorization()).await, Err(PaymentError::Unknown { .. })));
    assert_eq!(fake.stripe.find(&authorization()).await.unwrap().unwrap().reference, "pi_1");
    let [first, _, second] = fake.asked().try_into().unwrap();
    assert_eq!(first.form, second.form);
    assert_eq!(first.headers["idempotency-key"], second.headers["idempotency-key"]);
}

#[tokio::test]
async fn captures_say_whether_they_are_the_last() {
    let fake = Fake::start(&[(200, INTENT), (200, INTENT), (200, INTENT), (200, INTENT)]).await;
    let part = capture();
    assert_eq!(fake.stripe.capture(&part).await.unwrap().reference, "ch_1");
    fake.stripe.capture(&CaptureRequest { last: true, ..part }).await.unwrap();
    let [looked_up, part, _, last] = fake.asked().try_into().unwrap();
    assert_eq!(looked_up.line, "GET /v1/payment_intents/pi_1");
    assert_eq!(part.line, "POST /v1/payment_intents/pi_1/capture");
    assert_eq!(part.headers["idempotency-key"], "order-1:capture");
    assert_eq!((&*part.form["amount_to_capture"], &*part.form["final_capture"]), ("500", "false"));
    // Final is what Stripe takes a capture for.
    let mark = "metadata[ordo_m_a1085a742bdea41d33e8294680ff618d]";
    assert_eq!(last.form.keys().collect::<Vec<_>>(), ["amount_to_capture", mark]);
}

#[tokio::test]
async fn a_void_cancels_the_intent_and_is_done_if_nothing_is_held_any_more() {
    let unexpected = r#"{"error": {"code": "payment_intent_unexpected_state", "message": "canceled"}}"#;
    for (status, done) in [("canceled", true), ("succeeded", true), ("requires_capture", false), ("processing", false)]
    {
        let now = format!(r#"{{"id": "pi_1", "status": "{status}"}}"#);
        let fake = Fake::start(&[(400, unexpected), (200, &now)]).await;
        let voided = fake.stripe.void(&void()).await;
        assert_eq!(voided.is_ok(), done, "{status}: {voided:?}");
        let asked: Vec<_> = fake.asked().into_iter().map(|asked| asked.line).collect();
        assert_eq!(asked, ["POST /v1/payment_intents/pi_1/cancel", "GET /v1/payment_intents/pi_1"]);
    }
}

#[tokio::test]
async fn an_authorization_that_nobody_knows_of_is_asked_for_under_its_key_and_cancelled() {
    let fake = Fake::start(&[(200, NOTHING), (200, INTENT), (200, INTENT)]).await;
    fake.stripe.abandon(&authorization()).await.unwrap();
    let [_, asked, cancelled] = fake.asked().try_into().unwrap();
    assert_eq!(
        (asked.line.as_str(), &asked.headers["idempotency-key"]),
        ("POST /v1/payment_intents", &"order-1:authorize".parse().unwrap())
    );
    assert_eq!(cancelled.line, "POST /v1/payment_intents/pi_1/cancel");

    let declining =
        Fake::start(&[(200, NOTHING), (402, r#"{"error": {"type": "card_error", "code": "card_declined"}}"#)]).await;
    declining.stripe.abandon(&authorization()).await.unwrap();
    assert_eq!(declining.asked().len(), 2);
}

#[tokio::test]
async fn a_refund_that_failed_is_declined_and_one_that_is_pending_is_made() {
    let answers = [
        (200, NOTHING),
        (200, r#"{"id": "re_1", "status": "pending"}"#),
        (200, NOTHING),
        (200, r#"{"id": "re_2", "status": "failed", "failure_reason": "lost_or_stolen_card"}"#),
    ];
    let fake = Fake::start(&answers).await;
    let key = "order-1:refund".to_owned();
    let refund = RefundRequest {
        key,
        reference: "pi_1".to_owned(),
        amount_minor: 100,
        currency: "USD".to_owned(),
        recorded: vec![],
        retries: 0,
    };
    assert_eq!(fake.stripe.refund(&refund).await.unwrap().reference, "re_1");
    let declined = fake.stripe.refund(&refund).await.unwrap_err();
    assert!(matches!(&declined, PaymentError::Declined { code, .. } if code == "lost_or_stolen_card"), "{declined:?}");
    assert_eq!(fake.asked()[0].line, "GET /v1/refunds?payment_intent=pi_1&limit=100");
    let asked = &fake.asked()[1];
    assert_eq!(asked.line, "POST /v1/refunds");
    assert_eq!((&*asked.form["payment_intent"], &*asked.form["amount"]), ("pi_1", "100"));
}

#[tokio::test]
async fn every_answer_says_what_may_be_done_about_it() {
    let card = r#"{"error": {"code": "card_declined", "decline_code": "insufficient_funds", "message": "No funds."}}"#;
    let no_card = r#"{"error": {"code": "resource_missing", "param": "payment_method", "message": "No such one"}}"#;
    let error = r#"{"error": {"code": "some_code", "message": "Some words."}}"#;
    let other_request = r#"{"error": {"type": "idempotency_error", "message": "Keys are for the same request"}}"#;
    let to_confirm = r#"{"id": "pi_1", "status": "requires_action"}"#;
    for (status, body, kind) in [
        (402, card, "declined"),
        (402, "no json", "declined"),
        (404, no_card, "declined"),
        (200, to_confirm, "declined"),
        (400, error, "refused"),
        (401, error, "unavailable"),
        (403, "", "unavailable"),
        (404, error, "refused"),
        (409, error, "unknown"),
        (400, other_request, "unknown"),
        (429, error, "unavailable"),
        (500, error, "unknown"),
        (502, "<html>", "unknown"),
        (503, "", "unknown"),
        (301, "", "unknown"),
        (200, r#"{"id": "pi_1", "status": "processing"}"#, "unknown"),
        (200, "<html>", "unknown"),
    ] {
        let fake = Fake::start(&[(status, body)]).await;
        let answer = fake.stripe.authorize(&authorization()).await.unwrap_err();
        assert_eq!(kind_of(&answer), kind, "{status} {body}: {answer:?}");
        assert!(!format!("{answer:?} {:?}", fake.stripe).contains("sk_test_secret"));
    }
}

#[tokio::test]
async fn a_decline_is_named_as_precisely_as_stripe_does_and_a_refusal_tells_all() {
    let card = r#"{"error": {"code": "card_declined", "decline_code": "insufficient_funds", "message": "No funds."}}"#;
    let too_small = r#"{"error": {"code": "amount_too_small", "message": "Too small."}}"#;
    let fake = Fake::start(&[(402, card), (400, too_small)]).await;
    let declined = PaymentError::Declined { code: "insufficient_funds".to_owned(), message: "No funds.".to_owned() };
    assert_eq!(fake.stripe.authorize(&authorization()).await, Err(declined));
    let reason = "Stripe answered 400, amount_too_small, Too small. (req_1)".to_owned();
    assert_eq!(fake.stripe.authorize(&authorization()).await, Err(PaymentError::Refused { reason }));
}

#[tokio::test]
async fn without_a_connection_nothing_happened() {
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let answer = stripe_at(&format!("http://{address}")).authorize(&authorization()).await.unwrap_err();
    assert_eq!(kind_of(&answer), "unavailable", "{answer:?}");
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_leaves_its_outcome_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stripe = stripe_at(&format!("http://{}", listener.local_addr().unwrap()));
    let request = authorization();
    let (answer, ()) = tokio::join!(stripe.authorize(&request), async {
        let (mut connection, _) = listener.accept().await.unwrap();
        let read = connection.read(&mut [0; 16]).await.unwrap();
        assert!(read > 0);
    });
    assert_eq!(kind_of(&answer.unwrap_err()), "unknown");
}

#[tokio::test]
async fn what_stripe_could_only_refuse_is_not_sent() {
    let fake = Fake::start(&[]).await;
    let without_token = AuthorizationRequest { token: None, ..authorization() };
    assert_eq!(kind_of(&fake.stripe.authorize(&without_token).await.unwrap_err()), "declined");
    let for_nothing = AuthorizationRequest { amount_minor: 0, ..authorization() };
    assert_eq!(kind_of(&fake.stripe.authorize(&for_nothing).await.unwrap_err()), "refused");
    for reference in ["", "../refunds", "pi_1/capture", "pi_1?x=y"] {
        let void = VoidRequest { reference: reference.to_owned(), ..void() };
        assert_eq!(kind_of(&fake.stripe.void(&void).await.unwrap_err()), "refused", "{reference}");
    }
    let key_with_a_line_break = AuthorizationRequest { key: "a\r\nb".to_owned(), ..authorization() };
    assert_eq!(kind_of(&fake.stripe.authorize(&key_with_a_line_break).await.unwrap_err()), "refused");
    assert_eq!(fake.asked().len(), 0);
}

fn kind_of(error: &PaymentError) -> &'static str {
    match error {
        PaymentError::Declined { .. } => "declined",
        PaymentError::Unknown { .. } => "unknown",
        PaymentError::Unavailable { .. } => "unavailable",
        PaymentError::Refused { .. } => "refused",
    }
}

fn authorization() -> AuthorizationRequest {
    AuthorizationRequest {
        key: "order-1:authorize".to_owned(),
        order_id: "order-1".to_owned(),
        amount_minor: 12_999,
        currency: "USD".to_owned(),
        token: Some("pm_card_visa".to_owned()),
    }
}

fn capture() -> CaptureRequest {
    let (key, reference) = ("order-1:capture".to_owned(), "pi_1".to_owned());
    CaptureRequest {
        key,
        reference,
        amount_minor: 500,
        currency: "USD".to_owned(),
        last: false,
        recorded_minor: 0,
        retries: 0,
    }
}

fn void() -> VoidRequest {
    VoidRequest { key: "order-1:void".to_owned(), reference: "pi_1".to_owned() }
}

fn stripe_at(url: &str) -> Stripe {
    let settings = StripeSettings {
        url: url.to_owned(),
        secret_key: "sk_test_secret".to_owned(),
        connect_timeout: Duration::from_secs(10),
    };
    assert!(!format!("{settings:?}").contains("sk_test_secret"));
    Stripe::new(&settings).unwrap()
}

/// What was asked of the fake.
#[derive(Debug, Clone)]
struct Asked {
    line: String,
    headers: HeaderMap,
    form: BTreeMap<String, String>,
}

/// A server that gives these answers, one after the other.
struct Fake {
    stripe: Stripe,
    script: Arc<Script>,
}

struct Script {
    answers: Mutex<Vec<(u16, String)>>,
    asked: Mutex<Vec<Asked>>,
}

impl Fake {
    async fn start(answers: &[(u16, &str)]) -> Self {
        let answers = answers.iter().rev().map(|(status, body)| (*status, (*body).to_owned())).collect();
        let script = Arc::new(Script { answers: Mutex::new(answers), asked: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stripe = stripe_at(&format!("http://{}", listener.local_addr().unwrap()));
        let routes = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { stripe, script }
    }

    fn asked(&self) -> Vec<Asked> {
        self.script.asked.lock().unwrap().clone()
    }
}

async fn answer(State(script): State<Arc<Script>>, request: Request<Body>) -> Response {
    let line = format!("{} {}", request.method(), request.uri());
    let headers = request.headers().clone();
    let Form(form) = request.extract().await.unwrap();
    script.asked.lock().unwrap().push(Asked { line, headers, form });
    let (status, body) = script.answers.lock().unwrap().pop().unwrap();
    (StatusCode::from_u16(status).unwrap(), [("request-id", "req_1")], body).into_response()
}
