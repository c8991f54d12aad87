mod details;
mod measures;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::body::MAX_VIOLATIONS;

const DEMO: &str = include_str!("../../../../golden/posted/demo-order.json");
/// One rejected body a line, with the status it gets and the pointer its violations must name.
const BAD: &str = include_str!("../../../../golden/posted/bad-orders.jsonl");

fn demo() -> Value {
    serde_json::from_str(DEMO).unwrap()
}

fn violations(body: &Value) -> Vec<(String, &'static str)> {
    match PostedOrder::parse(body.to_string().as_bytes()) {
        Err(InvalidBody::Invalid(violations)) => violations.into_iter().map(|v| (v.pointer, v.code)).collect(),
        other => panic!("expected violations of {body}, got {other:?}"),
    }
}

#[test]
fn the_demo_order_is_taken_as_it_is() {
    let order = PostedOrder::parse(DEMO.as_bytes()).unwrap();
    assert_eq!(order.order_id.unwrap().as_str(), "demo-1759035874968");
    assert_eq!(order.content.total().to_string(), "129.99");
    assert_eq!(order.content.lines.len(), 1);
    assert_eq!(order.content.lines[0].unit_price_minor, 12_999);
}

#[test]
fn what_has_no_title_goes_by_its_sku() {
    let mut body = demo();
    body["items"][0].as_object_mut().unwrap().remove("title");
    let content = PostedOrder::parse(body.to_string().as_bytes()).unwrap().content;
    assert_eq!(content.lines[0].title, "sku-123");
    body["items"][0]["title"] = json!(7);
    assert_eq!(violations(&body), [("/items/0/title".to_owned(), "wrong_type")]);
}

#[test]
fn when_the_customer_ordered_is_kept_if_the_shop_says_so() {
    let mut body = demo();
    body["createdAtIso"] = json!("2025-10-11T11:00:00.000+02:00");
    let content = PostedOrder::parse(body.to_string().as_bytes()).unwrap().content;
    assert_eq!(serde_json::to_value(&content).unwrap()["placedAt"], "2025-10-11T09:00:00Z");
    // Without it an order is stored as it always was.
    let without = PostedOrder::parse(DEMO.as_bytes()).unwrap().content;
    assert!(serde_json::to_value(&without).unwrap().get("placedAt").is_none());
    for wrong in ["", "yesterday", "2025-10-11", "2025-10-11T09:00:00", "0000-01-01T00:00:00+01:00"] {
        body["createdAtIso"] = json!(wrong);
        assert_eq!(violations(&body), [("/createdAtIso".to_owned(), "invalid")], "{wrong}");
    }
}

#[test]
fn every_kind_of_bad_order_is_refused_where_it_is_wrong() {
    for line in BAD.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let refused = PostedOrder::parse(case["body"].as_str().unwrap().as_bytes()).unwrap_err();
        match (case["status"].as_u64().unwrap(), refused) {
            (400, InvalidBody::Malformed(_)) => {}
            (422, InvalidBody::Invalid(violations)) => {
                let pointer = case["pointer"].as_str().unwrap();
                assert!(violations.iter().any(|v| v.pointer == pointer), "{}: {violations:?}", case["name"]);
            }
            (_, refused) => panic!("{}: {refused:?}", case["name"]),
        }
    }
}

#[test]
fn every_violation_is_in_one_answer() {
    let body = json!({
        "orderId": "", "currency": "usd", "totalAmount": true, "items": [{ "quantity": 0 }, 7], "x/y~": 1
    });
    assert_eq!(
        violations(&body),
        [
            ("/x~1y~0".to_owned(), "unknown_field"),
            ("/orderId".to_owned(), "invalid"),
            ("/customerId".to_owned(), "required"),
            ("/currency".to_owned(), "invalid"),
            ("/totalAmount".to_owned(), "wrong_type"),
            ("/items/0/sku".to_owned(), "required"),
            ("/items/0/quantity".to_owned(), "out_of_range"),
            ("/items/0/unitPrice".to_owned(), "required"),
            ("/items/1".to_owned(), "wrong_type"),
        ]
    );
}

#[test]
fn a_field_of_a_later_line_is_named_with_its_line() {
    let mut body = demo();
    body["items"] = json!([body["items"][0], { "sku": "a\nb", "title": 1, "quantity": 1, "unitPrice": true }]);
    assert_eq!(
        violations(&body),
        [
            ("/items/1/sku".to_owned(), "invalid"),
            ("/items/1/title".to_owned(), "wrong_type"),
            ("/items/1/unitPrice".to_owned(), "wrong_type"),
        ]
    );
}

#[test]
fn a_payment_token_is_kept_as_it_was_given() {
    let mut body = demo();
    body["paymentToken"] = json!("tok_visa-4242");
    let content = PostedOrder::parse(body.to_string().as_bytes()).unwrap().content;
    assert_eq!(content.payment_token, Some(PaymentToken::parse("tok_visa-4242").unwrap()));
    assert_eq!(serde_json::to_value(&content).unwrap()["paymentToken"], "tok_visa-4242");
    body["paymentToken"] = json!("tok visa");
    assert_eq!(violations(&body), [("/paymentToken".to_owned(), "invalid")]);
}

