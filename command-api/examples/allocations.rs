//! How much memory an order asks the allocator for, where: `cargo run --release -p command-api --example allocations`.
//!
//! The counts are of this build, the same in every run. What the HTTP server, the database driver and the queue add is not in them.
#![expect(clippy::print_stdout, reason = "it is what the program is for")]

use allocation_counter::{AllocationInfo, measure};
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderCommand, OrderEvent, decide};
use event_store::{Metadata, NewEvent};

const DEMO: &[u8] = include_bytes!("../../domain/golden/posted/demo-order.json");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let posted = PostedOrder::parse(DEMO)?;
    let events = decide(&Order::default(), OrderCommand::CreateOrder(posted.content.clone()))?;
    let metadata = Metadata {
        actor: Some("shop".to_owned()),
        correlation_id: Some("0af7651916cd43dd8448eb211c80319c".to_owned()),
        causation_id: None,
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
    };

    println!("the demo order, {} bytes               allocations   bytes", DEMO.len());
    show("read and checked", measure(|| drop(PostedOrder::parse(DEMO))));
    show("copied for the decision", measure(|| drop(posted.content.clone())));
    let command = OrderCommand::CreateOrder(posted.content);
    show("decided", measure(|| drop(decide(&Order::default(), command))));
    show("encoded as it is stored", measure(|| drop(encode(&events, &metadata))));
    Ok(())
}

fn encode(events: &[OrderEvent], metadata: &Metadata) -> Result<Vec<NewEvent>, Box<dyn std::error::Error>> {
    events.iter().map(|event| Ok(NewEvent::new(event, metadata)?)).collect()
}

fn show(what: &str, info: AllocationInfo) {
    println!("{what:<36} {:>13} {:>7}", info.count_total, info.bytes_total);
}
