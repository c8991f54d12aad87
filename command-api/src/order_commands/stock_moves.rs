//! What a command on an order means for the units of its SKUs.

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use cqrs_es::Aggregate;
use domain::ids::Sku;
use domain::order::{OrderCommand, PlacedOrder};
use domain::stock::{self, Stock, StockCommand, StockError};
use event_store::{LockedStreams, Metadata, NewEvent, StreamAppend};
use problem::{Problem, ProblemType};

/// Whatever the order's rules let pass fits its SKUs, but that units may have to be waited for, and that so much can't be counted, or at so
/// many locations, or not in that unit. `pointer`: where the body asks for it.
fn refused(sku: &Sku, refusal: StockError, pointer: Option<String>) -> Problem {
    let of_line = |kind| {
        let problem = Problem::new(kind, format!("{sku}: {refusal}")).with("sku", sku.as_str());
        match pointer {
            Some(pointer) => problem.with("pointer", pointer),
            None => problem,
        }
    };
    match refusal {
        StockError::TooMany | StockError::TooManyLocations => of_line(ProblemType::TooMany),
        StockError::OtherUnit { .. } => of_line(ProblemType::OtherUnit),
        StockError::Backordered { on_hand, available_at } => {
            let detail = format!("{sku}: {refusal}");
            let problem =
                Problem::new(ProblemType::Backordered, detail).with("sku", sku.as_str()).with("onHand", on_hand);
            match available_at {
                Some(at) => problem.with("availableAt", at.to_rfc3339_opts(SecondsFormat::Secs, true)),
                None => problem,
            }
        }
        StockError::NotEnough { .. }
        | StockError::BelowReserved { .. }
        | StockError::NotTracked
        | StockError::ChangesNothing
        | StockError::OutOfBounds
        | StockError::MoreThanReserved { .. } => Problem::internal(refusal),
    }
}

/// Where the body of a command has units of the SKU put into stock.
pub(super) fn pointer_to(sku: &Sku, order: &PlacedOrder, command: &OrderCommand) -> Option<String> {
    let OrderCommand::ReceiveReturn(received) = command else { return None };
    let lines = received.receipt.as_ref()?.lines.as_ref()?;
    let is_of = |line_number| order.line(line_number).is_some_and(|line| line.sku == *sku);
    let index = lines.iter().position(|it| it.restock && is_of(it.line_number))?;
    Some(format!("/lines/{index}/restock"))
}

/// The events for the SKUs' streams, which are locked. `pointer`: where the body asks for them.
pub(super) fn stock_appends(
    locked: &LockedStreams<'_, Stock>,
    commands: Vec<(Sku, StockCommand)>,
    pointer: impl Fn(&Sku) -> Option<String>,
    metadata: &Metadata,
) -> Result<Vec<StreamAppend>, Problem> {
    let mut skus: BTreeMap<Sku, (Stock, Vec<NewEvent>)> = BTreeMap::new();
    for (sku, command) in commands {
        let current = || (locked.stream(sku.as_str()).state.clone(), Vec::new());
        let (state, events) = skus.entry(sku.clone()).or_insert_with(current);
        let refused = |refusal| refused(&sku, refusal, pointer(&sku));
        for event in stock::decide(state, command).map_err(refused)? {
            events.push(NewEvent::new(&event, metadata).map_err(Problem::internal)?);
            stock::evolve(state, event);
        }
    }
    let changed = skus.into_iter().filter(|(_, (_, events))| !events.is_empty());
    let append = |(sku, (_, events)): (Sku, (Stock, Vec<NewEvent>))| {
        let (stream_id, expected_version) = (sku.to_string(), locked.stream(sku.as_str()).version);
        StreamAppend { stream_type: Stock::TYPE, stream_id, expected_version, events }
    };
    Ok(changed.map(append).collect())
}
