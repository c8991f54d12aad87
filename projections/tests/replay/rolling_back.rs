//! The previous generation becomes live again.

use cqrs_es::Aggregate;
use domain::ids::NoteId;
use domain::order::event::NoteAdded;
use domain::order::{Order, OrderEvent};
use event_store::{Metadata, NewEvent};

use crate::fixture::Fixture;

#[tokio::test]
async fn the_generation_before_takes_its_place_again_with_all_that_came_since() {
    // Given: a rebuild that mends something.
    let fixture = Fixture::new().await;
    let position = fixture.happens(0).await;
    fixture.follow(position).await;
    let spoil = "update read_model_orders set gsi1sk = 'before' where pk = 'ORDER#o-0' and sk = '#META'";
    sqlx::query(spoil).execute(fixture.pool()).await.unwrap();
    fixture.replay(&["orders"], false).await.unwrap();
    let mended = fixture.rows("read_model_orders").await;
    assert!(!mended[0].contains("before"));
    let position = fixture.happens(1).await;
    fixture.follow(position).await;
    let after = fixture.rows("read_model_orders").await;

    // When
    let went_back = fixture.replays.roll_back("orders").await.unwrap();

    // Then
    assert_eq!(went_back, position);
    let back = fixture.rows("read_model_orders").await;
    assert!(back[0].contains("before") && back.len() == after.len(), "{back:?}");
    assert_eq!(back[1..], after[1..]);
    // It goes on from there, and so does the way back.
    let position = fixture.happens(2).await;
    fixture.follow(position).await;
    assert_eq!(fixture.replays.roll_back("orders").await.unwrap(), position);
    let forth = fixture.rows("read_model_orders").await;
    assert!(!forth[0].contains("before") && forth.iter().any(|row| row.contains("ORDER#o-2")), "{forth:?}");
}

#[tokio::test]
async fn what_was_parked_when_a_generation_was_replaced_is_in_it_when_it_comes_back() {
    // Given: an order whose item can't be read, so that what happens to it is parked, and another one after it.
    let fixture = Fixture::new().await;
    let position = fixture.happens(0).await;
    fixture.follow(position).await;
    let spoil =
        "update read_model_orders set item = json_build_object('was', item) where pk = 'ORDER#o-0' and sk = '#META'";
    sqlx::query(spoil).execute(fixture.pool()).await.unwrap();
    let note = NoteAdded { note_id: NoteId::parse("n").unwrap(), text: "parked".into(), author: None };
    let note = NewEvent::new(&OrderEvent::NoteAdded(note), &Metadata::default()).unwrap();
    fixture.append(Order::TYPE, "o-0", 2, vec![note]).await;
    let position = fixture.happens(1).await;
    fixture.follow(position).await;
    assert_eq!(event_store::operations::parked_events(fixture.pool(), Some("orders")).await.unwrap().len(), 1);
    fixture.replay(&["orders"], false).await.unwrap();
    let rebuilt = fixture.rows("read_model_orders").await;

    // When: the item is mended where it is kept, and that generation comes back.
    let mend = "update read_model_orders_previous set item = item -> 'was' where pk = 'ORDER#o-0' and sk = '#META'";
    sqlx::query(mend).execute(fixture.pool()).await.unwrap();
    fixture.replays.roll_back("orders").await.unwrap();

    // Then
    assert_eq!(fixture.rows("read_model_orders").await, rebuilt);
}
