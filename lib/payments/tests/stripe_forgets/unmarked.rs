//! Captures and refunds in Stripe's books that bear no mark, or a wrong one.

use payments::{CaptureRequest, PaymentGateway, RefundRequest};

use crate::fake::{Fake, capture, kind, refund};

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
    let second = CaptureRequest { recorded_minor: 400, ..capture("pi_1", "s-2", 300) };
    fake.stripe.capture(&second).await.unwrap();
    fake.forgets();
    fake.stripe.capture(&second).await.unwrap();
    fake.stripe.capture(&CaptureRequest { recorded_minor: 700, ..capture("pi_1", "s-3", 300) }).await.unwrap();
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
    fake.stripe
        .refund(&RefundRequest { recorded: vec!["re_1".to_owned(), "re_2".to_owned()], ..refund("f-3", 300) })
        .await
        .unwrap();
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
    let by_hand = RefundRequest { recorded: vec!["bank transfer 17".to_owned()], ..refund("f-2", 300) };
    assert_eq!(kind(&fake.stripe.refund(&by_hand).await.map(drop)), "unknown");
    assert_eq!(fake.moved(), (1_000, 300));

    // Beside one with a mark it is no other's either.
    let marked = fake.stripe.refund(&refund("f-3", 200)).await.unwrap().reference;
    let by_hand = RefundRequest { recorded: vec!["bank transfer 17".to_owned(), marked], ..refund("f-2", 300) };
    assert_eq!(kind(&fake.stripe.refund(&by_hand).await.map(drop)), "unknown");
    assert_eq!(fake.moved(), (1_000, 500));
}
