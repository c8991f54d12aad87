//! The embedded SQS and SES endpoints, and SDK clients for them.

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use embedded::{inbox::Inbox, sqs::Sqs};

const ANY_PORT: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// An SQS endpoint of the test's own, in the test's runtime.
pub async fn sqs() -> Sqs {
    Sqs::start(ANY_PORT.into()).await.expect("an SQS endpoint for the test")
}

/// An inbox that takes mails over SES's API, of the test's own, in the test's runtime.
pub async fn inbox() -> Inbox {
    Inbox::start(ANY_PORT.into()).await.expect("an inbox for the test")
}

/// A client for an SQS endpoint on loopback.
#[must_use]
pub fn sqs_client(url: &str) -> aws_sdk_sqs::Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::new(embedded::sqs::REGION))
        .credentials_provider(credentials())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    aws_sdk_sqs::Client::from_conf(config)
}

/// A client for an SNS endpoint on loopback.
#[must_use]
pub fn sns_client(url: &str) -> aws_sdk_sns::Client {
    let config = aws_sdk_sns::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::new(embedded::sqs::REGION))
        .credentials_provider(credentials())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    aws_sdk_sns::Client::from_conf(config)
}

/// A client for an SES endpoint on loopback. It does not retry: a retry could send a mail twice.
#[must_use]
pub fn ses_client(url: &str) -> aws_sdk_sesv2::Client {
    let config = aws_sdk_sesv2::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::new(embedded::sqs::REGION))
        .credentials_provider(credentials())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(aws_sdk_sesv2::config::retry::RetryConfig::disabled())
        .build();
    aws_sdk_sesv2::Client::from_conf(config)
}

fn credentials() -> Credentials {
    Credentials::new("test", "test", None, None, "testkit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_clients_fit_the_endpoints() {
        let (sqs, inbox) = (sqs().await, inbox().await);
        let queues = sqs_client(&sqs.url()).list_queues().send().await.unwrap();
        assert!(queues.queue_urls().is_empty());
        let refused = ses_client(&inbox.url()).send_email().send().await;
        assert!(refused.is_err(), "an empty mail is no mail");
    }
}
