//! Who may do what: every route, every role, one's own orders and another's, by the table.

use std::time::Duration;

use access_control::{ROUTES, Role, Route, RouteClass, RoutePermission, TokenClaimSettings, TokenRequest, TokenSecret};
use http::Method;
use serde_json::{Value, json};
use testkit::demo_order;

use crate::support::{Answer, Client, Ordo, run, settled};

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// The customer of the demo order, and another.
pub(crate) const OWN: &str = "customer-42";
const OTHER: &str = "customer-43";

pub(crate) fn token(role: Role, valid_for: Duration) -> String {
    let customer_id = (role == Role::Customer).then(|| OWN.to_owned());
    let request = TokenRequest { role, subject: "test".to_owned(), customer_id, valid_for };
    request.sign(&TokenSecret::parse(SECRET).unwrap(), &TokenClaimSettings::default()).unwrap()
}

pub(crate) fn as_role(ordo: &Ordo, role: Role) -> Client {
    ordo.client().with_token(&token(role, Duration::from_secs(600)))
}

/// A platform that asks everyone, with the order `own` and the order `other`.
pub(crate) async fn asking() -> Ordo {
    let ordo = Ordo::up(&[("ORDO_REQUIRE_AUTH", "true"), ("ORDO_TOKEN_SECRET", SECRET)]).await;
    let shop = as_role(&ordo, Role::Shop);
    for (order, customer) in [("own", OWN), ("other", OTHER)] {
        let mut posted = demo_order(order);
        posted["customerId"] = customer.into();
        assert_eq!(shop.order(&posted).await.status, 201);
        settled(&shop, order).await;
    }
    ordo
}

/// The route about an order and its customer.
fn path(route: &Route, order: &str, customer: &str) -> String {
    let path = route.path.replace("{order_id}", order).replace("{customer_id}", customer);
    let path = path.replace("{sku}", "sku-123").replace("{return_id}", "r-1");
    let path = path
        .replace("{shipment_id}", "s-1")
        .replace("{document_id}", "d-1")
        .replace("{delivery_id}", "7")
        .replace("{replay_id}", "7")
        .replace("{projection}", "orders")
        .replace("{name}", "nothing")
        .replace("{queue}", "notifications")
        .replace("{stream_id}", "nobody")
        .replace("{id}", "7");
    let path = path.replace("{notification_id}", "0192f0c1-2b3a-5c4d-8e5f-60718293a4b5");
    // It does not go on for ever, but is refused once it is let in.
    if route.class == RouteClass::Firehose {
        format!("{path}?after=x")
    } else {
        path.replace("{code}", "invalid").replace("{file}", "docs.js")
    }
}

