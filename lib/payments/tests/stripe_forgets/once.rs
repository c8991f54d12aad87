//! Each movement of money is made once, whatever goes wrong.

use payments::{CaptureRequest, PaymentGateway, VoidRequest};

use crate::fake::{Fake, Fault, authorization, capture, kind, refund};

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
        let part = CaptureRequest { key: long(end), ..capture(&payment, "", 400) };
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
async fn letting_go_is_tried_again_at_stripe_each_time_and_no_failure_of_it_is_kept() {
    let fake = Fake::start().await;
    let reference = fake.pay().await;
    fake.books.lock().unwrap().refused_cancels = 1;
    let rest = VoidRequest { key: "order-1:void:rest".to_owned(), reference };
    assert_eq!(kind(&fake.stripe.void(&rest).await), "refused");
    fake.stripe.void(&rest).await.unwrap();
    assert_eq!(fake.books.lock().unwrap().intents["pi_1"].status, "canceled");
}
