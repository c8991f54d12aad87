use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_secs(10);

/// What the provider does from now on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Well,
    Declining,
    Failing,
    Unreachable,
    Silent,
}

/// A provider that does as it is told.
struct Scripted {
    mood: watch::Sender<Mood>,
    calls: AtomicUsize,
}

#[async_trait]
impl PaymentGateway for Scripted {
    async fn authorize(&self, _: &Authorization) -> Result<Authorized, PaymentError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let mood = *self.mood.borrow();
        match mood {
            Mood::Well => Ok(Authorized { reference: "pay".to_owned() }),
            Mood::Declining => Err(PaymentError::declined("card_declined", "no")),
            Mood::Failing => Err(PaymentError::unknown("500")),
            Mood::Unreachable => Err(PaymentError::unavailable("no connection")),
            Mood::Silent => std::future::pending().await,
        }
    }

    async fn find(&self, request: &Authorization) -> Result<Option<Authorized>, PaymentError> {
        self.authorize(request).await.map(Some)
    }

    async fn capture(&self, _: &Capture) -> Result<Captured, PaymentError> {
        Err(PaymentError::refused("not in this test"))
    }

    async fn void(&self, _: &Void) -> Result<(), PaymentError> {
        Err(PaymentError::refused("not in this test"))
    }

    async fn abandon(&self, _: &Authorization) -> Result<(), PaymentError> {
        Err(PaymentError::refused("not in this test"))
    }

    async fn refund(&self, _: &Refund) -> Result<Refunded, PaymentError> {
        Err(PaymentError::refused("not in this test"))
    }
}

struct Stage {
    provider: Arc<Scripted>,
    guarded: Guarded,
}

impl Stage {
    fn set() -> Self {
        let provider = Arc::new(Scripted { mood: watch::Sender::new(Mood::Well), calls: AtomicUsize::new(0) });
        let guarded = Guarded::new(provider.clone(), TIMEOUT, BreakerSettings::default());
        Self { provider, guarded }
    }

    async fn authorize(&self) -> Result<Authorized, PaymentError> {
        self.guarded.authorize(&request()).await
    }

    async fn times(&self, count: usize, mood: Mood) {
        self.provider.mood.send_replace(mood);
        for _ in 0..count {
            let _ = self.authorize().await;
        }
    }

    fn calls(&self) -> usize {
        self.provider.calls.load(Ordering::SeqCst)
    }
}

fn request() -> Authorization {
    Authorization {
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
    stage.provider.mood.send_replace(Mood::Silent);
    let since = Instant::now();
    assert_eq!(stage.authorize().await, Err(PaymentError::unknown("no answer within 3 s")));
    // Tokio's timers are a millisecond coarse.
    assert!((TIMEOUT..TIMEOUT + Duration::from_millis(5)).contains(&since.elapsed()), "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn it_opens_when_half_of_ten_calls_failed_and_then_spares_the_provider() {
    let stage = Stage::set();
    stage.times(5, Mood::Well).await;
    stage.times(4, Mood::Failing).await;
    assert_eq!(stage.guarded.state(), BreakerState::Closed);
    stage.times(1, Mood::Unreachable).await;
    assert_eq!(stage.guarded.state(), BreakerState::Open);

    stage.provider.mood.send_replace(Mood::Well);
    let refused = stage.authorize().await.unwrap_err();
    assert_eq!(refused, PaymentError::unavailable("the payment provider is failing; calls go again in 10 s"));
    tokio::time::advance(Duration::from_millis(8_500)).await;
    let refused = stage.authorize().await.unwrap_err();
    assert_eq!(refused, PaymentError::unavailable("the payment provider is failing; calls go again in 2 s"));
    assert_eq!(stage.calls(), 10);
}

#[tokio::test(start_paused = true)]
async fn nine_failures_are_too_few_to_open_it() {
    let stage = Stage::set();
    stage.times(9, Mood::Failing).await;
    assert_eq!(stage.guarded.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn only_the_last_twenty_calls_count() {
    let stage = Stage::set();
    stage.times(100, Mood::Well).await;
    stage.times(9, Mood::Failing).await;
    assert_eq!(stage.guarded.state(), BreakerState::Closed);
    stage.times(1, Mood::Failing).await;
    assert_eq!(stage.guarded.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_declines_is_well() {
    let stage = Stage::set();
    stage.times(50, Mood::Declining).await;
    assert_eq!(stage.guarded.state(), BreakerState::Closed);
    assert_eq!(stage.calls(), 50);
}

#[tokio::test(start_paused = true)]
async fn calls_that_time_out_open_it() {
    let stage = Stage::set();
    stage.times(10, Mood::Silent).await;
    assert_eq!(stage.guarded.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn after_the_pause_one_call_goes_to_see_and_closes_it() {
    let stage = Stage::set();
    stage.times(10, Mood::Failing).await;
    tokio::time::advance(PAUSE).await;
    assert_eq!(stage.guarded.state(), BreakerState::HalfOpen);

    // Given: one that is on its way, others behind it.
    stage.provider.mood.send_replace(Mood::Silent);
    let (probe, other) = tokio::join!(stage.authorize(), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stage.authorize().await
    });
    assert!(matches!(other, Err(PaymentError::Unavailable { .. })), "{other:?}");
    assert!(matches!(probe, Err(PaymentError::Unknown { .. })), "{probe:?}");
    assert_eq!(stage.calls(), 11);

    // Then: the one that failed cost another pause; one that does not fail opens the way.
    assert_eq!(stage.guarded.state(), BreakerState::Open);
    tokio::time::advance(PAUSE).await;
    stage.times(3, Mood::Well).await;
    assert_eq!(stage.guarded.state(), BreakerState::Closed);
    assert_eq!(stage.calls(), 14);
    // And what failed before is forgotten.
    stage.times(6, Mood::Failing).await;
    assert_eq!(stage.guarded.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_given_up_leaves_the_way_to_the_next() {
    let stage = Stage::set();
    stage.times(10, Mood::Failing).await;
    tokio::time::advance(PAUSE).await;
    stage.provider.mood.send_replace(Mood::Silent);
    let given_up = tokio::time::timeout(Duration::from_secs(1), stage.authorize()).await;
    assert!(given_up.is_err());
    stage.times(1, Mood::Well).await;
    assert_eq!(stage.guarded.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn calls_from_before_it_opened_change_nothing() {
    let stage = Stage::set();
    stage.times(9, Mood::Failing).await;
    stage.provider.mood.send_replace(Mood::Silent);
    let (slow, ()) = tokio::join!(stage.authorize(), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stage.times(1, Mood::Failing).await;
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
    stage.times(1, Mood::Well).await;
    stage.times(1, Mood::Declining).await;
    stage.times(9, Mood::Failing).await;
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
