//! `/bulk-actions`: what operators have done to all that matches, and how far it is. `/bulk-actions/new`: what one on sagas would act on,
//! and the form that begins it.

use access_control::RoutePermission;
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use domain::order::saga::SagaStep;
use http::Uri;
use problem::{FieldError, Problem, ProblemType};
use sagas::report::{WaitingSagaFilter, WaitingSagaRow};
use serde::Deserialize;
use serde_json::Value;

use super::home::unavailable;
use super::{dead_letters, query};
use crate::Console;
use crate::action::{ActionForm, Control, Field};
use crate::admission::Reader;
use crate::answer::{error_text, shown};
use crate::display::{Instant, Text, how_long, words};
use crate::frame::Frame;
use crate::live::{Follows, LivePage};

/// How many sagas a preview shows.
const SHOWN: i64 = 20;
/// The most orders that can be ticked.
const MOST_ORDERS: usize = 200;
/// The most characters of a part of an error.
const MAX_ERROR: usize = 4_000;

#[derive(Template)]
#[template(path = "bulk_actions.html")]
struct BulkActionsTemplate {
    frame: Frame,
    actions: Vec<BulkAction>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "bulk_action.html")]
struct BulkActionTemplate {
    frame: Frame,
    action: BulkAction,
    conditions: Vec<(String, Text)>,
    /// `None`: it has ended, or the reader may not stop it.
    stop: Option<ActionForm>,
}

#[derive(Template)]
#[template(path = "new_bulk_action.html")]
struct NewBulkActionTemplate {
    frame: Frame,
    title: &'static str,
    conditions: Vec<(String, Text)>,
    count: i64,
    sagas: Vec<StuckSaga>,
    /// `None`: the reader may not begin it.
    form: Option<ActionForm>,
}

struct StuckSaga {
    order_id: Text,
    step: Text,
    since: Instant,
    error: Option<Text>,
}

#[derive(Deserialize)]
struct BulkActionsAnswer {
    items: Vec<BulkAction>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BulkAction {
    id: Text,
    kind: Text,
    filter: Value,
    reason: Text,
    actor: Text,
    rate: u32,
    state: Text,
    running: bool,
    matched: Option<i64>,
    done: i64,
    moved_on: i64,
    failed: i64,
    errors: Vec<ItemError>,
    note: Option<Text>,
    created_at: Instant,
    updated_at: Instant,
    ended_at: Option<Instant>,
}

#[derive(Deserialize)]
struct ItemError {
    id: Text,
    error: Text,
}

impl BulkAction {
    /// How many it is through with.
    fn passed(&self) -> i64 {
        self.done + self.moved_on + self.failed
    }

    fn is_of_orders(&self) -> bool {
        self.kind.as_str().ends_with("sagas")
    }

    /// How long the rest takes at its rate. `None`: that is not known, or nothing is left.
    fn left(&self) -> Option<String> {
        let left = self.matched? - self.passed();
        let is_on = self.ended_at.is_none() && left > 0;
        is_on.then(|| how_long(left / i64::from(self.rate.max(1)) + 1))
    }
}

pub(crate) async fn list(State(console): State<Console>, reader: Reader, uri: Uri) -> Result<Response, Problem> {
    let caller = reader.at("/bulk-actions")?;
    let asked = uri.query().unwrap_or_default();
    let found: BulkActionsAnswer = shown(&caller, &bulk_actions::read_bulk_actions(&console.0.store, asked).await?)?;
    let next = found.cursor.as_deref().map(|cursor| query([("cursor", cursor)]));
    let frame = Frame::of(&reader, "Bulk actions", "/bulk-actions");
    crate::page(&BulkActionsTemplate { frame, actions: found.items, next })
}

pub(crate) async fn show(
    State(console): State<Console>,
    reader: Reader,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let caller = reader.at("/bulk-actions/{id}")?;
    let action: BulkAction = shown(&caller, &bulk_actions::read_bulk_action(&console.0.store, &id).await?)?;
    let route = ("POST", "/bulk-actions/{id}/stop");
    let stop = reader.form(route, &[&id], "Stop", format!("/bulk-actions/{}", action.id.in_path()));
    let stop = stop.filter(|_| console.0.runs_bulk_actions && action.state.is("running"));
    let stop = stop.map(|form| form.explained("What is done stays done. The rest is left as it is.").finished());
    let conditions = action.filter.as_object().into_iter().flatten().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (words(name), value.into())
    });
    let path = format!("/bulk-actions/{}", action.id.in_path());
    let live = LivePage::of(&reader, &path, uri.query(), Follows::Time);
    crate::page(&BulkActionTemplate {
        frame: Frame::of(&reader, "Bulk action", "/bulk-actions").following(live),
        conditions: conditions.collect(),
        stop,
        action,
    })
}

/// What is to be done to which stuck sagas, as the address says it.
struct SagaChoice {
    kind: &'static str,
    step: Option<SagaStep>,
    error: Option<String>,
    until: Instant,
    orders: Vec<String>,
}

