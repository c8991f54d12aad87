//! Lists: filters, pages, versions.

use access_control::Role;
use http::StatusCode;

use crate::support::{Fixture, as_role};

#[tokio::test]
async fn a_question_that_is_wrong_is_told_beside_its_form() {
    let fixture = Fixture::new().await;
    let operator = as_role(Role::Operator);
    let page = fixture.page("/orders?status=lost&totalFrom=1&from=yesterday", &operator).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    for named in ["status must be one of", "currency must be a currency", "from must be"] {
        assert!(page.body.contains(named), "{named}: {}", page.body);
    }
    assert!(page.body.contains("value=\"yesterday\""), "{}", page.body);
    for path in ["/orders?limit=1000", "/orders?cursor=x", "/orders?nothing=1"] {
        assert_eq!(fixture.page(path, &operator).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
    }
    for path in ["/sagas?state=lost", "/sagas?cursor=x", "/stock?limit=0"] {
        assert_eq!(fixture.page(path, &operator).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
    }
    fixture.end().await;
}

#[tokio::test]
async fn a_list_goes_on_page_by_page_with_its_filter() {
    let fixture = Fixture::new().await;
    let operator = as_role(Role::Operator);
    for id in ["o-1", "o-2", "o-3"] {
        fixture.order(&testkit::demo_order(id), |content| content).await;
    }
    let mut seen = Vec::new();
    let mut path = "/orders?customerId=customer-42&limit=2".to_owned();
    loop {
        let page = fixture.page(&path, &operator).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        let orders =
            page.body.split("<a href=\"/orders/o-").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        seen.extend(orders);
        let Some(next) = page.body.split("\" rel=\"next\">").next().filter(|_| page.body.contains("rel=\"next\""))
        else {
            break;
        };
        path = next.rsplit("href=\"").next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
        assert!(path.contains("customerId=customer-42"), "{path}");
    }
    assert_eq!(seen, ["3", "2", "1"]);
    fixture.end().await;
}

#[tokio::test]
async fn an_order_is_shown_with_its_timeline_and_as_it_was() {
    let fixture = Fixture::new().await;
    let operator = as_role(Role::Operator);
    fixture.order(&testkit::demo_order("o-1"), |content| content).await;
    let now = fixture.page("/orders/o-1", &operator).await.body;
    for shown in [
        "Wireless Headphones",
        "129.99 USD",
        "order created",
        "Pending since",
        "next is reserve stock",
        "/orders/o-1?asOf=1",
    ] {
        assert!(now.contains(shown), "{shown}: {now}");
    }
    let then = fixture.page("/orders/o-1?asOf=1", &operator).await.body;
    assert!(then.contains("As it was at version 1") && !then.contains("id=\"sagas\""), "{then}");
    fixture.end().await;
}
