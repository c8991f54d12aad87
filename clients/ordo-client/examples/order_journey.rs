//! Places an order and follows it: `cargo run -p ordo-client --example order_journey -- http://127.0.0.1:3000`.

#![expect(clippy::print_stdout, reason = "that is what an example is for")]

use std::pin::pin;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::TryStreamExt;
use ordo_client::{Client, Error, NewCancellation, NewOrder, NewOrderItem};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let base = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:3000".to_owned());
    let mut builder = Client::builder(base);
    if let Ok(token) = std::env::var("ORDO_TOKEN") {
        builder = builder.token(&token);
    }
    let client = builder.build()?;

    let order_id = format!("example-{}", SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis());
    let order = NewOrder::new(&order_id, "customer-42", "259.98", "USD", [NewOrderItem::new("sku-123", 2, "129.99")]);
    let placed = client.place_order(&order).await?;
    println!("{order_id} is stored at position {}", placed.position);

    // From the order on, until it is confirmed or rejected.
    let behind = u64::try_from(placed.position - 1)?;
    let mut events = pin!(client.live().after(behind).stream_type("order").stream_id(&order_id).stream());
    while let Some(event) = events.try_next().await? {
        println!("{} {}", event.position, event.event_type);
        if matches!(event.event_type.as_str(), "OrderConfirmed" | "OrderRejected") {
            break;
        }
    }

    let reason = Some("changed my mind".to_owned());
    match client.cancel_order(&order_id, &NewCancellation { reason, ..NewCancellation::default() }).await {
        Ok(cancelled) => {
            let order = client.order(&order_id).min_position(cancelled.position).await?;
            println!("{order_id} is {}", order.status);
        }
        Err(Error::Problem(problem)) if problem.code == "not-allowed" => println!("it can't be cancelled: {problem}"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
