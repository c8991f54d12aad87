//! The AsyncAPI document names all messages and events, and only those.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use json_schemas::{compare, files_in};
use serde_json::{Map, Value, json};

#[test]
fn the_asyncapi_document_is_made_of_the_schemas() {
    let events: Vec<String> = names_in("events");
    let messages: Vec<String> = names_in("messages");
    assert!(events.len() >= 29 && messages.len() == 3, "{events:?}, {messages:?}");
    let document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Ordo",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The queues between the sagas and notification, the live stream of events, webhooks, and the queue and the topic of events.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": {
            "api": {
                "host": "127.0.0.1:3000",
                "protocol": "http",
                "description": "A process with the role projections.",
            },
            "sqs": {
                "host": "127.0.0.1:4566",
                "protocol": "sqs",
                "description": "Amazon SQS, or the endpoint that `ordo up` brings.",
            },
            "sns": {
                "host": "sns.eu-central-1.amazonaws.com",
                "protocol": "sns",
                "description": "Amazon SNS in the topic's region.",
            },
        },
        "channels": {
            "notifications": queue("{prefix}-notifications.fifo", &["ordo.notification.requested.v1"]),
            "replies": queue("{prefix}-replies.fifo", &["ordo.notification.sent.v1", "ordo.notification.failed.v1"]),
            "liveStream": {
                "address": "/events/stream",
                "description": "Server-sent events: `id` is the position, `event` the name, `data` the message. A heartbeat has no `data`.",
                "servers": [{ "$ref": "#/servers/api" }],
                "messages": references(&events),
            },
            "webhooks": {
                "address": null,
                "description": "POSTs to the endpoints of webhooks, signed as Standard Webhooks describes it.",
                "messages": { "webhookDelivery": { "$ref": "#/components/messages/webhookDelivery" } },
            },
            "events": {
                "address": "{queue}",
                "description": "An SQS FIFO queue for other programs. The message group is the order's id, the deduplication id the event's.",
                "parameters": { "queue": { "examples": ["ordo-events.fifo"], "description": "The setting ORDO_EVENTS_QUEUE." } },
                "servers": [{ "$ref": "#/servers/sqs" }],
                "messages": { "publishedEvent": { "$ref": "#/components/messages/publishedEvent" } },
            },
            "eventsTopic": {
                "address": "{topic}",
                "description": "An SNS FIFO topic for other programs. The message group is the order's id, the deduplication id the event's.",
                "parameters": { "topic": {
                    "examples": ["arn:aws:sns:eu-central-1:123456789012:ordo-events.fifo"],
                    "description": "The setting ORDO_EVENTS_TOPIC.",
                } },
                "servers": [{ "$ref": "#/servers/sns" }],
                "messages": { "publishedEvent": { "$ref": "#/components/messages/publishedEvent" } },
            },
        },
        "operations": {
            "requestNotification": operation("send", "notifications"),
            "answerNotification": operation("receive", "replies"),
            "follow": operation("send", "liveStream"),
            "deliver": operation("send", "webhooks"),
            "publish": operation("send", "events"),
            "publishOnTopic": operation("send", "eventsTopic"),
        },
        "components": {
            "messages": messages.iter().map(|name| message(name)).chain(events.iter().map(|name| event(name)))
                .chain([webhook_delivery(), published_event()]).collect::<Map<_, _>>(),
            "schemas": { "liveEvent": live_event() },
        },
    });
    compare("asyncapi.json", &document);
}

fn names_in(folder: &str) -> Vec<String> {
    files_in(folder).iter().map(|file| file.strip_suffix(".json").unwrap().to_owned()).collect()
}

/// A name as a key: AsyncAPI allows no dots there.
fn key(name: &str) -> String {
    name.replace('.', "-")
}

fn references(names: &[String]) -> Map<String, Value> {
    let reference = |name: &String| (key(name), json!({ "$ref": format!("#/components/messages/{}", key(name)) }));
    names.iter().map(reference).collect()
}

fn queue(address: &str, messages: &[&str]) -> Value {
    let messages: Vec<String> = messages.iter().map(|name| (*name).to_owned()).collect();
    json!({
        "address": address,
        "description": "An SQS FIFO queue. The message group is the order's id. The attribute `ordo-signature` signs the body.",
        "parameters": { "prefix": { "default": "ordo", "description": "The setting ORDO_QUEUE_PREFIX." } },
        "servers": [{ "$ref": "#/servers/sqs" }],
        "messages": references(&messages),
    })
}

