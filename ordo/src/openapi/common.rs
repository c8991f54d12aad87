//! What the document says of all routes: the problems that any of them can be answered with, the headers of every answer, who may call.

use std::collections::BTreeMap;

use access_control::{Route, RouteClass};
use problem::ProblemType;
use serde_json::{Map, Value, json};

const METHODS: [&str; 3] = ["get", "post", "delete"];

/// `*`, or ETags with commas between them.
const ETAGS: &str = r#"^([*]|(W/)?"[ !#-+.-~-]*"( *, *(W/)?"[ !#-+.-~-]*")*)$"#;

/// Completes the document that utoipa made of the routes.
pub(super) fn complete(document: &mut Value) {
    document["openapi"] = json!("3.1.0");
    document["info"] = json!({
        "title": "Ordo",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "An event-sourced order platform: a shop places orders, and follows what becomes of them.\n\nWhat is at \
                        `/orders`, `/customers`, `/stock`, `/sales` and `/events` is at the same paths below `/v1`, too.",
        "license": { "name": "MIT OR Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0" },
    });
    document["servers"] = json!([{ "url": "/", "description": "This server" }]);
    document["tags"] = json!([
        { "name": "orders", "description": "Placing orders, changing them and asking about them" },
        { "name": "stock", "description": "The units of the SKUs that are counted" },
        { "name": "reports", "description": "Sums over many orders" },
        { "name": "events", "description": "What happens, as it happens" },
        { "name": "operations", "description": "For whoever runs the platform" },
        { "name": "health", "description": "Whether a process runs, and is ready" },
        { "name": "about", "description": "What there is" },
    ]);
    complete_operations(document);
    document["components"]["securitySchemes"] = json!({ "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A JSON Web Token, or an API key. Where everyone is let in (`ordo up` on loopback), none is needed.",
    } });
    document["security"] = json!([]);
    let schemas = &mut document["components"]["schemas"];
    for (name, schema) in problem_schemas() {
        schemas[name] = schema;
    }
}

fn complete_operations(document: &mut Value) {
    let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) else { return };
    for (path, item) in paths {
        for method in METHODS {
            let Some(operation) = item.get_mut(method).and_then(Value::as_object_mut) else { continue };
            if method == "get" {
                complete_read(operation);
            }
            complete_parameters(operation);
            let route = Route::find(&method.to_uppercase(), path);
            let is_public = route.as_ref().is_ok_and(|route| route.class.is_public());
            if route.is_ok_and(|route| route.class == RouteClass::Operate) {
                operation.insert("servers".to_owned(), json!([operate_listener()]));
            }
            if !is_public {
                operation.insert("security".to_owned(), json!([{ "bearer": [] }]));
            }
            complete_responses(is_public, operation);
        }
    }
}

/// What runs the platform is answered on a listener of its own.
fn operate_listener() -> Value {
    json!({
        "url": "{address}",
        "description": "The operate listener (`ORDO_OPS_LISTEN`)",
        "variables": { "address": { "default": "http://127.0.0.1:3001" } },
    })
}

/// What the layer `HttpSemantics` does for every read, and `Prefer` where there is something to wait for.
fn complete_read(operation: &mut Map<String, Value>) {
    let text = |about: &str| json!({ "description": about, "schema": { "type": "string" } });
    let mut preferences = Vec::new();
    if let Some(read) = operation.get_mut("responses").and_then(|responses| responses.get_mut("200")) {
        read["headers"]["Cache-Control"] = text("How long the answer may be kept, and by whom");
        if read["content"].get("application/json").is_some() {
            if read["headers"].get("ETag").is_none() {
                read["headers"]["ETag"] = text("A hash of the answer");
            }
            let not_modified = json!({ "description": "It has not changed", "headers": {
                "ETag": read["headers"]["ETag"], "Cache-Control": read["headers"]["Cache-Control"],
            } });
            operation["responses"].as_object_mut().map(|responses| responses.entry("304").or_insert(not_modified));
            preferences.push(("If-None-Match", "An `ETag`: answered with 304 while it is still right"));
        }
    }
    let names = operation.get("parameters").and_then(Value::as_array);
    let named = |wanted: &str| names.into_iter().flatten().any(|parameter| parameter["name"] == wanted);
    if named("Event-Position-Min") {
        preferences
            .push(("Prefer", "`wait=N`: for how many seconds to wait for the position, 30 at the most (RFC 7240)"));
    }
    preferences.retain(|(name, _)| !named(name));
    let preferences = preferences.into_iter().map(|(name, about)| {
        json!({ "name": name, "in": "header", "required": false, "description": about, "schema": { "type": "string" } })
    });
    let preferences: Vec<Value> = preferences.collect();
    if let Some(parameters) = operation.entry("parameters").or_insert_with(|| json!([])).as_array_mut() {
        parameters.extend(preferences);
    }
}

