//! Clients for SQS, SNS, SES and DynamoDB: AWS itself with its usual credentials, or an endpoint on this machine with none.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::{TimeoutConfig, TimeoutConfigBuilder};
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_sqs::config::interceptors::BeforeSerializationInterceptorContextRef;
use aws_sdk_sqs::config::{ConfigBag, Credentials, Intercept};
use aws_sdk_sqs::error::BoxError;
use aws_sdk_sqs::operation::receive_message::ReceiveMessageInput;
use aws_smithy_http_client::{Builder, tls};

use crate::settings::AwsSettings;

/// Connecting takes one to three round trips. More time means that the network drops packets.
const CONNECT: Duration = Duration::from_secs(3);
/// SQS and SNS answer in milliseconds. After this time a second attempt is made.
const SQS_ATTEMPT: Duration = Duration::from_secs(5);
/// All attempts together.
const SQS_CALL: Duration = Duration::from_secs(10);
/// A receive call waits up to 20 s for messages before it answers.
const RECEIVE_ATTEMPT: Duration = Duration::from_secs(30);
/// Room for one more attempt after a failure that came at once, not for one after silence.
const RECEIVE_CALL: Duration = Duration::from_secs(35);
/// DynamoDB answers in milliseconds, a transaction of a hundred items in some tens.
#[cfg(feature = "dynamodb")]
const DYNAMODB_ATTEMPT: Duration = Duration::from_secs(3);
/// All attempts together.
#[cfg(feature = "dynamodb")]
const DYNAMODB_CALL: Duration = Duration::from_secs(10);
/// After this time it is unknown whether the mail was sent.
const SES_ATTEMPT: Duration = Duration::from_secs(10);

/// A client for SQS. Its calls may be repeated, so the SDK retries them.
pub(crate) async fn sqs(aws: &AwsSettings) -> aws_sdk_sqs::Client {
    let timeouts = timeouts(SQS_ATTEMPT).operation_timeout(SQS_CALL).build();
    let config = config(aws, aws.sqs_endpoint.as_deref(), timeouts, RetryConfig::standard()).await;
    let config = aws_sdk_sqs::config::Builder::from(&config).interceptor(ReceiveTimeouts).build();
    aws_sdk_sqs::Client::from_conf(config)
}

/// A client for SNS in a topic's region. Its calls may be repeated, so the SDK retries them.
pub(crate) async fn sns(aws: &AwsSettings, region: &str) -> aws_sdk_sns::Client {
    let timeouts = timeouts(SQS_ATTEMPT).operation_timeout(SQS_CALL).build();
    let config = config(aws, aws.sns_endpoint.as_deref(), timeouts, RetryConfig::standard()).await;
    let config = aws_sdk_sns::config::Builder::from(&config).region(Region::new(region.to_owned())).build();
    aws_sdk_sns::Client::from_conf(config)
}

/// A client for SES. It never repeats a call by itself: that would send a mail twice.
pub(crate) async fn ses(aws: &AwsSettings) -> aws_sdk_sesv2::Client {
    let timeouts = timeouts(SES_ATTEMPT).build();
    let config = config(aws, aws.ses_endpoint.as_deref(), timeouts, RetryConfig::disabled()).await;
    aws_sdk_sesv2::Client::new(&config)
}

/// A client for DynamoDB. Its calls may be repeated, so the SDK retries them.
#[cfg(feature = "dynamodb")]
pub(crate) async fn dynamodb(aws: &AwsSettings) -> aws_sdk_dynamodb::Client {
    let timeouts = timeouts(DYNAMODB_ATTEMPT).operation_timeout(DYNAMODB_CALL).build();
    let config = config(aws, aws.dynamodb_endpoint.as_deref(), timeouts, RetryConfig::standard()).await;
    aws_sdk_dynamodb::Client::new(&config)
}

fn timeouts(attempt: Duration) -> TimeoutConfigBuilder {
    TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(attempt)
}

/// Gives receive calls, which wait for messages, longer time-outs than other calls.
#[derive(Debug)]
struct ReceiveTimeouts;

impl Intercept for ReceiveTimeouts {
    fn name(&self) -> &'static str {
        "ReceiveTimeouts"
    }

    fn read_before_execution(
        &self,
        call: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if call.input().downcast_ref::<ReceiveMessageInput>().is_some() {
            let patient = timeouts(RECEIVE_ATTEMPT).operation_timeout(RECEIVE_CALL).build();
            config.interceptor_state().store_put(patient);
        }
        Ok(())
    }
}

async fn config(aws: &AwsSettings, endpoint: Option<&str>, timeouts: TimeoutConfig, retries: RetryConfig) -> SdkConfig {
    let plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(aws.region.clone()))
        .timeout_config(timeouts)
        // Nothing is streamed, and every call has a time-out.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
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

/// A client for an emulator: AWS itself is never reached without TLS. An emulator takes any credentials but requires some. A search
/// for real ones would end with a wait for the cloud's metadata service.
fn without_tls(loader: ConfigLoader) -> ConfigLoader {
    let loader = loader.http_client(Builder::new().build_http());
    let given = ["AWS_ACCESS_KEY_ID", "AWS_PROFILE"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if given { loader } else { loader.credentials_provider(Credentials::new("ordo", "ordo", None, None, "emulator")) }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::error::SdkError;
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_sqs_costs_a_call_its_bound_and_a_receive_the_time_that_receives_take() {
        // The kernel accepts connections, and nothing answers.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", silent.local_addr().unwrap());
        let aws = AwsSettings {
            region: "us-east-1".to_owned(),
            sqs_endpoint: Some(endpoint),
            sns_endpoint: None,
            ses_endpoint: None,
            dynamodb_endpoint: None,
        };
        let sqs = sqs(&aws).await;

        let since = Instant::now();
        let refused = sqs.get_queue_url().queue_name("orders").send().await;
        assert!(matches!(refused, Err(SdkError::TimeoutError(_))), "{refused:?}");
        assert!((SQS_ATTEMPT..=SQS_CALL + Duration::from_secs(1)).contains(&since.elapsed()), "{:?}", since.elapsed());

        let since = Instant::now();
        let refused = sqs.receive_message().queue_url("http://sqs/orders").send().await;
        assert!(matches!(refused, Err(SdkError::TimeoutError(_))), "{refused:?}");
        let bounds = RECEIVE_ATTEMPT..=RECEIVE_CALL + Duration::from_secs(1);
        assert!(bounds.contains(&since.elapsed()), "{:?}", since.elapsed());
    }
}