fn operation(action: &str, channel: &str) -> Value {
    json!({ "action": action, "channel": { "$ref": format!("#/channels/{channel}") } })
}

fn message(name: &str) -> (String, Value) {
    let message = json!({
        "name": name,
        "contentType": "application/cloudevents+json",
        "payload": schema(&format!("messages/{name}.json")),
    });
    (key(name), message)
}

fn event(name: &str) -> (String, Value) {
    let properties = json!({ "type": { "const": name }, "data": schema(&format!("events/{name}.json")) });
    let payload = json!({
        "allOf": [{ "$ref": "#/components/schemas/liveEvent" }, { "type": "object", "properties": properties }],
    });
    (name.to_owned(), json!({ "name": name, "contentType": "application/json", "payload": payload }))
}

/// An event for an endpoint: the envelope, around what the live stream has of the event.
fn webhook_delivery() -> (String, Value) {
    let header = |about: &str| json!({ "type": "string", "description": about });
    let message = json!({
        "name": "webhookDelivery",
        "contentType": "application/cloudevents+json",
        "headers": {
            "type": "object",
            "properties": {
                "webhook-id": header("The event's id, the same on every attempt."),
                "webhook-timestamp": header("The time of the attempt, in seconds since 1970."),
                "webhook-signature": header("`v1,` and the signature in Base64; two with a space between after a rotation."),
            },
            "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
        },
        "payload": envelope(&json!({}), &["datacontenttype", "data"]),
    });
    ("webhookDelivery".to_owned(), message)
}

/// An event on the queue: the same envelope, or without the data where that is too large.
fn published_event() -> (String, Value) {
    let text = |about: &str| json!({ "type": "string", "description": about });
    let dataref = text("Where the order's events can be read, in place of `data` that is too large.");
    let sequence = text("The event's `version`, where there is no `data` to say it.");
    let message = json!({
        "name": "publishedEvent",
        "contentType": "application/cloudevents+json",
        "headers": {
            "type": "object",
            "properties": { "ce-type": text("The event's name."), "ce-id": text("The event's id."), "content-type": text("That of the body.") },
            "required": ["ce-type", "ce-id", "content-type"],
        },
        "payload": envelope(&json!({ "dataref": dataref, "sequence": sequence }), &[]),
    });
    ("publishedEvent".to_owned(), message)
}

fn envelope(more: &Value, required: &[&str]) -> Value {
    let text = || json!({ "type": "string" });
    let mut properties = json!({
                "specversion": { "const": "1.0" },
                "id": { "type": "string", "format": "uuid" },
                "type": { "type": "string", "description": "The event's name." },
                "source": { "const": "/ordo/orders" },
                "subject": { "type": "string", "description": "The order's id." },
                "time": { "type": "string", "format": "date-time" },
                "datacontenttype": { "const": "application/json" },
                "dataschema": text(),
                "traceparent": text(),
                "data": { "$ref": "#/components/schemas/liveEvent" },
    });
    properties.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let always = ["specversion", "id", "type", "source", "subject", "time", "dataschema"];
    let required: Vec<_> = always.into_iter().chain(required.iter().copied()).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn schema(file: &str) -> Value {
    json!({ "$ref": format!("./{file}") })
}

/// What every event of the live stream has around its content.
fn live_event() -> Value {
    json!({
        "type": "object",
        "properties": {
            "streamType": { "enum": ["order", "stock"] },
            "streamId": { "type": "string", "description": "The order's id or the SKU." },
            "version": { "type": "integer", "minimum": 1, "description": "Of the order or the SKU." },
            "position": { "type": "integer", "minimum": 1, "description": "In the log." },
            "type": { "type": "string" },
            "eventId": { "type": "string", "format": "uuid" },
            "recordedAt": { "type": "string", "format": "date-time" },
            "metadata": { "type": "object", "description": "Who caused it, and its trace." },
            "data": { "type": "object" },
        },
        "required": ["streamType", "streamId", "version", "position", "type", "eventId", "recordedAt", "metadata", "data"],
    })
}
