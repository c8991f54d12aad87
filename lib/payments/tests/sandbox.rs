//! The sandbox on a database: what its callers rely on.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::time::Duration;

use payments::{
    AuthorizationRequest, CaptureRequest, PaymentError, PaymentGateway, RefundRequest, Sandbox, SandboxPaymentRow,
    VoidRequest, ledger,
};
use sqlx::PgPool;

fn authorization(order_id: &str, token: Option<&str>) -> AuthorizationRequest {
    AuthorizationRequest {
        key: format!("{order_id}:authorize"),
        order_id: order_id.to_owned(),
        amount_minor: 1_000,
        currency: "EUR".to_owned(),
        token: token.map(str::to_owned),
    }
}

fn capture(reference: &str, key: &str, amount_minor: i64, last: bool) -> CaptureRequest {
    let (key, reference, currency) = (key.to_owned(), reference.to_owned(), "EUR".to_owned());
    CaptureRequest { key, reference, amount_minor, currency, last, recorded_minor: 0, retries: 0 }
}

async fn whole_ledger(pool: &PgPool) -> Vec<SandboxPaymentRow> {
    ledger(pool, None, 10_000).await.unwrap()
}

#[tokio::test]
async fn a_payment_is_authorized_captured_in_parts_refunded_and_added_up() {
    let database = testkit::database().await;
    let sandbox = Sandbox::start(database.pool().clone());

    let payment = sandbox.authorize(&authorization("order-1", None)).await.unwrap().reference;
    let first = sandbox.capture(&capture(&payment, "order-1:capture:1", 300, false)).await.unwrap();
    let second = sandbox.capture(&capture(&payment, "order-1:capture:2", 200, false)).await.unwrap();
    assert_ne!(first, second);
    let void = VoidRequest { key: "order-1:void".to_owned(), reference: payment.clone() };
    sandbox.void(&void).await.unwrap();
    sandbox.void(&void).await.unwrap();
    let key = "order-1:refund".to_owned();
    let refund = RefundRequest {
        key,
        reference: payment.clone(),
        amount_minor: 150,
        currency: "EUR".to_owned(),
        recorded: vec![],
        retries: 0,
    };
    let refunded = sandbox.refund(&refund).await.unwrap();
    assert_eq!(sandbox.refund(&refund).await.unwrap(), refunded);

    let row = SandboxPaymentRow {
        order_id: "order-1".to_owned(),
        reference: payment,
        currency: "EUR".to_owned(),
        authorized: 1_000,
        captured: 500,
        refunded: 150,
        voided: 500,
        authorizations: 1,
    };
    assert_eq!(whole_ledger(database.pool()).await, [row]);
}

#[tokio::test]
async fn many_at_once_each_get_their_own_answer() {
    let database = testkit::database().await;
    let sandbox = Sandbox::start(database.pool().clone());
    let calls = (0..500).map(|nth| {
        let sandbox = sandbox.clone();
        tokio::spawn(async move {
            let token = if nth % 5 == 0 { "tok_declined" } else { "tok_ok" };
            let request = authorization(&format!("order-{nth:03}"), Some(token));
            // Twice at the same time, as an order that is handled twice would.
            let (one, other) = tokio::join!(sandbox.authorize(&request), sandbox.authorize(&request));
            assert_eq!(one, other);
            assert_eq!(one.is_err(), nth % 5 == 0, "{one:?}");
            one.ok()
        })
    });
    let mut references = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        references.extend(call.await.unwrap().map(|authorized| authorized.reference));
    }
    let rows = whole_ledger(database.pool()).await;
    assert_eq!(rows.iter().map(|row| &row.reference).collect::<Vec<_>>(), references.iter().collect::<Vec<_>>());
    assert!(rows.iter().all(|row| row.authorizations == 1 && row.authorized == 1_000), "{rows:?}");
}

