//! Clients for SQS and SES: AWS itself with its usual credentials, or an endpoint on this machine with none.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_sqs::config::Credentials;
use aws_smithy_http_client::{Builder, tls};

use crate::settings::Aws;

/// Establishing a connection takes a round trip or three; more than this is a network that drops packets.
const CONNECT: Duration = Duration::from_secs(3);
/// A receive call waits up to 20 s for messages before it answers.
const SQS_ATTEMPT: Duration = Duration::from_secs(30);
/// Past this, whether the mail went out is unknown, and the caller must look into its record.
const SES_ATTEMPT: Duration = Duration::from_secs(10);

/// A client for SQS. Its calls may be repeated, so the SDK retries them.
pub async fn sqs(aws: &Aws) -> aws_sdk_sqs::Client {
    let config = config(aws, aws.sqs_endpoint.as_deref(), SQS_ATTEMPT, RetryConfig::standard()).await;
    aws_sdk_sqs::Client::new(&config)
}

/// A client for SES. It never repeats a call by itself: that would send a mail twice.
pub async fn ses(aws: &Aws) -> aws_sdk_sesv2::Client {
    let config = config(aws, aws.ses_endpoint.as_deref(), SES_ATTEMPT, RetryConfig::disabled()).await;
    aws_sdk_sesv2::Client::new(&config)
}

async fn config(aws: &Aws, endpoint: Option<&str>, attempt: Duration, retries: RetryConfig) -> SdkConfig {
    let plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(attempt).build();
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(aws.region.clone()))
        .timeout_config(timeouts)
        .retry_config(retries);
    let loader = match endpoint {
        Some(endpoint) => loader.endpoint_url(endpoint),
        None => loader,
    };
    if plain { without_tls(loader) } else { with_tls(loader) }.load().await
}

fn with_tls(loader: ConfigLoader) -> ConfigLoader {
    loader.http_client(
        Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build_https(),
    )
}

/// AWS is never reached without TLS: this is an emulator, which takes any credentials but insists on some. Looking for real ones
/// first would end in a wait for a cloud's metadata service.
fn without_tls(loader: ConfigLoader) -> ConfigLoader {
    let loader = loader.http_client(Builder::new().build_http());
    let given = ["AWS_ACCESS_KEY_ID", "AWS_PROFILE"].iter().any(|name| std::env::var_os(name).is_some());
    if given { loader } else { loader.credentials_provider(Credentials::new("ordo", "ordo", None, None, "emulator")) }
}
