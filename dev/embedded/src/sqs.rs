//! An SQS endpoint in this process. Messages live in memory only: they end with it.

mod as_aws;

use std::{net::SocketAddr, sync::Arc};

use rustack_sqs_core::{config::SqsConfig, handler::RustackSqsHandler, provider::RustackSqs};
use rustack_sqs_http::service::{SqsHttpConfig, SqsHttpService};

use self::as_aws::AsAws;
use crate::loopback::{self, ListenError, Listening, Server};

/// The region its queues are in.
pub const REGION: &str = "us-east-1";

/// A running SQS endpoint. Stops when dropped.
#[derive(Debug)]
pub struct Sqs {
    server: Server,
    queues: Arc<RustackSqs>,
}

impl Sqs {
    /// Starts the endpoint; port 0 takes any free port. Signatures are not checked: any credentials will do.
    pub async fn start(address: SocketAddr) -> Result<Self, ListenError> {
        Ok(Self::serve(loopback::listen(address).await?))
    }

    /// The same, for the platform that this process is, as its [owner](loopback::OWNER), and for requests under the hosts that are
    /// named; `None`: under those [usual there](problem::AllowedHosts::for_listener).
    pub async fn start_owned(address: SocketAddr, names: Option<&[String]>) -> Result<Self, ListenError> {
        Ok(Self::serve(loopback::listen(address).await?.known_as(names).owned()))
    }

    fn serve(listening: Listening) -> Self {
        // Queue URLs name the endpoint, so it needs its own address.
        let address = listening.reachable();
        let queues = Arc::new(RustackSqs::new(SqsConfig {
            skip_signature_validation: true,
            default_region: REGION.to_owned(),
            account_id: "000000000000".to_owned(),
            host: address.ip().to_string(),
            port: address.port(),
        }));
        let handler = Arc::new(AsAws(RustackSqsHandler::new(Arc::clone(&queues))));
        let service = SqsHttpService::new(
            handler,
            SqsHttpConfig { skip_signature_validation: true, region: REGION.to_owned(), credential_provider: None },
        );
        let server = Server::start(listening, service);
        tracing::debug!(%address, "the SQS endpoint is ready");
        Self { server, queues }
    }

    /// The endpoint's URL, for the SDK's `endpoint_url`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Ends all queues, long polls included, and then the endpoint.
    pub async fn stop(self) {
        self.queues.shutdown_all().await;
        self.server.stop().await;
    }
}
