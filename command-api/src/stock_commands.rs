//! `POST /stock/{sku}/receive`, `/adjust`, `/transfer`, `/backorder` and `/low-stock`: stock that arrived, counts that are put right, units
//! that were moved, how many may be sold before they are there, and when there are few.

use std::collections::BTreeSet;
use std::sync::Arc;

use access_control::AuthorizedCaller;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use cqrs_es::Aggregate;
use domain::body::InvalidBody;
use domain::ids::Sku;
use domain::stock::{self, Stock, StockCommand, StockError};
use event_store::{
    AppendError, Command, ConflictRetryPolicy, Decision, HandleError, Handled, Metadata, StreamAppend, StreamLocks,
};
use http::StatusCode;
use problem::{Precondition, Problem, ProblemType, Trace};

use crate::answer::{CommandResponse, CommandTarget};
use crate::bodies::stock::{BackorderLimit, LowStockThreshold, StockAdjustment, StockReceipt, StockTransfer};
use crate::operations::CommandDescription;
use crate::request::BodyRequirement;
use crate::{CommandDependencies, metadata, problems};

/// The commands on a SKU.
pub(crate) static STOCK_COMMANDS: [StockRouteDefinition; 5] = [
    StockRouteDefinition {
        path: "/stock/{sku}/receive",
        scope: "POST /stock/receive",
        parse: stock::parse_receipt,
        description: CommandDescription::of::<StockReceipt>(
            "receiveStock",
            "Units of a SKU came in, which is tracked from then on",
            r#"{"quantity": 10}"#,
        ),
        // The first receipt makes the SKU tracked.
        successes: &[StatusCode::OK, StatusCode::CREATED],
    },
    StockRouteDefinition {
        path: "/stock/{sku}/adjust",
        scope: "POST /stock/adjust",
        parse: stock::parse_adjustment,
        description: CommandDescription::of::<StockAdjustment>(
            "adjustStock",
            "The count of a SKU is put right",
            r#"{"delta": -3, "reason": "counted"}"#,
        ),
        successes: &[StatusCode::OK],
    },
    StockRouteDefinition {
        path: "/stock/{sku}/transfer",
        scope: "POST /stock/transfer",
        parse: stock::parse_transfer,
        description: CommandDescription::of::<StockTransfer>(
            "transferStock",
            "Units of a SKU were moved to another location",
            r#"{"from": "berlin", "to": "hamburg", "quantity": 5}"#,
        ),
        successes: &[StatusCode::OK],
    },
    StockRouteDefinition {
        path: "/stock/{sku}/backorder",
        scope: "POST /stock/backorder",
        parse: stock::parse_backorder,
        description: CommandDescription::of::<BackorderLimit>(
            "backorderStock",
            "So many units of a SKU may be sold before they are on hand",
            r#"{"limit": 50, "availableAt": "2027-01-15T08:00:00Z"}"#,
        ),
        successes: &[StatusCode::OK],
    },
    StockRouteDefinition {
        path: "/stock/{sku}/low-stock",
        scope: "POST /stock/low-stock",
        parse: stock::parse_low_stock,
        description: CommandDescription::of::<LowStockThreshold>(
            "setLowStockThreshold",
            "A SKU is low while fewer units than this are available",
            r#"{"threshold": 10}"#,
        ),
        successes: &[StatusCode::OK],
    },
];

/// How a command on a SKU is called.
pub(crate) struct StockRouteDefinition {
    pub(crate) path: &'static str,
    /// The command, within which a caller's idempotency keys are unique.
    scope: &'static str,
    /// Reads the body.
    parse: fn(&[u8]) -> Result<StockCommand, InvalidBody>,
    pub(crate) description: CommandDescription,
    pub(crate) successes: &'static [StatusCode],
}

