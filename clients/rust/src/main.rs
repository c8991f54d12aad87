//! Places an order, reads it and cancels it. The client is made from the document by progenitor.

use std::error::Error;
use std::num::NonZeroU64;

use generated::Client;
use generated::types::{NewCancellation, NewCancellationReason, NewOrder, NewOrderCustomerId, NewOrderItem};
use progenitor_client::Error as ClientError;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use uuid::Uuid;

#[allow(clippy::all, reason = "it is generated")]
mod generated {
    progenitor::generate_api!(spec = "openapi.json", interface = Builder);
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let base_url = arguments.next().ok_or("the address is missing")?;
    let mut headers = HeaderMap::new();
    if let Some(token) = arguments.next() {
        headers.insert(AUTHORIZATION, format!("Bearer {token}").parse()?);
    }
    let client = Client::new_with_client(&base_url, reqwest::Client::builder().default_headers(headers).build()?);

    let item = NewOrderItem::builder().sku("sku-of-rust").quantity(NonZeroU64::MIN).unit_price("129.99");
    let customer = NewOrderCustomerId::try_from("customer-42")?;
    let order = NewOrder::builder().customer_id(customer).currency("USD").total_amount("129.99");
    let order = order.items(vec![item.try_into()?]);
    let placed = client.place_order().idempotency_key(Uuid::new_v4().to_string()).body(order).send().await?;

    let read = client.get_order().order_id(placed.order_id.as_str()).min_position(placed.position).send().await?;
    assert_eq!(read.total.amount, "129.99");

    let reason = NewCancellation::builder().reason(NewCancellationReason::try_from("changed my mind")?);
    let cancelled = client.cancel_order().order_id(placed.order_id.as_str()).body(reason).send().await?;

    match client.get_order().order_id("nobody").send().await {
        Err(ClientError::ErrorResponse(problem)) => assert_eq!(problem.code, "not-found"),
        other => panic!("there is one: {other:?}"),
    }
    println!("{}: placed, read and cancelled at version {}", placed.order_id, cancelled.version);
    Ok(())
}
