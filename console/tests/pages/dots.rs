//! Ids that browsers take for folders in a path, as orders of earlier builds have them.

use access_control::Role;
use domain::order::event::OrderEvent;
use domain::order::parse::PostedOrder;
use http::StatusCode;

use crate::support::{Fixture, as_role, session};

#[tokio::test]
async fn an_order_whose_id_is_dots_is_opened_and_acted_on() {
    let fixture = Fixture::new().await;
    let operator = as_role(Role::Operator);
    let content = PostedOrder::parse(testkit::demo_order("o-1").to_string().as_bytes()).unwrap().content;
    let created = serde_json::to_value(OrderEvent::OrderCreated(content)).unwrap();
    for (id, part) in [(".", "!."), ("..", "!..")] {
        fixture.happen(id, std::slice::from_ref(&created), None).await;
        let page = format!("/orders/{part}");
        let list = fixture.page("/orders", &operator).await;
        assert!(list.body.contains(&format!("href=\"{page}\"")), "{}", list.body);
        let shown = fixture.page(&page, &operator).await;
        assert_eq!(shown.status, StatusCode::OK, "{}", shown.body);
        for link in [format!("{page}?asOf=1"), format!("hx-get=\"{page}\""), format!("orderId={id}")] {
            assert!(shown.body.contains(&link), "{link}: {}", shown.body);
        }
        assert_eq!(fixture.page(&format!("{page}/events/1"), &operator).await.status, StatusCode::OK);
        let action = format!("{page}/notes");
        let mut form = shown.hidden_fields(&action);
        form.push(("/text".to_owned(), "opened".to_owned()));
        let done = fixture.send_form(&action, &session(&operator), &form).await;
        assert_eq!(
            (done.status, done.headers["location"].to_str().unwrap()),
            (StatusCode::SEE_OTHER, page.as_str()),
            "{}",
            done.body
        );
        let notes = "select count(*) from events where aggregate_id = $1 and event_type = 'NoteAdded'";
        let notes: i64 = sqlx::query_scalar(notes).bind(id).fetch_one(fixture.database.pool()).await.unwrap();
        assert_eq!(notes, 1, "{id}");
    }
    fixture.end().await;
}
