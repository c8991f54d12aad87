//! What makes no sense is answered with what is wrong, all of it at once.

use serde_json::Value;

use crate::shop::{Placed, Shop, at};

#[tokio::test]
async fn what_is_asked_wrongly_is_answered_with_the_parameter_and_what_it_may_be() {
    let shop = Shop::open().await;
    let huge = "x".repeat(129);
    let long_ago = "/sales?from=2026-01-01&to=2026-12-31";
    for (uri, status, parameter, says) in [
        ("/orders?status=shipped", 422, "?status", "pending, confirmed, completed, rejected, cancelled"),
        ("/orders?status=", 422, "?status", "must be one of"),
        ("/orders?held=yes", 422, "?held", "must be true or false"),
        ("/orders?status=Pending", 422, "?status", "must be one of"),
        ("/orders?status=pending&status=pending", 422, "?status", "must be given once"),
        ("/orders?customerId=", 422, "?customerId", "must not be empty"),
        ("/orders?customerId=%00", 422, "?customerId", "may only contain"),
        (&format!("/orders?sku={huge}"), 422, "?sku", "at most 128"),
        ("/orders?sku=%20a", 422, "?sku", "must not begin or end with a space"),
        ("/orders?sku=a%E2%80%8Bb", 422, "?sku", "must not contain U+200B"),
        ("/orders?from=yesterday", 422, "?from", "2026-11-20"),
        ("/orders?to=2026-02-30", 422, "?to", "2026-11-20"),
        ("/orders?from=2026-11-20T10:00:00+02:00", 422, "?from", "%2B"),
        ("/orders?from=2026-11-21&to=2026-11-20", 422, "?to", "must not be before from"),
        ("/orders?email=nobody", 422, "?email", ""),
        ("/orders?paymentStatus=paid", 422, "?paymentStatus", "must be one of none, "),
        ("/orders?fulfilmentStatus=", 422, "?fulfilmentStatus", "must be one of none, reserved,"),
        ("/orders?returnsStatus=None", 422, "?returnsStatus", "must be one of none, requested,"),
        ("/orders?orderNumber=", 422, "?orderNumber", "1 to 100 characters"),
        ("/orders?tag=", 422, "?tag", "1 to 100 characters"),
        ("/orders?channel=a%00b", 422, "?channel", "on one line"),
        (&format!("/orders?source={huge}"), 422, "?source", "1 to 100 characters"),
        ("/orders?currency=eur", 422, "?currency", "ISO 4217"),
        ("/orders?totalFrom=1.00", 422, "?currency", "as totalFrom is given"),
        ("/orders?totalTo=1.001&currency=EUR", 422, "?totalTo", ""),
        ("/orders?totalTo=-1&currency=EUR", 422, "?totalTo", ""),
        ("/orders?totalFrom=2&totalTo=1&currency=EUR", 422, "?totalTo", "must not be less than totalFrom"),
        ("/orders?sort=price", 422, "?sort", "created, -created, updated, -updated, total, -total"),
        ("/orders?sort=-total", 422, "?currency", "totals of several are not compared"),
        ("/orders?q=", 422, "?q", "a letter or a digit"),
        ("/orders?q=%27%20%26%20%21", 422, "?q", "a letter or a digit"),
        ("/orders?q=a+b+c+d+e+f+g+h+i+j+k", 422, "?q", "at most 10 words"),
        ("/orders?limit=0", 422, "?limit", "from 1 to 200"),
        ("/orders?limit=201", 422, "?limit", "from 1 to 200"),
        ("/orders?limit=70000", 422, "?limit", "from 1 to 200"),
        ("/orders?limit=-1", 422, "?limit", "from 1 to 200"),
        ("/orders?limit=many", 422, "?limit", "must be a whole number"),
        (
            "/orders?colour=red",
            422,
            "?colour",
            "there is no such parameter; there are customerId, email, q, orderNumber, exchangeFor, sku, status,",
        ),
        ("/orders?cursor=nonsense", 422, "?cursor", "no cursor of this query"),
        ("/orders?cursor=", 422, "?cursor", "no cursor of this query"),
        ("/customers/c/orders?customerId=c", 422, "?customerId", "path"),
        ("/customers/c/orders?status=shipped", 422, "?status", "must be one of"),
        ("/customers/%00/orders?limit=0", 422, "?limit", "from 1 to 200"),
        ("/orders?minPosition=soon", 422, "?minPosition", "must be a whole number"),
        ("/stock?limit=0", 422, "?limit", "from 1 to 200"),
        ("/stock?cursor=x", 422, "?cursor", "no cursor of this query"),
        ("/stock?sku=x", 422, "?sku", "there are limit, low, cursor, minPosition"),
        ("/events?sort=created", 422, "?sort", "position or -position"),
        ("/events?fromPosition=-1", 422, "?fromPosition", "0 or more"),
        ("/events?type=OrderLost", 422, "?type", "there is no event"),
        ("/events?streamType=account", 422, "?streamType", "order and stock"),
        ("/events?streamId=a", 422, "?streamType", "is required with streamId"),
        ("/events?cursor=-1", 422, "?cursor", "earlier answer"),
        ("/events?from=2026-11-21&to=2026-11-20", 422, "?to", "must not be before from"),
        ("/events?limit=201", 422, "?limit", "from 1 to 200"),
        ("/audit?actor=shop:web", 422, "?actor", "operator, support, finance or warehouse"),
        ("/audit?actor=operator:", 422, "?actor", "who it is"),
        ("/read-models/orders/items?generation=old", 422, "?generation", "live, next, previous"),
        ("/read-models/orders/items?index=gsi4&pk=a", 422, "?index", "gsi1, gsi2, gsi3"),
        ("/read-models/orders/items?sk=a", 422, "?pk", "is required with sk"),
        ("/read-models/orders/items?pk=%00", 422, "?pk", "without U+0000"),
        ("/read-models/orders/items?cursor=x", 422, "?cursor", "earlier answer"),
        ("/audit?cursor=x", 422, "?cursor", "earlier answer"),
        ("/sales", 422, "?day", "is required"),
        ("/sales?day=today", 422, "?day", "2026-11-20"),
        ("/sales?day=2026-11-20T00:00:00Z", 422, "?day", "2026-11-20"),
        ("/sales?day=2026-11-20&from=2026-11-20", 422, "?day", "leave one out"),
        ("/sales?from=2026-11-20", 422, "?to", "is required with from"),
        ("/sales?to=2026-11-20", 422, "?from", "is required with to"),
        ("/sales?from=2026-11-20&to=2026-11-19", 422, "?to", "must not be before from"),
        (long_ago, 422, "?to", "at most 92 days"),
        ("/sales?day=2026-11-20&currency=usd", 422, "?currency", "ISO 4217"),
        ("/sales?day=2026-11-20&status=sold", 422, "?status", "must be one of"),
        ("/sales?day=2026-11-20&hour=7", 422, "?hour", "there are day, from, to, currency, status, minPosition"),
    ] {
        let (answered, problem) = shop.get(uri).await;
        assert_eq!(answered.as_u16(), status, "{uri}: {problem}");
        assert!(problem.to_string().contains(says), "{uri}: {problem}");
        assert_eq!(problem["errors"][0]["pointer"], parameter, "{uri}: {problem}");
    }
    shop.close().await;
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_at_once() {
    let shop = Shop::open().await;
    let (_, problem) = shop.get("/orders?customerId=a%20b&status=lost&from=x&to=y&limit=0&sku=").await;
    let wrong: Vec<&Value> = problem["errors"].as_array().unwrap().iter().map(|error| &error["pointer"]).collect();
    assert_eq!(wrong, ["?customerId", "?sku", "?status", "?from", "?to", "?limit"]);
    shop.close().await;
}

#[tokio::test]
async fn a_cursor_is_good_for_exactly_its_own_question() {
    let shop = Shop::open().await;
    let created = at("2026-11-10T10:00:00Z");
    let orders: Vec<Placed> = (0..3).map(|nth| Placed::new(&format!("o-{nth}"), "c", created)).collect();
    shop.reached("orders", shop.take(&orders).await).await;
    let questions = [
        "",
        "from=2026-11-01",
        "to=2026-11-20",
        "from=2026-11-01&to=2026-11-20",
        "from=2026-11-02&to=2026-11-20",
        "status=pending",
        "status=pending&from=2026-11-01",
        "sku=headphone",
        "sku=headphone&status=pending",
        "customerId=c",
        "customerId=c&sku=headphone",
        "customerId=c&status=pending",
        "sort=created",
        "sort=updated",
        "sort=-updated",
        "sort=total&currency=USD",
        "sort=-total&currency=USD",
        "currency=USD",
        "q=head",
        "q=headphone",
        "q=head&status=pending",
    ];
    let mut cursors = Vec::new();
    for question in questions {
        let page = shop.ok(&format!("/orders?{question}&limit=1")).await;
        cursors.push(page["cursor"].as_str().unwrap_or_else(|| panic!("{question} has one page")).to_owned());
    }
    for (of, cursor) in questions.iter().zip(&cursors) {
        for question in questions {
            // Another limit is the same question.
            let (status, answer) = shop.get(&format!("/orders?{question}&limit=2&cursor={cursor}")).await;
            assert_eq!(status.as_u16(), if *of == question { 200 } else { 422 }, "{question}, of {of}: {answer}");
        }
    }
    // As a customer's path it is the same question, too.
    let theirs = &cursors[9];
    assert_eq!(shop.get(&format!("/customers/c/orders?cursor={theirs}")).await.0.as_u16(), 200);
    shop.close().await;
}
