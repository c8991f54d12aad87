//! What the document says of all routes: who may call, on which listener, parameters that several have, and the problems.

use std::collections::BTreeMap;

use access_control::{Role, Route, RouteClass, RoutePermission};
use problem::{Deprecation, ProblemType};
use serde_json::{Map, Value, json};

use super::answers::{SharedComponents, deprecation};

const METHODS: [&str; 4] = ["get", "post", "put", "delete"];

/// `*`, or ETags with commas between them.
const ETAGS: &str = r#"^([*]|(W/)?"[ !#-+.-~-]*"( *, *(W/)?"[ !#-+.-~-]*")*)$"#;

/// What decides which answers an operation may get, and with which headers.
#[derive(Debug)]
pub(super) struct Operation<'a> {
    class: Option<RouteClass>,
    pub(super) is_read: bool,
    /// Whether `Prefer: wait=N` counts.
    pub(super) waits: bool,
    pub(super) has_body: bool,
    pub(super) has_query: bool,
    pub(super) deprecation: Option<&'a Deprecation>,
}

impl Operation<'_> {
    /// Whether it needs no credential.
    pub(super) fn is_public(&self) -> bool {
        self.class.is_some_and(RouteClass::is_public)
    }

    /// Whether it is a probe, which no quota counts.
    pub(super) fn is_probe(&self) -> bool {
        self.class == Some(RouteClass::Probe)
    }

    /// Whether it describes the API.
    pub(super) fn is_description(&self) -> bool {
        self.class == Some(RouteClass::Description)
    }

    /// What the names of its refusals begin with. Operations of a kind have the same headers.
    pub(super) fn kind(&self) -> &'static str {
        match (self.is_probe(), self.is_read, self.waits) {
            (true, ..) => "Probe",
            (false, true, true) => "WaitingRead",
            (false, true, false) => "Read",
            (false, false, _) => "Command",
        }
    }
}

/// Completes the document that utoipa made of the routes.
pub(super) fn complete(document: &mut Value, deprecations: &[Deprecation]) {
    document["openapi"] = json!("3.1.0");
    document["info"] = json!({
        "title": "Ordo",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "An event-sourced order platform: a shop places orders, and follows what becomes of them.\n\nWhat is at \
                        `/orders`, `/customers`, `/stock`, `/sales` and `/events` is at the same paths below `/v1`, too.\n\nWhat is \
                        tagged `operations` is on a listener of its own (`ORDO_OPS_LISTEN`), and not at this address.",
        "license": { "name": "MIT OR Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0" },
    });
    document["servers"] = json!([{ "url": "/", "description": "This server" }]);
    document["tags"] = json!([
        { "name": "orders", "description": "Placing orders, changing them and asking about them" },
        { "name": "stock", "description": "The units of the SKUs that are counted" },
        { "name": "reports", "description": "Sums over many orders" },
        { "name": "events", "description": "What happens, as it happens" },
        { "name": "operations", "description": "For whoever runs the platform: on the operate listener alone" },
        { "name": "health", "description": "Whether a process runs, and is ready" },
        { "name": "about", "description": "What there is" },
    ]);
    complete_operations(document, deprecations);
    document["components"]["securitySchemes"] = json!({ "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A JSON Web Token, or an API key. Whoever runs the platform makes an API key with `ordo key create --role ROLE`, \
                        and for development a token with `ordo token --role ROLE`; else the shop's identity provider issues tokens. \
                        The role decides what may be called, and how much may be refunded. Where everyone is let in (`ordo up` on \
                        loopback), no credential is needed.",
    } });
    document["security"] = json!([]);
    let schemas = &mut document["components"]["schemas"];
    for (name, schema) in problem_schemas() {
        schemas[name] = schema;
    }
}

fn complete_operations(document: &mut Value, deprecations: &[Deprecation]) {
    let mut shared = SharedComponents::default();
    let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) else { return };
    for (path, item) in paths {
        for method in METHODS {
            let Some(members) = item.get_mut(method).and_then(Value::as_object_mut) else { continue };
            let route = Route::find(&method.to_uppercase(), path).ok();
            let class = route.map(|route| route.class);
            if method == "get" && class.is_some_and(|class| !class.is_public()) {
                complete_fields(members);
            }
            let operation = Operation {
                class,
                is_read: method == "get",
                waits: has_parameter(members, |parameter| parameter["name"] == "minPosition"),
                has_body: members.contains_key("requestBody"),
                has_query: has_parameter(members, |parameter| parameter["in"] == "query"),
                deprecation: deprecation(deprecations, path),
            };
            if operation.is_read {
                complete_read(&operation, members);
            }
            complete_parameters(members);
            if operation.class == Some(RouteClass::Operate) {
                members.insert("servers".to_owned(), json!([operate_listener()]));
            }
            if !operation.is_public() {
                members.insert("security".to_owned(), json!([{ "bearer": [] }]));
                if let Some(route) = route {
                    describe_roles(route, members);
                }
            }
            if operation.deprecation.is_some() {
                members.insert("deprecated".to_owned(), json!(true));
            }
            if let Some(responses) = members.get_mut("responses").and_then(Value::as_object_mut) {
                shared.complete(&operation, responses);
            }
        }
    }
    shared.put_into(document);
}

