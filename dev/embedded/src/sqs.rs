//! An SQS endpoint in this process. Messages live in memory, and end with it unless they are kept in a folder.

mod as_aws;
mod durable;

use std::{convert::Infallible, net::SocketAddr, path::PathBuf, sync::Arc};

use http::{Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use hyper::{
    body::Incoming,
    service::{Service, service_fn},
};
use rustack_sqs_core::{config::SqsConfig, handler::RustackSqsHandler, provider::RustackSqs};
use rustack_sqs_http::{
    body::SqsResponseBody,
    dispatch::SqsHandler,
    service::{SqsHttpConfig, SqsHttpService},
};
use tokio::sync::watch;

pub use self::durable::JournalError;
use self::{
    as_aws::AsAws,
    durable::{DurableHandler, DurableQueues},
};
use crate::loopback::{self, ListenError, Listening, Server};

/// The region its queues are in.
pub const REGION: &str = "us-east-1";

/// How an endpoint is started that is a server of its own.
#[derive(Debug, Clone, Default)]
pub struct SqsOptions<'a> {
    /// The hosts that it is asked for; `None`: those [usual there](problem::AllowedHosts::for_listener).
    pub hosts: Option<&'a [String]>,
    /// The host and the port in the URLs of its queues; `None`: those that it listens on.
    pub public: Option<(String, u16)>,
    /// Where the queues are kept; `None`: nowhere.
    pub folder: Option<PathBuf>,
}

/// Why an endpoint did not start.
#[derive(Debug, thiserror::Error)]
pub enum SqsStartError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// A running SQS endpoint. Stops when dropped.
#[derive(Debug)]
pub struct Sqs {
    server: Server,
    queues: Arc<RustackSqs>,
    kept: Option<Arc<DurableQueues>>,
}

impl Sqs {
    /// Starts the endpoint; port 0 takes any free port. Signatures are not checked: any credentials will do.
    pub async fn start(address: SocketAddr) -> Result<Self, ListenError> {
        Ok(Self::in_memory(loopback::listen(address).await?, None))
    }

    /// The same, for the platform that this process is, as its [owner](loopback::OWNER), and for requests under the hosts that are
    /// named; `None`: under those [usual there](problem::AllowedHosts::for_listener).
    pub async fn start_owned(address: SocketAddr, names: Option<&[String]>) -> Result<Self, ListenError> {
        Ok(Self::in_memory(loopback::listen(address).await?.known_as(names).owned(), None))
    }

    /// Starts an endpoint that is a server of its own.
    pub async fn start_alone(address: SocketAddr, options: SqsOptions<'_>) -> Result<Self, SqsStartError> {
        let listening = loopback::listen(address).await?.known_as(options.hosts);
        let Some(folder) = options.folder else { return Ok(Self::in_memory(listening, options.public)) };
        let queues = emulator(&listening, options.public);
        let kept = Arc::new(DurableQueues::restore(Arc::clone(&queues), &folder).await?);
        let server = serve(listening, DurableHandler(Arc::clone(&kept)), Some(kept.failure()));
        Ok(Self { server, queues, kept: Some(kept) })
    }

    fn in_memory(listening: Listening, public: Option<(String, u16)>) -> Self {
        let queues = emulator(&listening, public);
        let server = serve(listening, RustackSqsHandler::new(Arc::clone(&queues)), None);
        Self { server, queues, kept: None }
    }

    /// The endpoint's URL, for the SDK's `endpoint_url`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Ends with the reason when the queues can't be kept any more. Then nothing is taken, and only another start helps.
    pub async fn failed(&self) -> String {
        let Some(kept) = &self.kept else { return std::future::pending().await };
        let mut failure = kept.failure();
        let failed = failure.wait_for(Option::is_some).await.map(|failed| failed.clone());
        failed.ok().flatten().unwrap_or_else(|| "the journal of the queues has ended".to_owned())
    }

    /// Ends all queues, long polls included, and then the endpoint.
    pub async fn stop(self) {
        // Before the queues are gone: whoever then makes one again is refused, and no change is acknowledged that is not kept.
        if let Some(kept) = self.kept {
            kept.close().await;
        }
        self.queues.shutdown_all().await;
        self.server.stop().await;
    }
}

fn emulator(listening: &Listening, public: Option<(String, u16)>) -> Arc<RustackSqs> {
    // Queue URLs name the endpoint, so it needs its own address.
    let address = listening.reachable();
    let (host, port) = public.unwrap_or_else(|| (address.ip().to_string(), address.port()));
    Arc::new(RustackSqs::new(SqsConfig {
        skip_signature_validation: true,
        default_region: REGION.to_owned(),
        account_id: "000000000000".to_owned(),
        host,
        port,
    }))
}

/// Serves the operations, and `GET /health`.
fn serve(listening: Listening, handler: impl SqsHandler, failure: Option<watch::Receiver<Option<String>>>) -> Server {
    let address = listening.reachable();
    let operations = SqsHttpService::new(
        Arc::new(AsAws(handler)),
        SqsHttpConfig { skip_signature_validation: true, region: REGION.to_owned(), credential_provider: None },
    );
    let service = service_fn(move |request: Request<Incoming>| {
        let asks_for_health = request.method() == Method::GET && request.uri().path() == "/health";
        let health = asks_for_health.then(|| health(failure.as_ref().and_then(|failure| failure.borrow().clone())));
        let answer = health.is_none().then(|| operations.call(request));
        async move {
            match answer {
                Some(answer) => answer.await,
                None => Ok::<_, Infallible>(health.unwrap_or_default()),
            }
        }
    });
    let server = Server::start(listening, service);
    tracing::debug!(%address, "the SQS endpoint is ready");
    server
}

fn health(failure: Option<String>) -> Response<SqsResponseBody> {
    let (status, body) = match failure {
        None => (StatusCode::OK, serde_json::json!({ "status": "ok" })),
        Some(error) => (StatusCode::SERVICE_UNAVAILABLE, serde_json::json!({ "status": "failed", "error": error })),
    };
    let mut answer = Response::new(SqsResponseBody::from_json(body.to_string().into_bytes()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    answer
}
