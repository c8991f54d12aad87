//! The console: what happens on the platform, as pages in a browser.
//!
//! Every page is rendered here and can be read without JavaScript, which only keeps open pages up to date. A page asks the same functions as the HTTP API and the
//! command line do, and leaves out of their answers what the table of routes does not let its reader see. A browser signs in with a token
//! or an API key, which its cookie then carries: it is checked with each request, as a bearer credential is. A form becomes the request
//! that the API takes, and the API's router answers it.
//!
//! [`Console::routes`] has the pages. Around them go, from the outside: [`show_problems`], [`use_session`] and [`admit`].

mod action;
mod admission;
mod answer;
mod chart;
mod display;
mod form;
mod frame;
mod json;
mod live;
mod pages;
mod problem_page;
mod session;
mod sign_in;

use std::ops::Deref;
use std::sync::Arc;

use access_control::{AccessLayer, OpenIdClient};
use askama::Template;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use dead_letters::DeadLetters;
use event_store::EventStore;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue};
use messaging::QueuesHealth;
use payments::Guarded;
use problem::Problem;
use projections::{ReadModelQueries, ReplayOperations};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use self::admission::{admit, is_the_same_for_everyone, looks_at_credential};
use self::form::FormReader;
use self::live::OpenPages;
use self::pages::home::SharedFigures;
pub use self::problem_page::show_problems;
pub use self::session::use_session;

/// Nothing is loaded from elsewhere and nothing inline is run, and forms are sent to this server alone.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// How many people the issuer is asked about at the same time.
const SIGN_INS_AT_ONCE: usize = 16;

/// How long browsers keep what is the same for everyone.
const SOME_MINUTES: &str = "max-age=300";

/// The longest forms: one that signs in, and one that has a message of a queue in it.
const LONGEST_SIGN_IN: usize = 16 * 1024;
const LONGEST_ACTION: usize = 1024 * 1024;

const STYLESHEET: &str = include_str!("../assets/console.css");
const ICON: &str = include_str!("../assets/console.svg");
/// They keep open pages up to date.
const HTMX: &str = include_str!("../assets/htmx/htmx.min.js");
const HTMX_SSE: &str = include_str!("../assets/htmx/sse.min.js");
const HTMX_MORPH: &str = include_str!("../assets/htmx/idiomorph-ext.min.js");
/// It keeps what somebody is typing.
const SCRIPT: &str = include_str!("../assets/console.js");

/// What the console reads from.
pub struct ConsoleSources {
    pub queries: ReadModelQueries,
    /// Where it reads the log, sagas and subscriptions.
    pub store: EventStore,
    /// How many dead letters there are, if this process looks after the queues.
    pub queues: QueuesHealth,
    /// The dead letters, one by one.
    pub dead_letters: DeadLetters,
    /// Who may call.
    pub access: AccessLayer,
    /// The issuer where people sign in, if they do.
    pub open_id: Option<OpenIdClient>,
    /// The routes of the API that forms are for, behind `access`. `None`: the console only shows.
    pub api: Option<Router>,
    /// Whether `api` begins and stops bulk actions. If not, the console shows those that there are.
    pub runs_bulk_actions: bool,
    /// The rebuilds of read models.
    pub replays: ReplayOperations,
    pub process: ConsoleProcess,
    /// Whether browsers reach it by HTTPS. Its cookies are then sent over HTTPS alone.
    pub is_encrypted: bool,
    /// Ends what is told to open pages.
    pub stop: CancellationToken,
}

/// What the console shows of its own process.
pub struct ConsoleProcess {
    pub version: &'static str,
    /// The names of its roles.
    pub roles: Vec<&'static str>,
    /// The payment provider behind its breaker, if the process has the sagas.
    pub payments: Option<Arc<Guarded>>,
    pub settings: Arc<[EffectiveSetting]>,
}

/// A setting, and the value that it has.
#[derive(Debug, Clone)]
pub struct EffectiveSetting {
    pub name: &'static str,
    /// Secrets are hidden. `None`: it is not set.
    pub value: Option<String>,
    /// Where the value came from.
    pub source: String,
}

/// The console of a process. Cheap to clone.
#[derive(Clone)]
pub struct Console(Arc<ConsoleState>);

struct ConsoleState {
    sources: ConsoleSources,
    /// Reads what comes before anybody has said who they are: a credential, and a path to go on to.
    forms: FormReader,
    open_pages: OpenPages,
    figures: SharedFigures,
    /// Places for those who come back from the issuer.
    sign_ins: Semaphore,
    /// Reads what those send who are admitted.
    actions: FormReader,
}