/// Which roles may call it, and with what limits, as the last paragraph of its description.
fn describe_roles(route: &Route, members: &mut Map<String, Value>) {
    let allowed = Role::ALL.into_iter().filter_map(|role| {
        Some(match route.grant(role)? {
            RoutePermission::All => format!("`{role}`"),
            limited @ (RoutePermission::Own
            | RoutePermission::WithoutPaymentDetails
            | RoutePermission::Masked
            | RoutePermission::UpToAmount) => format!("`{role}` ({limited})"),
        })
    });
    let roles = format!("Roles: {}.", allowed.collect::<Vec<_>>().join(", "));
    let described = match members.get("description").and_then(Value::as_str) {
        Some(description) => format!("{description}\n\n{roles}"),
        None => roles,
    };
    members.insert("description".to_owned(), json!(described));
}

/// What runs the platform is answered on a listener of its own.
fn operate_listener() -> Value {
    json!({
        "url": "{address}",
        "description": "The operate listener (`ORDO_OPS_LISTEN`)",
        "variables": { "address": { "default": "http://127.0.0.1:3001" } },
    })
}

fn has_parameter(members: &Map<String, Value>, is_meant: impl Fn(&Value) -> bool) -> bool {
    members.get("parameters").and_then(Value::as_array).into_iter().flatten().any(is_meant)
}

/// What the layer `HttpSemantics` does for every read, and the headers about the position that a read waits for.
fn complete_read(operation: &Operation<'_>, members: &mut Map<String, Value>) {
    let text = json!({ "type": "string" });
    let mut headers = Vec::new();
    if operation.waits {
        let position = json!({ "type": "integer", "format": "int64", "minimum": 0 });
        headers.push(("Event-Position-Min", "As `minPosition`", position));
        let about = "`wait=N`: for how many seconds to wait for the position, 30 at the most (RFC 7240)";
        headers.push(("Prefer", about, text.clone()));
    }
    let Some(responses) = members.get_mut("responses").and_then(Value::as_object_mut) else { return };
    if let Some(read) = responses.get_mut("200") {
        if read["content"].get("application/json").is_some() && read["headers"].get("ETag").is_none() {
            read["headers"]["ETag"] = json!({ "description": "A hash of the answer", "schema": text.clone() });
        }
        if let Some(etag) = read["headers"].get("ETag").cloned() {
            let not_modified = json!({ "description": "It has not changed", "headers": { "ETag": etag } });
            responses.insert("304".to_owned(), not_modified);
            headers.push(("If-None-Match", "An `ETag`: answered with 304 while it is still right", text));
        }
    }
    let Some(parameters) = members.entry("parameters").or_insert_with(|| json!([])).as_array_mut() else { return };
    for (name, about, schema) in headers {
        parameters.retain(|parameter| parameter["name"] != name);
        parameters
            .push(json!({ "name": name, "in": "header", "required": false, "description": about, "schema": schema }));
    }
}

/// What the layer `SparseFieldsets` does for every answer that is JSON.
fn complete_fields(members: &mut Map<String, Value>) {
    let is_json = members.get("responses").is_some_and(|it| it["200"]["content"].get("application/json").is_some());
    let parameters = members.entry("parameters").or_insert_with(|| json!([]));
    if let Some(parameters) = parameters.as_array_mut().filter(|_| is_json) {
        parameters.push(json!({
            "name": "fields",
            "in": "query",
            "required": false,
            "description": "The fields that the answer should have, with commas between them: `total.amount` is a field of a field, or \
                            of each element of a list. Of a page they are those of its `items`. All of them if it is left out",
            "schema": { "type": "string", "pattern": "^[^.,]+([.,][^.,]+)*$", "maxLength": 4_000 },
        }));
    }
}

/// A parameter of a URL or a header is there or not: it can't be null.
fn complete_parameters(operation: &mut Map<String, Value>) {
    let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) else { return };
    // A filter that the path gives is refused in the query: `customer_id` and `customerId`.
    let plain = |parameter: &Value| parameter["name"].as_str().unwrap_or_default().replace('_', "").to_lowercase();
    let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path").map(plain).collect::<Vec<_>>();
    parameters.retain(|parameter| parameter["in"] != "query" || !in_path.contains(&plain(parameter)));
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
