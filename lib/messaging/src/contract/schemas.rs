//! The JSON Schemas of the messages: `docs/reference/schemas/messages`.

use std::fs;
use std::path::Path;

use json_schemas::{check, files_in, schema_to_read};
use schemars::JsonSchema;
use serde_json::{Value, json};

use super::{MessageContract, NotificationFailed, NotificationRequested, NotificationSent};

#[test]
fn each_message_has_a_schema_that_its_golden_files_agree_with() {
    let files = [
        check_message::<NotificationRequested>(),
        check_message::<NotificationSent>(),
        check_message::<NotificationFailed>(),
    ];
    assert_eq!(files_in("messages"), files.into());
}

fn check_message<T: MessageContract + JsonSchema>() -> String {
    let file = format!("{}.json", T::TYPE);
    check(&format!("messages/{file}"), &body_schema::<T>(), &golden(T::TYPE));
    file
}

/// The schema of a whole body: the attributes of CloudEvents, and the data.
fn body_schema<T: MessageContract + JsonSchema>() -> Value {
    let mut data = schema_to_read::<T>();
    let members = data.as_object_mut().unwrap();
    let (draft, defs) = (members.remove("$schema").unwrap(), members.remove("$defs"));
    json!({
        "$schema": draft,
        "title": T::TYPE,
        "description": "A message body: CloudEvents 1.0 in structured JSON. Unknown attributes are passed over.",
        "type": "object",
        "properties": {
            "specversion": { "const": "1.0" },
            "id": { "type": "string", "format": "uuid", "description": "The same whenever the message comes again." },
            "type": { "const": T::TYPE },
            "source": { "type": "string", "minLength": 1, "examples": [T::SOURCE] },
            "subject": { "type": "string", "pattern": "^[!-~]{1,128}$", "description": "The order's id." },
            "time": { "type": "string", "format": "date-time" },
            "datacontenttype": { "type": "string" },
            "dataschema": { "type": "string" },
            "traceparent": { "type": "string", "description": "The W3C trace context of its cause." },
            "data": data,
        },
        "required": ["specversion", "id", "type", "source", "subject", "data"],
        "$defs": defs.unwrap_or_else(|| json!({})),
    })
}

/// The golden files of a message.
fn golden(message_type: &str) -> Vec<Value> {
    let folder = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")).unwrap();
    let files = folder.map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(message_type));
    files.map(|path| serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()).collect()
}
