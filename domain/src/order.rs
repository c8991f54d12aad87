//! The order: its state, the commands it takes, the events that come of them.

mod event;
mod posted;

use std::collections::BTreeMap;

use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

pub use event::{
    MailTemplate, NotificationFailed, NotificationSent, OrderConfirmed, OrderCreated, OrderEvent, OrderLine,
};
pub use posted::{Malformed, PostedOrder, Rejection, Violation};

/// What an order can be asked to do.
#[derive(Debug, Clone)]
pub enum OrderCommand {
    /// Take the order as it was posted.
    CreateOrder(OrderCreated),
    /// Promise it to the customer: from here on it is only carried forward.
    ConfirmOrder,
    /// Note that a mail was accepted for delivery.
    RecordNotificationSent(NotificationSent),
    /// Note that a mail could not be sent, for good.
    RecordNotificationFailed(NotificationFailed),
}

/// Why a command was refused. Each states the fact that stands against it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is another order under this id.
    #[error("an order with this id and other content already exists")]
    ExistsWithOtherContent,
    /// There is no order to do this with.
    #[error("there is no such order")]
    NoSuchOrder,
}

/// An order, folded from its events.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Order {
    /// Nothing was posted under this id.
    #[default]
    Absent,
    /// It was posted, and this became of it.
    Placed(Box<PlacedOrder>),
}

/// An order that was posted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlacedOrder {
    /// What was posted.
    pub content: OrderCreated,
    /// How far it is.
    pub status: OrderStatus,
    /// What became of each mail that was asked for.
    pub mails: BTreeMap<MailTemplate, MailOutcome>,
}

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderStatus {
    /// Accepted and stored; nothing is promised to the customer yet.
    Pending,
    /// Promised to the customer.
    Confirmed,
}

/// What became of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailOutcome {
    /// The mail service took it.
    Sent,
    /// It was given up.
    Failed,
}

/// What a command changes: the events that come of it, none when what it asks for is already so.
///
/// Every command can thus be given twice; the second time changes nothing.
pub fn decide(order: &Order, command: OrderCommand) -> Result<Vec<OrderEvent>, Refusal> {
    match (order, command) {
        (Order::Absent, OrderCommand::CreateOrder(content)) => Ok(vec![OrderEvent::OrderCreated(content)]),
        (Order::Placed(placed), OrderCommand::CreateOrder(content)) => {
            if placed.content == content {
                Ok(vec![])
            } else {
                Err(Refusal::ExistsWithOtherContent)
            }
        }
        (Order::Absent, _) => Err(Refusal::NoSuchOrder),
        (Order::Placed(placed), OrderCommand::ConfirmOrder) => Ok(match placed.status {
            OrderStatus::Pending => vec![OrderEvent::OrderConfirmed(OrderConfirmed {})],
            OrderStatus::Confirmed => vec![],
        }),
        // A mail that was given up and then went out after all did go out; the other way round nothing is news.
        (Order::Placed(placed), OrderCommand::RecordNotificationSent(sent)) => {
            Ok(match placed.mails.get(&sent.template) {
                None | Some(MailOutcome::Failed) => vec![OrderEvent::NotificationSent(sent)],
                Some(MailOutcome::Sent) => vec![],
            })
        }
        (Order::Placed(placed), OrderCommand::RecordNotificationFailed(failed)) => {
            Ok(match placed.mails.get(&failed.template) {
                None => vec![OrderEvent::NotificationFailed(failed)],
                Some(MailOutcome::Sent | MailOutcome::Failed) => vec![],
            })
        }
    }
}

/// The order after an event. An event of an order that was never created has no effect: [`decide`] makes none.
pub fn evolve(order: &mut Order, event: OrderEvent) {
    match (order, event) {
        (order, OrderEvent::OrderCreated(content)) => {
            *order =
                Order::Placed(Box::new(PlacedOrder { content, status: OrderStatus::Pending, mails: BTreeMap::new() }));
        }
        (Order::Placed(placed), OrderEvent::OrderConfirmed(OrderConfirmed {})) => {
            placed.status = OrderStatus::Confirmed;
        }
        (Order::Placed(placed), OrderEvent::NotificationSent(sent)) => {
            placed.mails.insert(sent.template, MailOutcome::Sent);
        }
        (Order::Placed(placed), OrderEvent::NotificationFailed(failed)) => {
            placed.mails.insert(failed.template, MailOutcome::Failed);
        }
        (
            Order::Absent,
            OrderEvent::OrderConfirmed(_) | OrderEvent::NotificationSent(_) | OrderEvent::NotificationFailed(_),
        ) => {}
    }
}

/// The order as cqrs-es sees it: a shell that passes on to [`decide`] and [`evolve`].
impl cqrs_es::Aggregate for Order {
    const TYPE: &'static str = "order";
    type Command = OrderCommand;
    type Event = OrderEvent;
    type Error = Refusal;
    type Services = ();

    async fn handle(&mut self, command: OrderCommand, (): &(), sink: &EventSink<Self>) -> Result<(), Refusal> {
        for event in decide(self, command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: OrderEvent) {
        evolve(self, event);
    }
}

#[cfg(test)]
mod tests;
