//! An order's invoices and credit notes: `GET /orders/{id}/documents`, `/orders/{id}/documents/{documentId}`. The order's row names
//! them. What one says is read from the log, from the stream of the series that numbers it.

use access_control::{AuthorizedCaller, HandlerRedacted, RoutePermission};
use axum::Extension;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use chrono::NaiveDate;
use cqrs_es::Aggregate;
use documents::PdfError;
use domain::document::{Buyer, DocumentEvent, DocumentIssued, DocumentKind, DocumentLine, DocumentSeries, DocumentTax};
use domain::money::Money;
use domain::order::{DocumentCause, OrderDocument, PlacedOrder};
use domain::quantity::UnitOfMeasure;
use event_store::StoredEvent;
use event_store::read::read_stream_after;
use http::HeaderMap;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use problem::{ClientNetwork, Problem, QueryParameters, prefers};
use read_models::Key;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::collections::CollectionQuery;
use super::rows::{AddressRow, OrderRow};
use super::view::OrderReader;
use super::{META, PROJECTION, collection};
use crate::amount_view::AmountView;
use crate::parameters::{ParameterErrors, invalid};
use crate::reads::{MinPositionQuery, ReadRouteState, may_see, no_order, parse_order_id, store_problem, unavailable};

/// The bytes of a document that are read at the most; one is read however large it is.
const MAX_BYTES: i64 = 1 << 20;

pub(super) fn routes() -> OpenApiRouter<ReadRouteState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// An order's documents, oldest first. If the page has a cursor, there are more.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DocumentsPage {
    order_id: String,
    items: Vec<DocumentSummary>,
    cursor: Option<String>,
}

/// What names a document.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DocumentSummary {
    document_id: String,
    /// `invoice` or `creditNote`.
    kind: &'static str,
    /// For people.
    #[schema(example = "INV-2026-000042")]
    number: String,
    /// The day of issue (UTC).
    issued_on: NaiveDate,
    /// The shipment that an invoice is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    shipment_id: Option<String>,
    /// The refund that a credit note is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_id: Option<String>,
    /// With taxes.
    total: AmountView,
}

/// An invoice or a credit note.
#[derive(Serialize, ToSchema)]
#[schema(as = Document)]
#[serde(rename_all = "camelCase")]
struct DocumentView {
    #[serde(flatten)]
    summary: DocumentSummary,
    order_id: String,
    /// The order's number for people, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    order_number: Option<String>,
    /// The day on which the goods of an invoice were sent (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    supplied_on: Option<NaiveDate>,
    /// The numbers of the invoices that a credit note takes some back of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    invoices: Vec<String>,
    /// Why money went back, if it was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    seller: SellerView,
    buyer: BuyerView,
    /// The language that the buyer reads, and that the PDF is in if there is one in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "de-DE")]
    locale: Option<String>,
    /// The goods and the postage of an invoice, or the goods that came back. A credit note over any other amount has none.
    lines: Vec<DocumentLineView>,
    /// The taxes, one of each kind.
    taxes: Vec<DocumentTaxView>,
    /// Without taxes.
    net: AmountView,
    /// All taxes.
    tax: AmountView,
}

/// Who sells.
#[derive(Serialize, ToSchema)]
#[schema(as = Seller)]
#[serde(rename_all = "camelCase")]
struct SellerView {
    name: String,
    address: String,
    tax_id: String,
}

/// Who buys, as far as it is known.
#[derive(Serialize, ToSchema)]
#[schema(as = Buyer)]
#[serde(rename_all = "camelCase")]
struct BuyerView {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tax_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<AddressRow>,
}

/// Goods, or postage: that has no SKU. Amounts are less all discounts.
#[derive(Serialize, ToSchema)]
#[schema(as = DocumentLine)]
#[serde(rename_all = "camelCase")]
struct DocumentLineView {
    #[serde(skip_serializing_if = "Option::is_none")]
    sku: Option<String>,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
    /// A decimal number: of pieces, or of `unit`.
    #[schema(example = "2")]
    quantity: String,
    /// What the goods are measured in, if they are not sold by the piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<UnitOfMeasure>,
    /// The price of one piece or one `unit`, before discounts, as the shop posted it. Documents of earlier builds have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_price: Option<AmountView>,
    /// What is taken off: its share of the discounts of the line and of the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    discount: Option<AmountView>,
    taxes: Vec<DocumentTaxView>,
    /// Without taxes.
    net: AmountView,
    /// With taxes.
    total: AmountView,
}

