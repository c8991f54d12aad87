//! What the commands of an order that is there have in common, from the request to the stored event and its answer.
//!
//! What is decided on an order and means something for units is stored with that in one append. Each command's own file has its route, its body and the [`OrderCommand`] that it asks for.

mod answer;
mod units;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use cqrs_es::Aggregate;
use domain::body::InvalidBody;
use domain::ids::{OrderId, Sku};
use domain::order::event::LineQuantity;
use domain::order::units::unit_moves;
use domain::order::{Order, OrderCommand, PlacedOrder, evolve};
use domain::stock::StockCommand;
use event_store::{AppendError, Appended, Loaded, Metadata, NewEvent, Outcome, StreamAppend};
use http::StatusCode;
use http::request::Parts;
use problem::{Precondition, Problem, Trace};
use rand::Rng;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::body::Body;
use crate::idempotency::{self, Keyed};
use crate::{Commands, metadata, refusal, refused_order};

/// How long a command waits for its turn on the order, and is decided anew because somebody else has changed the order meanwhile: the
/// saga, or another process.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest pause before it is decided anew, drawn each time, so that those who met do not meet again in step.
const LONGEST_PAUSE_MS: u64 = 64;

/// What sets a command's route apart from the others.
pub(crate) struct Route {
    /// Who asks for what, as idempotency keys are told apart.
    pub(crate) scope: &'static str,
    /// What it is answered with.
    pub(crate) success: StatusCode,
}

/// What came of a command, to be stored.
#[derive(Default)]
struct Decided {
    events: Vec<NewEvent>,
    /// What that asks of SKUs.
    units: Vec<(Sku, StockCommand)>,
}

/// What a request asks for.
pub(crate) struct Asked {
    /// The command.
    pub(crate) command: OrderCommand,
    /// What comes of it, as the answer names it: a field and an id.
    pub(crate) names: Option<(&'static str, String)>,
    /// The lines in its body, where a refusal points to.
    pub(crate) lines: Vec<LineQuantity>,
}

impl Asked {
    /// A command of which nothing comes that has a name of its own.
    pub(crate) fn for_order(command: OrderCommand) -> Self {
        Self { command, names: None, lines: vec![] }
    }
}

/// The order that a path names. What is no id names none.
pub(crate) fn order_id(path: Result<Path<String>, PathRejection>) -> Result<OrderId, Problem> {
    let id = path.ok().and_then(|Path(id)| OrderId::parse(id).ok());
    id.ok_or_else(|| refused_order::problem(&domain::order::OrderError::NoSuchOrder, &[], None))
}

/// Carries a request out, once for its idempotency key and only on the version that it is meant for.
///
/// `ask` reads its body. It gets the order, and an id for what may come without one: a new one or, for a request that was
/// carried out before, the one that was made for it then.
pub(crate) async fn carry_out(
    commands: Arc<Commands>,
    route: Route,
    order_id: OrderId,
    trace: Trace,
    (head, body): (Parts, Body),
    ask: impl Fn(&[u8], &PlacedOrder, Uuid) -> Result<Asked, InvalidBody>,
) -> Result<Response, Problem> {
    commands.store.check_room().map_err(refusal::not_appended)?;
    // The key of a command of one order does not fit another.
    let asked = [head.uri.path().as_bytes(), b"\n", &body];
    let keyed = commands.in_flight.begin(&head.headers, route.scope, &asked)?;
    let precondition = Precondition::read(&head.headers)?;
    Request { commands, route, order_id, body, keyed, precondition, metadata: metadata(&trace), ask }.carry_out().await
}

/// A request whose head was read.
struct Request<F> {
    commands: Arc<Commands>,
    route: Route,
    order_id: OrderId,
    body: Body,
    keyed: Option<Keyed>,
    precondition: Precondition,
    metadata: Metadata,
    ask: F,
}

impl<F: Fn(&[u8], &PlacedOrder, Uuid) -> Result<Asked, InvalidBody>> Request<F> {
    async fn carry_out(&self) -> Result<Response, Problem> {
        let (made, until) = (Uuid::now_v7(), Instant::now() + PATIENCE);
        let Some(_turn) = self.commands.lines.turn(&self.order_id, until).await else {
            return Err(Problem::unavailable("overloaded", "too many commands wait for this order", refusal::SOON));
        };
        let mut attempt = 0;
        loop {
            attempt += 1;
            let stream: Loaded<Order> =
                self.commands.store.load(self.order_id.as_str()).await.map_err(refusal::not_read)?;
            let asked = self.asked(&stream.state, made)?;
            let decided = match self.decide(&stream, &asked) {
                Ok(decided) => decided,
                Err(refused) => return self.carried_out_before().await?.ok_or(refused),
            };
            if decided.events.is_empty() {
                return self.unchanged(&stream, &asked).await;
            }
            match self.append(stream.version, decided).await? {
                Ok(appended) => return self.accepted(&asked, appended.version, appended.position),
                Err(AppendError::Repeated(outcome)) => return self.repeated(&outcome).await,
                Err(AppendError::Conflict) if Instant::now() >= until => {
                    return Err(refusal::contended(stream.version));
                }
                // Whatever it asks for is decided on the order as it is then: it is in, or refused for a reason.
                Err(AppendError::Conflict) => sleep(pause(attempt)).await,
                Err(error @ AppendError::Unknown(_)) => return Err(unknown(error)),
                Err(error @ (AppendError::QueueFull | AppendError::Closed)) => {
                    return Err(refusal::not_appended(error));
                }
            }
        }
    }

