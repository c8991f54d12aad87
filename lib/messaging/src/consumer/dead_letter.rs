//! Moves a message to the dead-letter queue, with the reason.

use aws_sdk_sqs::Client;

use super::ANSWER_BOUND;
use super::received::ReceivedMessage;
use crate::error::{SqsError, answered};
use crate::producer::text_attribute;
use crate::queues::Queue;

/// The attribute of a dead letter that has the reason.
pub(crate) const ERROR_ATTRIBUTE: &str = "ordo-error";

/// The longest reason, in bytes. It counts against the message's size limit.
const MOST_BYTES: usize = 1024;

/// SQS's limit for the attributes of a message.
const MOST_ATTRIBUTES: usize = 10;

/// Sends the message with its attributes and the reason to the dead-letter queue. Its SQS id is the deduplication id:
/// so it is there once, even if this is repeated after a crash before the deletion.
pub(super) async fn move_to_dead_letters(
    client: &Client,
    queue: &Queue,
    message: &ReceivedMessage,
    reason: &str,
) -> Result<(), DeadLetterMoveError> {
    let mut request = client
        .send_message()
        .queue_url(&queue.dead_letter_url)
        .message_group_id(&message.group_id)
        .message_deduplication_id(&message.message_id)
        .message_body(&message.body);
    let others = message.raw_attributes.iter().filter(|(name, _)| *name != ERROR_ATTRIBUTE);
    for (name, value) in others.take(MOST_ATTRIBUTES - 1) {
        request = request.message_attributes(name, value.clone());
    }
    let reason = text_attribute(bounded_text(reason)).map_err(|source| DeadLetterMoveError::Build { source })?;
    request = request.message_attributes(ERROR_ATTRIBUTE, reason);
    answered(ANSWER_BOUND, request.send()).await.map_err(|source| DeadLetterMoveError::Send { source })?;
    Ok(())
}

#[derive(Debug, thiserror::Error)]
pub(super) enum DeadLetterMoveError {
    #[error("the dead letter could not be built")]
    Build { source: aws_sdk_sqs::error::BuildError },
    #[error("the dead letter could not be sent")]
    Send { source: SqsError },
}

/// The text cut to the longest reason, never empty, without the characters that SQS refuses.
fn bounded_text(text: &str) -> String {
    let mut bounded = String::new();
    for character in text.chars() {
        let sendable = !character.is_control() && !matches!(character, '\u{fffe}' | '\u{ffff}');
        let character = if sendable { character } else { ' ' };
        if bounded.len() + character.len_utf8() > MOST_BYTES {
            break;
        }
        bounded.push(character);
    }
    if bounded.trim().is_empty() { "no reason given".into() } else { bounded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_between_characters() {
        let cut = bounded_text(&"ä".repeat(MOST_BYTES));

        assert_eq!(cut.len(), MOST_BYTES);
    }

    #[test]
    fn a_reason_has_no_characters_that_sqs_refuses() {
        assert_eq!(bounded_text("a\0b\nc\u{ffff}"), "a b c ");
        assert_eq!(bounded_text("\n"), "no reason given");
    }
}
