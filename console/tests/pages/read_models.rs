//! The items of read models, and a stream through a projection.

use access_control::Role;
use http::StatusCode;
use serde_json::json;

use crate::support::{Fixture, as_role};

#[tokio::test]
async fn items_are_found_by_table_key_and_index() {
    let fixture = Fixture::new().await;
    let operator = as_role(Role::Operator);
    fixture.order(&testkit::demo_order("o-1"), |content| content).await;
    fixture.order(&testkit::demo_order("o-2"), |content| content).await;
    let models = fixture.page("/read-models?streamId=o-1", &operator).await.body;
    for shown in ["/read-models/orders?generation=live", "/read-models/stock?", "value=\"o-1\""] {
        assert!(models.contains(shown), "{shown}: {models}");
    }
    assert!(!models.contains("generation=next"), "{models}");
    let all = fixture.page("/read-models/orders?generation=live&index=&pk=&limit=2", &operator).await.body;
    assert!(all.contains("ORDER#o-1") && !all.contains("ORDER#o-2") && all.contains("rel=\"next\""), "{all}");
    let of_order = fixture.page("/read-models/orders?pk=ORDER%23o-2&sk=%23META", &operator).await.body;
    for shown in ["ORDER#o-2", "#META", "gsi1:", "/log/2\"", "&#34;orderId&#34;: &#34;o-2&#34;"] {
        assert!(of_order.contains(shown), "{shown}: {of_order}");
    }
    assert!(!of_order.contains("LINE#001"), "{of_order}");
    // The partition of an index that the item names.
    let link = of_order.split("gsi1: <a href=\"").nth(1).unwrap().split('"').next().unwrap();
    let of_index = fixture.page(&link.replace("&#38;", "&").replace("&amp;", "&"), &operator).await;
    assert!(of_index.status == StatusCode::OK && of_index.body.contains("ORDER#o-2"), "{link}: {}", of_index.body);
    for (path, status) in [
        ("/read-models/lost", 404),
        ("/read-models/orders?generation=previous", 404),
        ("/read-models/orders?sk=a", 422),
        ("/read-models/steps?projection=orders&streamId=nobody", 404),
        ("/read-models/steps", 404),
    ] {
        assert_eq!(fixture.page(path, &operator).await.status.as_u16(), status, "{path}");
    }
    fixture.end().await;
}

#[tokio::test]
async fn a_stream_is_stepped_through_a_projection() {
    let fixture = Fixture::new().await;
    let operator = as_role(Role::Operator);
    fixture.order(&testkit::demo_order("o-1"), |content| content).await;
    fixture.happen("o-1", &[json!({ "OrderHeld": { "holdId": "h-1", "reason": "looks like fraud" } })], None).await;
    let first = fixture.page("/read-models/steps?projection=orders&streamId=o-1&limit=1", &operator).await.body;
    for shown in ["1: order created", "<span class=\"tag good\">new</span>", "LINE#001", "/log/1\"", "rel=\"next\""] {
        assert!(first.contains(shown), "{shown}: {first}");
    }
    let second =
        fixture.page("/read-models/steps?projection=orders&streamId=o-1&limit=1&cursor=1", &operator).await.body;
    for shown in ["2: order held", "changed</span>", "/holds/0/reason", "looks like fraud"] {
        assert!(second.contains(shown), "{shown}: {second}");
    }
    assert!(!second.contains("rel=\"next\"") && !second.contains("order created"), "{second}");
    let sums = fixture.page("/read-models/steps?projection=sales&streamId=o-1", &operator).await.body;
    assert!(sums.contains("Adds to"), "{sums}");
    fixture.end().await;
}