#[tokio::test]
async fn processes_that_use_the_same_keys_at_once_pay_once() {
    let database = testkit::database().await;
    let processes = [(); 3].map(|()| Sandbox::start(database.pool().clone()));
    let calls = processes.into_iter().flat_map(|sandbox| {
        (0..100).map(move |nth| {
            let sandbox = sandbox.clone();
            tokio::spawn(async move {
                let order_id = format!("order-{nth}");
                let payment = sandbox.authorize(&authorization(&order_id, None)).await.unwrap().reference;
                sandbox.capture(&capture(&payment, &format!("{order_id}:capture"), 400, false)).await.unwrap();
            })
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    let rows = whole_ledger(database.pool()).await;
    assert_eq!(rows.len(), 100);
    assert!(rows.iter().all(|row| row.captured == 400), "{rows:?}");
}

#[tokio::test]
async fn an_answer_that_never_comes_can_be_found_out() {
    let database = testkit::database().await;
    let sandbox = Sandbox::start(database.pool().clone());

    let paid = authorization("order-1", Some("tok_timeout_then_ok"));
    assert_eq!(sandbox.find(&paid).await, Ok(None));
    wait_in_vain(&sandbox, database.pool(), &paid).await;
    let found = sandbox.find(&paid).await.unwrap().unwrap();
    assert_eq!(sandbox.authorize(&paid).await, Ok(found));

    let declined = authorization("order-2", Some("tok_timeout_then_declined"));
    wait_in_vain(&sandbox, database.pool(), &declined).await;
    assert!(matches!(sandbox.find(&declined).await, Err(PaymentError::Declined { .. })));
    assert!(matches!(sandbox.authorize(&declined).await, Err(PaymentError::Declined { .. })));
}

/// Gives up on an answer once the request is in the books.
async fn wait_in_vain(sandbox: &Sandbox, pool: &PgPool, request: &AuthorizationRequest) {
    let booked = || async {
        let found = sqlx::query("select from sandbox_payments where key = $1").bind(&request.key).fetch_optional(pool);
        found.await.unwrap().is_some()
    };
    tokio::select! {
        answer = sandbox.authorize(request) => panic!("{answer:?}"),
        () = testkit::eventually(Duration::from_secs(30), booked) => {}
    }
}

#[tokio::test]
async fn what_failed_on_purpose_is_remembered_by_the_next_process() {
    let database = testkit::database().await;
    let request = authorization("order-1", Some("tok_flaky"));
    for _ in 0..2 {
        let process = Sandbox::start(database.pool().clone());
        assert!(matches!(process.authorize(&request).await, Err(PaymentError::Unknown { .. })));
        assert_eq!(process.find(&request).await, Ok(None));
    }
    let process = Sandbox::start(database.pool().clone());
    let authorized = process.authorize(&request).await.unwrap();
    assert_eq!(process.find(&request).await, Ok(Some(authorized)));
}

#[tokio::test]
async fn one_bad_call_fails_alone() {
    let database = testkit::database().await;
    let sandbox = Sandbox::start(database.pool().clone());
    let bad = [
        AuthorizationRequest { token: Some("tok\0".to_owned()), ..authorization("order-1", None) },
        AuthorizationRequest { amount_minor: 0, ..authorization("order-2", None) },
        AuthorizationRequest { amount_minor: i64::MIN, ..authorization("order-3", None) },
    ];
    for request in bad {
        let good = authorization(&format!("{}-good", request.order_id), None);
        let (refused, authorized) = tokio::join!(sandbox.authorize(&request), sandbox.authorize(&good));
        assert!(matches!(refused, Err(PaymentError::Refused { .. })), "{refused:?}");
        assert!(authorized.is_ok(), "{authorized:?}");
    }
}

#[tokio::test]
async fn without_its_database_nothing_happened() {
    let database = testkit::database().await;
    database.pool().close().await;
    let sandbox = Sandbox::start(database.pool().clone());
    let outcome = sandbox.authorize(&authorization("order-1", None)).await;
    assert!(matches!(outcome, Err(PaymentError::Unavailable { .. })), "{outcome:?}");
}

#[tokio::test]
async fn the_ledger_is_read_in_pages_and_tells_of_double_payments() {
    let database = testkit::database().await;
    let sandbox = Sandbox::start(database.pool().clone());
    for order_id in ["order-1", "order-2", "order-3"] {
        sandbox.authorize(&authorization(order_id, None)).await.unwrap();
    }
    let again = AuthorizationRequest { key: "another key".to_owned(), ..authorization("order-2", None) };
    sandbox.authorize(&again).await.unwrap();
    sandbox.authorize(&authorization("order-4", Some("tok_declined"))).await.unwrap_err();

    let mut pages = Vec::new();
    let mut last = None;
    loop {
        let page = ledger(database.pool(), last.as_ref(), 3).await.unwrap();
        let Some(row) = page.last().cloned() else { break };
        last = Some(row);
        pages.push(page.into_iter().map(|row| (row.order_id, row.authorizations)).collect::<Vec<_>>());
    }
    let row = |order_id: &str, authorizations| (order_id.to_owned(), authorizations);
    assert_eq!(pages, [vec![row("order-1", 1), row("order-2", 2), row("order-2", 2)], vec![row("order-3", 1)]]);
}