    /// What the body asks for of the order.
    fn asked(&self, order: &Order, made: Uuid) -> Result<Asked, Problem> {
        match order {
            Order::Absent => Err(refused_order::problem(&domain::order::OrderError::NoSuchOrder, &[], None)),
            Order::Placed(order) => (self.ask)(&self.body, order, made).map_err(refusal::rejected),
        }
    }

    fn decide(&self, stream: &Loaded<Order>, asked: &Asked) -> Result<Decided, Problem> {
        self.precondition.check(stream.version)?;
        let currency = match &stream.state {
            Order::Absent => None,
            Order::Placed(order) => Some(order.content.currency),
        };
        let decided = self.commands.limits.decide(&stream.state, asked.command.clone());
        let events = decided.map_err(|refusal| refused_order::problem(&refusal, &asked.lines, currency))?;
        let mut after = stream.state.clone();
        let mut decided = Decided::default();
        for event in events {
            decided.events.push(NewEvent::new(&event, &self.metadata).map_err(Problem::internal)?);
            evolve(&mut after, event.clone());
            if let Order::Placed(after) = &after {
                decided.units.extend(unit_moves(&self.order_id, after, &event));
            }
        }
        Ok(decided)
    }

    async fn append(&self, version: i64, decided: Decided) -> Result<Result<Appended, AppendError>, Problem> {
        let Decided { events, units } = decided;
        let stream_id = self.order_id.to_string();
        let order = StreamAppend { stream_type: Order::TYPE, stream_id, expected_version: version, events };
        let request = self.keyed.as_ref().map(|keyed| keyed.request().clone());
        if units.is_empty() {
            let store = &self.commands.store;
            return Ok(match request {
                Some(request) => store.append_once(vec![order], request).await,
                None => store.append(vec![order]).await,
            });
        }
        let skus = units.iter().map(|(sku, _)| sku.to_string()).collect();
        let turn = self.commands.stock.turn(skus).await.map_err(refusal::not_read)?;
        // The answer tells of the order, which comes last.
        let mut streams = units::appends(&turn, units, &self.metadata)?;
        streams.push(order);
        Ok(match request {
            Some(request) => turn.append_once(streams, request).await,
            None => turn.append(streams).await,
        })
    }

    /// What is asked for is so already: the answer tells of the order as it is.
    async fn unchanged(&self, stream: &Loaded<Order>, asked: &Asked) -> Result<Response, Problem> {
        let unchanged = || self.accepted(asked, stream.version, stream.last_position);
        let Some(keyed) = &self.keyed else { return unchanged() };
        // The key may be new even so: from now on it stands for this.
        let store = &self.commands.store;
        match store.record_unchanged::<Order>(keyed.request(), self.order_id.as_str(), stream.version).await {
            Ok(()) => unchanged(),
            Err(AppendError::Repeated(outcome)) => self.repeated(&outcome).await,
            Err(error) => Err(refusal::not_appended(error)),
        }
    }

    /// The first answer to a request that is refused now because it was carried out before.
    async fn carried_out_before(&self) -> Result<Option<Response>, Problem> {
        let Some(keyed) = &self.keyed else { return Ok(None) };
        let outcome = self.commands.store.outcome_of(keyed.request()).await;
        match outcome.map_err(|error| refusal::not_read(error.into()))? {
            Some(outcome) => self.repeated(&outcome).await.map(Some),
            None => Ok(None),
        }
    }

    /// The answer that the request got when it was carried out.
    async fn repeated(&self, outcome: &Outcome) -> Result<Response, Problem> {
        let Some(keyed) = &self.keyed else {
            return Err(Problem::internal(format!("a key that nobody gave: {outcome:?}")));
        };
        keyed.check_same(outcome)?;
        let events = self.commands.store.read_stream::<Order>(self.order_id.as_str()).await;
        let events = events.map_err(|error| refusal::not_read(error.into()))?;
        let made = answer::made_before(&events, outcome.version).map_err(Problem::internal)?;
        let stream = Loaded::<Order>::fold(&events).map_err(Problem::internal)?;
        let asked = self.asked(&stream.state, made.unwrap_or_default())?;
        let mut response = self.accepted(&asked, outcome.version, outcome.position)?;
        let (name, value) = idempotency::REPLAYED;
        response.headers_mut().insert(name, value);
        Ok(response)
    }

    fn accepted(&self, asked: &Asked, version: i64, position: i64) -> Result<Response, Problem> {
        tracing::debug!(order_id = %self.order_id, version, "{} carried out", self.route.scope);
        answer::accepted(self.route.success, &self.order_id, version, position, asked.names.as_ref())
    }
}

/// How long to wait before an attempt after this one, the longer the more there were.
fn pause(attempt: u32) -> Duration {
    let longest = 1_u64.checked_shl(attempt).unwrap_or(LONGEST_PAUSE_MS).clamp(1, LONGEST_PAUSE_MS);
    Duration::from_millis(rand::rng().random_range(0..=longest))
}

fn unknown(error: AppendError) -> Problem {
    let detail = "the database failed; whether this was stored is not known: look at the order before you send it again, or \
                  send it again with the same id or Idempotency-Key";
    Problem::unavailable("outcome-unknown", detail, refusal::SOON).caused_by(error)
}
