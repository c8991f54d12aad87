//! `GET /orders/export`: all orders of a filter, as NDJSON or CSV.
//!
//! The next page is read once the client has taken the one before. In between nothing is held but its text: no connection to the
//! database, no transaction, no turn among the caller's searches.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use access_control::{AuthorizedCaller, HandlerRedacted, Redaction, Route};
use axum::Extension;
use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use bounds::CapacityShare;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, StatusCode, Uri};
use problem::{ClientNetwork, Problem, ProblemType, QueryParameters, prefers};
use serde_json::{Value, json};

use super::list_request::{ListRequest, OrderListParameters};
use super::search::{OrdersFound, RunningOrderSearch, SearchedOrders};
use super::{PROJECTION, csv, expansion};
use crate::parameters::invalid;
use crate::reads::ReadRouteState;

/// The exports of a process that are under way: each may hold a page, which is some megabytes.
pub(crate) const EXPORTS: usize = 8;
/// Those of one principal.
pub(crate) const EXPORTS_PER_PRINCIPAL: usize = 2;
/// How many orders are read together.
const PAGE: u16 = 200;
/// How often a page is asked for while the caller's other searches are in its way, and how long between.
const ATTEMPTS: u32 = 12;
const PAUSE: Duration = Duration::from_secs(1);

/// The parameters of a list, and the format.
pub(crate) struct ExportParameters {
    list: OrderListParameters,
    format: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for ExportParameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let (formats, others): (Vec<&str>, Vec<&str>) =
            query.split('&').filter(|pair| !pair.is_empty()).partition(|pair| pair.starts_with("format="));
        let format = match formats.as_slice() {
            [] => None,
            [format] => format.strip_prefix("format=").map(str::to_owned),
            _ => return Err(invalid("format", "must be given once")),
        };
        let others = Uri::try_from(format!("/?{}", others.join("&"))).map_err(Problem::internal)?;
        let mut asked = http::Request::builder().uri(others).body(()).map_err(Problem::internal)?.into_parts().0;
        let QueryParameters(list) = QueryParameters::from_request_parts(&mut asked, state).await?;
        Ok(Self { list, format })
    }
}

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExportFormat {
    /// A JSON object a line: each order as a list has it, and at the end how many there were.
    Ndjson,
    Csv,
}

impl ExportFormat {
    /// The format that is asked for, by the parameter or else by `Accept`.
    fn of(parameter: Option<&str>, headers: &HeaderMap) -> Result<Self, Problem> {
        match parameter {
            Some("ndjson") => Ok(Self::Ndjson),
            Some("csv") => Ok(Self::Csv),
            Some(_) => Err(invalid("format", "must be ndjson or csv")),
            None if prefers(headers, "text/csv", "application/x-ndjson") => Ok(Self::Csv),
            None => Ok(Self::Ndjson),
        }
    }

    fn headers(self) -> [(http::HeaderName, &'static str); 2] {
        match self {
            Self::Ndjson => [
                (CONTENT_TYPE, "application/x-ndjson"),
                (CONTENT_DISPOSITION, "attachment; filename=\"orders.ndjson\""),
            ],
            Self::Csv => [
                (CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
                (CONTENT_DISPOSITION, "attachment; filename=\"orders.csv\""),
            ],
        }
    }
}

/// All orders of a filter
///
/// As NDJSON each order is a line, as in a list. The last line has `exported`, how many orders there were, and `complete`; a file without
/// it was cut off. If it is not complete, `problem` says why and `cursor` goes on from there. As CSV (RFC 4180) each order is a record. An
/// export that fails then ends without the end of the answer, which HTTP clients report. A text that a spreadsheet would take for a
/// formula has an apostrophe before it.
#[utoipa::path(
    get,
    path = "/orders/export",
    tag = "orders",
    operation_id = "exportOrders",
    params(
        OrderListParameters,
        ("format" = Option<String>, Query, description = "`ndjson` or `csv`; without it `Accept` says so (`text/csv`), else it is NDJSON", pattern = "^(ndjson|csv)$", example = "csv"),
    ),
    responses((
        status = 200,
        description = "The orders",
        content((String = "application/x-ndjson"), (String = "text/csv")),
        headers(("Content-Disposition" = String, description = "The name of a file"))
    ))
)]
pub(crate) async fn export_orders(
    State(reads): State<ReadRouteState>,
    parameters: Result<ExportParameters, Problem>,
    caller: AuthorizedCaller,
    peer: Option<Extension<ClientNetwork>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let ExportParameters { mut list, format } = parameters?;
    let format = ExportFormat::of(format.as_deref(), &headers)?;
    let own = caller.only_customer().map(str::to_owned);
    // Of another customer it sees what it would see of one that there is not.
    let is_empty = own.as_deref().is_some_and(|own| list.customer_id.as_deref().is_some_and(|asked| asked != own));
    list.customer_id = own.or(list.customer_id);
    let min_position = list.min_position;
    let request = list.parse(&caller)?;
    expansion::check(&request.expand, &caller)?;
    if format == ExportFormat::Csv && !request.expand.is_empty() {
        return Err(invalid("expand", "can't be given with CSV, of which an order is one record"));
    }
    reads.wait_for_position(PROJECTION.name, min_position, &headers).await?;
    let peer = peer.map(|Extension(peer)| peer);
    let slot = reads.export_slot(&caller)?;
    let mut export = RunningExport::of(reads, caller, peer, format, request, slot)?;
    export.is_over = is_empty;
    // What is wrong with the first page is answered as a problem.
    let first = export.page().await?;
    let body = Body::from_stream(stream::unfold((Some(first), export), RunningExport::next));
    Ok((format.headers(), Extension(HandlerRedacted), body).into_response())
}

