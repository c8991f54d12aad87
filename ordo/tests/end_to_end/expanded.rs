//! What comes with orders by `expand` is what each role would be answered about it alone.

use access_control::{ROUTES, Role};
use serde_json::Value;

use crate::access::{OWN, as_role, asking};

fn may_ask(role: Role, path: &str) -> bool {
    ROUTES.iter().find(|route| route.method == "GET" && route.path == path).unwrap().grant(role).is_some()
}

#[tokio::test]
async fn each_role_gets_with_an_order_what_it_would_get_alone() {
    let ordo = asking().await;
    for role in Role::ALL {
        let client = as_role(&ordo, role);
        let alone = client.get("/orders/own").await.json();
        for (name, part) in [("events", "/orders/own/events"), ("saga", "/orders/own/saga")] {
            let expanded = client.get(&format!("/orders/own?expand={name}")).await;
            if !may_ask(role, &part.replace("own", "{order_id}")) {
                assert_eq!(expanded.problem(403)["code"], "forbidden", "{role}: {name}");
                continue;
            }
            let mut expanded = expanded.json();
            let part = client.get(part).await.json();
            assert_eq!(expanded.as_object_mut().unwrap().remove(name), Some(part), "{role}: {name}");
            assert_eq!(expanded, alone, "{role}: {name}");
        }
        let status = if may_ask(role, "/orders/{order_id}/saga") { 200 } else { 403 };
        assert_eq!(client.get("/orders/own?expand=saga,events").await.status, status, "{role}");
    }
    // Another's order is not there for a customer, whatever comes with it.
    let customer = as_role(&ordo, Role::Customer);
    customer.get("/orders/other?expand=events").await.problem(404);
}

#[tokio::test]
async fn each_role_gets_with_a_list_what_it_would_get_alone() {
    let ordo = asking().await;
    let parts = [
        ("lines", ""),
        ("shipments", "/shipments"),
        ("cancellations", "/cancellations"),
        ("returns", "/returns"),
        ("refunds", "/refunds"),
        ("addedNotes", "/notes"),
        ("mails", "/mails"),
    ];
    for role in Role::ALL {
        let client = as_role(&ordo, role);
        for (name, route) in parts {
            for list in ["/orders".to_owned(), format!("/customers/{OWN}/orders")] {
                let answer = client.get(&format!("{list}?expand={name}")).await;
                if !may_ask(role, &format!("/orders/{{order_id}}{route}")) {
                    assert_eq!(answer.problem(403)["code"], "forbidden", "{role}: {name}");
                    continue;
                }
                let page = answer.json();
                let orders = page["items"].as_array().unwrap();
                // Both orders, and of a customer the own one.
                let all = if role == Role::Customer || list != "/orders" { 1 } else { 2 };
                assert_eq!(orders.len(), all, "{role}: {list}");
                for order in orders {
                    let path = format!("/orders/{}{route}", order["orderId"].as_str().unwrap());
                    let alone = client.get(&path).await.json();
                    let alone: &Value = if name == "lines" { &alone["lines"] } else { &alone["items"] };
                    assert_eq!(&order[name], alone, "{role}: {name}");
                }
            }
        }
    }
}