/// A tax, and what it is taken of.
#[derive(Serialize, ToSchema)]
#[schema(as = DocumentTax)]
struct DocumentTaxView {
    name: String,
    /// 0.19 for 19 %.
    #[schema(example = "0.19")]
    rate: String,
    /// What it is taken of.
    net: AmountView,
    amount: AmountView,
}

/// An order's invoices and credit notes
#[utoipa::path(
    get,
    path = "/orders/{order_id}/documents",
    tag = "orders",
    operation_id = "listDocuments",
    params(
        ("order_id" = String, Path, description = "The order's id", pattern = "^[A-Za-z0-9._:-]{1,128}$", example = "order-1001"),
        CollectionQuery,
    ),
    responses(
        (status = 200, description = "A page, oldest first", body = DocumentsPage),
        (status = 404, description = "There is no such order"),
    )
)]
pub(crate) async fn list(
    State(reads): State<ReadRouteState>,
    path: Result<Path<String>, PathRejection>,
    parameters: Result<QueryParameters<CollectionQuery>, Problem>,
    caller: AuthorizedCaller,
    headers: HeaderMap,
) -> Result<Json<DocumentsPage>, Problem> {
    let (order_id, parameters) = (parse_order_id(path)?.to_string(), parameters?.0);
    let mut errors = ParameterErrors::default();
    let limit = usize::from(errors.page_limit(parameters.limit));
    errors.into_result()?;
    let skipped = match parameters.cursor.as_deref().map(str::parse::<usize>) {
        None => 0,
        Some(Ok(skipped)) => skipped,
        Some(Err(_)) => return Err(invalid("cursor", "must be the cursor of an earlier answer")),
    };
    let placed = order(&reads, &order_id, parameters.min_position, &caller, &headers).await?;
    let end = skipped.saturating_add(limit);
    let page = placed.documents.iter().skip(skipped).take(limit);
    let items = page.map(|document| DocumentSummary::of(document, &placed)).collect();
    let cursor = (end < placed.documents.len()).then(|| end.to_string());
    Ok(Json(DocumentsPage { order_id, items, cursor }))
}

/// An invoice or a credit note
#[utoipa::path(
    get,
    path = "/orders/{order_id}/documents/{document_id}",
    tag = "orders",
    operation_id = "getDocument",
    params(
        ("order_id" = String, Path, description = "The order's id", pattern = "^[A-Za-z0-9._:-]{1,128}$", example = "order-1001"),
        ("document_id" = String, Path, description = "The document's id", pattern = "^[A-Za-z0-9._:-]{1,128}$"),
        MinPositionQuery,
    ),
    responses(
        (
            status = 200,
            description = "All that it says; as PDF, if `Accept` prefers that to JSON",
            content((DocumentView = "application/json"), (String = "application/pdf")),
        ),
        (status = 404, description = "There is no such order or document"),
    )
)]
pub(crate) async fn show(
    State(reads): State<ReadRouteState>,
    path: Result<Path<(String, String)>, PathRejection>,
    parameters: Result<QueryParameters<MinPositionQuery>, Problem>,
    caller: AuthorizedCaller,
    peer: Option<Extension<ClientNetwork>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (order_path, document_id) = match path {
        Ok(Path((order_id, document_id))) => (Ok(Path(order_id)), document_id),
        Err(rejection) => (Err(rejection), String::new()),
    };
    let (order_id, parameters) = (parse_order_id(order_path)?.to_string(), parameters?.0);
    let placed = order(&reads, &order_id, parameters.min_position, &caller, &headers).await?;
    let named = placed.documents.iter().find(|document| document.id.as_str() == document_id);
    let named = named.ok_or_else(|| Problem::not_found("the order has no such document"))?;
    let stream = (DocumentSeries::TYPE, named.series.as_str(), named.sequence.saturating_sub(1));
    let events = read_stream_after(reads.store.pool(), stream, 1, MAX_BYTES).await.map_err(unavailable)?;
    let event = events.first().map(StoredEvent::decode::<DocumentSeries>).transpose().map_err(Problem::internal)?;
    match event {
        Some(DocumentEvent::DocumentIssued(issued)) if issued.document_id == named.id => {
            if prefers(&headers, "application/pdf", "application/json") {
                return pdf(&reads, issued, &caller, peer.map(|Extension(peer)| peer)).await;
            }
            let summary = DocumentSummary::of(named, &placed);
            Ok(Json(DocumentView::of(issued, summary)).into_response())
        }
        Some(DocumentEvent::DocumentIssued(_)) | None => {
            Err(Problem::internal(format!("the series {} does not have {}", named.series, named.number)))
        }
    }
}

