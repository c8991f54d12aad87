//! Webhooks as text and as JSON.

use webhooks::{WebhookDelivery, WebhookEndpoint, WebhookReplay};

use crate::page::{TerminalFormat, TextTable, TextTone};

pub(super) fn endpoints(endpoints: &[WebhookEndpoint], style: &TerminalFormat) -> TextTable {
    let mut table = TextTable::of(&[false; 6]).flush_left();
    let heading = ["id", "url", "events", "role", "state", "description"];
    table.row(heading.map(|text| (TextTone::Heading, text.to_owned())));
    for endpoint in endpoints {
        let plain = |text: &str| (TextTone::Plain, text.to_owned());
        let events = if endpoint.event_types.is_empty() { "all".to_owned() } else { endpoint.event_types.join(",") };
        table.row([
            plain(&endpoint.id.to_string()),
            plain(&endpoint.url),
            plain(&events),
            plain(&endpoint.role),
            state(endpoint, style),
            plain(&endpoint.description),
        ]);
    }
    table.without_columns_of(&[""])
}

fn state(endpoint: &WebhookEndpoint, style: &TerminalFormat) -> (TextTone, String) {
    match (endpoint.disabled_at, endpoint.disabled_because.as_deref(), endpoint.failing_since) {
        (Some(at), Some("operator"), _) => (TextTone::Aside, format!("disabled {}", style.ago(at))),
        (Some(at), Some("gone"), _) => (TextTone::Bad, format!("disabled {}: it answered 410", style.ago(at))),
        (Some(at), ..) => (TextTone::Bad, format!("disabled {}: it failed for too long", style.ago(at))),
        (None, _, Some(since)) => (TextTone::Waits, format!("fails since {}", style.ago(since))),
        (None, _, None) => (TextTone::Good, "enabled".to_owned()),
    }
}

pub(super) fn endpoint(endpoint: &WebhookEndpoint, style: &TerminalFormat) -> Vec<String> {
    let events = if endpoint.event_types.is_empty() { "all".to_owned() } else { endpoint.event_types.join(", ") };
    let (tone, state) = state(endpoint, style);
    let mut lines = vec![
        format!("id           {}", endpoint.id),
        format!("url          {}", endpoint.url),
        format!("events       {events}, after position {}", endpoint.from_position),
        format!("role         {}", endpoint.role),
        format!("state        {}", style.paint(tone, &state)),
        format!("made         {}", style.ago(endpoint.created_at)),
    ];
    if !endpoint.description.is_empty() {
        lines.push(format!("description  {}", crate::dlq::harmless(&endpoint.description)));
    }
    if endpoint.failures > 0 {
        lines.push(format!("failures     {} since it last answered well", endpoint.failures));
    }
    if let Some(at) = endpoint.not_before {
        lines.push(format!("waits        it asked to be called again {}", style.ago(at)));
    }
    if let Some(position) = endpoint.missed_from {
        lines.push(format!("missed       events from position {position} on"));
    }
    if let Some(until) = endpoint.previous_secret_until {
        lines.push(format!("secret       the one before signs as well; it ends {}", style.ago(until)));
    }
    lines
}

pub(super) fn deliveries(deliveries: &[WebhookDelivery], style: &TerminalFormat) -> TextTable {
    let mut table = TextTable::of(&[true, true, false, false, false, true, false, false]).flush_left();
    let heading = ["id", "position", "order", "event", "state", "attempts", "last attempt", "answer"];
    table.row(heading.map(|text| (TextTone::Heading, text.to_owned())));
    for delivery in deliveries {
        let plain = |text: String| (TextTone::Plain, text);
        let tone = match delivery.state.as_str() {
            "delivered" => TextTone::Good,
            "failed" => TextTone::Bad,
            _ => TextTone::Waits,
        };
        let answer = delivery.error.clone().or(delivery.status.map(|status| status.to_string()));
        table.row([
            plain(delivery.id.to_string()),
            plain(delivery.position.to_string()),
            plain(delivery.order_id.clone()),
            plain(delivery.event_type.clone()),
            (tone, delivery.state.clone()),
            plain(delivery.attempts.to_string()),
            plain(delivery.attempted_at.map_or_else(String::new, |at| style.ago(at))),
            plain(answer.unwrap_or_default()),
        ]);
    }
    table
}

pub(super) fn replay(replay: &WebhookReplay) -> String {
    let WebhookReplay { id, from_position, to_position, reached, deliveries, ended_at, .. } = replay;
    let how = match ended_at {
        Some(_) if reached < to_position => format!("cancelled at {reached}"),
        Some(_) => "ended".to_owned(),
        None => format!("reached {reached}"),
    };
    format!("{id}  from {from_position} to {to_position}  {how}  {deliveries} deliveries")
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_list_says_which_endpoints_are_not_told() {
        let now: DateTime<Utc> = "2026-11-30T12:00:00Z".parse().unwrap();
        let well = WebhookEndpoint {
            id: Uuid::nil(),
            url: "https://erp.example/".to_owned(),
            description: String::new(),
            event_types: Vec::new(),
            role: "auditor".to_owned(),
            created_at: now - TimeDelta::days(3),
            from_position: 7,
            disabled_at: None,
            disabled_because: None,
            missed_from: None,
            failing_since: None,
            failures: 0,
            not_before: None,
            previous_secret_until: None,
        };
        let fails = WebhookEndpoint {
            event_types: vec!["OrderConfirmed".to_owned(), "OrderShipped".to_owned()],
            failing_since: Some(now - TimeDelta::hours(2)),
            ..well.clone()
        };
        let gone = WebhookEndpoint {
            disabled_at: Some(now - TimeDelta::minutes(3)),
            disabled_because: Some("gone".to_owned()),
            ..well.clone()
        };
        let style = TerminalFormat::plain(None, now);
        assert_eq!(
            endpoints(&[well, fails, gone], &style).lines(&style),
            [
                "id                                    url                   events                       role     state",
                "00000000-0000-0000-0000-000000000000  https://erp.example/  all                          auditor  enabled",
                "00000000-0000-0000-0000-000000000000  https://erp.example/  OrderConfirmed,OrderShipped  auditor  fails since 2 h ago",
                "00000000-0000-0000-0000-000000000000  https://erp.example/  all                          auditor  disabled 3 min ago: it answered 410",
            ]
        );
    }
}
