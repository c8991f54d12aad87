//! What a refusal of SQS or SNS is about: the message, or the caller, the queue or the topic.

use super::SendError;
use crate::error::{CallError, MessagingService};

/// The codes that say something of a message. What has another code is mended elsewhere: by rights, by a key, by waiting.
const ABOUT_THE_MESSAGE: [&str; 8] = [
    "BatchRequestTooLong",
    "InvalidAttributeValue",
    "InvalidMessageContents",
    "InvalidParameter",
    "InvalidParameterValue",
    "MessageTooLong",
    "ParameterValueInvalid",
    "Validation",
];
/// What a service names if it does not know the queue or the topic, under the same codes.
const TARGETS: [&str; 2] = ["TopicArn", "QueueUrl"];

impl SendError {
    /// The refusal of a message in a batch that was accepted.
    pub(super) fn refused(
        service: MessagingService,
        code: &str,
        message: Option<&str>,
        is_senders_fault: bool,
    ) -> Self {
        let message = message.unwrap_or_default();
        let sender_fault = is_senders_fault && is_about_the_message(code, message);
        Self::Refused { service, code: code.into(), message: message.into(), sender_fault }
    }

    /// The failure of a call, as that of the only message in it.
    pub(super) fn of_only_message(self) -> Self {
        match self {
            Self::Batch { source: CallError::Answered { service, code, message } }
                if is_about_the_message(&code, &message) =>
            {
                Self::Refused { service, code, message, sender_fault: true }
            }
            other @ (Self::TooLong { .. }
            | Self::Refused { .. }
            | Self::Batch { .. }
            | Self::TimedOut { .. }
            | Self::Build { .. }
            | Self::Unanswered) => other,
        }
    }
}

fn is_about_the_message(code: &str, message: &str) -> bool {
    // Some protocols have a prefix, some an ending.
    let name = code.rsplit(['.', '#']).next().unwrap_or(code);
    let name = name.strip_suffix("Exception").unwrap_or(name);
    ABOUT_THE_MESSAGE.contains(&name) && !TARGETS.iter().any(|target| message.contains(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_something_of_the_message_is_its_fault() {
        for code in ["InvalidMessageContents", "AWS.SimpleQueueService.BatchRequestTooLong", "ValidationException"] {
            assert!(is_about_the_message(code, "too long"), "{code}");
        }
        let others = ["AuthorizationError", "NotFound", "InvalidSecurity", "EndpointDisabled", "KMSDisabled"];
        for code in others.into_iter().chain(["Throttling", "AccessDenied", "InternalError", "Told"]) {
            assert!(!is_about_the_message(code, ""), "{code}");
        }
        assert!(!is_about_the_message("InvalidParameter", "Invalid parameter: TopicArn"));
    }

    #[test]
    fn a_call_that_is_not_answered_says_nothing_of_its_message() {
        let service = MessagingService::Sns;
        let unanswered = CallError::NotReached { service, reason: "refused".to_owned() };
        assert!(matches!(SendError::from(unanswered).of_only_message(), SendError::Batch { .. }));
        let answer = |code: &str| CallError::Answered { service, code: code.to_owned(), message: String::new() };
        assert!(matches!(SendError::from(answer("HTTP 503")).of_only_message(), SendError::Batch { .. }));
        let refused = SendError::from(answer("InvalidParameter")).of_only_message();
        assert!(matches!(refused, SendError::Refused { sender_fault: true, .. }), "{refused:?}");
    }
}
