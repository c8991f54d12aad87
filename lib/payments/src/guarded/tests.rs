use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_secs(10);

/// What the provider does from now on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Behaviour {
    Well,
    Declining,
    Failing,
    Unreachable,
    Silent,
}

/// A provider that does as it is told.
struct Scripted {
    mood: watch::Sender<Behaviour>,
    calls: AtomicUsize,
}

#[async_trait]
impl PaymentGateway for Scripted {
    async fn authorize(&self, _: &AuthorizationRequest) -> Result<PaymentAuthorization, PaymentError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let mood = *self.mood.borrow();
        match mood {
            Behaviour::Well => Ok(PaymentAuthorization { reference: "pay".to_owned() }),
            Behaviour::Declining => Err(PaymentError::declined("card_declined", "no")),
            Behaviour::Failing => Err(PaymentError::unknown("500")),
            Behaviour::Unreachable => Err(PaymentError::unavailable("no connection")),
            Behaviour::Silent => std::future::pending().await,
        }
    }

    async fn find(&self, request: &AuthorizationRequest) -> Result<Option<PaymentAuthorization>, PaymentError> {
        self.authorize(request).await.map(Some)
    }

    async fn capture(&self, _: &CaptureRequest) -> Result<CapturedPayment, PaymentError> {
        Err(PaymentError::refused("not in this test"))
    }

    async fn void(&self, _: &VoidRequest) -> Result<(), PaymentError> {
        Err(PaymentError::refused("not in this test"))
    }

    async fn abandon(&self, _: &AuthorizationRequest) -> Result<(), PaymentError> {
        Err(PaymentError::refused("not in this test"))
    }

    async fn refund(&self, _: &RefundRequest) -> Result<AcceptedRefund, PaymentError> {
        Err(PaymentError::refused("not in this test"))
    }
}

struct Stage {
    provider: Arc<Scripted>,
    guarded: Guarded,
    orders: AtomicUsize,
}

impl Stage {
    fn set() -> Self {
        let provider = Arc::new(Scripted { mood: watch::Sender::new(Behaviour::Well), calls: AtomicUsize::new(0) });
        let breaker = BreakerSettings { window: 20, at_least: 10, ..BreakerSettings::default() };
        let guarded = Guarded::new(provider.clone(), TIMEOUT, breaker);
        Self { provider, guarded, orders: AtomicUsize::new(0) }
    }

    /// For another order each time.
    async fn authorize(&self) -> Result<PaymentAuthorization, PaymentError> {
        let order_id = format!("order-{}", self.orders.fetch_add(1, Ordering::SeqCst));
        self.guarded.authorize(&AuthorizationRequest { order_id, ..request() }).await
    }

    async fn times(&self, count: usize, mood: Behaviour) {
        self.provider.mood.send_replace(mood);
        for _ in 0..count {
            let _ = self.authorize().await;
        }
    }

    fn calls(&self) -> usize {
        self.provider.calls.load(Ordering::SeqCst)
    }
}

