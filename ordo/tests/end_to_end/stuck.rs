//! `ordo saga`: an operator finds out which orders are stuck, and gets each of them to an end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use axum::extract::{Path, State};
use axum::routing::post;
use axum::{Json, Router};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::{demo_order, eventually};
use tokio::net::TcpListener;

use crate::support::{Client, Finished, Ordo, PATIENCE, run};

const ERROR: &str = "refused: Stripe answered 400, resource_missing, No such PaymentMethod";
const ORDERS: [&str; 8] = ["other", "skipped", "marked", "failed", "undone", "hopeless", "bulk-1", "bulk-2"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_which_orders_are_stuck_and_gets_each_to_its_end() {
    // Given: a provider that does not understand what the orders are paid with.
    let provider = Provider::default();
    let url = provider.serve().await;
    let settings = [
        ("ORDO_PAYMENT_PROVIDER", "stripe"),
        ("ORDO_STRIPE_URL", url.as_str()),
        ("ORDO_STRIPE_SECRET_KEY", "sk_test_1"),
    ];
    let ordo = Ordo::up(&settings).await;
    let client = ordo.client();
    for order in ORDERS {
        let mut posted = demo_order(order);
        posted["paymentToken"] = "pm_gone".into();
        assert_eq!(client.order(&posted).await.status, 201);
    }
    for order in ORDERS {
        eventually(PATIENCE, || async { saga(&client, order).await["state"] == "stuck" }).await;
    }

    it_is_told_what_is_stuck_and_why(&ordo, &client).await;
    what_can_not_be_decided_is_refused_in_one_line(&ordo).await;

    // When nothing is mended, then a retry is recorded and says that it did not help.
    let retried = decide(&ordo, &["retry", "other"]).await;
    let said = "ordo: other waits for authorize_payment, stuck, tried ";
    assert!(retried.code == 1 && retried.err.starts_with(said) && retried.err.contains(ERROR), "{retried:?}");

    // Each decision gets its order to the end that was meant.
    for (line, order, state, event) in [
        (&["retry", "other", "--input", "paymentToken=pm_card_visa"][..], "other", "completed", "PaymentAuthorized"),
        (&["skip", "skipped"], "skipped", "completed", "OrderConfirmed"),
        (&["mark-failed", "failed"], "failed", "compensated", "OrderRejected"),
    ] {
        let done = decide(&ordo, line).await;
        assert_eq!(done.code, 0, "{line:?}: {done:?}");
        ends(&client, order, state, event).await;
    }

    // In a browser as well.
    let typed = [("/reason", "the provider says so"), ("/reference", "pi_by_hand")];
    decide_in_the_console(&ordo, "marked", "mark-succeeded-authorize_payment-0", &typed).await;
    ends(&client, "marked", "completed", "PaymentAuthorized").await;

    // A confirmed order is not undone by the way.
    let unnamed = decide(&ordo, &["compensate", "other"]).await;
    assert!(unnamed.code == 1 && unnamed.err.contains("--step confirm_order undoes the order"), "{unnamed:?}");

    // What the provider does not understand it does not hold: there is nothing that keeps the order from being undone.
    assert_eq!(decide(&ordo, &["compensate", "hopeless"]).await.code, 0);
    ends(&client, "hopeless", "compensated", "OrderRejected").await;

    // When the provider is mended, then what was begun there is undone, and all others are retried at once.
    provider.is_mended.store(true, Ordering::SeqCst);
    assert_eq!(decide(&ordo, &["compensate", "undone"]).await.code, 0);
    ends(&client, "undone", "compensated", "PaymentVoided").await;
    let dry = decide(&ordo, &["retry", "--stuck", "--error", "No such", "--dry-run", "--json"]).await;
    let dry: Value = serde_json::from_str(&dry.out).unwrap();
    assert_eq!((&dry["dryRun"], &dry["retried"]), (&json!(true), &json!(2)));
    let none = decide(&ordo, &["retry", "--stuck", "--step", "void_payment"]).await;
    assert_eq!((none.code, none.out.as_str()), (0, "0 sagas retried\n"), "{none:?}");
    let all = decide(&ordo, &["retry", "--stuck", "--error", "No such", "--rate", "50"]).await;
    assert_eq!((all.code, all.out.as_str()), (0, "2 sagas retried\n"), "{all:?}");
    for order in ["bulk-1", "bulk-2"] {
        ends(&client, order, "completed", "OrderConfirmed").await;
    }

    // Then nothing is stuck, and who decided what stays on the orders.
    assert_eq!(ask(&ordo, &["list"]).await.out, "0 sagas running, 0 stuck\n");
    let done: Value =
        serde_json::from_str(&ask(&ordo, &["list", "--state", "compensated", "--json"]).await.out).unwrap();
    assert_eq!(done["orders"].as_array().unwrap().len(), 3);
    let shown = ask(&ordo, &["show", "other"]).await.out;
    assert!(shown.starts_with("other  completed\nthe order is confirmed\n\norder_fulfilment  completed\n"), "{shown}");
    let said = "by operator:ada: retry with another means of payment: a test";
    assert!(shown.contains(said) && !shown.contains("pm_card_visa"), "{shown}");
    let refused = decide(&ordo, &["skip", "other"]).await;
    assert_eq!((refused.code, refused.err.as_str()), (1, "ordo: other is completed: it waits for nothing\n"));
    let metrics = client.get("/metrics").await.text();
    assert!(metrics.contains("ordo_saga_stuck{saga=\"order_fulfilment\",step=\"authorize_payment\"} 0\n"), "{metrics}");
}

async fn it_is_told_what_is_stuck_and_why(ordo: &Ordo, client: &Client) {
    let list: Value = serde_json::from_str(&ask(ordo, &["list", "--state", "stuck", "--json"]).await.out).unwrap();
    assert_eq!((&list["stuck"], &list["running"]), (&json!(8), &json!(0)));
    let group = json!([{ "step": "authorize_payment", "state": "stuck", "error": ERROR, "count": 8 }]);
    assert_eq!(list["groups"], group);
    let sagas = list["sagas"].as_array().unwrap();
    assert!(sagas.len() == 8 && sagas.iter().any(|saga| saga["orderId"] == "other"), "{list}");
    let list = ask(ordo, &["list", "--limit", "1", "--error", "No such"]).await.out;
    let said =
        format!("\n8 × authorize_payment, stuck: {ERROR}\n0 sagas running, 8 stuck, 7 of them not listed: --limit\n");
    assert!(list.contains("  order_fulfilment  authorize_payment  stuck, tried ") && list.ends_with(&said), "{list}");

    let saga = saga(client, "other").await;
    assert_eq!((&saga["waitsFor"], &saga["stage"]), (&json!("authorize_payment"), &json!("pending")));
    let steps = saga["sagas"][0]["steps"].as_array().unwrap();
    assert_eq!((&steps[0]["step"], &steps[0]["state"]), (&json!("reserve_stock"), &json!("done")));
    assert_eq!((&steps[1]["state"], &steps[1]["lastError"]), (&json!("stuck"), &json!(ERROR)));
    assert_eq!(steps[1]["undo"]["step"], "void_payment");
    assert_eq!(saga["remedies"][0]["inputs"], json!(["paymentToken"]));
    client.get("/v1/orders/other/saga").await.problem(404);
    client.get("/orders/nobody/saga").await.problem(404);

    let metrics = client.get("/metrics").await.text();
    for line in [
        "ordo_saga_stuck{saga=\"order_fulfilment\",step=\"authorize_payment\"} 8\n",
        "ordo_saga_stuck{saga=\"order_fulfilment\",step=\"void_payment\"} 0\n",
        "ordo_saga_steps_total{saga=\"order_fulfilment\",step=\"reserve_stock\",outcome=\"done\"} 8\n",
        "ordo_saga_step_duration_seconds_count{saga=\"order_fulfilment\",step=\"authorize_payment\"} ",
        "ordo_payment_calls_total{operation=\"authorize\",outcome=\"refused\"} ",
        "ordo_payment_breaker_state 0\n",
    ] {
        assert!(metrics.contains(line), "no {line}: {metrics}");
    }
}

async fn what_can_not_be_decided_is_refused_in_one_line(ordo: &Ordo) {
    let absent = decide(ordo, &["retry", "nobody"]).await;
    assert_eq!((absent.code, absent.err.as_str()), (1, "ordo: there is no order nobody\n"));
    let absent = ask(ordo, &["show", "nobody"]).await;
    assert_eq!((absent.code, absent.err.as_str()), (1, "ordo: there is no order nobody\n"));
    let other_step = decide(ordo, &["skip", "other", "--step", "reserve_stock"]).await;
    let said = "ordo: reserve_stock is not what the order waits for; other waits for authorize_payment, stuck";
    assert!(other_step.code == 1 && other_step.err.starts_with(said), "{other_step:?}");
    assert_eq!(other_step.err.lines().count(), 1);
    let unsaid = ask(ordo, &["skip", "other"]).await;
    assert_eq!(unsaid.code, 2, "{unsaid:?}");
}

/// Sends a form of an order's page, as a browser does, and looks at the page that comes.
async fn decide_in_the_console(ordo: &Ordo, order: &str, decision: &str, typed: &[(&str, &str)]) {
    let (console, browser) = (Client::new(&ordo.console), ("accept", "text/html"));
    let page = console.send_with(Method::GET, &format!("/orders/{order}"), &[browser], "").await;
    let cookie = page.header("set-cookie").split(';').next().unwrap().to_owned();
    let (action, text) = (format!("/orders/{order}/saga/decisions"), page.text());
    let form = text.split(&format!("id=\"orders-{order}-saga-decisions-{decision}\"")).nth(1).unwrap();
    let hidden = form.split("</form>").next().unwrap().split("<input type=\"hidden\" name=\"").skip(1);
    let hidden = hidden.map(|field| {
        let (name, rest) = field.split_once("\" value=\"").unwrap();
        (name, rest.split('"').next().unwrap().replace("&quot;", "\"").replace("&#34;", "\""))
    });
    let mut fields = url::form_urlencoded::Serializer::new(String::new());
    fields.extend_pairs(hidden).extend_pairs(typed);
    let form = ("content-type", "application/x-www-form-urlencoded");
    let foreign = ("origin", "https://evil.example");
    let body = fields.finish();
    let headers = [browser, form, ("cookie", cookie.as_str()), foreign];
    assert_eq!(console.send_with(Method::POST, &action, &headers, body.clone()).await.status, 403);
    assert_eq!(console.send_with(Method::POST, &action, &headers[..2], body.clone()).await.status, 403);
    let done = console.send_with(Method::POST, &action, &headers[..3], body).await;
    assert_eq!((done.status, done.header("location")), (303, format!("/orders/{order}").as_str()), "{}", done.text());
    let said = done.header("set-cookie").split(';').next().unwrap().to_owned();
    let cookies = format!("{cookie}; {said}");
    let page = console.send_with(Method::GET, done.header("location"), &[browser, ("cookie", &cookies)], "").await;
    assert!(page.text().contains(": done.") && page.text().contains("the provider says so"), "{}", page.text());
}

/// The order comes to this end, and that has happened.
async fn ends(client: &Client, order: &str, state: &str, event: &str) {
    eventually(PATIENCE, || async { saga(client, order).await["state"] == state }).await;
    let events = client.get(&format!("/orders/{order}/events")).await.json();
    let mut events = events["items"].as_array().unwrap().iter();
    assert!(events.any(|it| it["type"] == event), "{order} has no {event}: {events:?}");
}

async fn saga(client: &Client, order: &str) -> Value {
    client.get(&format!("/orders/{order}/saga")).await.json()
}

async fn ask(ordo: &Ordo, arguments: &[&str]) -> Finished {
    run(&[&["saga"], arguments].concat(), &[("DATABASE_URL", &ordo.database)]).await
}

async fn decide(ordo: &Ordo, arguments: &[&str]) -> Finished {
    ask(ordo, &[arguments, &["--reason", "a test", "--actor", "ada"]].concat()).await
}

/// Stripe, as far as it is asked here. It knows no `pm_gone` until it is mended.
#[derive(Clone, Default)]
struct Provider {
    is_mended: Arc<AtomicBool>,
    payments: Arc<AtomicU32>,
}

impl Provider {
    async fn serve(&self) -> String {
        let routes = Router::new()
            .route("/v1/payment_intents", post(pay))
            .route("/v1/payment_intents/{id}/cancel", post(cancel))
            .with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        format!("http://{address}")
    }
}

async fn pay(State(provider): State<Provider>, form: String) -> (StatusCode, Json<Value>) {
    if form.contains("payment_method=pm_gone") && !provider.is_mended.load(Ordering::SeqCst) {
        let error = json!({ "code": "resource_missing", "message": "No such PaymentMethod" });
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": error })));
    }
    let id = provider.payments.fetch_add(1, Ordering::SeqCst);
    (StatusCode::OK, Json(json!({ "id": format!("pi_{id}"), "status": "requires_capture" })))
}

async fn cancel(Path(id): Path<String>) -> Json<Value> {
    Json(json!({ "id": id, "status": "canceled" }))
}