#[test]
fn an_address_that_no_mail_could_go_to_is_refused() {
    let mut body = demo();
    body["customerEmail"] = json!("ann@exa_mple.com");
    assert_eq!(violations(&body), [("/customerEmail".to_owned(), "invalid")]);
}

#[test]
fn amounts_may_be_texts_and_what_is_optional_may_be_null() {
    let mut body = demo();
    body["totalAmount"] = json!("129.99");
    body["items"][0]["unitPrice"] = json!("12999e-2");
    for field in ["orderId", "notes", "metadata", "customerEmail", "paymentToken"] {
        body[field] = Value::Null;
    }
    let order = PostedOrder::parse(body.to_string().as_bytes()).unwrap();
    assert_eq!((order.order_id, order.content.notes, order.content.metadata), (None, None, None));
    assert_eq!(order.content.total_minor, 12_999);
}

#[test]
fn a_field_given_twice_is_refused() {
    let body = DEMO.replacen('{', r#"{ "customerId": "someone-else", "#, 1);
    let refused = PostedOrder::parse(body.as_bytes()).unwrap_err();
    let InvalidBody::Invalid(violations) = refused else { panic!("{refused:?}") };
    assert_eq!((violations[0].pointer.as_str(), violations[0].code), ("/customerId", "duplicate_field"));
}

#[test]
fn a_sum_that_does_not_fit_is_refused() {
    let mut body = demo();
    body["totalAmount"] = json!("92233720368547758.07");
    body["items"][0]["unitPrice"] = json!("92233720368547758.07");
    body["items"][0]["quantity"] = json!(2);
    assert_eq!(violations(&body), [("/totalAmount".to_owned(), "not_the_sum")]);
}

#[test]
fn a_flood_of_violations_is_cut_and_says_so() {
    let mut body = demo();
    for n in 0..5_000 {
        body[format!("field-{n}")] = json!(1);
    }
    let found = violations(&body);
    assert_eq!(found.len(), MAX_VIOLATIONS + 1);
    assert_eq!(found[MAX_VIOLATIONS].1, "too_many_violations");
}

/// JSON that is like an order here and there.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        Just(json!("129.99")),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        let name = prop_oneof![
            prop::sample::select(vec!["sku", "title", "unitPrice", "metadata", "attributes", "id", "line1", "country"])
                .prop_map(String::from),
            "\\PC{0,8}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = PostedOrder::parse(&bytes);
    }

    #[test]
    fn no_cut_or_changed_order_panics(cut in 0..DEMO.len(), at in 0..DEMO.len(), byte: u8) {
        let mut bytes = DEMO.as_bytes().to_vec();
        bytes[at] = byte;
        let _ = PostedOrder::parse(&bytes);
        let _ = PostedOrder::parse(&DEMO.as_bytes()[..cut]);
    }

    #[test]
    fn an_order_with_anything_in_a_field_is_taken_whole_or_refused_with_a_reason(
        field in prop::sample::select(vec![
            "orderId", "customerId", "customerEmail", "currency", "totalAmount", "items", "paymentToken", "notes",
            "metadata", "other", "customer", "billingAddress", "shippingAddress", "channel", "source", "tags", "placedAt",
            "exchangeFor",
        ]),
        value in anything(),
    ) {
        let mut body = demo();
        body[field] = value;
        match PostedOrder::parse(body.to_string().as_bytes()) {
            Ok(order) => {
                let currency = order.content.currency;
                let sum: i64 = order.content.lines.iter().map(|line| line.total(currency).minor()).sum();
                prop_assert_eq!(sum, order.content.total_minor);
            }
            Err(InvalidBody::Invalid(violations)) => {
                prop_assert!(!violations.is_empty());
                // Another currency changes what the amounts may be, other items change the sum.
                let elsewhere = ["currency", "items"].contains(&field);
                let under = format!("/{field}");
                prop_assert!(elsewhere || violations.iter().all(|v| v.pointer.starts_with(&under)), "{:?}", violations);
            }
            Err(InvalidBody::Malformed(error)) => return Err(TestCaseError::fail(error.to_string())),
        }
    }
}

#[test]
fn a_currency_that_is_not_known_hides_no_other_mistake() {
    let mut body = demo();
    body["currency"] = json!("usd");
    body["totalAmount"] = json!("1e");
    body["items"][0]["unitPrice"] = json!(-129.99);
    let pointers = |body: &Value| violations(body).into_iter().map(|(pointer, _)| pointer).collect::<Vec<_>>();
    assert_eq!(pointers(&body), ["/currency", "/totalAmount", "/items/0/unitPrice"]);
    body["totalAmount"] = json!("1.005");
    body["items"][0]["unitPrice"] = json!("-0.00");
    assert_eq!(pointers(&body), ["/currency"], "how many decimals it may have is not known");
}