pub(crate) async fn change_stock(
    route: &'static StockRouteDefinition,
    State(commands): State<Arc<CommandDependencies>>,
    path: Result<Path<String>, PathRejection>,
    caller: AuthorizedCaller,
    trace: Trace,
    request: Request,
) -> Result<Response, Problem> {
    let sku = path.ok().and_then(|Path(sku)| Sku::parse(sku).ok());
    let sku = sku.ok_or_else(|| Problem::not_found("there is no such SKU"))?;
    let request = commands.requests.read_body(request, BodyRequirement::Required).await?;
    commands.store.ensure_capacity().map_err(problems::not_appended)?;
    let request = commands.requests.begin(&commands.store, &caller, request, route.scope, Some(sku.as_str())).await?;
    let precondition = request.precondition()?;
    let change = (route.parse)(&request.body).map_err(problems::invalid_body)?;
    let is_receipt = matches!(change, StockCommand::Receive(_));
    let (locks, metadata) = (&commands.stock, metadata(&caller, &trace));
    let mut command = ChangeStock { locks, sku: &sku, change, precondition, metadata };
    let (version, position, replayed) =
        match commands.store.handle(&mut command, request.key(), ConflictRetryPolicy::default()).await {
            Ok(Handled::Appended(appended)) => (appended.version, appended.position, false),
            Ok(Handled::Unchanged(at)) => (at.version, at.position, false),
            Ok(Handled::Replayed(record)) => (record.version, record.position, true),
            Err(HandleError::Append(error @ AppendError::Unknown(_))) if request.key().is_none() => {
                return Err(outcome_unknown(error));
            }
            Err(error) => return Err(problems::not_handled(error)),
        };
    // The first receipt makes the SKU's stream. Another command can leave it as it was then.
    let status = if is_receipt && version == 1 { StatusCode::CREATED } else { StatusCode::OK };
    CommandResponse { resource: CommandTarget::Sku(&sku), version, position, made: &[], replayed }.into_response(status)
}

struct ChangeStock<'a> {
    locks: &'a StreamLocks<Stock>,
    sku: &'a Sku,
    change: StockCommand,
    precondition: Precondition,
    metadata: Metadata,
}

impl Command for ChangeStock<'_> {
    type Refusal = Problem;

    fn stream(&self) -> (&'static str, &str) {
        (Stock::TYPE, self.sku.as_str())
    }

    async fn decide(&mut self) -> Result<Decision<'_>, HandleError<Problem>> {
        let locked = self.locks.lock(BTreeSet::from([self.sku.to_string()])).await?;
        let stock = locked.stream(self.sku.as_str());
        self.precondition.check(stock.version).map_err(HandleError::Refused)?;
        let events = stock::decide(&stock.state, self.change.clone());
        let events = events.map_err(|refusal| HandleError::Refused(refused(refusal, self.sku, &self.change)))?;
        let append = StreamAppend::of::<Stock>(self.sku.as_str(), stock.version, &events, &self.metadata)?;
        Ok(Decision::Append(locked.into_append(vec![append])))
    }
}

/// Why the count stays as it is.
fn refused(refusal: StockError, sku: &Sku, change: &StockCommand) -> Problem {
    let detail = refusal.to_string();
    let counted =
        |detail: String| change.takes_from().map_or_else(|| detail.clone(), |at| format!("{detail}, at {at}"));
    match refusal {
        StockError::BelowReserved { reserved } => {
            let lists = "GET /stock/{sku}/reservations lists them: cancel some, or wait until they have shipped";
            let advice = if reserved.is_zero() { String::new() } else { format!("; {lists}") };
            Problem::new(ProblemType::BelowReserved, counted(detail) + &advice)
                .with("pointer", "/delta")
                .with("reserved", reserved)
        }
        StockError::NotEnough { available } => Problem::new(ProblemType::NotEnough, counted(detail))
            .with("pointer", "/quantity")
            .with("available", available),
        StockError::NotTracked => Problem::new(ProblemType::NotTracked, detail),
        StockError::TooMany | StockError::TooManyLocations => Problem::new(ProblemType::TooMany, detail),
        StockError::OtherUnit { .. } => {
            Problem::new(ProblemType::OtherUnit, detail).with("sku", sku.as_str()).with("pointer", "/unit")
        }
        // The body was refused for the first two; the others are about reservations, which these commands do not make.
        StockError::ChangesNothing
        | StockError::OutOfBounds
        | StockError::MoreThanReserved { .. }
        | StockError::Backordered { .. } => Problem::internal(refusal),
    }
}

/// Without a key a change can't be told from another one like it.
fn outcome_unknown(error: AppendError) -> Problem {
    let detail = "the database failed; whether the change was stored is not known: look at the SKU before you send it \
                  again, and send an Idempotency-Key with the next one";
    problems::outcome_unknown(error, detail)
}
