//! The console of a database, and a browser.

use std::sync::Arc;
use std::time::Duration;

use access_control::{
    AccessLayer, AuthenticationSettings, Authenticator, AuthorizedCaller, OpenIdClient, Principal, Role, Route,
    TokenClaimSettings, TokenKeys, TokenRequest, TokenSecret,
};
use axum::Router;
use axum::body::Body;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use bulk_actions::BulkActionDependencies;
use command_api::SupportRefundLimits;
use dead_letters::DeadLetters;
use domain::order::event::OrderCreated;
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderError, OrderEvent, OrderGrowthLimits};
use event_store::operations::checkpoints;
use event_store::{AppendQueueSettings, EventStore, Handled, Metadata, StreamLocks, Versioned};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, SET_COOKIE};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use messaging::{DeadLetterQueue, QueuesHealth};
use ordo_console::{Console, ConsoleProcess, ConsoleSources, EffectiveSetting, admit, show_problems, use_session};
use problem::Problem;
use projections::{HttpReplays, ReadModelQueries, ReplayOperations, SlowReads};
use serde_json::Value;
use testkit::Database;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// What browsers accept of a page.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// The platform behind a console.
pub(crate) struct Fixture {
    pub(crate) database: Database,
    pub(crate) store: EventStore,
    /// The queries of another listener of the process.
    elsewhere: ReadModelQueries,
    pages: Router,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    /// The cookies that it sets, as a browser sends them back.
    pub(crate) fn cookies(&self) -> Vec<String> {
        let set = self.headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap());
        set.map(|cookie| cookie.split(';').next().unwrap().to_owned()).collect()
    }

    /// The value of a hidden field of the form with this action.
    pub(crate) fn hidden(&self, action: &str, name: &str) -> String {
        let form = self.body.split(&format!("action=\"{action}\"")).nth(1).unwrap();
        let field = form.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap();
        field.split('"').next().unwrap().to_owned()
    }
}

impl Answer {
    /// The hidden fields of the form with this action.
    pub(crate) fn hidden_fields(&self, action: &str) -> Vec<(String, String)> {
        let form = self.body.split(&format!("action=\"{action}\"")).nth(1);
        let form = form.unwrap_or_else(|| panic!("no form {action}: {}", self.body)).split("</form>").next().unwrap();
        let fields = form.split("<input type=\"hidden\" name=\"").skip(1);
        let field = |field: &str| {
            let (name, rest) = field.split_once("\" value=\"").unwrap();
            let value = rest.split('"').next().unwrap().replace("&quot;", "\"").replace("&#34;", "\"");
            (name.to_owned(), value.replace("&#38;", "&"))
        };
        fields.map(field).collect()
    }
}

/// What a browser sends of the form with this action: what is hidden in it, and what was typed.
pub(crate) fn sent(page: &Answer, action: &str, typed: &[(&str, &str)]) -> Vec<(String, String)> {
    let typed = typed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    page.hidden_fields(action).into_iter().chain(typed).collect()
}

/// The cookies of a browser that signed in with this credential.
pub(crate) fn session(credential: &str) -> Vec<String> {
    vec![format!("ordo_session={credential}")]
}

impl Fixture {
    /// Everybody is asked for a credential.
    pub(crate) async fn new() -> Self {
        Self::with(None).await
    }

    /// The same, where there are these queues of dead letters.
    pub(crate) async fn with_dead_letters(queues: Vec<DeadLetterQueue>) -> Self {
        Self::start(None, None, queues, true).await
    }

    /// The same, where people sign in at an issuer.
    pub(crate) async fn signing_in_at(open_id: OpenIdClient) -> Self {
        Self::start(None, Some(open_id), Vec::new(), true).await
    }

    /// The same, where the database's user stores no bulk actions.
    pub(crate) async fn without_bulk_actions() -> Self {
        Self::start(None, None, Vec::new(), false).await
    }

