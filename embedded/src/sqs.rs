//! An SQS endpoint in this process. Messages live in memory only: they end with it.

mod as_aws;

use std::{net::SocketAddr, sync::Arc};

use rustack_sqs_core::{config::SqsConfig, handler::RustackSqsHandler, provider::RustackSqs};
use rustack_sqs_http::service::{SqsHttpConfig, SqsHttpService};

use self::as_aws::AsAws;
use crate::loopback::{self, ListenError, Server};

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
    ///
    /// # Errors
    /// The address is taken, or not one of this machine.
    pub async fn start(address: SocketAddr) -> Result<Self, ListenError> {
        Self::start_known_as(address, None).await
    }

    /// The same, for requests under the hosts that are named; `None`: under those [usual there](problem::KnownHosts::listening_on).
    ///
    /// # Errors
    /// The address is taken, or not one of this machine.
    pub async fn start_known_as(address: SocketAddr, names: Option<&[String]>) -> Result<Self, ListenError> {
        let listening = loopback::listen(address).await?.known_as(names);
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
        Ok(Self { server, queues })
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
