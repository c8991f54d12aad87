//! A client for the HTTP interface of Ordo, an order platform.
//!
//! ```no_run
//! use futures_util::TryStreamExt;
//! use ordo_client::{Client, NewOrder, NewOrderItem};
//!
//! # async fn example() -> Result<(), ordo_client::Error> {
//! let client = Client::builder("https://orders.shop.example").token("…").build()?;
//! let item = NewOrderItem::new("sku-123", 1, "129.99");
//! let placed = client.place_order(&NewOrder::new("o-1", "customer-42", "129.99", "USD", [item])).await?;
//! // The read model has seen the order once it has passed this position.
//! let order = client.order("o-1").min_position(placed.position).await?;
//! println!("{} costs {} {}", order.order_id, order.total.amount, order.total.currency);
//! let mut orders = std::pin::pin!(client.orders().customer_id("customer-42").stream());
//! while let Some(order) = orders.try_next().await? {
//!     println!("{} is {}", order.order_id, order.status);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! **Retries.** A request that found no server, no capacity (503, 429) or no answer is sent again, after a growing, random time and
//! not before `Retry-After`. All attempts of a command have the same `Idempotency-Key`, so it is carried out once. Attempts and
//! time are [bounded](ClientBuilder::retries). Other refusals are returned at once. If an attempt may have succeeded and no later
//! one did, the error is [`Error::OutcomeUnknown`], with the key.
//!
//! **Problems.** A refusal is [`Error::Problem`], with the [`code`](Problem::code) by which programs tell them apart.
//!
//! **Bounds.** An answer is [not read](ClientBuilder::max_answer_bytes) without end, connections and answers have time-outs, and
//! redirects are not followed, so that a token goes to nobody else. Over `http://` a token goes to this machine
//! [alone](ClientBuilder::allow_token_over_http).

#![forbid(unsafe_code)]

mod answers;
mod bodies;
mod client;
mod documents;
mod error;
mod live;
mod operations;
mod order_parts;
mod orders;
mod payments;
mod quantity;
mod requests;
mod retry;
mod returns;
mod sse;
mod stock;
mod transport;

pub use answers::{
    AcceptedCommand, Allocation, Cancellation, CurrencySalesTotal, Event, HourlySalesGroup, LineQuantity, Mail, Money,
    Note, OrderView, Page, PlacedOrders, PlacementResult, Sales, Shipment, TrackingInfo,
};
pub use bodies::{
    ExchangeFor, NewCancellation, NewDelivery, NewHold, NewNote, NewOrder, NewOrderItem, NewReceipt, NewRefund,
    NewRelease, NewReturn, NewReturnCancellation, NewShipment, NewTracking, NewTrackingInfo,
};
pub use client::{Client, ClientBuilder};
pub use documents::{Document, DocumentLine, DocumentSummary};
pub use error::{Error, FieldError, Problem};
pub use live::LiveStreamRequest;
pub use operations::{Health, HealthCheck, Replay, WaitingSagaSummary};
pub use order_parts::{
    Address, CustomerDetails, Discount, Hold, Line, NewDiscount, NewShipping, NewTax, Shipping, Tax, Totals,
};
pub use orders::OrderListQuery;
pub use payments::{NewPayment, Payment, Refund, RefundShare};
pub use quantity::Quantity;
pub use requests::{Command, PagedQuery, ReadRequest};
pub use returns::{Receipt, ReceivedLine, Return};
pub use stock::{ShippedUnits, SkuBackorder, SkuLowStock, StockAtLocation, StockLevel, StockReservation};
