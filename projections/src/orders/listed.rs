//! An order in a list, with those of its parts that were asked for.

use problem::Problem;
use read_models::{GenerationTable, Item, ItemPage, Query, QueryScope, SortOrder};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::collections::OrderPart;
use super::expansion::Expansion;
use super::rows::{CancellationRow, MailRow, NoteRow, OrderRow, ReturnRow};
use super::view::{LineView, OrderReader, RefundView, ShipmentView};
use crate::reads::page_problem;

/// An order in a list. Of its parts it has those that `expand` names.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListedOrder {
    #[serde(flatten)]
    order: OrderRow,
    #[serde(flatten)]
    parts: ListedParts,
}

/// Parts of an order, by their ids; of each kind but the lines the first hundred.
#[derive(Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ListedParts {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<LineView>, required = false)]
    lines: Option<Vec<Box<RawValue>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<ShipmentView>, required = false)]
    shipments: Option<Vec<Box<RawValue>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<CancellationRow>, required = false)]
    cancellations: Option<Vec<Box<RawValue>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<ReturnRow>, required = false)]
    returns: Option<Vec<Box<RawValue>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<RefundView>, required = false)]
    refunds: Option<Vec<Box<RawValue>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<NoteRow>, required = false)]
    added_notes: Option<Vec<Box<RawValue>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<MailRow>, required = false)]
    mails: Option<Vec<Box<RawValue>>>,
    /// The kinds of which not all are shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    more: Vec<&'static str>,
}

/// The rows of some parts of an order.
#[derive(Default)]
pub(super) struct PartRows(Vec<(OrderPart, ItemPage)>);

impl PartRows {
    /// The rows of the order with a partition key: of each part as many as are shown.
    pub(super) async fn read(table: &dyn GenerationTable, pk: &str, parts: &[OrderPart]) -> Result<Self, Problem> {
        let mut rows = Vec::with_capacity(parts.len());
        for part in parts {
            let (from, until) = part.sort_keys();
            let query = Query {
                // Nobody is given its cursor.
                name: "expand",
                scope: QueryScope::Collection(pk),
                from: Some(from),
                until: Some(until),
                order: SortOrder::Ascending,
                limit: part.most_in_lists(),
                cursor: None,
            };
            rows.push((*part, table.query(&query).await.map_err(page_problem)?));
        }
        Ok(Self(rows))
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.iter().flat_map(|(_, page)| &page.items).map(Item::size).sum()
    }
}

impl ListedOrder {
    pub(super) fn new(mut order: OrderRow, rows: &PartRows, reader: OrderReader) -> Result<Self, Problem> {
        let placed = order.show_to(reader);
        let mut parts = ListedParts::default();
        for (part, page) in &rows.0 {
            let views = Some(part.view(placed.as_deref(), &page.items).map_err(Problem::internal)?);
            match part {
                OrderPart::Lines => parts.lines = views,
                OrderPart::Shipments => parts.shipments = views,
                OrderPart::Cancellations => parts.cancellations = views,
                OrderPart::Returns => parts.returns = views,
                OrderPart::Refunds => parts.refunds = views,
                OrderPart::Notes => parts.added_notes = views,
                OrderPart::Mails => parts.mails = views,
            }
            if page.cursor.is_some() {
                parts.more.push(Expansion::name(*part));
            }
        }
        Ok(Self { order, parts })
    }
}