    /// `anonymous` calls where no credential comes.
    pub(crate) async fn with(anonymous: Option<Principal>) -> Self {
        Self::start(anonymous, None, Vec::new(), true).await
    }

    async fn start(
        anonymous: Option<Principal>,
        open_id: Option<OpenIdClient>,
        dead_letters: Vec<DeadLetterQueue>,
        runs_bulk_actions: bool,
    ) -> Self {
        let database = testkit::database().await;
        let read_models = testkit::read_models(database.pool());
        projections::create_tables(&*read_models, &[]).await.unwrap();
        let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
        let token_keys = Some(TokenKeys::Secret(TokenSecret::parse(SECRET).unwrap()));
        let settings = AuthenticationSettings { token_keys, ..AuthenticationSettings::default() };
        let authenticator = Authenticator::start(&settings, Some(database.pool().clone())).unwrap();
        let slow = SlowReads::default();
        let elsewhere = ReadModelQueries::new(store.clone(), &*read_models, slow.clone());
        let stop = CancellationToken::new();
        let access = AccessLayer::new(authenticator, anonymous);
        let stock = StreamLocks::new(store.clone(), 100);
        let limits = (OrderGrowthLimits::default(), SupportRefundLimits::default());
        let commands = command_api::routes(store.clone(), stock.clone(), limits.0, limits.1);
        let bulk = BulkActionDependencies {
            store: store.clone(),
            stock: stock.clone(),
            dead_letters: dead_letters.clone(),
            keys: testkit::MESSAGE_KEYS.parse().unwrap(),
        };
        let dead_letters = DeadLetters::new(store.clone(), dead_letters, bulk.keys.clone());
        let operations = ReplayOperations::new(database.pool().clone(), Arc::clone(&read_models));
        let replays = HttpReplays::new(operations.clone(), stop.clone());
        let of_operators = command_api::operate_routes(store.clone(), stock).merge(sagas::routes(store.clone()));
        let of_operators = of_operators.merge(bulk_actions::routes(bulk)).merge(replays.routes());
        let of_operators = of_operators.merge(projections::subscription_routes(database.pool().clone()));
        let of_operators = of_operators.merge(dead_letters::routes(dead_letters.clone()));
        let api = Router::from(commands.merge(of_operators));
        let console = Console::new(ConsoleSources {
            queries: ReadModelQueries::new(store.clone(), &*read_models, slow.clone()),
            store: store.clone(),
            queues: QueuesHealth::default(),
            dead_letters,
            api: Some(api.layer(access.clone())),
            runs_bulk_actions,
            access,
            open_id,
            replays: operations,
            process: ConsoleProcess {
                version: "1.2.3",
                roles: vec!["console"],
                payments: None,
                settings: vec![EffectiveSetting {
                    name: "ORDO_QUEUE_PREFIX",
                    value: Some("<b>shop</b>".to_owned()),
                    source: "environment".to_owned(),
                }]
                .into(),
            },
            is_encrypted: false,
            stop: stop.clone(),
        });
        let pages = console.routes().layer((
            problem::layer(),
            from_fn_with_state(console.clone(), show_problems),
            from_fn_with_state(console.clone(), use_session),
            from_fn_with_state(console, admit),
        ));
        let running = tokio::spawn(projections::run(store.clone(), read_models, stop.clone()));
        Self { database, store, elsewhere, pages, stop, running }
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.running.await.unwrap();
        self.store.close().await;
    }

    /// Stores an order, and waits until it is shown.
    pub(crate) async fn order(&self, posted: &Value, change: impl Fn(OrderCreated) -> OrderCreated) {
        let order_id = posted["orderId"].as_str().unwrap();
        let content = PostedOrder::parse(posted.to_string().as_bytes()).unwrap().content;
        self.append(order_id, vec![OrderEvent::OrderCreated(change(content))], &Metadata::default()).await;
    }