/// A parameter of a URL or a header is there or not: it can't be null.
fn complete_parameters(operation: &mut Map<String, Value>) {
    let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) else { return };
    for parameter in parameters {
        if ["If-Match", "If-None-Match"].iter().any(|name| parameter["name"] == *name) {
            parameter["schema"]["pattern"] = json!(ETAGS);
            parameter["schema"]["minLength"] = json!(1);
        }
        let Some(schema) = parameter.get_mut("schema") else { continue };
        if let Some([only, null]) = schema.get("type").and_then(Value::as_array).map(Vec::as_slice)
            && null == "null"
        {
            schema["type"] = only.clone();
        }
        if let Some([null, only]) = schema.get("oneOf").and_then(Value::as_array).map(Vec::as_slice)
            && null.get("type").is_some_and(|it| it == "null")
        {
            *schema = only.clone();
        }
    }
}

fn complete_responses(is_public: bool, operation: &mut Map<String, Value>) {
    let is_probe = operation.get("tags").is_some_and(|tags| tags[0] == "health");
    let (has_body, has_query) = (operation.contains_key("requestBody"), has_query(operation));
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    let mut common = vec![
        (400, "The request cannot be read"),
        (403, "The caller may not do this, or a web page of another site sent it"),
        (406, "`Accept` refuses the media type of the answer"),
        (421, "It is addressed to a name that the server does not have"),
        (500, "Something failed on the server's side"),
        (503, "Not now: it may succeed after `Retry-After`"),
    ];
    if !is_public {
        common.push((401, "There is no credential, or it does not hold"));
    }
    // Probes do not count.
    if !is_probe {
        common.push((429, "There are too many requests"));
    }
    if has_body {
        common.extend([
            (408, "The body took too long"),
            (413, "The body is too large"),
            (415, "The body is not said to be plain `application/json`"),
        ]);
    }
    if has_body || has_query {
        common.push((422, "It breaks rules: `errors` has all of them"));
    }
    for (status, about) in common {
        responses.entry(status.to_string()).or_insert_with(|| json!({ "description": about }));
    }
    for (status, response) in responses {
        if status.starts_with(['4', '5']) {
            let schema = json!({ "$ref": format!("#/components/schemas/Problem{status}") });
            response["content"]["application/problem+json"] = json!({ "schema": schema });
        }
        if ["429", "503"].contains(&status.as_str()) {
            response["headers"]["Retry-After"] =
                json!({ "description": "Seconds after which to try again", "schema": { "type": "integer" } });
        }
        if !is_probe {
            response["headers"]["RateLimit-Policy"] =
                header("The quota that counts, as in draft-ietf-httpapi-ratelimit-headers");
            response["headers"]["RateLimit"] = header("What is left of the quota");
        }
        response["headers"]["traceresponse"] = header("The request's trace (W3C Trace Context)");
    }
}

fn header(about: &str) -> Value {
    json!({ "description": about, "schema": { "type": "string" } })
}

fn has_query(operation: &Map<String, Value>) -> bool {
    let parameters = operation.get("parameters").and_then(Value::as_array);
    parameters.into_iter().flatten().any(|parameter| parameter["in"] == "query")
}

/// `Problem`, and `Problem404` and so on, whose `code` is one of those that the status has.
fn problem_schemas() -> BTreeMap<String, Value> {
    let violation = json!({
        "type": "object",
        "description": "A rule that the request breaks",
        "required": ["pointer", "code", "message"],
        "properties": {
            "pointer": { "type": "string", "description": "A JSON pointer into the body, or `?name` for a parameter" },
            "code": { "type": "string", "description": "Which rule, for programs" },
            "message": { "type": "string", "description": "What is wrong and what is allowed, for people" },
        },
    });
    let text = |about: &str| json!({ "type": "string", "description": about });
    let problem = json!({
        "type": "object",
        "description": "Why a request did not succeed (RFC 9457). Some codes have further members.",
        "required": ["type", "title", "status", "code"],
        "properties": {
            "type": text("A URI reference for the kind of problem"),
            "title": text("The kind of problem, for people"),
            "status": { "type": "integer", "description": "The answer's status" },
            "detail": text("What is wrong with this request"),
            "instance": text("The request's path"),
            "code": text("The kind of problem, for programs"),
            "traceId": text("Under which the logs have the request"),
            "currentVersion": { "type": "integer", "format": "int64", "description": "The version that it is at" },
            "errors": { "type": "array", "items": { "$ref": "#/components/schemas/FieldError" } },
        },
        "example": {
            "type": ProblemType::NotFound.uri(), "title": ProblemType::NotFound.title(), "status": 404,
            "code": ProblemType::NotFound.code(),
            "detail": "there is no order order-1001", "instance": "/orders/order-1001",
            "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
        },
    });
    let mut schemas = BTreeMap::from([("FieldError".to_owned(), violation), ("Problem".to_owned(), problem)]);
    let mut codes: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for kind in ProblemType::ALL {
        codes.entry(kind.status().as_u16()).or_default().push(kind.code());
    }
    for (status, codes) in codes {
        let own = json!({ "type": "object", "properties": { "code": { "type": "string", "enum": codes } } });
        let schema = json!({ "allOf": [{ "$ref": "#/components/schemas/Problem" }, own] });
        schemas.insert(format!("Problem{status}"), schema);
    }
    schemas
}
