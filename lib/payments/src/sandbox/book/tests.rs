use super::*;

const AMOUNT: i64 = 1_000;

fn authorization(token: Option<&str>) -> AuthorizationRequest {
    AuthorizationRequest {
        key: "order-1:authorize".to_owned(),
        order_id: "order-1".to_owned(),
        amount_minor: AMOUNT,
        currency: "EUR".to_owned(),
        token: token.map(str::to_owned),
    }
}

fn capture(key: &str, amount_minor: i64, last: bool) -> Operation {
    let reference = payment_reference("order-1:authorize");
    Operation::Capture(CaptureRequest {
        key: key.to_owned(),
        reference,
        amount_minor,
        currency: "EUR".to_owned(),
        last,
        recorded_minor: 0,
        retries: 0,
    })
}

fn refund(key: &str, amount_minor: i64) -> Operation {
    let reference = payment_reference("order-1:authorize");
    Operation::Refund(RefundRequest {
        key: key.to_owned(),
        reference,
        amount_minor,
        currency: "EUR".to_owned(),
        recorded: vec![],
        retries: 0,
    })
}

fn void() -> Operation {
    Operation::Void(VoidRequest { key: "order-1:void".to_owned(), reference: payment_reference("order-1:authorize") })
}

fn authorized(token: Option<&str>) -> Book {
    let mut book = Book::default();
    assert_eq!(book.execute(&Operation::Authorize(authorization(token))).outcome, Ok(CallOutcome::Done));
    book
}

fn is_refused(reply: &Reply) -> bool {
    matches!(reply.outcome, Err(PaymentError::Refused { .. }))
}

#[test]
fn no_more_is_captured_than_was_authorized() {
    let mut book = authorized(None);
    assert_eq!(book.execute(&capture("first", 400, false)).outcome, Ok(CallOutcome::Done));
    assert!(is_refused(&book.execute(&capture("too much", 601, false))));
    assert_eq!(book.execute(&capture("rest", 600, false)).outcome, Ok(CallOutcome::Done));
    assert!(is_refused(&book.execute(&capture("more", 1, false))));
}

#[test]
fn no_more_is_refunded_than_was_captured() {
    let mut book = authorized(None);
    assert!(is_refused(&book.execute(&refund("early", 1))));
    book.execute(&capture("part", 400, true)).outcome.unwrap();
    assert_eq!(book.execute(&refund("first", 300)).outcome, Ok(CallOutcome::Done));
    assert!(is_refused(&book.execute(&refund("too much", 101))));
    assert_eq!(book.execute(&refund("rest", 100)).outcome, Ok(CallOutcome::Done));
}

#[test]
fn nothing_is_captured_once_the_rest_was_let_go() {
    let mut voided = authorized(None);
    assert_eq!(voided.execute(&void()).outcome, Ok(CallOutcome::Done));
    assert!(is_refused(&voided.execute(&capture("late", 1, false))));
    assert_eq!(voided.execute(&void()).outcome, Ok(CallOutcome::Done));

    let mut done = authorized(None);
    done.execute(&capture("last", 400, true)).outcome.unwrap();
    assert!(is_refused(&done.execute(&capture("late", 1, false))));
    assert_eq!(done.execute(&void()).outcome, Ok(CallOutcome::Done));
}

#[test]
fn a_call_under_the_same_key_has_one_effect_and_the_same_answer() {
    let mut book = authorized(None);
    for _ in 0..3 {
        assert_eq!(book.execute(&Operation::Authorize(authorization(None))).outcome, Ok(CallOutcome::Done));
        assert_eq!(book.execute(&capture("last", 600, true)).outcome, Ok(CallOutcome::Done));
        assert_eq!(book.execute(&refund("back", 600)).outcome, Ok(CallOutcome::Done));
    }
    assert_eq!((book.payments.len(), book.movements.len()), (1, 2));
}

#[test]
fn a_key_is_good_for_one_request_only() {
    let mut book = authorized(None);
    let other = AuthorizationRequest { amount_minor: AMOUNT + 1, ..authorization(None) };
    assert!(is_refused(&book.execute(&Operation::Authorize(other.clone()))));
    assert!(is_refused(&book.execute(&Operation::Find(other))));
    book.execute(&capture("part", 400, false)).outcome.unwrap();
    assert!(is_refused(&book.execute(&capture("part", 401, false))));
    assert!(is_refused(&book.execute(&refund("part", 400))));
}

#[test]
fn amounts_are_in_the_payments_currency_and_more_than_nothing() {
    let mut book = authorized(None);
    let reference = payment_reference("order-1:authorize");
    let dollars = CaptureRequest {
        key: "dollars".to_owned(),
        reference,
        amount_minor: 1,
        currency: "USD".to_owned(),
        last: false,
        recorded_minor: 0,
        retries: 0,
    };
    assert!(is_refused(&book.execute(&Operation::Capture(dollars))));
    assert!(is_refused(&book.execute(&capture("nothing", 0, true))));
    let nothing = AuthorizationRequest { key: "nothing".to_owned(), amount_minor: 0, ..authorization(None) };
    assert!(is_refused(&book.execute(&Operation::Authorize(nothing))));
}