async fn ask(client: &Client, route: &Route, path: &str) -> Answer {
    match route.method {
        // No body is right for any of them, so nothing changes.
        "POST" => client.try_post(path, &json!({ "nothing": true })).await.unwrap(),
        "PUT" => {
            let json = [("content-type", "application/json")];
            client.send_with(Method::PUT, path, &json, r#"{"nothing": true}"#).await
        }
        method => client.ask(method.parse().unwrap(), path).await,
    }
}

/// How a route answers what [`ask`] asks of an order that is there, to those who may ask.
fn once_admitted(route: &Route) -> u16 {
    match (route.method, route.path) {
        // There is no such replay, no such document and no such webhook.
        (_, "/admin/replays/{id}" | "/orders/{order_id}/documents/{document_id}") => 404,
        // There is no such order, and no such dead letter.
        (_, "/read-models/{projection}/streams/{id}/steps") | ("GET", "/dead-letters/{queue}/{id}") => 404,
        // It has to say which event.
        (_, "/subscriptions/{name}/parked-events/{stream_id}/skip") => 422,
        (_, path)
            if ["/webhooks/", "/subscriptions/", "/bulk-actions/{id}"].iter().any(|begin| path.starts_with(begin)) =>
        {
            404
        }
        // An object is no array of orders.
        ("POST", "/orders/batch" | "/orders/import") => 400,
        // The position is no number or no parameter, the days are missing, and no body has such a field.
        (_, "/events/stream" | "/events" | "/sales") | ("POST" | "PUT", _) => 422,
        _ => 200,
    }
}

/// What a refusal says, but for where.
fn without_names(problem: &Value, order: &str) -> Value {
    let mut problem = problem.clone();
    let members = problem.as_object_mut().unwrap();
    members.remove("traceId");
    members.remove("instance");
    serde_json::from_str(&problem.to_string().replace(&format!("order {order}"), "order X")).unwrap()
}

#[tokio::test]
async fn every_route_does_for_every_role_what_the_table_says() {
    let ordo = asking().await;
    let mut posted = demo_order("guest");
    posted["customerId"] = Value::Null;
    posted["customer"] = json!({ "email": "guest@example.com" });
    let shop = as_role(&ordo, Role::Shop);
    assert_eq!(shop.order(&posted).await.status, 201);
    settled(&shop, "guest").await;
    let nobody = ordo.client();
    let clients: Vec<(Role, Client)> = Role::ALL.into_iter().map(|role| (role, as_role(&ordo, role))).collect();
    for route in ROUTES {
        let (own, other) = (path(route, "own", OWN), path(route, "other", OTHER));
        let (guests, missing) = (path(route, "guest", OTHER), path(route, "missing", "nobody"));
        for versioned in [false, true].into_iter().filter(|versioned| !versioned || route.is_versioned()) {
            let below = if versioned { "/v1" } else { "" };
            let at = |path: &str| format!("{below}{path}");

            let answer = ask(&nobody, route, &at(&own)).await;
            if route.class.is_public() {
                assert_eq!(answer.status, once_admitted(route), "{own}");
            } else {
                assert_eq!(answer.problem(401)["code"], "unauthenticated", "{} {own}", route.method);
                assert_eq!(answer.header("www-authenticate"), "Bearer");
            }
            for (role, client) in &clients {
                let what = format!("{role}: {} {below}{own}", route.method);
                let answer = ask(client, route, &at(&own)).await;
                let Some(grant) = route.grant(*role) else {
                    assert_eq!(answer.problem(403)["code"], "forbidden", "{what}");
                    assert_eq!(ask(client, route, &at(&other)).await.problem(403)["code"], "forbidden", "{what}");
                    continue;
                };
                assert_eq!(answer.status, once_admitted(route), "{what}: {}", answer.text());
                if grant == RoutePermission::Own {
                    not_another_ones(client, route, "other", [&at(&other), &at(&missing)]).await;
                    not_another_ones(client, route, "guest", [&at(&guests), &at(&missing)]).await;
                } else {
                    for path in [at(&other), at(&guests)] {
                        let answer = ask(client, route, &path).await;
                        assert_eq!(answer.status, once_admitted(route), "{what}, {path}: {}", answer.text());
                    }
                }
            }
        }
    }
}

/// Another's order is answered like one that is not there.
async fn not_another_ones(client: &Client, route: &Route, order: &str, [other, missing]: [&str; 2]) {
    let answers = [ask(client, route, other).await, ask(client, route, missing).await];
    if route.path.contains("{order_id}") {
        let [other, missing] = answers.map(|answer| answer.problem(404));
        assert_eq!(without_names(&other, order), without_names(&missing, "missing"), "{route:?}");
    } else {
        let [other, missing] = answers.map(|answer| {
            assert_eq!(answer.status, 200, "{route:?}: {}", answer.text());
            answer
        });
        // An export has a JSON object a line.
        let text = other.text();
        assert!(!text.contains(OTHER) && !text.contains("guest"), "{route:?}: {text}");
        if route.path.contains("{customer_id}") {
            let (other, missing) = (other.json(), missing.json());
            assert_eq!((&other, &other["items"]), (&missing, &json!([])));
        }
    }
}

#[tokio::test]
async fn a_role_sees_what_it_may_see_of_an_order() {
    let ordo = asking().await;
    let read = async |role, path: &str| as_role(&ordo, role).get(path).await.json();
    let asked = "/orders/own?asOf=1";

    for path in ["/orders/own", asked, "/v1/orders/own"] {
        assert_eq!(read(Role::Support, path).await["customerId"], OWN, "{path}");
        assert!(read(Role::Support, path).await["paymentStatus"].is_string(), "{path}");
        assert_eq!(read(Role::Auditor, path).await["customerId"], "***", "{path}");
        let packed = read(Role::Warehouse, path).await;
        assert!(packed["paymentStatus"].is_null() && packed["captured"].is_null(), "{packed}");
        assert_eq!(packed["customerId"], OWN);
    }
    let mails = read(Role::Customer, "/orders/own/mails").await;
    assert!(mails["items"][0]["recipient"].is_string() && mails["items"][0]["providerMessageId"].is_null(), "{mails}");
    let timeline = read(Role::Customer, "/orders/own/events").await.to_string();
    assert!(timeline.contains("PaymentAuthorized") && !timeline.contains("reference"), "{timeline}");
    assert!(!timeline.contains("shop:test"), "{timeline}");
    assert!(read(Role::Operator, "/orders/own/events").await.to_string().contains("\"actor\":\"shop:test\""));

    // A list is of the customer's own, whatever is asked.
    for (query, found) in [("", 1), ("?customerId=customer-42", 1), ("?customerId=customer-43", 0), ("?sku=sku-123", 1)]
    {
        let list = read(Role::Customer, &format!("/orders{query}")).await;
        assert_eq!(list["items"].as_array().unwrap().len(), found, "{query}: {list}");
    }
    as_role(&ordo, Role::Customer).get("/orders?customerId=customer-43&limit=0").await.problem(422);
    // What was asked about another's past would tell that there is one.
    for moment in ["1", "99", "2020-01-01T00:00:00Z"] {
        let problem = as_role(&ordo, Role::Customer).get(&format!("/orders/other?asOf={moment}")).await.problem(404);
        assert_eq!((&problem["currentVersion"], &problem["createdAt"]), (&Value::Null, &Value::Null), "{problem}");
    }
}

#[tokio::test]
async fn what_a_role_sees_has_an_etag_of_its_own_that_commands_take() {
    let ordo = asking().await;
    let path = "/orders/own";
    let ask = async |role, method, etag: &str| {
        let known = [("if-none-match", etag)];
        as_role(&ordo, role).send_with(method, path, &known, String::new()).await
    };
    let mut seen: Vec<(Role, String, String)> = Vec::new();
    for role in Role::ALL {
        let answer = ask(role, Method::GET, "\"0\"").await;
        assert_eq!((answer.status, answer.header("vary")), (200, "authorization"), "{role}");
        assert_eq!(answer.header("cache-control"), "private, no-cache");
        seen.push((role, answer.header("etag").to_owned(), answer.text()));
    }
    let version = as_role(&ordo, Role::Shop).get(path).await.json()["version"].clone();
    for (role, etag, body) in &seen {
        let sees_all = ![Role::Customer, Role::Warehouse, Role::Auditor].contains(role);
        assert_eq!(*etag == format!("\"{version}\""), sees_all, "{role}: {etag}");
        for (other, known, its) in &seen {
            assert_eq!(etag == known, body == its, "{role} and {other}: {etag} and {known}");
            for method in [Method::GET, Method::HEAD] {
                let status = if etag == known { 304 } else { 200 };
                let answer = ask(*role, method, known).await;
                assert_eq!((answer.status, answer.header("etag")), (status, etag.as_str()), "{role} has {known}");
            }
        }
    }
    let etag_of = |role| seen.iter().find(|(known, ..)| *known == role).map(|(_, etag, _)| etag.clone()).unwrap();
    let customer = as_role(&ordo, Role::Customer);
    let note = async |text: &str, etag: &str| {
        let headers = [("content-type", "application/json"), ("if-match", etag)];
        let body = json!({ "text": text }).to_string();
        customer.send_with(Method::POST, "/orders/own/notes", &headers, body).await.status
    };
    assert_eq!(note("first", &etag_of(Role::Customer)).await, 201);
    assert_eq!(note("second", &etag_of(Role::Customer)).await, 412);
}

#[tokio::test]
async fn a_customer_changes_its_own_orders_only() {
    let ordo = asking().await;
    let customer = as_role(&ordo, Role::Customer);
    let note = json!({ "text": "leave it at the door" });
    assert_eq!(customer.try_post("/orders/own/notes", &note).await.unwrap().status, 201);
    customer.try_post("/orders/other/notes", &note).await.unwrap().problem(404);
    let posed = customer.try_post("/orders/own/notes", &json!({ "text": "x", "author": "Support" })).await.unwrap();
    assert_eq!((posed.status, posed.pointers()), (422, vec!["/author".to_owned()]));
    customer.try_post("/orders/other/cancel", &json!({})).await.unwrap().problem(404);
    let cancelled = customer.try_post("/orders/own/cancel", &json!({ "reason": "changed my mind" })).await.unwrap();
    assert_eq!(cancelled.status, 202);

    let auditor = as_role(&ordo, Role::Auditor);
    let seen = auditor.get("/orders/own/events").await.text();
    assert!(!seen.contains("at the door") && !seen.contains("my mind") && !seen.contains("customer:test"), "{seen}");
    let seen = as_role(&ordo, Role::Operator).get("/orders/own/events").await.text();
    assert!(seen.contains("\"actor\":\"customer:test\""), "{seen}");
}

#[tokio::test]
async fn a_live_stream_ends_with_its_token() {
    let ordo = asking().await;
    let shop = ordo.client().with_token(&token(Role::Shop, Duration::from_secs(3)));
    // It is answered whole, so it has ended.
    let stream = shop.ask(Method::GET, "/events/stream?after=0").await;
    assert_eq!(stream.status, 200);
    assert!(stream.text().contains("\"customerId\":\"customer-42\""), "{}", stream.text());

    let auditor = ordo.client().with_token(&token(Role::Auditor, Duration::from_secs(3)));
    let stream = auditor.ask(Method::GET, "/events/stream?after=0").await.text();
    assert!(stream.contains("event: OrderCreated") && stream.contains("\"customerId\":\"***\""), "{stream}");
    assert!(!stream.contains("customer-42"), "{stream}");
}

#[tokio::test]
async fn up_lets_everyone_on_this_machine_in_and_keeps_to_a_credential_that_comes() {
    let ordo = Ordo::up(&[("ORDO_TOKEN_SECRET", SECRET)]).await;
    let nobody = ordo.client();
    assert_eq!(nobody.order(&demo_order("own")).await.status, 201);
    settled(&nobody, "own").await;
    assert!(nobody.get("/orders/own/events").await.text().contains("\"actor\":\"operator:local\""));
    assert_eq!(nobody.get("/metrics").await.status, 200);
    for header in ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"] {
        let passed_on = nobody.get_with("/orders/own", header, "192.0.2.7").await;
        assert_eq!(passed_on.problem(401)["code"], "unauthenticated", "{header}");
    }
    let customer = as_role(&ordo, Role::Customer);
    assert_eq!(customer.get("/orders/own").await.status, 200);
    customer.get("/metrics").await.problem(403);
    customer.order(&demo_order("another")).await.problem(403);
    for (token, status) in [("nonsense", 401), (token(Role::Shop, Duration::from_secs(600)).trim_end_matches('A'), 401)]
    {
        let answer = ordo.client().with_token(&format!("{token}x")).get("/orders/own").await;
        assert_eq!(answer.problem(status)["code"], "invalid-credential");
    }
}

#[tokio::test]
async fn where_others_could_call_nothing_starts_without_saying_who_may() {
    for line in [
        &["up", "--ephemeral", "--listen", "0.0.0.0:0"][..],
        &["up", "--ephemeral", "--listen", "127.0.0.1:0", "--ops-listen", "0.0.0.0:0"],
        &["serve", "--listen", "127.0.0.1:0"],
        &["serve", "--listen", "0.0.0.0:0"],
        &["serve", "--listen", "127.0.0.1:0", "--ops-listen", "[::]:0"],
    ] {
        let refused = run(line, &[("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")]).await;
        assert_eq!(refused.code, 1, "{line:?}");
        assert!(refused.err.contains("nothing says who may"), "{}", refused.err);
    }
}
