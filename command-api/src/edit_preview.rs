//! `POST /orders/{order_id}/edits/preview`: what an edit would do. Nothing is stored.

use std::sync::Arc;

use access_control::AuthorizedCaller;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use domain::ids::OrderId;
use domain::money::Money;
use domain::order::parse::parse_edit;
use domain::order::{EditPreview, Order, PlacedOrder};
use domain::quantity::{Quantity, UnitOfMeasure};
use event_store::Versioned;
use http::header;
use problem::{Precondition, Problem};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::answer::etag;
use crate::bodies::NewEdit;
use crate::operations::CommandDescription;
use crate::order_commands::no_such_order;
use crate::request::BodyRequirement;
use crate::{CommandDependencies, order_refusal, problems};

pub(crate) const PATH: &str = "/orders/{order_id}/edits/preview";

pub(crate) const DESCRIPTION: CommandDescription = CommandDescription::of::<NewEdit>(
    "previewEdit",
    "What an edit would do to an order; nothing is stored",
    r#"{"lines": [{"lineNumber": 1, "quantity": 2}]}"#,
);

/// What an edit would do to an order.
#[derive(Serialize, ToSchema)]
#[schema(as = EditPreview)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EditPreviewView {
    order_id: String,
    /// The order's version that it was made from, which is the `ETag` to confirm it under.
    version: i64,
    /// What the order costs now.
    total_before: PreviewAmount,
    /// What it would cost.
    total: PreviewAmount,
    /// What the provider would hold beside what it holds now.
    authorize: PreviewAmount,
    /// How much less would be captured of what the provider holds. It is let go of once all is shipped.
    release: PreviewAmount,
    /// How much less would be kept of what was paid elsewhere. A person gives it back once all is shipped.
    refund: PreviewAmount,
    /// The lines as they would be, with units.
    lines: Vec<PreviewLine>,
}

/// A line as it would be.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PreviewLine {
    line_number: u32,
    sku: String,
    title: String,
    quantity: Quantity,
    /// The unit of measure of goods that are not sold by the piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<UnitOfMeasure>,
    unit_price: PreviewAmount,
}

/// An amount with its currency.
#[derive(Serialize, ToSchema)]
struct PreviewAmount {
    #[schema(pattern = "^-?[0-9]+([.][0-9]+)?$", example = "129.99")]
    amount: String,
    #[schema(pattern = "^[A-Z]{3}$", example = "USD")]
    currency: String,
}

impl From<Money> for PreviewAmount {
    fn from(money: Money) -> Self {
        Self { amount: money.to_string(), currency: money.currency().code().to_owned() }
    }
}

pub(crate) async fn preview_edit(
    State(commands): State<Arc<CommandDependencies>>,
    path: Result<Path<String>, PathRejection>,
    caller: AuthorizedCaller,
    request: Request,
) -> Result<Response, Problem> {
    let Path(order_id) = path.map_err(|_| no_such_order())?;
    let order_id = OrderId::parse(order_id).map_err(|_| no_such_order())?;
    let (head, body) = commands.requests.read_body(request, BodyRequirement::Required).await?;
    let precondition = Precondition::read(&head.headers)?;
    let stream: Versioned<Order> = commands.store.load(order_id.as_str()).await.map_err(problems::not_read)?;
    let Order::Placed(order) = &stream.state else { return Err(no_such_order()) };
    if caller.only_customer().is_some_and(|customer| !order.content.is_of(customer)) {
        return Err(no_such_order());
    }
    let edit =
        parse_edit(&body, &order.content.lines, Uuid::nil(), order.content.currency).map_err(problems::invalid_body)?;
    precondition.check(stream.version)?;
    let preview = commands.limits.preview_edit(order, &edit);
    let preview = preview.map_err(|refusal| order_refusal::problem(&refusal, &[], Some(order.content.currency)))?;
    let view = EditPreviewView::of(&order_id, order, stream.version, &preview);
    Ok(([(header::ETAG, etag(stream.version)?)], Json(view)).into_response())
}

impl EditPreviewView {
    fn of(order_id: &OrderId, order: &PlacedOrder, version: i64, preview: &EditPreview) -> Self {
        let currency = order.content.currency;
        let amount = |minor| PreviewAmount::from(Money::from_minor(minor, currency));
        let lines = (1..).zip(&preview.content.lines).filter(|(_, line)| line.quantity > 0);
        Self {
            order_id: order_id.to_string(),
            version,
            total_before: order.content.total().into(),
            total: preview.content.total().into(),
            authorize: amount(preview.payment.as_ref().map_or(0, |payment| payment.amount_minor)),
            release: amount(preview.released_minor),
            refund: amount(preview.refunded_minor),
            lines: lines
                .map(|(line_number, line)| PreviewLine {
                    line_number,
                    sku: line.sku.to_string(),
                    title: line.title.clone(),
                    quantity: Quantity::of(line.quantity, line.unit),
                    unit: line.unit,
                    unit_price: PreviewAmount {
                        amount: line.unit_price(currency).to_string(),
                        currency: currency.code().to_owned(),
                    },
                })
                .collect(),
        }
    }
}
