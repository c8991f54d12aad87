//! Who ordered, where it goes, and what the goods are.

use super::*;

fn taken(body: &Value) -> Value {
    let order = PostedOrder::parse(body.to_string().as_bytes()).unwrap_or_else(|error| panic!("{body}: {error:?}"));
    serde_json::to_value(order.content).unwrap()
}

fn with(name: &str, value: Value) -> Value {
    let mut body = demo();
    body[name] = value;
    body
}

fn ada() -> Value {
    json!({ "name": "Ada Lovelace", "line1": "12 St James's Square", "city": "London", "postalCode": "SW1Y 4JH",
            "country": "GB" })
}

#[test]
fn what_is_said_of_the_customer_is_kept() {
    let body = with(
        "customer",
        json!({ "id": "customer-42", "email": "ada@example.com", "name": "Ada Lovelace", "phone": "+44 20 7946 0000",
                "locale": "en-GB", "taxId": "GB123456789" }),
    );
    let content = taken(&body);
    assert_eq!((&content["customerId"], &content["customerEmail"]), (&json!("customer-42"), &json!("ada@example.com")));
    assert_eq!(
        content["customer"],
        json!({ "name": "Ada Lovelace", "phone": "+44 20 7946 0000", "locale": "en-GB", "taxId": "GB123456789" })
    );
    // Where it says no more than who it is, an order is as it was.
    let plain = with("customer", json!({ "id": "customer-42", "name": "", "phone": null }));
    assert_eq!(taken(&plain), taken(&demo()));
}

#[test]
fn a_guest_has_an_address_and_no_id() {
    let guest = |customer: Value, email: Option<&str>| {
        let mut body = with("customer", customer);
        body.as_object_mut().unwrap().remove("customerId");
        body["customerEmail"] = json!(email);
        body
    };
    for body in [
        guest(json!({ "email": "ada@example.com", "name": "Ada" }), None),
        guest(json!({ "email": "ada@example.com" }), Some("ada@example.com")),
        guest(json!({}), Some("ada@example.com")),
    ] {
        let content = taken(&body);
        assert_eq!((content.get("customerId"), &content["customerEmail"]), (None, &json!("ada@example.com")), "{body}");
    }
    for (body, pointer) in [
        (guest(json!({ "name": "Ada" }), None), "/customer/email"),
        (guest(json!({}), None), "/customer/email"),
        // Whoever says nothing of a customer has forgotten the id.
        (guest(Value::Null, Some("ada@example.com")), "/customerId"),
        (guest(Value::Null, None), "/customerId"),
    ] {
        assert_eq!(violations(&body), [(pointer.to_owned(), "required")], "{body}");
    }
}

#[test]
fn a_customer_is_named_in_either_place_and_not_by_two_names() {
    let mut body = with("customer", json!({ "id": "customer-42" }));
    body.as_object_mut().unwrap().remove("customerId");
    assert_eq!(taken(&body)["customerId"], "customer-42");
    body["customerId"] = json!("customer-43");
    body["customerEmail"] = json!("ann@example.com");
    body["customer"]["email"] = json!("ada@example.com");
    assert_eq!(
        violations(&body),
        [("/customer/id".to_owned(), "contradiction"), ("/customer/email".to_owned(), "contradiction")]
    );
    body["customer"] = json!({ "id": "a/b", "email": "x", "locale": "english", "name": "a\nb", "age": 7 });
    let pointers: Vec<String> = violations(&body).into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(pointers, ["/customer/age", "/customer/id", "/customer/email", "/customer/name", "/customer/locale"]);
    assert_eq!(violations(&with("customer", json!("Ada"))), [("/customer".to_owned(), "wrong_type")]);
}

#[test]
fn addresses_are_kept_with_what_their_country_needs() {
    let mut body = with("shippingAddress", ada());
    body["billingAddress"] = ada();
    let content = taken(&body);
    assert_eq!((&content["shippingAddress"], &content["billingAddress"]), (&ada(), &ada()));
    // Nobody filled in what is blank.
    body["shippingAddress"]["line2"] = json!(" ");
    assert_eq!(taken(&body)["shippingAddress"], ada());
}

