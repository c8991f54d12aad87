use cqrs_es::{Aggregate, DomainEvent};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn content() -> OrderCreated {
    PostedOrder::parse(include_bytes!("../../golden/posted/demo-order.json")).unwrap().content
}

fn sent() -> NotificationSent {
    NotificationSent {
        notification_id: Uuid::from_u128(7),
        template: MailTemplate::OrderConfirmed,
        recipient: "customer@example.com".into(),
        provider_message_id: "0100-mail".into(),
    }
}

fn failed() -> NotificationFailed {
    NotificationFailed {
        notification_id: Uuid::from_u128(7),
        template: MailTemplate::OrderConfirmed,
        reason: "the address does not exist".into(),
    }
}

fn given(events: impl IntoIterator<Item = OrderEvent>) -> Order {
    let mut order = Order::default();
    events.into_iter().for_each(|event| evolve(&mut order, event));
    order
}

fn created() -> OrderEvent {
    OrderEvent::OrderCreated(content())
}

fn confirmed() -> OrderEvent {
    OrderEvent::OrderConfirmed(OrderConfirmed {})
}

#[test]
fn posting_an_order_creates_it() {
    assert_eq!(decide(&given([]), OrderCommand::CreateOrder(content())), Ok(vec![created()]));
}

#[test]
fn posting_it_again_changes_nothing() {
    assert_eq!(decide(&given([created(), confirmed()]), OrderCommand::CreateOrder(content())), Ok(vec![]));
}

#[test]
fn posting_another_order_under_its_id_is_refused() {
    let other = OrderCreated { total_minor: 1, ..content() };
    assert_eq!(decide(&given([created()]), OrderCommand::CreateOrder(other)), Err(Refusal::ExistsWithOtherContent));
}

#[test]
fn an_order_whose_metadata_differs_in_the_last_digit_is_another_order() {
    let with = |number: &str| {
        let body = include_str!("../../golden/posted/demo-order.json").replacen(
            r#""metadata": {"#,
            &format!(r#""metadata": {{ "n": {number},"#),
            1,
        );
        PostedOrder::parse(body.as_bytes()).unwrap().content
    };
    let first = OrderEvent::OrderCreated(with("18446744073709551617"));
    let second = OrderCommand::CreateOrder(with("18446744073709551618"));
    assert_eq!(decide(&given([first]), second), Err(Refusal::ExistsWithOtherContent));
}

#[test]
fn an_order_is_confirmed_once() {
    assert_eq!(decide(&given([created()]), OrderCommand::ConfirmOrder), Ok(vec![confirmed()]));
    assert_eq!(decide(&given([created(), confirmed()]), OrderCommand::ConfirmOrder), Ok(vec![]));
}

#[test]
fn nothing_can_be_done_with_an_order_that_was_not_posted() {
    for command in [
        OrderCommand::ConfirmOrder,
        OrderCommand::RecordNotificationSent(sent()),
        OrderCommand::RecordNotificationFailed(failed()),
    ] {
        assert_eq!(decide(&given([]), command), Err(Refusal::NoSuchOrder));
    }
}

#[test]
fn a_mail_that_was_given_up_and_then_went_out_is_a_mail_that_went_out() {
    let order = given([created(), confirmed(), OrderEvent::NotificationFailed(failed())]);
    assert_eq!(
        decide(&order, OrderCommand::RecordNotificationSent(sent())),
        Ok(vec![OrderEvent::NotificationSent(sent())])
    );
    let order = given([created(), confirmed(), OrderEvent::NotificationSent(sent())]);
    assert_eq!(decide(&order, OrderCommand::RecordNotificationFailed(failed())), Ok(vec![]));
}

#[tokio::test]
async fn cqrs_es_sees_the_same_order() {
    let sink = EventSink::default();
    let mut order = Order::default();
    order.handle(OrderCommand::CreateOrder(content()), &(), &sink).await.unwrap();
    order.handle(OrderCommand::ConfirmOrder, &(), &sink).await.unwrap();
    assert_eq!(sink.collect().await, [created(), confirmed()]);
    assert_eq!(order, given([created(), confirmed()]));
}

#[test]
fn every_event_version_decodes_from_its_golden_file_and_encodes_to_it() {
    let events =
        [created(), confirmed(), OrderEvent::NotificationSent(sent()), OrderEvent::NotificationFailed(failed())];
    for event in events {
        let name = format!("{}-{}.json", event.event_type(), event.event_version());
        let path = format!("{}/golden/events/{name}", env!("CARGO_MANIFEST_DIR"));
        let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| {
            panic!("{path}: {error}; a new event needs one:\n{}", serde_json::to_string(&event).unwrap())
        });
        assert_eq!(serde_json::to_string(&event).unwrap(), golden.trim_end(), "{name}");
        assert_eq!(serde_json::from_str::<OrderEvent>(&golden).unwrap(), event, "{name}");
        // cqrs-es's own repositories decode through a Value.
        let value: serde_json::Value = serde_json::from_str(&golden).unwrap();
        assert_eq!(serde_json::from_value::<OrderEvent>(value).unwrap(), event, "{name} through a Value");
    }
}

#[test]
fn every_golden_file_still_decodes() {
    let folder = format!("{}/golden/events", env!("CARGO_MANIFEST_DIR"));
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 4);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let event: OrderEvent =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(file.file_name().unwrap().to_str().unwrap().starts_with(event.name()));
    }
}

fn any_command() -> impl Strategy<Value = OrderCommand> {
    prop_oneof![
        Just(OrderCommand::CreateOrder(content())),
        Just(OrderCommand::CreateOrder(OrderCreated { total_minor: 1, ..content() })),
        Just(OrderCommand::ConfirmOrder),
        Just(OrderCommand::RecordNotificationSent(sent())),
        Just(OrderCommand::RecordNotificationFailed(failed())),
    ]
}

proptest! {
    #[test]
    fn a_command_given_twice_changes_nothing_the_second_time(commands in prop::collection::vec(any_command(), 1..12)) {
        let mut order = Order::default();
        for command in commands {
            if let Ok(events) = decide(&order, command.clone()) {
                events.into_iter().for_each(|event| evolve(&mut order, event));
                prop_assert_eq!(decide(&order, command), Ok(vec![]));
            }
        }
    }
}
