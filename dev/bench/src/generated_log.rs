//! A generated log of orders: made from the platform's own events, as its roles would append them.

use std::collections::VecDeque;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::{Aggregate, DomainEvent};
use domain::ids::LocationId;
use domain::order::event::{
    MailTemplate, NotificationSent, OrderConfirmed, OrderCreated, PaymentAuthorized, SkuQuantity, StockReserved,
};
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderEvent};
use event_store::bulk::ImportSource;
use event_store::{BorrowedEvent, Metadata};
use uuid::Uuid;

use crate::orders::{OrderBody, Orders};

/// As many orders are under way at once: their events lie between each other's.
const AT_ONCE: usize = 64;
/// Between two events.
const APART: TimeDelta = TimeDelta::milliseconds(600);
/// When the first one happens unless it is told otherwise, in seconds since 1970: the first of January 2026.
const BEGAN: i64 = 1_767_225_600;
/// The namespace of ids that are made from a number.
const IDS: Uuid = Uuid::from_u128(0x6f72_646f_0000_4000_8000_6265_6e63_6801);

/// Events of orders that are confirmed and told of, five each.
pub(crate) struct GeneratedLog {
    /// Ids are spread as random ones are; otherwise they ascend, as those do that the platform makes.
    scattered: bool,
    began: DateTime<Utc>,
    orders: Orders,
    created: OrderCreated,
    left: u64,
    next_order: u64,
    under_way: VecDeque<Life>,
    position: i64,
    event: Event,
}

struct Life {
    nth: u64,
    version: i64,
    cause: Uuid,
}

/// The event that was handed out last.
#[derive(Default)]
struct Event {
    stream_id: String,
    version: i64,
    event_type: String,
    event_version: String,
    payload: String,
    metadata: String,
    id: Uuid,
    recorded_at: DateTime<Utc>,
}

impl GeneratedLog {
    /// So many events; the orders' bodies have this size.
    pub(crate) fn new(events: u64, order: OrderBody, scattered: bool) -> anyhow::Result<Self> {
        let mut orders = Orders::new("", order, false);
        let created = PostedOrder::parse(orders.order(0)).context("the order is invalid")?.content;
        let event = Event::default();
        Ok(Self {
            scattered,
            began: DateTime::from_timestamp(BEGAN, 0).unwrap_or_default(),
            orders,
            created,
            left: events,
            next_order: 0,
            under_way: VecDeque::new(),
            position: 0,
            event,
        })
    }

    /// How many events are still to be made.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// The same until this instant.
    pub(crate) fn until(mut self, end: DateTime<Utc>) -> anyhow::Result<Self> {
        self.began = end - APART * i32::try_from(self.left)?;
        Ok(self)
    }

    /// What happens to an order next.
    fn happens(&mut self, life: &Life) -> anyhow::Result<OrderEvent> {
        Ok(match life.version {
            1 => {
                let mut created = self.created.clone();
                created.customer_id = PostedOrder::parse(self.orders.order(life.nth))?.content.customer_id;
                OrderEvent::OrderCreated(created)
            }
            2 => {
                let units = |line: &domain::order::event::OrderLine| SkuQuantity {
                    sku: line.sku.clone(),
                    quantity: line.quantity,
                    location: LocationId::default(),
                };
                let units = self.created.lines.iter().map(units).collect();
                let expires_at = self.event.recorded_at + TimeDelta::minutes(30);
                OrderEvent::StockReserved(StockReserved { units, expires_at, backorders: vec![] })
            }
            3 => OrderEvent::PaymentAuthorized(PaymentAuthorized {
                payment_number: None,
                reference: format!("pay-{}", id("payment", life.nth).simple()),
                amount_minor: self.created.total_minor,
            }),
            4 => OrderEvent::OrderConfirmed(OrderConfirmed::default()),
            _ => OrderEvent::NotificationSent(NotificationSent {
                notification_id: id("mail", life.nth),
                template: MailTemplate::OrderConfirmed,
                recipient: format!("customer-{:03}@example.com", life.nth % 1_000),
                provider_message_id: id("message", life.nth).to_string(),
                nth: None,
            }),
        })
    }

    /// A UUIDv7 of the moment, or one that says nothing.
    fn order_id(&self, nth: u64) -> String {
        let random = id("order", nth);
        if self.scattered {
            return random.to_string();
        }
        let mut bytes = *random.as_bytes();
        // Five events each.
        let millis = u64::try_from(
            self.began.timestamp_millis() + APART.num_milliseconds() * 5 * i64::try_from(nth).unwrap_or(0),
        );
        bytes[..6].copy_from_slice(&millis.unwrap_or(0).to_be_bytes()[2..]);
        bytes[6] = 0x70 | (bytes[6] & 0x0f);
        Uuid::from_bytes(bytes).to_string()
    }

    fn make(&mut self) -> anyhow::Result<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        self.position += 1;
        if self.under_way.len() < AT_ONCE && self.left >= 4 * AT_ONCE as u64 {
            self.under_way.push_front(Life { nth: self.next_order, version: 0, cause: Uuid::nil() });
            self.next_order += 1;
        }
        let mut life = self.under_way.pop_front().unwrap_or_else(|| {
            self.next_order += 1;
            Life { nth: self.next_order - 1, version: 0, cause: Uuid::nil() }
        });
        life.version += 1;
        let happened = self.happens(&life)?;
        let number = u64::try_from(self.position)?;
        let event_id = id("event", number);
        let actor = if life.version == 1 { "shop" } else { "saga:order_fulfilment" };
        let metadata = Metadata {
            actor: Some(actor.to_owned()),
            correlation_id: Some(id("request", life.nth).to_string()),
            causation_id: (life.version > 1).then(|| life.cause.to_string()),
            traceparent: Some(format!("00-{}-00f067aa0ba902b7-01", id("trace", life.nth).simple())),
        };
        let apart = i32::try_from(self.position)?;
        self.event = Event {
            stream_id: self.order_id(life.nth),
            version: life.version,
            event_type: happened.event_type(),
            event_version: happened.event_version(),
            payload: serde_json::to_string(&happened)?,
            metadata: serde_json::to_string(&metadata)?,
            id: event_id,
            recorded_at: self.began + APART * apart,
        };
        life.cause = event_id;
        if life.version < 5 {
            self.under_way.push_back(life);
        }
        Ok(true)
    }
}

impl ImportSource for GeneratedLog {
    type Error = anyhow::Error;

    async fn next(&mut self) -> Result<Option<BorrowedEvent<'_>>, Self::Error> {
        if !self.make()? {
            return Ok(None);
        }
        let event = &self.event;
        Ok(Some(BorrowedEvent {
            position: self.position,
            stream_type: Order::TYPE,
            stream_id: &event.stream_id,
            version: event.version,
            event_type: &event.event_type,
            event_version: &event.event_version,
            payload: &event.payload,
            metadata: &event.metadata,
            event_id: event.id,
            recorded_at: event.recorded_at,
        }))
    }
}

fn id(of: &str, nth: u64) -> Uuid {
    Uuid::new_v5(&IDS, format!("{of}-{nth}").as_bytes())
}
