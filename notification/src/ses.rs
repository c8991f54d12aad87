//! Sends a mail over SES, once, and classifies the answer.

use std::time::Duration;

use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::StalledStreamProtectionConfig;
use aws_sdk_sesv2::config::retry::RetryConfig;
use aws_sdk_sesv2::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message, MessageHeader, MessageTag};
use error_chain::error_chain;
use mail_address::EmailAddress;
use uuid::Uuid;

use crate::mail::{Mail, one_line};

/// The header by which a mail that was sent twice can be told from two mails.
pub const NOTIFICATION_ID_HEADER: &str = "X-Ordo-Notification-Id";

/// The same as a tag, for SES's own event publishing.
const NOTIFICATION_ID_TAG: &str = "ordo-notification-id";

/// Why a mail is not handed to SES: its documentation of `Destination` wants ASCII, and A-labels of a domain.
const NO_SMTPUTF8: &str = "the mail service takes only ASCII before the @ of an address (SES has no SMTPUTF8)";

/// Why SES did not accept a mail.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SesSendError {
    /// The account sends too fast.
    Throttled,
    /// The account may not send any mail.
    Paused { reason: String },
    /// SES will never accept this mail.
    Refused { reason: String },
    /// It may work later. SES may even have accepted the mail, and its answer was lost.
    Failed { reason: String },
}

/// Sends mails by SES.
#[derive(Debug, Clone)]
pub(crate) struct SesMailer {
    client: Client,
    timeout: Duration,
    smtputf8: bool,
}

impl SesMailer {
    /// Switches off the client's retries: SendEmail has no idempotency key, so they would send a mail twice. `timeout`:
    /// how long one call may take. `smtputf8`: whether the service takes more than ASCII before the `@`.
    pub(crate) fn new(client: &Client, timeout: Duration, smtputf8: bool) -> Self {
        let once = client.config().to_builder().retry_config(RetryConfig::disabled());
        // Nothing here is streamed, and the whole call has a timeout.
        let once = once.stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        Self { client: Client::from_conf(once.build()), timeout, smtputf8 }
    }

    /// Returns SES's id of the mail.
    pub(crate) async fn send(&self, mail: &Mail, notification_id: Uuid) -> Result<String, SesSendError> {
        // SES would answer that the address has control characters.
        if !self.smtputf8 && !mail.to.iter().all(EmailAddress::has_ascii_local_part) {
            return Err(SesSendError::Refused { reason: NO_SMTPUTF8.to_owned() });
        }
        let to = mail.to.iter().map(EmailAddress::with_ascii_domain).collect();
        let refused = |error: BuildError| SesSendError::Refused { reason: error.to_string() };
        let message = message(mail, notification_id).map_err(refused)?;
        let tag = MessageTag::builder().name(NOTIFICATION_ID_TAG).value(notification_id.to_string()).build();
        let request = self
            .client
            .send_email()
            .from_email_address(mail.from.as_str())
            .destination(Destination::builder().set_to_addresses(Some(to)).build())
            .content(EmailContent::builder().simple(message).build())
            .email_tags(tag.map_err(refused)?);
        let timeout = self.timeout;
        match tokio::time::timeout(timeout, request.send()).await {
            Ok(Ok(accepted)) => accepted
                .message_id
                .filter(|id| !id.is_empty())
                .ok_or_else(|| SesSendError::Failed { reason: "SES answered without a message id".into() }),
            Ok(Err(error)) => Err(classify(&error)),
            Err(_) => Err(SesSendError::Failed { reason: format!("SES did not answer within {timeout:?}") }),
        }
    }
}

fn message(mail: &Mail, notification_id: Uuid) -> Result<Message, BuildError> {
    let utf8 = |data: &str| Content::builder().data(data).charset("UTF-8").build();
    let body = Body::builder().text(utf8(&mail.content.text)?).html(utf8(&mail.content.html)?).build();
    let header = |name: &str, value: String| MessageHeader::builder().name(name).value(value).build();
    let message = Message::builder().subject(utf8(&mail.content.subject)?).body(body);
    let message = message.headers(header(NOTIFICATION_ID_HEADER, notification_id.to_string())?);
    Ok(message.headers(header("Content-Language", mail.content.language.to_owned())?).build())
}

fn classify(error: &SdkError<SendEmailError>) -> SesSendError {
    let reason = reason(error);
    match error.code() {
        Some("TooManyRequestsException" | "LimitExceededException" | "ThrottlingException" | "Throttling") => {
            SesSendError::Throttled
        }
        Some("SendingPausedException" | "AccountSuspendedException") => SesSendError::Paused { reason },
        Some(
            "MessageRejected" | "MailFromDomainNotVerifiedException" | "BadRequestException" | "NotFoundException",
        ) => SesSendError::Refused { reason },
        _ if error.raw_response().is_some_and(|it| it.status().as_u16() == 429) => SesSendError::Throttled,
        _ => SesSendError::Failed { reason },
    }
}

/// In words for an operator, on one line.
fn reason(error: &SdkError<SendEmailError>) -> String {
    let words = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("SES answered {code}: {message}"),
        (Some(code), None) => format!("SES answered {code}"),
        (None, _) => error_chain(error),
    };
    one_line(&words, 500)
}