#[test]
fn an_address_without_what_its_country_needs_is_refused_where_it_is_missing() {
    for (address, wrong) in [
        (json!({}), vec!["/line1", "/country"]),
        (json!({ "line1": "x", "country": "DE" }), vec!["/postalCode", "/city"]),
        (json!({ "line1": "x", "city": "Köln", "postalCode": "5066", "country": "DE" }), vec!["/postalCode"]),
        (json!({ "line1": "x", "city": "Reno", "postalCode": "89501", "country": "US" }), vec!["/region"]),
        (json!({ "line1": "x", "country": "IE" }), vec!["/city"]),
        (json!({ "line1": "x", "city": "y", "country": "de" }), vec!["/country"]),
        (json!({ "line1": "x\r\nBcc: y", "city": "y", "country": "IE", "floor": 2 }), vec!["/floor", "/line1"]),
        (json!({ "line1": "", "city": "y".repeat(201), "country": "IE" }), vec!["/line1", "/city"]),
    ] {
        for field in ["shippingAddress", "billingAddress"] {
            let found: Vec<String> = violations(&with(field, address.clone())).into_iter().map(|it| it.0).collect();
            let expected: Vec<String> = wrong.iter().map(|pointer| format!("/{field}{pointer}")).collect();
            assert_eq!(found, expected, "{address}");
        }
    }
    // No city is needed where there is but one.
    taken(&with("shippingAddress", json!({ "line1": "1 Raffles Place", "postalCode": "048616", "country": "SG" })));
}

#[test]
fn where_an_order_came_from_and_the_shops_labels_are_kept() {
    let mut body = with("channel", json!("web"));
    body["source"] = json!("newsletter");
    body["tags"] = json!(["import", "gift"]);
    let content = taken(&body);
    assert_eq!((&content["channel"], &content["source"]), (&json!("web"), &json!("newsletter")));
    assert_eq!(content["tags"], json!(["import", "gift"]));
    body["tags"] = json!(["a", "a", " ", 7]);
    assert_eq!(
        violations(&body),
        [("/tags/1".to_owned(), "duplicate"), ("/tags/2".to_owned(), "invalid"), ("/tags/3".to_owned(), "wrong_type"),]
    );
    body["tags"] = (0..51).map(|n| n.to_string()).collect();
    assert_eq!(violations(&body), [("/tags".to_owned(), "out_of_range")]);
}

#[test]
fn placed_at_is_created_at_iso() {
    assert_eq!(taken(&with("placedAt", json!("2026-10-31T10:00:00+01:00")))["placedAt"], "2026-10-31T09:00:00Z");
    let mut both = with("placedAt", json!("2026-10-31T10:00:00+01:00"));
    both["createdAtIso"] = json!("2026-10-31T09:00:00.000Z");
    assert_eq!(taken(&both)["placedAt"], "2026-10-31T09:00:00Z");
    both["createdAtIso"] = json!("2026-10-31T09:00:01Z");
    assert_eq!(violations(&both), [("/placedAt".to_owned(), "contradiction")]);
}

#[test]
fn what_the_goods_are_is_kept_with_their_line() {
    let mut body = demo();
    let details = json!({ "variant": "red, L", "attributes": { "engraving": "for\nAda", "size": "L" },
                          "requiresShipping": false, "giftCard": true });
    for (name, value) in details.as_object().unwrap() {
        body["items"][0][name] = value.clone();
    }
    let line = &taken(&body)["lines"][0];
    for (name, value) in details.as_object().unwrap() {
        assert_eq!(line[name], *value);
    }
    // What is so of most lines is not stored.
    body["items"][0] = demo()["items"][0].clone();
    body["items"][0]["requiresShipping"] = json!(true);
    body["items"][0]["giftCard"] = json!(false);
    body["items"][0]["attributes"] = json!({});
    assert_eq!(taken(&body), taken(&demo()));
}