/// An export under way.
struct RunningExport {
    reads: ReadRouteState,
    caller: AuthorizedCaller,
    peer: Option<ClientNetwork>,
    format: ExportFormat,
    request: ListRequest,
    redaction: Option<Redaction>,
    route: &'static Route,
    exported: u64,
    has_begun: bool,
    is_over: bool,
    has_ended: bool,
    _slot: CapacityShare<Arc<str>>,
}

impl RunningExport {
    fn of(
        reads: ReadRouteState,
        caller: AuthorizedCaller,
        peer: Option<ClientNetwork>,
        format: ExportFormat,
        request: ListRequest,
        slot: CapacityShare<Arc<str>>,
    ) -> Result<Self, Problem> {
        let route = Route::find("GET", "/orders/export").map_err(|_| Problem::internal("the export has no route"))?;
        Ok(Self {
            redaction: Redaction::of(caller.grant),
            reads,
            caller,
            peer,
            format,
            request,
            route,
            exported: 0,
            has_begun: false,
            is_over: false,
            has_ended: false,
            _slot: slot,
        })
    }

    /// The next piece of the answer. `None`: it is complete.
    async fn next((first, mut export): (Option<String>, Self)) -> Option<(io::Result<Bytes>, (Option<String>, Self))> {
        if let Some(first) = first.filter(|first| !first.is_empty()) {
            return Some((Ok(first.into()), (None, export)));
        }
        while !export.has_ended {
            let piece = match export.page().await {
                Ok(page) if page.is_empty() => continue,
                Ok(page) => page,
                Err(problem) => {
                    export.has_ended = true;
                    tracing::warn!(problem = %problem.to_json(), "an export ends before its time");
                    if export.format == ExportFormat::Csv {
                        return Some((Err(io::Error::other("the export failed")), (None, export)));
                    }
                    export.last_line(Some(&problem))
                }
            };
            return Some((Ok(piece.into()), (None, export)));
        }
        None
    }

    /// The text of the next page; after the last one that of the end.
    async fn page(&mut self) -> Result<String, Problem> {
        let mut text = String::new();
        if !self.has_begun && self.format == ExportFormat::Csv {
            csv::write_head(&mut text);
        }
        if self.is_over {
            self.has_ended = true;
            if self.format == ExportFormat::Ndjson {
                text.push_str(&self.last_line(None));
            }
            return Ok(text);
        }
        if self.caller.principal.expires_at().is_some_and(|at| at <= SystemTime::now()) {
            return Err(Problem::new(ProblemType::InvalidCredential, "the credential has expired meanwhile"));
        }
        let OrdersFound { orders, cursor } = self.found().await?;
        self.has_begun = true;
        for order in orders {
            let json = serde_json::to_string(&order).map_err(Problem::internal)?;
            let json = match self.redaction {
                Some(redaction) => redaction.apply(self.route, &json).map_err(Problem::internal)?,
                None => json,
            };
            match self.format {
                ExportFormat::Ndjson => {
                    text.push_str(&json);
                    text.push('\n');
                }
                ExportFormat::Csv => {
                    csv::write_order(&mut text, &serde_json::from_str(&json).map_err(Problem::internal)?);
                }
            }
            self.exported += 1;
        }
        self.is_over = cursor.is_none();
        self.request.cursor = cursor;
        Ok(text)
    }

    /// A page of orders, once it is the caller's turn.
    async fn found(&self) -> Result<OrdersFound, Problem> {
        let ListRequest { filter, expand, cursor, .. } = &self.request;
        let mut attempts = 1;
        loop {
            let table = self.reads.table(PROJECTION.name);
            let searched = SearchedOrders { table, pool: self.reads.store.pool() };
            let search = RunningOrderSearch::new(searched, filter, (&self.caller).into(), expand, PAGE);
            match self.reads.search(&self.caller, self.peer, search.page(cursor.as_deref())).await {
                Err(problem)
                    if problem.status() == StatusCode::SERVICE_UNAVAILABLE && self.has_begun && attempts < ATTEMPTS =>
                {
                    attempts += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                found => return found,
            }
        }
    }

    fn last_line(&self, problem: Option<&Problem>) -> String {
        let mut line = json!({ "exported": self.exported, "complete": problem.is_none() });
        if let (Some(problem), Value::Object(line)) = (problem, &mut line) {
            line.insert("problem".to_owned(), problem.to_json());
            line.insert("cursor".to_owned(), json!(self.request.cursor));
        }
        format!("{line}\n")
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::ACCEPT;

    use super::*;

    #[test]
    fn the_format_is_the_parameter_s_or_else_what_is_accepted() {
        let accept = |text: &'static str| HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(text))]);
        let of = |parameter, headers: &HeaderMap| ExportFormat::of(parameter, headers).ok();
        assert_eq!(of(None, &HeaderMap::new()), Some(ExportFormat::Ndjson));
        assert_eq!(of(None, &accept("*/*")), Some(ExportFormat::Ndjson));
        assert_eq!(of(None, &accept("text/csv")), Some(ExportFormat::Csv));
        assert_eq!(of(None, &accept("application/x-ndjson, text/csv;q=0.5")), Some(ExportFormat::Ndjson));
        assert_eq!(of(Some("ndjson"), &accept("*/*")), Some(ExportFormat::Ndjson));
        assert_eq!(of(Some("csv"), &accept("*/*")), Some(ExportFormat::Csv));
        assert_eq!(of(Some("xlsx"), &accept("*/*")), None);
    }
}
