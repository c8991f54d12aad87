//! API keys and tokens, as somebody who runs a platform hands them out.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use testkit::demo_order;

use crate::support::{Finished, Ordo, folder, run};

/// A command on the platform's database that succeeds.
async fn told(ordo: &Ordo, arguments: &[&str]) -> String {
    let Finished { code, out, err } = run(arguments, &[("DATABASE_URL", &ordo.database)]).await;
    assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}: {out}");
    out
}

async fn listed(ordo: &Ordo, arguments: &[&str]) -> Vec<Value> {
    let list: Value = serde_json::from_str(&told(ordo, arguments).await).unwrap();
    list["keys"].as_array().unwrap().clone()
}

#[tokio::test]
async fn an_api_key_is_shown_once_listed_and_revoked() {
    let ordo = Ordo::up(&[("ORDO_ROLES", "command-api")]).await;
    assert_eq!(told(&ordo, &["key", "list"]).await, "there is no API key; `ordo key create --role ROLE` makes one\n");
    let shop = told(&ordo, &["key", "create", "--role", "shop", "--name", "web-shop", "--expires", "90d"]).await;
    let shop = shop.strip_suffix('\n').unwrap();
    let (id, secret) = shop.strip_prefix("ordo_live_").unwrap().split_once('_').unwrap();
    assert_eq!((shop.len(), id.len(), secret.len()), (70, 16, 43));
    let customer = ["key", "create", "--role", "customer", "--customer", "customer-42", "--json"];
    let customer: Value = serde_json::from_str(&told(&ordo, &customer).await).unwrap();
    assert!(customer["key"].as_str().unwrap().contains(customer["id"].as_str().unwrap()), "{customer}");

    let keys = listed(&ordo, &["key", "list", "--json"]).await;
    let of = |id: &str| keys.iter().find(|key| key["id"] == id).unwrap();
    assert_eq!((&of(id)["role"], &of(id)["name"]), (&"shop".into(), &"web-shop".into()));
    assert!(of(id)["expiresAt"].is_string() && of(id)["lastUsedAt"].is_null(), "{}", of(id));
    assert_eq!(of(customer["id"].as_str().unwrap())["customerId"], "customer-42");
    let list = told(&ordo, &["key", "list"]).await;
    assert!(list.contains("web-shop") && list.contains("never") && !list.contains(secret), "{list}");

    told(&ordo, &["key", "revoke", id]).await;
    assert!(listed(&ordo, &["key", "list", "--json"]).await.iter().all(|key| key["id"] != id));
    let all = listed(&ordo, &["key", "list", "--all", "--json"]).await;
    assert!(all.iter().any(|key| key["id"] == id && key["revokedAt"].is_string()), "{all:?}");

    let database = [("DATABASE_URL", ordo.database.as_str())];
    for (arguments, code, says) in [
        (&["key", "revoke", "0123456789abcdef"][..], 1, "ordo: there is no API key 0123456789abcdef\n"),
        (&["key", "create", "--role", "customer"], 1, "ordo: the role customer needs a customer's id"),
        (
            &["key", "create", "--role", "shop", "--customer", "c"],
            1,
            "ordo: a customer's id goes with the role customer",
        ),
        (&["key", "create", "--role", "shop", "--name", ""], 1, "ordo: the name must have"),
        (&["key", "revoke", "x"], 2, "error: invalid value"),
        (&["key", "create"], 2, "error: the following required arguments"),
        (&["key", "create", "--role", "shop", "--expires", "0s"], 2, "error: invalid value"),
    ] {
        let refused = run(arguments, &database).await;
        assert_eq!((refused.code, refused.out.as_str()), (code, ""), "{arguments:?}");
        assert!(refused.err.starts_with(says), "{}", refused.err);
    }
}

#[tokio::test]
async fn a_key_and_a_token_let_in_whom_they_name_and_a_revoked_key_nobody() {
    let folder = folder();
    let ordo = Ordo::up_on(folder.path(), &[("ORDO_REQUIRE_AUTH", "true")]).await;
    let key = told(&ordo, &["key", "create", "--role", "shop", "--name", "web-shop"]).await;
    let key = key.trim_end();
    let shop = ordo.client().with_token(key);
    assert_eq!(shop.order(&demo_order("by-key")).await.status, 201);
    let data_dir = folder.path().to_str().unwrap();
    let token = run(&["token", "--role", "shop", "--data-dir", data_dir], &[]).await;
    let with_token = ordo.client().with_token(token.out.trim_end());
    assert_eq!(with_token.order(&demo_order("by-token")).await.status, 201);

    let forged = format!("{}{}", &key[..27], "A".repeat(43));
    for credential in ["x", &forged, &token.out.trim_end()[1..]] {
        let refused = ordo.client().with_token(credential).order(&demo_order("by-nobody")).await;
        assert_eq!(refused.header("www-authenticate"), "Bearer error=\"invalid_token\"");
        assert_eq!(refused.problem(401)["code"], "invalid-credential");
    }

    let id = &key["ordo_live_".len()..26];
    told(&ordo, &["key", "revoke", id]).await;
    let revoked = async {
        while shop.get("/orders/by-key").await.status != 401 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), revoked).await.unwrap();
}

#[tokio::test]
async fn the_last_use_of_a_key_is_known_after_a_stop() {
    let database = testkit::durable_database().await;
    let settings = [("DATABASE_URL", database.url())];
    assert_eq!(run(&["migrate"], &settings).await.code, 0);
    let mut ordo = Ordo::serve("command-api", &settings).await;
    let key = run(&["key", "create", "--role", "shop"], &settings).await;
    let shop = ordo.client().with_token(key.out.trim_end());
    assert_eq!(shop.order(&demo_order("by-key")).await.status, 201);

    ordo.signal(Signal::TERM);
    assert!(ordo.ended(Duration::from_secs(10)).await.unwrap().success());
    let keys = run(&["key", "list", "--json"], &settings).await;
    let keys: Value = serde_json::from_str(&keys.out).unwrap();
    assert!(keys["keys"][0]["lastUsedAt"].is_string(), "{keys}");
}