    /// Appends events, as they are stored, and waits until they are shown.
    pub(crate) async fn happen(&self, order_id: &str, events: &[Value], actor: Option<&str>) {
        let events = events.iter().map(|event| serde_json::from_value(event.clone()).unwrap()).collect();
        let actor = actor.map(str::to_owned);
        self.append(order_id, events, &Metadata { actor, ..Metadata::default() }).await;
    }

    async fn append(&self, order_id: &str, events: Vec<OrderEvent>, metadata: &Metadata) {
        let known: Versioned<Order> = self.store.load(order_id).await.unwrap();
        let decide = |_: &Order| Ok::<_, OrderError>(events.clone());
        let handled = self.store.execute(order_id, known, metadata, decide).await.unwrap();
        let Handled::Appended(appended) = handled else { panic!("{order_id}: nothing happened") };
        self.until_reached("orders", appended.position).await;
    }

    /// Waits until a projection has seen all that there is.
    pub(crate) async fn until_passed(&self, projection: &str) {
        let end = event_store::read::last_position(self.database.pool()).await.unwrap();
        self.until_reached(projection, end).await;
    }

    async fn until_reached(&self, projection: &str, position: i64) {
        testkit::eventually(PATIENCE, || async {
            let positions = checkpoints(self.database.pool()).await.unwrap();
            positions.get(projection).is_some_and(|reached| *reached >= position)
        })
        .await;
    }

    /// An export that the principal of these tests has under way at another listener.
    pub(crate) async fn export_elsewhere(&self) -> Result<Response, Problem> {
        let route = Route::find("GET", "/orders/export").unwrap();
        let caller = AuthorizedCaller::at(&Principal::new(Role::Operator, "test", None), route)?;
        let request = Request::get("/orders/export?format=csv").body(Body::empty()).unwrap();
        self.elsewhere.export(request.into_parts().0, &caller, None).await
    }

    /// The process is told to stop.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// An answer that has only begun.
    pub(crate) async fn open(&self, request: Request<Body>) -> Response {
        self.pages.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let answer = self.open(request).await;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// A page as a browser gets it that signed in with this credential.
    pub(crate) async fn page(&self, path: &str, credential: &str) -> Answer {
        self.send(
            Request::get(path)
                .header(ACCEPT, BROWSER)
                .header(COOKIE, format!("ordo_session={credential}"))
                .body(Body::empty())
                .unwrap(),
        )
        .await
    }

    /// A page as a browser without a session gets it.
    pub(crate) async fn visit(&self, path: &str) -> Answer {
        self.visit_with(path, &[]).await
    }

    /// The same, with more headers.
    pub(crate) async fn visit_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = Request::get(path).header(ACCEPT, BROWSER);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// The answer to another program.
    pub(crate) async fn program(&self, path: &str, credential: Option<&str>) -> Answer {
        let request = Request::get(path).header(ACCEPT, "application/json");
        let request = match credential {
            Some(credential) => request.header(AUTHORIZATION, format!("Bearer {credential}")),
            None => request,
        };
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// The same, with fields that were found.
    pub(crate) async fn send_form(&self, path: &str, cookies: &[String], fields: &[(String, String)]) -> Answer {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.form(path, cookies, &fields).await
    }

    /// A form that a browser sends with these cookies.
    pub(crate) async fn form(&self, path: &str, cookies: &[String], fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(path)
            .header(ACCEPT, BROWSER)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(COOKIE, cookies.join("; "));
        self.send(request.body(Body::from(body)).unwrap()).await
    }
}

/// A token that holds as long as any test takes.
pub(crate) fn as_role(role: Role) -> String {
    let customer_id = (role == Role::Customer).then(|| "customer-42".to_owned());
    let request = TokenRequest { role, subject: "test".to_owned(), customer_id, valid_for: Duration::from_secs(3_600) };
    request.sign(&TokenSecret::parse(SECRET).unwrap(), &TokenClaimSettings::default()).unwrap()
}