#[test]
fn a_payment_that_nobody_authorized_is_refused() {
    let mut book = Book::default();
    assert!(is_refused(&book.execute(&capture("capture", 1, true))));
    assert!(is_refused(&book.execute(&void())));
    assert!(is_refused(&book.execute(&refund("refund", 1))));
    assert_eq!(book.execute(&Operation::Find(authorization(None))).outcome, Ok(CallOutcome::Absent));
}

#[test]
fn a_declined_payment_stays_declined_and_holds_nothing() {
    let mut book = Book::default();
    let request = authorization(Some("tok_declined"));
    for operation in
        [Operation::Authorize(request.clone()), Operation::Authorize(request.clone()), Operation::Find(request)]
    {
        let reply = book.execute(&operation);
        assert!(
            matches!(&reply.outcome, Err(PaymentError::Declined { code, .. }) if code == "card_declined"),
            "{reply:?}"
        );
    }
    assert!(is_refused(&book.execute(&capture("capture", 1, true))));
    assert_eq!(book.execute(&void()).outcome, Ok(CallOutcome::Done));
}

#[test]
fn only_the_first_answer_of_a_timeout_never_comes() {
    for (token, paid) in [("tok_timeout_then_ok", true), ("tok_timeout_then_declined", false)] {
        let mut book = Book::default();
        let request = authorization(Some(token));
        assert_eq!(book.execute(&Operation::Authorize(request.clone())).delay, ReplyDelay::Never);
        for operation in [Operation::Find(request.clone()), Operation::Authorize(request)] {
            let reply = book.execute(&operation);
            assert_eq!((reply.delay, reply.outcome.is_ok()), (ReplyDelay::AtOnce, paid), "{token}");
        }
    }
}

#[test]
fn a_slow_payment_is_slow_in_all_that_it_does() {
    let mut book = Book::default();
    let request = authorization(Some("tok_slow"));
    for operation in [Operation::Authorize(request), capture("capture", 1, false), refund("refund", 1), void()] {
        let reply = book.execute(&operation);
        assert_eq!(reply, Reply { outcome: Ok(CallOutcome::Done), delay: ReplyDelay::Slow });
    }
}

#[test]
fn a_flaky_payment_fails_twice_under_each_key_without_effect() {
    let mut book = Book::default();
    let request = authorization(Some("tok_flaky"));
    let calls = [Operation::Authorize(request.clone()), capture("capture", 10, false), refund("refund", 10), void()];
    for operation in calls {
        for _ in 0..2 {
            let before = format!("{:?}", (&book.payments, &book.movements));
            assert!(matches!(book.execute(&operation).outcome, Err(PaymentError::Unknown { .. })));
            assert_eq!(format!("{:?}", (&book.payments, &book.movements)), before);
        }
        assert_eq!(book.execute(&operation).outcome, Ok(CallOutcome::Done), "{operation:?}");
        assert_eq!(book.execute(&operation).outcome, Ok(CallOutcome::Done), "{operation:?}");
    }
}

#[test]
fn what_was_abandoned_before_it_came_holds_nothing_when_it_comes() {
    let mut book = Book::default();
    let abandon = Operation::Abandon(authorization(None));
    assert_eq!(book.execute(&abandon).outcome, Ok(CallOutcome::Done));
    assert_eq!(book.execute(&abandon).outcome, Ok(CallOutcome::Done));
    // It is answered as it would have been; nothing can be taken of it.
    assert_eq!(book.execute(&Operation::Authorize(authorization(None))).outcome, Ok(CallOutcome::Done));
    assert!(is_refused(&book.execute(&capture("late", 1, false))));

    let mut held = authorized(None);
    assert_eq!(held.execute(&abandon).outcome, Ok(CallOutcome::Done));
    assert!(is_refused(&held.execute(&capture("late", 1, false))));
}

#[test]
fn a_token_that_is_not_known_is_declined_whenever_it_is_asked_for() {
    for token in ["tok_declind", "tok_OK", "pm_card_visa", ""] {
        let mut book = Book::default();
        for _ in 0..2 {
            let reply = book.execute(&Operation::Authorize(authorization(Some(token))));
            let declined =
                matches!(&reply.outcome, Err(PaymentError::Declined { code, .. }) if code == "unknown_token");
            assert!(declined, "{token}: {reply:?}");
        }
    }
    for token in [None, Some("tok_ok"), Some("tok_slow"), Some("tok_timeout_then_ok")] {
        authorized(token);
    }
}
