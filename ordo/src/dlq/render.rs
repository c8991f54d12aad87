//! Dead letters as text and as JSON.

use chrono::SecondsFormat;
use messaging::{DeadLetter, DeadLetterOrigin};
use serde_json::{Value, json};

/// One line of a list.
pub(super) fn line(origin: DeadLetterOrigin, letter: &DeadLetter) -> String {
    let kind = letter.kind.as_deref().unwrap_or("of no type");
    let attempt = letter.attempt.map_or_else(String::new, |attempt| format!(", attempt {attempt}"));
    let times = match letter.redriven {
        0 => String::new(),
        1 => ", sent again once".to_owned(),
        times => format!(", sent again {times} times"),
    };
    let DeadLetter { id, order_id, .. } = letter;
    harmless(&format!("{id}  {origin}  {order_id}  {kind}{attempt}{times}, since {}: {}", since(letter), letter.why()))
}

/// An entry of a list as JSON.
pub(super) fn summary(origin: DeadLetterOrigin, letter: &DeadLetter) -> Value {
    json!({
        "id": letter.id,
        "originalId": letter.original_id,
        "queue": origin.as_str(),
        "orderId": letter.order_id,
        "type": letter.kind,
        "error": letter.error,
        "since": since(letter),
        "attempt": letter.attempt,
        "redriven": letter.redriven,
    })
}

/// All of a dead letter, as JSON. A body that is not JSON is text.
pub(super) fn full_json(origin: DeadLetterOrigin, letter: &DeadLetter) -> Value {
    let mut full = summary(origin, letter);
    full["groupId"] = json!(letter.group_id);
    full["attributes"] = json!(letter.attributes);
    full["body"] = serde_json::from_str(&letter.body).unwrap_or_else(|_| json!(letter.body));
    full
}

/// All of a dead letter, for people.
pub(super) fn page(origin: DeadLetterOrigin, letter: &DeadLetter) -> String {
    let or_none = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let rows = [
        ("id", letter.id.clone()),
        ("original", or_none(letter.original_id.as_deref())),
        ("queue", origin.to_string()),
        ("order", letter.order_id.clone()),
        ("group", letter.group_id.clone()),
        ("type", or_none(letter.kind.as_deref())),
        ("error", letter.why().to_owned()),
        ("since", since(letter)),
        ("attempt", or_none(letter.attempt.map(|attempt| attempt.to_string()).as_deref())),
        ("redriven", letter.redriven.to_string()),
    ];
    let mut lines: Vec<String> = rows.iter().map(|(name, value)| harmless(&format!("{name:<9} {value}"))).collect();
    let beside = letter.attributes.iter().map(|(name, value)| harmless(&format!("beside    {name}: {value}")));
    lines.extend(beside);
    let event: Result<Value, _> = serde_json::from_str(&letter.body);
    let body = event.and_then(|event| serde_json::to_string_pretty(&event)).unwrap_or_else(|_| letter.body.clone());
    lines.push(String::new());
    lines.extend(body.lines().map(harmless));
    lines.join("\n")
}

/// `1 dead letter`, `2 dead letters`.
pub(super) fn letters(count: u64) -> String {
    if count == 1 { "1 dead letter".to_owned() } else { format!("{count} dead letters") }
}

/// Why there may be more than were received.
pub(super) const UNSEEN: &str = "wait behind earlier ones of their orders, or are in someone else's hands";

/// Replaces control characters: a text that anybody wrote must not command the terminal.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

fn since(letter: &DeadLetter) -> String {
    letter.since.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_holds_does_not_command_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\r\n"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}");
    }
}