#[test]
fn what_a_line_says_wrong_of_its_goods_is_refused_where_it_is() {
    let mut body = demo();
    body["items"][0]["attributes"] = json!({ "a/b": 7, "": "x", "c": "\0", "d": "x".repeat(501) });
    body["items"][0]["requiresShipping"] = json!("no");
    body["items"][0]["giftCard"] = json!(0);
    body["items"][0]["variant"] = json!("a\tb");
    let pointers: Vec<String> = violations(&body).into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(
        pointers,
        [
            "/items/0/variant",
            "/items/0/attributes/",
            "/items/0/attributes/a~1b",
            "/items/0/attributes/c",
            "/items/0/attributes/d",
            "/items/0/requiresShipping",
            "/items/0/giftCard",
        ]
    );
    body["items"] = json!([demo()["items"][0]]);
    body["items"][0]["attributes"] =
        (0..51).map(|n| (n.to_string(), json!("x"))).collect::<serde_json::Map<_, _>>().into();
    assert_eq!(violations(&body), [("/items/0/attributes".to_owned(), "out_of_range")]);
    let twice = DEMO.replacen(r#""sku":"#, r#""attributes": { "a": "1", "a": "2" }, "sku":"#, 1);
    let Err(InvalidBody::Invalid(violations)) = PostedOrder::parse(twice.as_bytes()) else { panic!("{twice}") };
    assert_eq!(violations[0].pointer, "/items/0/attributes/a");
}

#[test]
fn an_order_may_be_the_exchange_for_goods_of_another() {
    let exchange = json!({ "orderId": "o-1", "returnId": "r-1" });
    let body = with("exchangeFor", exchange.clone());
    assert_eq!(taken(&body)["exchangeFor"], exchange);
    for (exchange, expected) in [
        (json!({}), vec![("/exchangeFor/orderId", "required"), ("/exchangeFor/returnId", "required")]),
        (json!({ "orderId": "a b", "returnId": "r" }), vec![("/exchangeFor/orderId", "invalid")]),
        (json!({ "orderId": "o", "returnId": 7 }), vec![("/exchangeFor/returnId", "wrong_type")]),
        (json!({ "orderId": "o", "returnId": "r", "why": "" }), vec![("/exchangeFor/why", "unknown_field")]),
        (json!("o-1"), vec![("/exchangeFor", "wrong_type")]),
    ] {
        let found = violations(&with("exchangeFor", exchange));
        let found: Vec<_> = found.iter().map(|(pointer, code)| (pointer.as_str(), *code)).collect();
        assert_eq!(found, expected);
    }
    let mut own = with("exchangeFor", json!({ "orderId": "own", "returnId": "r" }));
    own["orderId"] = json!("own");
    assert_eq!(violations(&own), [("/exchangeFor/orderId".to_owned(), "invalid")]);
    // One answer names both.
    own["orderId"] = json!("a b");
    own["exchangeFor"]["orderId"] = json!("c d");
    let both = violations(&own);
    let both: Vec<_> = both.iter().map(|(pointer, code)| (pointer.as_str(), *code)).collect();
    assert_eq!(both, [("/orderId", "invalid"), ("/exchangeFor/orderId", "invalid")]);
}

#[test]
fn an_order_has_no_id_under_which_it_could_not_be_read_and_is_the_exchange_for_none() {
    for id in [".", "..", "export", "batch", "import"] {
        let mut named = with("exchangeFor", json!({ "orderId": id, "returnId": "r" }));
        named["orderId"] = json!(id);
        let found = violations(&named);
        assert!(
            ["/orderId", "/exchangeFor/orderId"].iter().all(|at| found.iter().any(|it| it.0 == *at)),
            "{id}: {found:?}"
        );
    }
}
