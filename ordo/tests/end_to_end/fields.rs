//! `fields` leaves of an answer what was asked for: on every route that says it takes it, for every role.

use access_control::{ROUTES, Role};
use http::Method;
use serde_json::{Value, json};

use crate::access::{OWN, as_role, asking};

#[tokio::test]
async fn every_route_that_takes_it_knows_the_fields_of_its_answers() {
    let ordo = asking().await;
    let client = as_role(&ordo, Role::Operator);
    let document = client.get("/openapi.json").await.json();
    let mut asked = 0;
    for route in ROUTES.iter().filter(|route| route.method == "GET" && !route.class.is_public()) {
        let read = &document["paths"][route.path]["get"];
        let takes_it = read["parameters"].as_array().unwrap().iter().any(|parameter| parameter["name"] == "fields");
        let is_json = read["responses"]["200"]["content"].get("application/json").is_some();
        assert_eq!(takes_it, is_json, "{}", route.path);
        let path = route.path.replace("{order_id}", "own").replace("{customer_id}", OWN).replace("{sku}", "sku-123");
        // There is no replay, and so nothing to choose from.
        if !takes_it || path.contains('{') {
            continue;
        }
        let and = if path == "/sales" { "?day=2026-11-20&" } else { "?" };
        let refused = client.get(&format!("{path}{and}fields=nothing")).await.problem(422);
        assert_eq!(refused["errors"][0]["pointer"], "?fields", "{path}: {refused}");
        let message = refused["errors"][0]["message"].as_str().unwrap();
        let (_, names) = message.split_once("there are ").unwrap();
        // All that an answer has can be asked for, and is then the whole answer.
        let fields = names.replace(' ', "");
        let (whole, chosen) =
            (client.get(&format!("{path}{and}")).await, client.get(&format!("{path}{and}fields={fields}")).await);
        assert_eq!((whole.status, whole.json()), (200, chosen.json()), "{path}");
        asked += 1;
    }
    assert!(asked > 12, "{asked}");
    assert_eq!(client.get("/orders/missing?fields=nothing").await.status, 404);
    assert_eq!(ordo.client().get("/orders/own?fields=nothing").await.status, 401);
}

#[tokio::test]
async fn what_is_left_is_what_was_asked_for_and_has_an_etag_of_its_own() {
    let ordo = asking().await;
    let client = as_role(&ordo, Role::Support);
    let whole = client.get("/orders/own").await;
    let path = "/v1/orders/own?fields=orderId,total.amount,lines.sku,customerEmail";
    let chosen = client.get(path).await;
    let expected = json!({ "orderId": "own", "total": { "amount": "129.99" }, "lines": [{ "sku": "sku-123" }] });
    assert_eq!(chosen.json(), expected);
    let etag = chosen.header("etag").to_owned();
    let version = whole.header("etag").trim_matches('"').to_owned();
    assert!(etag.starts_with(&format!("\"{version}.")), "{etag}");
    for method in [Method::GET, Method::HEAD] {
        for (known, status) in [(etag.as_str(), 304), (whole.header("etag"), 200)] {
            let known = [("if-none-match", known)];
            let again = client.send_with(method.clone(), path, &known, String::new()).await;
            assert_eq!((again.status, again.header("etag")), (status, etag.as_str()), "{method} {known:?}");
        }
    }
    let command = [("if-match", etag.as_str()), ("content-type", "application/json")];
    let noted = client.send_with(Method::POST, "/orders/own/notes", &command, json!({ "text": "x" }).to_string()).await;
    assert_eq!(noted.status, 201);

    // Of a page they are the fields of its items, and the page goes on.
    let (mut path, mut met) = ("/orders?limit=1&expand=lines&fields=orderId,lines.quantity".to_owned(), Vec::new());
    loop {
        let page = client.get(&path).await.json();
        met.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["cursor"].as_str() else { break };
        path = format!("/orders?limit=1&expand=lines&cursor={cursor}&fields=orderId,lines.quantity");
    }
    let order = |id: &str| json!({ "orderId": id, "lines": [{ "quantity": 1 }] });
    assert!(met.contains(&order("own")) && met.contains(&order("other")), "{met:?}");
    let expanded = client.get("/orders/own?expand=events&fields=events.items.type").await.json();
    assert_eq!(expanded["events"]["items"][0], json!({ "type": "OrderCreated" }));
    assert!(expanded.get("orderId").is_none());
    for wrong in [
        "fields=",
        "fields=orderId&fields=total",
        "fields=total.sum",
        "fields=orderId,,total",
        "expand=x&fields=orderId",
    ] {
        client.get(&format!("/orders/own?{wrong}")).await.problem(422);
    }
}

#[tokio::test]
async fn nobody_sees_more_by_naming_it() {
    let ordo = asking().await;
    let fields =
        "customerId,paymentStatus,captured,reason,notes,mails.providerMessageId,mails.recipient,refunds,metadata";
    for role in Role::ALL {
        let client = as_role(&ordo, role);
        let (whole, chosen) =
            (client.get("/orders/own").await.json(), client.get(&format!("/orders/own?fields={fields}")).await.json());
        for (name, value) in chosen.as_object().unwrap() {
            let seen = &whole[name];
            if name == "mails" {
                let named = |mail: &Value| mail.as_object().unwrap().iter().all(|(name, it)| seen[0][name] == *it);
                assert!(value.as_array().unwrap().iter().all(named), "{role}: {chosen}");
            } else {
                assert_eq!(value, seen, "{role}: {name}");
            }
        }
        assert_eq!(chosen.get("paymentStatus").is_none(), role == Role::Warehouse, "{role}: {chosen}");
        assert_eq!(chosen["customerId"], if role == Role::Auditor { "***" } else { OWN }, "{role}");
    }
}
