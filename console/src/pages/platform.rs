//! `/platform`: what the platform runs on at the moment, and the settings of this process. It changes nothing.

use access_control::{AuthorizedCaller, RoutePermission};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use event_store::hash_chain::{LastSeal, last_seal};
use event_store::operations::{self, AppendLockHolder};
use messaging::DeadLetterOrigin;
use payments::BreakerState;
use problem::Problem;

use super::home::{in_time, seconds, unavailable};
use super::subscriptions::{self, Owner, Subscription};
use crate::admission::Reader;
use crate::answer::{error_text, told};
use crate::display::{Instant, Text};
use crate::frame::Frame;
use crate::{Console, EffectiveSetting};

#[derive(Template)]
#[template(path = "platform.html")]
struct PlatformTemplate {
    frame: Frame,
    now: Instant,
    version: &'static str,
    schema: Option<i64>,
    roles: String,
    subscriptions: Option<Vec<SubscriptionRow>>,
    /// The first `None`: that is not known.
    appending: Option<Option<Appending>>,
    queues: Vec<QueueRow>,
    breaker: Option<&'static str>,
    database: Option<DatabaseRow>,
    /// The first `None`: that is not known.
    seal: Option<Option<SealRow>>,
    /// `None`: they are for operators alone.
    settings: Option<Vec<EffectiveSetting>>,
    /// Why something is not known.
    failures: Vec<Text>,
}

struct SubscriptionRow {
    name: Text,
    position: i64,
    events: i64,
    behind: String,
    owners: Vec<Owner>,
}

struct Appending {
    pid: i32,
    application: Text,
    state: Text,
    held: String,
    query: Text,
}

struct QueueRow {
    name: &'static str,
    /// `None`: this process does not look after the queue.
    messages: Option<u64>,
    dead_letters: Option<u64>,
}

struct DatabaseRow {
    sessions: Vec<(Text, Text, i64)>,
    count: i64,
    most: i64,
}

struct SealRow {
    head: Text,
    sealed_at: Instant,
    positions_after: i64,
}

pub(crate) async fn show(State(console): State<Console>, reader: Reader) -> Result<Response, Problem> {
    let (caller, _) = reader.at("/sagas")?;
    let pool = console.0.store.pool();
    let appending = async { operations::append_lock_holder(pool).await.map_err(unavailable) };
    let database = async { operations::database_sessions(pool).await.map_err(unavailable) };
    let seal = async { last_seal(pool).await.map_err(unavailable) };
    let schema = async {
        let newest = "select max(version) from _sqlx_migrations where success";
        sqlx::query_scalar(newest).fetch_one(pool).await.map_err(unavailable)
    };
    let (subscriptions, appending, database, seal, schema) = tokio::join!(
        in_time(subscriptions::read(&console, &reader)),
        in_time(appending),
        in_time(database),
        in_time(seal),
        in_time::<Option<i64>>(schema)
    );
    let failures = [
        subscriptions.as_ref().err(),
        appending.as_ref().err(),
        database.as_ref().err(),
        seal.as_ref().err(),
        schema.as_ref().err(),
    ];
    let failures = failures.into_iter().flatten().map(|problem| error_text(&caller, &told(problem))).collect();
    let process = &console.0.process;
    crate::page(&PlatformTemplate {
        frame: Frame::of(&reader, "Platform", "/platform"),
        now: Instant::now(),
        version: process.version,
        schema: schema.ok().flatten(),
        roles: process.roles.join(", "),
        subscriptions: subscriptions.ok().map(|all| all.into_iter().map(SubscriptionRow::of).collect()),
        appending: appending.ok().map(|holder| holder.map(|it| Appending::of(it, &caller))),
        queues: DeadLetterOrigin::ALL.map(|origin| queue(&console, origin)).into(),
        breaker: process.payments.as_ref().map(|payments| match payments.state() {
            BreakerState::Closed => "closed",
            BreakerState::Open => "open",
            BreakerState::HalfOpen => "half open",
        }),
        database: database.ok().map(|(sessions, most)| DatabaseRow {
            count: sessions.iter().map(|it| it.count).sum(),
            sessions: sessions.into_iter().map(|it| (it.application.into(), it.state.into(), it.count)).collect(),
            most,
        }),
        seal: seal.ok().map(|seal| seal.as_ref().map(SealRow::of)),
        settings: (caller.grant == RoutePermission::All).then(|| process.settings.to_vec()),
        failures,
    })
}

impl SubscriptionRow {
    fn of(it: Subscription) -> Self {
        let behind = seconds(it.lag_seconds);
        Self { name: it.name, position: it.position, events: it.lag_events, behind, owners: it.owners }
    }
}

fn queue(console: &Console, origin: DeadLetterOrigin) -> QueueRow {
    let queues = &console.0.queues;
    QueueRow { name: origin.as_str(), messages: queues.messages(origin), dead_letters: queues.dead_letters(origin) }
}

impl Appending {
    fn of(holder: AppendLockHolder, caller: &AuthorizedCaller) -> Self {
        Self {
            pid: holder.pid,
            application: holder.application.into(),
            state: holder.state.into(),
            held: seconds(holder.held_seconds),
            query: error_text(caller, &holder.query),
        }
    }
}

impl SealRow {
    fn of(seal: &LastSeal) -> Self {
        let (head, sealed_at) = (seal.head.to_string().into(), Instant(seal.sealed_at));
        Self { head, sealed_at, positions_after: seal.positions_after }
    }
}
