//! `/orders/{order_id}`: an order, now or as it was, with what happened to it and how far its sagas are.

pub(super) mod answers;
pub(crate) mod changes;
mod decisions;
pub(crate) mod edit;
mod forms;
mod money;
mod sentence;

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use cqrs_es::Aggregate;
use domain::ids::OrderId;
use domain::order::Order;
use event_store::Versioned;
use event_store::read::read_version;
use http::Uri;
use problem::{Problem, QueryParameters};
use serde::Deserialize;

use self::answers::{DocumentsAnswer, Masked, OrderAnswer, SagasAnswer, TimelineAnswer};
use self::money::MoneyBar;
use super::home::unavailable;
use super::query;
use crate::Console;
use crate::action::{ActionForm, Control};
use crate::admission::Reader;
use crate::answer::{error_text, shown, told};
use crate::display::{Text, from_path};
use crate::frame::Frame;
use crate::live::{Follows, LivePage};

#[derive(Template)]
#[template(path = "order.html")]
struct OrderTemplate {
    frame: Frame,
    order: OrderAnswer,
    sentence: String,
    /// What the reader can do about it now.
    forms: Vec<ActionForm>,
    /// Whether the reader can edit it now.
    edits: bool,
    /// Whether there are none because the order has changed, and the page does not show it yet.
    forms_later: bool,
    /// `None`: the reader sees nothing of payments.
    money: Option<MoneyBar>,
    /// Whether it is shown as it was, and not as it is.
    as_of: bool,
    last_version: i64,
    /// `None`: they are not shown with what was, or not to the reader.
    documents: Option<DocumentsAnswer>,
    /// Why they can't be read.
    documents_failed: Option<Text>,
    timeline: TimelineAnswer,
    /// The address of the next events.
    later: Option<String>,
    /// `None`: they are not shown with what was, or not to the reader.
    sagas: Option<SagasAnswer>,
    /// Why they can't be read, such as an event that this build does not know.
    sagas_failed: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct OrderPageQuery {
    /// The order as it was then: a version, or an instant.
    as_of: Option<String>,
    /// The cursor of the events that are shown.
    cursor: Option<String>,
    /// `no`: the page stays as it is.
    #[serde(rename = "live")]
    _live: Option<String>,
}

pub(crate) async fn show(
    State(console): State<Console>,
    reader: Reader,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    asked: Result<QueryParameters<OrderPageQuery>, Problem>,
) -> Result<Response, Problem> {
    let order_id = parse_id(path)?;
    let OrderPageQuery { as_of, cursor, .. } = asked?.0;
    let as_of = as_of.filter(|as_of| !as_of.is_empty());
    let caller = reader.at("/orders/{order_id}")?;
    let queries = &console.0.queries;
    let order = queries.order(order_id.as_str(), as_of.as_deref(), &caller.0).await?;
    let order: OrderAnswer = shown(&caller, &order)?;
    let events_for = reader.at("/orders/{order_id}/events")?;
    let asked = cursor.as_deref().map_or_else(String::new, |cursor| query([("cursor", cursor)]));
    let timeline = queries.order_events(order_id.as_str(), &asked, &events_for.0).await?;
    let mut timeline: TimelineAnswer = shown(&events_for, &timeline)?;
    timeline.make_json();
    let (mut report, read) = match as_of {
        // It is read first: if something happens in between, a form is for a version that is not there any more.
        None => (None, forms::read(&console, &reader, &order_id).await),
        Some(_) => (None, None),
    };
    let (sagas, sagas_failed) = match (&as_of, reader.at("/orders/{order_id}/saga")) {
        (None, Ok(sagas_for)) => match sagas::read_report(&console.0.store, &order_id).await {
            Ok(found) => {
                report = found;
                let shown = report.as_ref().map(|report| shown::<SagasAnswer>(&sagas_for, report));
                (shown.transpose()?, None)
            }
            // The rest of the page can be read, and is what tells why.
            Err(problem) => (None, Some(error_text(&sagas_for.0, &told(&problem)))),
        },
        (Some(_), _) | (None, Err(_)) => (None, None),
    };
    let (documents, documents_failed) = match (&as_of, reader.at("/orders/{order_id}/documents")) {
        (None, Ok(caller)) => match queries.documents(order_id.as_str(), &caller.0).await {
            Ok(found) => (Some(shown(&caller, &found)?), None),
            Err(problem) => (None, Some(error_text(&caller.0, &told(&problem)))),
        },
        (Some(_), _) | (None, Err(_)) => (None, None),
    };
    let last_version = read_version(console.0.store.pool(), Order::TYPE, order_id.as_str());
    let last_version = last_version.await.map_err(unavailable)?;
    // A form is for the version that is shown. If the read model is behind, there is none.
    let forms_later = read.as_ref().is_some_and(|read| read.version != order.version);
    let read = read.filter(|_| !forms_later);
    let takes_edits =
        |read: &Versioned<Order>| matches!(&read.state, Order::Placed(order) if forms::takes_edits(order));
    let edits = edit::may_edit(&reader) && read.as_ref().is_some_and(takes_edits);
    let forms = read.map_or_else(Vec::new, |read| forms::all(&reader, &order_id, &read, report.as_ref()));
    let given = as_of.as_deref().map(|as_of| ("asOf", as_of));
    let later = timeline.cursor.as_deref().map(|cursor| query(given.into_iter().chain([("cursor", cursor)])));
    let follows = Follows::Order(order_id.as_str());
    // What was does not change.
    let live = LivePage::of(&reader, &path_of(&order_id), uri.query(), follows).filter(|_| as_of.is_none());
    crate::long_page(OrderTemplate {
        frame: Frame::of(&reader, format!("Order {order_id}"), "/orders").following(live),
        sentence: sentence::of(&order, sagas.as_ref()),
        money: MoneyBar::of(&order),
        forms,
        edits,
        forms_later,
        as_of: as_of.is_some(),
        last_version,
        documents,
        documents_failed,
        order,
        timeline,
        later,
        sagas,
        sagas_failed,
    })
    .await
}

/// An invoice or a credit note as PDF.
pub(crate) async fn document(
    State(console): State<Console>,
    reader: Reader,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let Path((order_id, id)) = path.map_err(|_| Problem::not_found("there is no such document"))?;
    let named = (from_path(&order_id).to_owned(), id);
    let (caller, _) = reader.at("/orders/{order_id}/documents/{document_id}")?;
    console.0.queries.document_file(named, &caller, reader.peer).await
}

/// The path of an order's page.
fn path_of(order_id: &OrderId) -> String {
    format!("/orders/{}", Text::from(order_id.as_str()).in_path())
}

/// The order that a path names. There is none under a text that is no id.
fn parse_id(path: Result<Path<String>, PathRejection>) -> Result<OrderId, Problem> {
    let order_id = path.ok().and_then(|Path(id)| OrderId::parse(from_path(&id)).ok());
    order_id.ok_or_else(|| Problem::not_found("there is no such order"))
}
