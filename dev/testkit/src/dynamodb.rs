//! A DynamoDB in this process, and an SDK client for it or for another emulator.

mod faulty;

use std::sync::Arc;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use embedded::loopback::{self, Server};
use read_models::GenerationStore;
use rustack_dynamodb_core::{config::DynamoDBConfig, handler::RustackDynamoDBHandler, provider::RustackDynamoDB};
use rustack_dynamodb_http::service::{DynamoDBHttpConfig, DynamoDBHttpService};
use sqlx::PgPool;

use self::faulty::FaultyHandler;

/// A DynamoDB endpoint of the test's own, in the test's runtime. Its tables end with it.
#[derive(Debug)]
pub struct Dynamodb(Server);

impl Dynamodb {
    /// The endpoint's URL, for the SDK's `endpoint_url`.
    #[must_use]
    pub fn url(&self) -> String {
        self.0.url()
    }
}

/// Starts one on a free port.
pub async fn dynamodb() -> Dynamodb {
    let listening = loopback::listen(([127, 0, 0, 1], 0).into()).await.expect("a DynamoDB endpoint for the test");
    let tables = Arc::new(RustackDynamoDB::new(DynamoDBConfig::default()));
    let handler = Arc::new(RustackDynamoDBHandler::new(tables));
    Dynamodb(Server::start(listening, DynamoDBHttpService::new(handler, DynamoDBHttpConfig::default())))
}

/// Starts one that throttles, leaves things undone and loses answers: of three puts, transactions and batches it tells the truth
/// about one, and has done them all.
pub async fn failing_dynamodb() -> Dynamodb {
    let listening = loopback::listen(([127, 0, 0, 1], 0).into()).await.expect("a DynamoDB endpoint for the test");
    let tables = Arc::new(RustackDynamoDB::new(DynamoDBConfig::default()));
    let handler = Arc::new(FaultyHandler::over(RustackDynamoDBHandler::new(tables)));
    Dynamodb(Server::start(listening, DynamoDBHttpService::new(handler, DynamoDBHttpConfig::default())))
}

/// A client for a DynamoDB endpoint on loopback.
#[must_use]
pub fn dynamodb_client(url: &str) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::new(embedded::sqs::REGION))
        .credentials_provider(Credentials::new("test", "test", None, None, "testkit"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}

/// A client that does not hide what fails: it asks once.
#[must_use]
pub fn plain_dynamodb_client(url: &str) -> aws_sdk_dynamodb::Client {
    let config = dynamodb_client(url).config().to_builder().retry_config(RetryConfig::disabled());
    aws_sdk_dynamodb::Client::from_conf(config.build())
}

/// Read models at a DynamoDB endpoint, in tables whose names begin with `prefix`, and their generations in a database.
#[must_use]
pub fn dynamodb_read_models(url: &str, prefix: &str, pool: &PgPool) -> Arc<dyn GenerationStore> {
    Arc::new(read_models::dynamodb::DynamodbReadModels::new(dynamodb_client(url), pool.clone(), prefix))
}