fn request() -> AuthorizationRequest {
    AuthorizationRequest {
        key: "order-1:authorize".to_owned(),
        order_id: "order-1".to_owned(),
        amount_minor: 100,
        currency: "EUR".to_owned(),
        token: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_is_unknown_after_its_time() {
    let stage = Stage::set();
    stage.provider.mood.send_replace(Behaviour::Silent);
    let since = Instant::now();
    assert_eq!(stage.authorize().await, Err(PaymentError::unknown("no answer within 3 s")));
    // Tokio's timers are a millisecond coarse.
    assert!((TIMEOUT..TIMEOUT + Duration::from_millis(5)).contains(&since.elapsed()), "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_breaker_opens_when_half_of_ten_calls_failed_and_then_calls_nobody() {
    let stage = Stage::set();
    stage.times(5, Behaviour::Well).await;
    stage.times(4, Behaviour::Failing).await;
    assert_eq!(stage.guarded.state(), BreakerState::Closed);
    stage.times(1, Behaviour::Unreachable).await;
    assert_eq!(stage.guarded.state(), BreakerState::Open);

    stage.provider.mood.send_replace(Behaviour::Well);
    let refused = stage.authorize().await.unwrap_err();
    assert_eq!(refused, PaymentError::unavailable("the payment provider is failing; calls go again in 10 s"));
    tokio::time::advance(Duration::from_millis(8_500)).await;
    let refused = stage.authorize().await.unwrap_err();
    assert_eq!(refused, PaymentError::unavailable("the payment provider is failing; calls go again in 2 s"));
    assert_eq!(stage.calls(), 10);
}

#[tokio::test(start_paused = true)]
async fn nine_failures_do_not_open_the_breaker() {
    let stage = Stage::set();
    stage.times(9, Behaviour::Failing).await;
    assert_eq!(stage.guarded.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn only_the_last_twenty_calls_count() {
    let stage = Stage::set();
    stage.times(100, Behaviour::Well).await;
    stage.times(9, Behaviour::Failing).await;
    assert_eq!(stage.guarded.state(), BreakerState::Closed);
    stage.times(1, Behaviour::Failing).await;
    assert_eq!(stage.guarded.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn declined_payments_do_not_open_the_breaker() {
    let stage = Stage::set();
    stage.times(50, Behaviour::Declining).await;
    assert_eq!(stage.guarded.state(), BreakerState::Closed);
    assert_eq!(stage.calls(), 50);
}

#[tokio::test(start_paused = true)]
async fn calls_that_time_out_open_the_breaker() {
    let stage = Stage::set();
    stage.times(10, Behaviour::Silent).await;
    assert_eq!(stage.guarded.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn after_the_pause_calls_of_several_orders_go_to_see_and_close_it() {
    let stage = Stage::set();
    stage.times(10, Behaviour::Failing).await;
    tokio::time::advance(PAUSE).await;
    assert_eq!(stage.guarded.state(), BreakerState::HalfOpen);

    // Given: five that are on their way, others behind them.
    stage.provider.mood.send_replace(Behaviour::Silent);
    let probes = join_all((0..5).map(|_| stage.authorize()));
    let (probes, other) = tokio::join!(probes, async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stage.authorize().await
    });
    assert!(matches!(other, Err(PaymentError::Unavailable { .. })), "{other:?}");
    assert!(probes.iter().all(|probe| matches!(probe, Err(PaymentError::Unknown { .. }))), "{probes:?}");
    assert_eq!(stage.calls(), 15);

    // Then: that they failed cost another pause; one that does not fail opens the way.
    assert_eq!(stage.guarded.state(), BreakerState::Open);
    tokio::time::advance(PAUSE).await;
    stage.times(3, Behaviour::Well).await;
    assert_eq!(stage.guarded.state(), BreakerState::Closed);
    assert_eq!(stage.calls(), 18);
    // And what failed before is forgotten.
    stage.times(6, Behaviour::Failing).await;
    assert_eq!(stage.guarded.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_given_up_leaves_the_way_to_the_next() {
    let stage = Stage::set();
    stage.times(10, Behaviour::Failing).await;
    tokio::time::advance(PAUSE).await;
    stage.provider.mood.send_replace(Behaviour::Silent);
    let given_up = tokio::time::timeout(Duration::from_secs(1), stage.authorize()).await;
    assert!(given_up.is_err());
    stage.times(1, Behaviour::Well).await;
    assert_eq!(stage.guarded.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn calls_from_before_it_opened_change_nothing() {
    let stage = Stage::set();
    stage.times(9, Behaviour::Failing).await;
    stage.provider.mood.send_replace(Behaviour::Silent);
    let (slow, ()) = tokio::join!(stage.authorize(), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stage.times(1, Behaviour::Failing).await;
        assert_eq!(stage.guarded.state(), BreakerState::Open);
    });
    assert!(matches!(slow, Err(PaymentError::Unknown { .. })));
    // Its failure did not prolong the pause, which began two seconds before it.
    tokio::time::advance(PAUSE - Duration::from_secs(2)).await;
    assert_eq!(stage.guarded.state(), BreakerState::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn metrics_count_calls_by_what_came_of_them() {
    let stage = Stage::set();
    stage.times(1, Behaviour::Well).await;
    stage.times(1, Behaviour::Declining).await;
    stage.times(9, Behaviour::Failing).await;
    assert!(stage.guarded.find(&request()).await.is_err());

    let mut registry = Registry::default();
    stage.guarded.metrics().register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    for line in [
        r#"payment_calls_total{operation="authorize",outcome="done"} 1"#,
        r#"payment_calls_total{operation="authorize",outcome="declined"} 1"#,
        // Half of ten was enough.
        r#"payment_calls_total{operation="authorize",outcome="unknown"} 8"#,
        r#"payment_calls_total{operation="authorize",outcome="not_tried"} 1"#,
        r#"payment_calls_total{operation="find",outcome="not_tried"} 1"#,
        r#"payment_call_duration_seconds_count{operation="authorize"} 10"#,
        "payment_breaker_state 2",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

/// A provider that is well, with orders of which every tenth fails by itself: twice under each key, or never answering
/// the first time.
#[derive(Default)]
struct OrderFailures(Mutex<HashMap<String, u32>>);

#[async_trait]
impl PaymentGateway for OrderFailures {
    async fn authorize(&self, request: &AuthorizationRequest) -> Result<PaymentAuthorization, PaymentError> {
        let tries = {
            let mut tries = self.0.lock().unwrap();
            let tries = tries.entry(request.key.clone()).or_default();
            *tries += 1;
            *tries
        };
        match request.token.as_deref() {
            Some("tok_flaky") if tries <= 2 => Err(PaymentError::unknown("500")),
            Some("tok_timeout_then_ok") if tries == 1 => std::future::pending().await,
            Some(_) | None => Ok(PaymentAuthorization { reference: request.key.clone() }),
        }
    }

    async fn find(&self, request: &AuthorizationRequest) -> Result<Option<PaymentAuthorization>, PaymentError> {
        self.authorize(request).await.map(Some)
    }

    async fn capture(&self, _: &CaptureRequest) -> Result<CapturedPayment, PaymentError> {
        Err(PaymentError::refused("not in this test"))
    }

    async fn void(&self, _: &VoidRequest) -> Result<(), PaymentError> {
        Err(PaymentError::refused("not in this test"))
    }

    async fn abandon(&self, _: &AuthorizationRequest) -> Result<(), PaymentError> {
        Err(PaymentError::refused("not in this test"))
    }

    async fn refund(&self, _: &RefundRequest) -> Result<AcceptedRefund, PaymentError> {
        Err(PaymentError::refused("not in this test"))
    }
}

#[tokio::test(start_paused = true)]
async fn orders_that_fail_by_themselves_do_not_open_it() {
    let guarded = Guarded::new(Arc::new(OrderFailures::default()), TIMEOUT, BreakerSettings::default());
    let order = |nth: usize| AuthorizationRequest {
        key: format!("order-{nth}:authorize"),
        order_id: format!("order-{nth}"),
        token: match nth % 20 {
            0 => Some("tok_flaky".to_owned()),
            10 => Some("tok_timeout_then_ok".to_owned()),
            _ => None,
        },
        ..request()
    };
    // A hundred at a time; those that failed come back together, and before the others.
    let mut again: Vec<usize> = vec![];
    for batch in 0..60 {
        let mut failed = vec![];
        for nth in again.into_iter().chain(batch * 100..(batch + 1) * 100) {
            if guarded.authorize(&order(nth)).await.is_err() {
                failed.push(nth);
            }
            assert_eq!(guarded.state(), BreakerState::Closed, "order {nth}");
        }
        again = failed;
    }
}

#[tokio::test(start_paused = true)]
async fn orders_that_failed_before_do_not_keep_it_open() {
    let stage = Stage::set();
    stage.times(10, Behaviour::Failing).await;
    tokio::time::advance(PAUSE).await;
    // The same ten come first, and fail again; then one that is well.
    for nth in 0..10 {
        let order_id = format!("order-{nth}");
        assert!(stage.guarded.authorize(&AuthorizationRequest { order_id, ..request() }).await.is_err());
    }
    assert_eq!(stage.guarded.state(), BreakerState::HalfOpen);
    stage.times(1, Behaviour::Well).await;
    assert_eq!(stage.guarded.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_fails_for_minutes_counts_once_a_minute() {
    let stage = Stage::set();
    stage.provider.mood.send_replace(Behaviour::Failing);
    for minute in 0..10 {
        assert_eq!(stage.guarded.state(), BreakerState::Closed, "minute {minute}");
        for _ in 0..100 {
            assert!(stage.guarded.authorize(&request()).await.is_err());
        }
        tokio::time::advance(Duration::from_secs(61)).await;
    }
    assert_ne!(stage.guarded.state(), BreakerState::Closed);
}
