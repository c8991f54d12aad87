//! What depends on who calls: the actor, idempotency keys, one's own orders, how much may be refunded.

use access_control::{Principal, Role, RoutePermission};
use serde_json::{Value, json};

use crate::shop::{Answer, Shop};

fn of_role(role: Role) -> Principal {
    Principal::new(role, "ada", None)
}

fn customer(id: &str) -> Principal {
    Principal::customer("ada", id, None)
}

async fn refund(shop: &Shop, caller: (Principal, RoutePermission), body: Value) -> Answer {
    shop.called_by(caller.0, caller.1).post("/orders/a/refunds", body).await
}

#[tokio::test]
async fn a_key_belongs_to_its_caller() {
    let shop = Shop::with_confirmed_order().await;
    let key = [("idempotency-key", "k-1")];
    let note = json!({ "text": "x" });
    let others = [(Role::Shop, "bob"), (Role::Support, "ada"), (Role::Operator, "ada"), (Role::Shop, "ada")];
    let mut ids = Vec::new();
    for (role, subject) in others {
        let caller = shop.called_by(Principal::new(role, subject, None), RoutePermission::All);
        let first = caller.post_with("/orders/a/notes", note.clone(), &key).await;
        assert_eq!((first.status, first.header("idempotent-replayed")), (201, ""), "{role} {subject}");
        let again = caller.post_with("/orders/a/notes", note.clone(), &key).await;
        assert_eq!((&again.body, again.header("idempotent-replayed")), (&first.body, "true"));
        ids.push(first.body["noteId"].clone());
    }
    ids.dedup();
    assert_eq!(ids.len(), others.len());
}

#[tokio::test]
async fn a_key_of_an_earlier_build_still_answers_whoever_may_have_been_the_shop() {
    let shop = Shop::with_confirmed_order().await;
    let (key, note) = ([("idempotency-key", "k-1")], json!({ "text": "x" }));
    // This process has seen that there was no such key a moment ago.
    shop.post_with("/orders/a/notes", note.clone(), &[("idempotency-key", "k-0")]).await;
    let first = shop.post_with("/orders/a/notes", note.clone(), &key).await;
    let earlier = "update idempotency_records set scope = 'shop POST /orders/notes' where key = 'k-1'";
    assert_eq!(sqlx::query(earlier).execute(shop.store.pool()).await.unwrap().rows_affected(), 1);
    for role in [Role::Shop, Role::Operator] {
        let caller = shop.called_by(of_role(role), RoutePermission::All);
        let again = caller.post_with("/orders/a/notes", note.clone(), &key).await;
        assert_eq!((&again.body, again.header("idempotent-replayed")), (&first.body, "true"), "{role}");
        let reused = caller.post_with("/orders/a/notes", json!({ "text": "y" }), &key).await;
        assert_eq!((reused.status, &reused.body["code"]), (422, &json!("idempotency-key-reused")), "{role}");
    }
    let support = shop.called_by(of_role(Role::Support), RoutePermission::All);
    let its_own = support.post_with("/orders/a/notes", note, &key).await;
    assert_eq!((its_own.status, its_own.header("idempotent-replayed")), (201, ""));
}

#[tokio::test]
async fn customers_whose_keys_have_one_name_are_two_callers() {
    let shop = Shop::with_confirmed_order().await;
    let own = shop.called_by(customer("customer-42"), RoutePermission::Own);
    let key = [("idempotency-key", "k-1")];
    let another = shop.called_by(customer("customer-43"), RoutePermission::All);
    let first = own.post_with("/orders/a/notes", json!({ "text": "x" }), &key).await;
    let its_own = another.post_with("/orders/a/notes", json!({ "text": "y" }), &key).await;
    assert_eq!((first.status, its_own.status), (201, 201), "{}", its_own.body);
}

#[tokio::test]
async fn another_customers_order_is_answered_like_one_that_is_not_there() {
    let shop = Shop::with_shipped_order().await;
    let version = shop.version().await;
    let another = shop.called_by(customer("customer-43"), RoutePermission::Own);
    for (command, body) in [
        ("cancel", json!({})),
        ("cancel", json!({ "reason": 7 })),
        ("returns", json!({ "lines": [{ "lineNumber": 1, "quantity": 1 }] })),
        ("notes", json!({ "text": "x" })),
        ("notes", json!({})),
    ] {
        for headers in [&[][..], &[("if-match", "\"1\"")], &[("if-match", "*")], &[("idempotency-key", "k")]] {
            let others = another.post_with(&format!("/orders/a/{command}"), body.clone(), headers).await;
            let missing = another.post_with(&format!("/orders/missing/{command}"), body.clone(), headers).await;
            assert_eq!((others.status, &others.body), (404, &missing.body), "{command} {body} {headers:?}");
            assert_eq!(missing.status, 404);
        }
    }
    assert_eq!(shop.version().await, version);
    let own = shop.called_by(customer("customer-42"), RoutePermission::Own);
    assert_eq!(own.post("/orders/a/notes", json!({ "text": "x" })).await.status, 201);
    let posed = own.post("/orders/a/notes", json!({ "text": "x", "author": "Support" })).await;
    assert_eq!(posed.violation(), ("/author", "not_for_customers"));
}

#[tokio::test]
async fn support_refunds_up_to_its_limit_however_often_it_asks_and_whoever_of_it_asks() {
    let shop = Shop::with_shipped_order().await;
    let support = |name: &str| (Principal::new(Role::Support, name, None), RoutePermission::UpToAmount);
    let too_much = |answer: &Answer, left: &str| {
        assert_eq!((answer.status, &answer.body["code"]), (403, &json!("refund-limit")), "{}", answer.body);
        assert_eq!((&answer.body["limit"], &answer.body["left"]), (&json!("10.00"), &json!(left)));
    };
    // All that is left are 25.50.
    too_much(&refund(&shop, support("ann"), json!({})).await, "10.00");
    too_much(&refund(&shop, support("ann"), json!({ "amount": "10.01" })).await, "10.00");
    let first = json!({ "amount": "6", "refundId": "f-1" });
    assert_eq!(refund(&shop, support("ann"), first.clone()).await.status, 202);
    assert_eq!(refund(&shop, support("ann"), first).await.status, 202, "the same again asks for nothing more");
    too_much(&refund(&shop, support("ben"), json!({ "amount": "4.01" })).await, "4.00");
    // What others refund does not count.
    assert_eq!(
        refund(&shop, (of_role(Role::Finance), RoutePermission::All), json!({ "amount": "12" })).await.status,
        202
    );
    assert_eq!(refund(&shop, support("ben"), json!({ "amount": "4" })).await.status, 202);
    too_much(&refund(&shop, support("ann"), json!({ "amount": "0.01" })).await, "0.00");
}