impl SagaChoice {
    fn parse(asked: &str) -> Result<Self, Problem> {
        let mut choice = Self { kind: "", step: None, error: None, until: Instant::now(), orders: Vec::new() };
        for (name, value) in url::form_urlencoded::parse(asked.as_bytes()).filter(|(_, value)| !value.is_empty()) {
            match &*name {
                "kind" => {
                    let known = ["retry_sagas", "compensate_sagas"].into_iter().find(|kind| **kind == value);
                    choice.kind = known.ok_or_else(|| invalid("kind", "must be retry_sagas or compensate_sagas"))?;
                }
                "step" => {
                    choice.step = Some(SagaStep::parse(&value).ok_or_else(|| invalid("step", "is no step of a saga"))?);
                }
                "error" if value.chars().count() > MAX_ERROR || value.contains('\0') => {
                    return Err(invalid("error", "must have at most 4,000 characters, none of them NUL"));
                }
                // Browsers end lines so.
                "error" => choice.error = Some(value.replace("\r\n", "\n")),
                "until" => {
                    let until = value.parse().map_err(|_| invalid("until", "must be an instant"))?;
                    choice.until = Instant(until).min(choice.until);
                }
                "orderIds" => choice.orders.push(value.into_owned()),
                // What else the list was asked for.
                "state" | "limit" | "cursor" => {}
                _ => return Err(invalid(&name, "is not known here")),
            }
        }
        if choice.kind.is_empty() {
            return Err(invalid("kind", "must be retry_sagas or compensate_sagas"));
        }
        if choice.kind == "compensate_sagas" && choice.step.is_none() {
            return Err(invalid("step", "must be given: go back, show one step alone, and choose there"));
        }
        if choice.orders.len() > MOST_ORDERS || choice.orders.iter().any(|id| id.contains('\0')) {
            return Err(invalid("orderIds", "must be at most 200 ids"));
        }
        Ok(choice)
    }

    fn filter(&self) -> WaitingSagaFilter<'_> {
        WaitingSagaFilter {
            stuck: Some(true),
            error: self.error.as_deref(),
            step: self.step,
            until: Some(self.until.0),
            orders: (!self.orders.is_empty()).then_some(&self.orders[..]),
            stuck_by: Some(self.until.0),
        }
    }

    /// The address's question for exactly these.
    fn query(&self) -> String {
        let until = self.until.iso();
        let step = self.step.map(|step| ("step", step.name()));
        let error = self.error.as_deref().map(|error| ("error", error));
        let orders = self.orders.iter().map(|order| ("orderIds", order.as_str()));
        query([("kind", self.kind), ("until", &until)].into_iter().chain(step).chain(error).chain(orders))
    }

    fn conditions(&self) -> Vec<(String, Text)> {
        let step = self.step.map(|step| ("step".to_owned(), words(step.name()).into()));
        let error = self.error.as_deref().map(|error| ("last error has".to_owned(), error.into()));
        let orders = (!self.orders.is_empty()).then(|| ("orders".to_owned(), self.orders.join(", ").into()));
        let until = ("at their step since".to_owned(), format!("{} or longer", self.until).into());
        [step, error, orders, Some(until)].into_iter().flatten().collect()
    }
}

pub(crate) async fn new(State(console): State<Console>, reader: Reader, uri: Uri) -> Result<Response, Problem> {
    let asked = uri.query().unwrap_or_default();
    if dead_letters::bulk::is_about_dead_letters(asked) {
        return dead_letters::bulk::new(&console, &reader, asked).await;
    }
    let (caller, _) = reader.at("/sagas")?;
    let choice = SagaChoice::parse(asked)?;
    // Whoever sees errors masked may not ask by them either.
    if choice.error.is_some() && caller.grant != RoutePermission::All {
        return Err(Problem::new(ProblemType::Forbidden, "the role may not ask for sagas by error"));
    }
    let pool = console.0.store.pool();
    let (_, count) = sagas::report::count(pool, choice.filter()).await.map_err(unavailable)?;
    let rows = sagas::report::waiting(pool, choice.filter(), None, SHOWN).await.map_err(unavailable)?;
    let saga = |row: WaitingSagaRow| StuckSaga {
        order_id: row.order_id.into(),
        step: row.step.into(),
        since: Instant(row.since),
        error: row.last_error.map(|error| error_text(&caller, &error)),
    };
    let (title, what) = match choice.kind {
        "retry_sagas" => ("Retry sagas", "Each of them tries its step again."),
        _ => (
            "Undo orders",
            "What was done for their orders is undone, and they end. Their customers get a mail. There is no way back.",
        ),
    };
    let form = reader.form(("POST", "/bulk-actions"), &[], title, "").map(|form| {
        let form = form
            .on_page(format!("/bulk-actions/new?{}", choice.query()))
            .explained(what)
            .explained("Those that are stuck only later are left alone.");
        let form = form.with("/kind", choice.kind).with("/filter/until", choice.until.iso());
        let form = match choice.step {
            Some(step) => form.with("/filter/step", step.name()),
            None => form,
        };
        let form = match &choice.error {
            Some(error) => form.with("/filter/error", error.as_str()),
            None => form,
        };
        let form = choice
            .orders
            .iter()
            .enumerate()
            .fold(form, |form, (at, order)| form.with(format!("/filter/orderIds/{at}"), order.as_str()));
        let rate = Field::number("/rate:number", "The most in a second").filled("10").hint("1 to 100");
        let mut form = form.field(Field::words("/reason", "Reason").required()).field(rate).finished();
        form.is_open = true;
        form
    });
    crate::page(&NewBulkActionTemplate {
        frame: Frame::of(&reader, title, "/bulk-actions"),
        title,
        conditions: choice.conditions(),
        count,
        sagas: rows.into_iter().map(saga).collect(),
        form: form.filter(|_| console.0.runs_bulk_actions && count > 0),
    })
}

pub(super) fn invalid(parameter: &str, message: &str) -> Problem {
    let (pointer, message) = (format!("?{parameter}"), message.to_owned());
    Problem::invalid(vec![FieldError { pointer, code: "invalid".into(), message }])
}
