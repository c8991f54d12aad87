//! The parts of an order in pages: `GET /orders/{id}/notes`, `/shipments`, `/cancellations`, `/returns`, `/refunds`,
//! `/mails`.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use http::HeaderMap;
use problem::{Problem, QueryParameters};
use read_models::{Item, Key, QueryScope, SortOrder};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::rows::{CancellationRow, MailRow, NoteRow, OrderRow, ReturnRow};
use super::view::{RefundView, ShipmentView, placed};
use super::{META, PROJECTION, collection};
use crate::parameters::ParameterErrors;
use crate::reads::{ReadContext, page_problem, parse_order_id, store_problem};

pub(super) fn routes() -> Router<ReadContext> {
    OrderPart::ALL.into_iter().fold(Router::new(), |routes, part| {
        let path = format!("/orders/{{order_id}}/{}", part.name());
        routes.route(&path, get(move |reads, path, parameters, headers| page(part, reads, path, parameters, headers)))
    })
}

#[derive(Debug, Clone, Copy)]
enum OrderPart {
    Shipments,
    Cancellations,
    Returns,
    Refunds,
    Notes,
    Mails,
}

/// Parts of one kind, ordered by their ids. If the page has a cursor, there are more.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderPartPage {
    order_id: String,
    items: Vec<Box<RawValue>>,
    cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CollectionQuery {
    limit: Option<i64>,
    cursor: Option<String>,
    min_position: Option<i64>,
}

async fn page(
    part: OrderPart,
    State(reads): State<ReadContext>,
    path: Result<Path<String>, PathRejection>,
    parameters: Result<QueryParameters<CollectionQuery>, Problem>,
    headers: HeaderMap,
) -> Result<Json<OrderPartPage>, Problem> {
    let (order_id, parameters) = (parse_order_id(path)?.to_string(), parameters?.0);
    let mut errors = ParameterErrors::default();
    let limit = errors.page_limit(parameters.limit);
    errors.into_result()?;
    reads.wait_for_position(PROJECTION.name, parameters.min_position, &headers).await?;
    let (table, pk) = (reads.table(PROJECTION.name), collection(&order_id));
    let head = table.find(&[Key::new(pk.clone(), META)]).await.map_err(store_problem)?;
    let Some(head) = head.first() else {
        return Err(Problem::not_found(format!("there is no order {order_id}")));
    };
    let (from, until) = part.sort_keys();
    let page = table
        .query(&read_models::Query {
            name: &format!("{} of {pk}", part.name()),
            scope: QueryScope::Collection(&pk),
            from: Some(from),
            until: Some(until),
            order: SortOrder::Ascending,
            limit,
            cursor: parameters.cursor.as_deref(),
        })
        .await
        .map_err(page_problem)?;
    let items = part.view(head, &page.items).map_err(Problem::internal)?;
    Ok(Json(OrderPartPage { order_id, items, cursor: page.cursor }))
}

impl OrderPart {
    const ALL: [Self; 6] =
        [Self::Shipments, Self::Cancellations, Self::Returns, Self::Refunds, Self::Notes, Self::Mails];

    /// The last segment of the path.
    fn name(self) -> &'static str {
        match self {
            Self::Shipments => "shipments",
            Self::Cancellations => "cancellations",
            Self::Returns => "returns",
            Self::Refunds => "refunds",
            Self::Notes => "notes",
            Self::Mails => "mails",
        }
    }

    /// The range of sort keys that its rows have: from the first, and before the second.
    fn sort_keys(self) -> (&'static str, &'static str) {
        match self {
            Self::Shipments => ("SHIPMENT#", "SHIPMENT$"),
            Self::Cancellations => ("CANCELLATION#", "CANCELLATION$"),
            Self::Returns => ("RETURN#", "RETURN$"),
            Self::Refunds => ("REFUND#", "REFUND$"),
            Self::Notes => ("NOTE#", "NOTE$"),
            Self::Mails => ("MAIL#", "MAIL$"),
        }
    }

    /// The rows as `GET /orders/{id}` shows them. `head` is the order's own row.
    fn view(self, head: &Item, items: &[Item]) -> Result<Vec<Box<RawValue>>, serde_json::Error> {
        let placed = placed(&mut head.read::<OrderRow>()?);
        let placed = placed.as_deref();
        let view = |item: &Item| match self {
            Self::Shipments => to_raw_value(&ShipmentView::of(item.read()?, placed)),
            Self::Cancellations => to_raw_value(&item.read::<CancellationRow>()?),
            Self::Returns => to_raw_value(&item.read::<ReturnRow>()?),
            Self::Refunds => to_raw_value(&RefundView::of(item.read()?, placed)),
            Self::Notes => to_raw_value(&item.read::<NoteRow>()?),
            Self::Mails => to_raw_value(&item.read::<MailRow>()?),
        };
        items.iter().map(view).collect()
    }
}
