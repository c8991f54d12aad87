//! Moves a message to the dead-letter queue, with the reason.

use std::collections::HashMap;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::MessageAttributeValue;

use super::ANSWER_BOUND;
use super::received::ReceivedMessage;
use crate::error::{CallError, answered};
use crate::producer::text_attribute;
use crate::queues::Queue;

/// The attribute of a dead letter that has the reason.
pub(crate) const ERROR_ATTRIBUTE: &str = "ordo-error";

/// The longest reason, in bytes. It counts against the message's size limit.
const MOST_BYTES: usize = 1024;

/// SQS's limit for the attributes of a message.
const MOST_ATTRIBUTES: usize = 10;

/// Only a message that is almost as long as SQS allows can be refused because of its length. The smallest limit is 256 KiB.
pub(super) const LONG_BYTES: usize = 200 * 1024;

/// Sends the message with its attributes and the reason to the dead-letter queue. Its SQS id is the deduplication id:
/// so it is there once, even if this is repeated after a crash before the deletion.
///
/// The reason can make a message too long for SQS. Then its attributes and the end of its body are left out: a message that
/// can't be moved would hold up its group. None of ours is that long.
pub(super) async fn move_to_dead_letters(
    client: &Client,
    queue: &Queue,
    message: &ReceivedMessage,
    reason: &str,
) -> Result<(), DeadLetteringError> {
    let attributes = attributes(message, reason).map_err(|source| DeadLetteringError::Build { source })?;
    let only_error: HashMap<_, _> = attributes
        .get_key_value(ERROR_ATTRIBUTE)
        .map(|(name, error)| (name.clone(), error.clone()))
        .into_iter()
        .collect();
    let send = |body: &str, attributes| {
        let request = client
            .send_message()
            .queue_url(&queue.dead_letter_url)
            .message_group_id(&message.group_id)
            .message_deduplication_id(&message.message_id)
            .message_body(body)
            .set_message_attributes(Some(attributes));
        answered(ANSWER_BOUND, request.send())
    };
    let sent = send(&message.body, attributes).await;
    let sent = match sent {
        Err(CallError::Answered { .. }) if message.body.len() >= LONG_BYTES => {
            let room = message.body.len() - 2 * MOST_BYTES;
            send(&message.body[..message.body.floor_char_boundary(room)], only_error).await
        }
        Err(CallError::Answered { .. }) if message.bytes() >= LONG_BYTES => send(&message.body, only_error).await,
        sent => sent,
    };
    sent.map_err(|source| DeadLetteringError::Send { source })?;
    Ok(())
}

/// The attributes of the dead letter: those of the message, and the reason.
pub(super) fn attributes(
    message: &ReceivedMessage,
    reason: &str,
) -> Result<HashMap<String, MessageAttributeValue>, aws_sdk_sqs::error::BuildError> {
    let others = message.raw_attributes.iter().filter(|(name, _)| *name != ERROR_ATTRIBUTE);
    let others = others.take(MOST_ATTRIBUTES - 1).map(|(name, value)| (name.clone(), value.clone()));
    let error = text_attribute(bounded_text(reason))?;
    Ok(others.chain([(ERROR_ATTRIBUTE.to_owned(), error)]).collect())
}

/// Why a message could not be moved to the dead-letter queue.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeadLetteringError {
    #[error("the dead letter could not be built")]
    Build { source: aws_sdk_sqs::error::BuildError },
    #[error("the dead letter could not be sent")]
    Send { source: CallError },
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
