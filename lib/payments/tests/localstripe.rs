//! The Stripe adapter against somebody else's idea of Stripe. What localstripe does not have is not checked here:
//! idempotency keys, captures in several parts, and error codes other than a card's.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test says what went wrong by panicking")]

use std::time::Duration;

use payments::{
    AuthorizationRequest, CaptureRequest, PaymentError, PaymentGateway, RefundRequest, Stripe, StripeSettings,
    VoidRequest,
};

const NEEDS: &str = "needs localstripe, and its address in ORDO_TEST_STRIPE: http://127.0.0.1:8420";

fn stripe() -> Stripe {
    let url = std::env::var("ORDO_TEST_STRIPE").expect(NEEDS);
    let secret_key = "sk_test_localstripe".to_owned();
    Stripe::new(&StripeSettings { url, secret_key, connect_timeout: Duration::from_secs(10) }).unwrap()
}

fn authorization(order_id: &str, token: &str) -> AuthorizationRequest {
    AuthorizationRequest {
        key: format!("{order_id}:{}", uuid::Uuid::now_v7()),
        order_id: order_id.to_owned(),
        amount_minor: 12_999,
        currency: "USD".to_owned(),
        token: Some(token.to_owned()),
    }
}

fn capture(reference: &str, amount_minor: i64) -> CaptureRequest {
    let (key, reference) = (format!("{reference}:capture"), reference.to_owned());
    CaptureRequest {
        key,
        reference,
        amount_minor,
        currency: "USD".to_owned(),
        last: true,
        recorded_minor: 0,
        retries: 0,
    }
}

#[tokio::test]
#[ignore = "needs localstripe, and its address in ORDO_TEST_STRIPE: http://127.0.0.1:8420"]
async fn localstripe_reserves_takes_and_gives_back() {
    let stripe = stripe();
    let payment = stripe.authorize(&authorization("order-1", "pm_card_visa")).await.unwrap().reference;
    assert!(payment.starts_with("pi_"), "{payment}");
    let captured = stripe.capture(&capture(&payment, 12_999)).await.unwrap();
    assert!(captured.reference.starts_with("ch_"), "{captured:?}");
    let key = format!("{payment}:refund");
    let refund = RefundRequest {
        key,
        reference: payment.clone(),
        amount_minor: 1_000,
        currency: "USD".to_owned(),
        recorded: vec![],
        retries: 0,
    };
    assert!(stripe.refund(&refund).await.unwrap().reference.starts_with("re_"));
    // Nothing is held any more.
    stripe.void(&VoidRequest { key: format!("{payment}:void"), reference: payment }).await.unwrap();
}

#[tokio::test]
#[ignore = "needs localstripe, and its address in ORDO_TEST_STRIPE: http://127.0.0.1:8420"]
async fn localstripe_lets_go_once_and_captures_nothing_after_that() {
    let stripe = stripe();
    let payment = stripe.authorize(&authorization("order-2", "pm_card_visa")).await.unwrap().reference;
    let void = VoidRequest { key: format!("{payment}:void"), reference: payment };
    stripe.void(&void).await.unwrap();
    stripe.void(&void).await.unwrap();
}

#[tokio::test]
#[ignore = "needs localstripe, and its address in ORDO_TEST_STRIPE: http://127.0.0.1:8420"]
async fn localstripe_declines_and_refuses() {
    let stripe = stripe();
    let declined = stripe.authorize(&authorization("order-3", "pm_card_chargeCustomerFail")).await.unwrap_err();
    assert!(matches!(&declined, PaymentError::Declined { code, .. } if code == "card_declined"), "{declined:?}");
    let payment = stripe.authorize(&authorization("order-4", "pm_card_visa")).await.unwrap().reference;
    let too_much = stripe.capture(&capture(&payment, 13_000)).await.unwrap_err();
    assert!(matches!(too_much, PaymentError::Refused { .. }), "{too_much:?}");
    let missing = stripe.capture(&capture("pi_missing", 1)).await.unwrap_err();
    assert!(matches!(missing, PaymentError::Refused { .. }), "{missing:?}");
}