impl Deref for ConsoleState {
    type Target = ConsoleSources;

    fn deref(&self) -> &ConsoleSources {
        &self.sources
    }
}

impl Console {
    #[must_use]
    pub fn new(sources: ConsoleSources) -> Self {
        Self(Arc::new(ConsoleState {
            sources,
            open_pages: OpenPages::default(),
            figures: SharedFigures::default(),
            sign_ins: Semaphore::new(SIGN_INS_AT_ONCE),
            forms: FormReader::new(LONGEST_SIGN_IN),
            actions: FormReader::new(LONGEST_ACTION),
        }))
    }

    /// The pages and what their forms do, without what has to go around them.
    pub fn routes(&self) -> Router {
        self.pages().layer(from_fn_with_state(self.clone(), action::carry_out)).layer(map_response(with_policy))
    }

    /// The pages alone.
    fn pages(&self) -> Router {
        Router::new()
            .route("/", get(pages::home::show))
            .route("/orders", get(pages::orders::show))
            .route("/orders/export", get(pages::orders::export))
            .route("/orders/{order_id}", get(pages::order::show))
            .route("/orders/{order_id}/changes", get(pages::order::changes::show))
            .route("/orders/{order_id}/edit", get(pages::order::edit::show))
            .route("/orders/{order_id}/documents/{document_id}", get(pages::order::document))
            .route("/orders/{order_id}/events/{version}", get(pages::event::show))
            .route("/sagas", get(pages::sagas::show))
            .route("/log", get(pages::log::show))
            .route("/log/{position}", get(pages::log::show_one))
            .route("/read-models", get(pages::read_models::show))
            .route("/read-models/steps", get(pages::read_models::steps::show))
            .route("/read-models/{projection}", get(pages::read_models::items))
            .route("/audit", get(pages::audit::show))
            .route("/bulk-actions", get(pages::bulk_actions::list))
            .route("/bulk-actions/new", get(pages::bulk_actions::new))
            .route("/bulk-actions/{id}", get(pages::bulk_actions::show))
            .route("/dead-letters", get(pages::dead_letters::list))
            .route("/dead-letters/{queue}/{id}", get(pages::dead_letters::show))
            .route("/replay", get(pages::replay::show))
            .route("/platform", get(pages::platform::show))
            .route("/sales", get(pages::sales::show))
            .route("/stock", get(pages::stock::show))
            .route("/stock/{sku}", get(pages::sku::show))
            .route("/parked-events", get(pages::parked::show))
            .route("/sign-in", get(sign_in::show).post(sign_in::sign_in))
            .route("/sign-in/issuer", get(sign_in::issuer::begin))
            .route("/sign-in/callback", get(sign_in::issuer::end))
            .route("/sign-out", post(sign_in::sign_out))
            .route("/changes", get(live::changes))
            .route("/console.css", get(stylesheet))
            .route("/console.svg", get(icon))
            .route("/htmx.min.js", get(|| script(HTMX)))
            .route("/sse.min.js", get(|| script(HTMX_SSE)))
            .route("/idiomorph-ext.min.js", get(|| script(HTMX_MORPH)))
            .route("/console.js", get(|| script(SCRIPT)))
            .fallback(no_page)
            .with_state(self.clone())
    }
}

async fn no_page(request: Request) -> Problem {
    Problem::not_found(format!("there is no page {}", request.uri().path()))
}

async fn stylesheet() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, SOME_MINUTES)], STYLESHEET)
}

async fn script(text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8"), (CACHE_CONTROL, SOME_MINUTES)], text)
}

async fn icon() -> impl IntoResponse {
    ([(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, SOME_MINUTES)], ICON)
}

/// What a page is answered as.
fn page(template: &impl Template) -> Result<Response, Problem> {
    let text = template.render().map_err(Problem::internal)?;
    Ok(Html(text).into_response())
}

/// The same for a page that may be long: it is made on a thread that serves nobody else.
async fn long_page(template: impl Template + Send + 'static) -> Result<Response, Problem> {
    tokio::task::spawn_blocking(move || page(&template)).await.map_err(Problem::internal)?
}

async fn with_policy(mut answer: Response) -> Response {
    protect(answer.headers_mut());
    answer
}

/// What browsers are told of each answer: what it may load, that nobody frames or keeps it.
fn protect(headers: &mut HeaderMap) {
    let of_every_answer = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With `no-referrer` browsers would send forms with the origin `null`.
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in of_every_answer {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