/// The document as PDF. It is made of the document alone, so it is not kept. It takes a processor for some milliseconds: a caller has half
/// of the processors for that.
async fn pdf(
    reads: &ReadRouteState,
    mut document: DocumentIssued,
    caller: &AuthorizedCaller,
    peer: Option<ClientNetwork>,
) -> Result<Response, Problem> {
    let sees_people = match caller.grant {
        RoutePermission::All | RoutePermission::Own | RoutePermission::UpToAmount => true,
        RoutePermission::Masked | RoutePermission::WithoutPaymentDetails => false,
    };
    if !sees_people {
        (document.buyer, document.reason) = (Buyer::default(), None);
    }
    let file_name = format!("inline; filename=\"{}.pdf\"", document.number);
    let render = async {
        let rendered = tokio::task::spawn_blocking(move || documents::render(&document)).await;
        rendered.map_err(Problem::internal)?.map_err(|error: PdfError| Problem::internal(error))
    };
    let file = reads.print(caller, peer, render).await?;
    let headers = [(CONTENT_TYPE, "application/pdf".to_owned()), (CONTENT_DISPOSITION, file_name)];
    Ok((headers, Extension(HandlerRedacted), file).into_response())
}

/// The folded order, if the caller may see it.
async fn order(
    reads: &ReadRouteState,
    order_id: &str,
    min_position: Option<i64>,
    caller: &AuthorizedCaller,
    headers: &HeaderMap,
) -> Result<Box<PlacedOrder>, Problem> {
    reads.wait_for_position(PROJECTION.name, min_position, headers).await?;
    let found = reads.table(PROJECTION.name).find(&[Key::new(collection(order_id), META)]).await;
    let found = found.map_err(store_problem)?;
    let head = found.first().ok_or_else(|| no_order(order_id))?;
    let mut order = head.read::<OrderRow>().map_err(Problem::internal)?;
    if !may_see(caller, order.customer_id.as_deref()) {
        return Err(no_order(order_id));
    }
    order.show_to(OrderReader::Shop).ok_or_else(|| no_order(order_id))
}

impl DocumentSummary {
    fn of(document: &OrderDocument, order: &PlacedOrder) -> Self {
        let (shipment_id, refund_id) = match &document.cause {
            DocumentCause::Shipment(id) => (Some(id.to_string()), None),
            DocumentCause::Refund(id) => (None, Some(id.to_string())),
        };
        Self {
            document_id: document.id.to_string(),
            kind: match document.cause.kind() {
                DocumentKind::Invoice => "invoice",
                DocumentKind::CreditNote => "creditNote",
            },
            number: document.number.clone(),
            issued_on: document.issued_on,
            shipment_id,
            refund_id,
            total: Money::from_minor(document.total_minor, order.content.currency).into(),
        }
    }
}

impl DocumentView {
    fn of(issued: DocumentIssued, summary: DocumentSummary) -> Self {
        let money = |minor: i64| AmountView::from(issued.money(minor));
        let taxes = |taxes: &[DocumentTax]| -> Vec<DocumentTaxView> {
            let tax = |it: &DocumentTax| DocumentTaxView {
                name: it.name.clone(),
                rate: it.rate.to_string(),
                net: money(it.net_minor),
                amount: money(it.amount_minor),
            };
            taxes.iter().map(tax).collect()
        };
        let line = |it: &DocumentLine| DocumentLineView {
            sku: it.sku.as_ref().map(ToString::to_string),
            title: it.title.clone(),
            variant: it.variant.clone(),
            quantity: it.quantity.clone(),
            unit: it.unit,
            unit_price: it.unit_price.clone().map(|amount| AmountView { amount, currency: issued.currency }),
            discount: (it.discount_minor != 0).then(|| money(it.discount_minor)),
            taxes: taxes(&it.taxes),
            net: money(it.net_minor),
            total: money(it.total_minor),
        };
        let (lines, net, tax) =
            (issued.lines.iter().map(line).collect(), money(issued.net_minor), money(issued.tax_minor));
        let taxes = taxes(&issued.taxes);
        let Buyer { name, email, tax_id, address } = issued.buyer;
        Self {
            summary,
            order_id: issued.order_id.into(),
            order_number: issued.order_number,
            supplied_on: issued.supplied_on,
            invoices: issued.invoices,
            reason: issued.reason,
            seller: SellerView {
                name: issued.seller.name,
                address: issued.seller.address,
                tax_id: issued.seller.tax_id,
            },
            locale: issued.locale.as_ref().map(|locale| locale.as_str().to_owned()),
            buyer: BuyerView { name, email, tax_id, address: address.as_ref().map(AddressRow::from) },
            lines,
            taxes,
            net,
            tax,
        }
    }
}
