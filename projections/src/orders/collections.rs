//! The parts of an order in pages: `GET /orders/{id}/notes`, `/shipments`, `/cancellations`, `/returns`, `/refunds`,
//! `/mails`.

use access_control::AuthorizedCaller;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use domain::order::PlacedOrder;
use http::HeaderMap;
use problem::{Problem, QueryParameters};
use read_models::{Item, Key, QueryScope, SortOrder};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::rows::{CancellationRow, MailRow, NoteRow, OrderRow, ReturnRow};
use super::view::{LineView, OrderReader, RefundView, ShipmentView};
use super::{META, PROJECTION, collection};
use crate::parameters::ParameterErrors;
use crate::reads::{ReadRouteState, may_see, no_order, page_problem, parse_order_id, store_problem};

pub(super) fn routes() -> OpenApiRouter<ReadRouteState> {
    OpenApiRouter::new()
        .routes(routes!(shipments))
        .routes(routes!(cancellations))
        .routes(routes!(returns))
        .routes(routes!(refunds))
        .routes(routes!(notes))
        .routes(routes!(mails))
}

/// The handler of each kind of part, described by the type of its rows.
macro_rules! part_routes {
    ($($(#[doc = $about:literal])* $handler:ident: $part:ident, $path:literal, $operation:literal, $row:ty;)*) => {
        $(
            $(#[doc = $about])*
            #[utoipa::path(
                get,
                path = $path,
                tag = "orders",
                operation_id = $operation,
                params(
                    ("order_id" = String, Path, description = "The order's id", pattern = "^[A-Za-z0-9._:-]{1,128}$", example = "order-1001"),
                    CollectionQuery,
                ),
                responses(
                    (status = 200, description = "A page, ordered by their ids", body = OrderPartPage<$row>),
                    (status = 404, description = "There is no such order"),
                )
            )]
            async fn $handler(
                reads: State<ReadRouteState>,
                path: Result<Path<String>, PathRejection>,
                parameters: Result<QueryParameters<CollectionQuery>, Problem>,
                caller: AuthorizedCaller,
                headers: HeaderMap,
            ) -> Result<Json<OrderPartPage<Box<RawValue>>>, Problem> {
                page(OrderPart::$part, reads, path, parameters, caller, headers).await
            }
        )*
    };
}

part_routes! {
    /// An order's shipments
    shipments: Shipments, "/orders/{order_id}/shipments", "listShipments", ShipmentView;
    /// An order's cancellations of lines
    cancellations: Cancellations, "/orders/{order_id}/cancellations", "listCancellations", CancellationRow;
    /// An order's returns
    returns: Returns, "/orders/{order_id}/returns", "listReturns", ReturnRow;
    /// An order's refunds
    refunds: Refunds, "/orders/{order_id}/refunds", "listRefunds", RefundView;
    /// The notes that were added to an order
    notes: Notes, "/orders/{order_id}/notes", "listNotes", NoteRow;
    /// An order's mails to the customer
    mails: Mails, "/orders/{order_id}/mails", "listMails", MailRow;
}

/// What hangs on an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OrderPart {
    /// They have no route of their own: an order has all of them.
    Lines,
    Shipments,
    Cancellations,
    Returns,
    Refunds,
    Notes,
    Mails,
}

/// Parts of one kind, ordered by their ids. If the page has a cursor, there are more.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OrderPartPage<T> {
    order_id: String,
    items: Vec<T>,
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CollectionQuery {
    /// The most of them in the page; 50 if it is left out.
    #[param(minimum = 1, maximum = 200)]
    pub(super) limit: Option<i64>,
    /// The cursor of the page before.
    pub(super) cursor: Option<String>,
    /// Waits until the view has passed this position of the log.
    #[param(minimum = 0)]
    pub(super) min_position: Option<i64>,
}

async fn page(
    part: OrderPart,
    State(reads): State<ReadRouteState>,
    path: Result<Path<String>, PathRejection>,
    parameters: Result<QueryParameters<CollectionQuery>, Problem>,
    caller: AuthorizedCaller,
    headers: HeaderMap,
) -> Result<Json<OrderPartPage<Box<RawValue>>>, Problem> {
    let (order_id, parameters) = (parse_order_id(path)?.to_string(), parameters?.0);
    let mut errors = ParameterErrors::default();
    let limit = errors.page_limit(parameters.limit);
    errors.into_result()?;
    reads.wait_for_position(PROJECTION.name, parameters.min_position, &headers).await?;
    let (table, pk) = (reads.table(PROJECTION.name), collection(&order_id));
    let head = table.find(&[Key::new(pk.clone(), META)]).await.map_err(store_problem)?;
    let Some(head) = head.first() else {
        return Err(no_order(&order_id));
    };
    if caller.only_customer().is_some() {
        let order = head.read::<OrderRow>().map_err(Problem::internal)?;
        if !may_see(&caller, order.customer_id.as_deref()) {
            return Err(no_order(&order_id));
        }
    }
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
    let placed = head.read::<OrderRow>().map_err(Problem::internal)?.show_to(OrderReader::Shop);
    let items = part.view(placed.as_deref(), &page.items).map_err(Problem::internal)?;
    Ok(Json(OrderPartPage { order_id, items, cursor: page.cursor }))
}

impl OrderPart {
    pub(super) const ALL: [Self; 7] =
        [Self::Lines, Self::Shipments, Self::Cancellations, Self::Returns, Self::Refunds, Self::Notes, Self::Mails];

    /// The last segment of the path.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::Shipments => "shipments",
            Self::Cancellations => "cancellations",
            Self::Returns => "returns",
            Self::Refunds => "refunds",
            Self::Notes => "notes",
            Self::Mails => "mails",
        }
    }

    /// How many of them come with an order in a list, at the most: of lines as many as an order may have.
    pub(super) fn most_in_lists(self) -> u16 {
        match self {
            Self::Lines => 500,
            Self::Shipments | Self::Cancellations | Self::Returns | Self::Refunds | Self::Notes | Self::Mails => 100,
        }
    }

    /// The range of sort keys that its rows have: from the first, and before the second.
    pub(super) fn sort_keys(self) -> (&'static str, &'static str) {
        match self {
            Self::Lines => ("LINE#", "LINE$"),
            Self::Shipments => ("SHIPMENT#", "SHIPMENT$"),
            Self::Cancellations => ("CANCELLATION#", "CANCELLATION$"),
            Self::Returns => ("RETURN#", "RETURN$"),
            Self::Refunds => ("REFUND#", "REFUND$"),
            Self::Notes => ("NOTE#", "NOTE$"),
            Self::Mails => ("MAIL#", "MAIL$"),
        }
    }

    /// The rows as `GET /orders/{id}` shows them. `placed` is the folded order.
    pub(super) fn view(
        self,
        placed: Option<&PlacedOrder>,
        items: &[Item],
    ) -> Result<Vec<Box<RawValue>>, serde_json::Error> {
        let view = |item: &Item| match self {
            Self::Lines => to_raw_value(&LineView::of(item.read()?, placed)),
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
