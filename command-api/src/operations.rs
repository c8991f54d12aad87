//! The commands as the OpenAPI document describes them. Each row of a table of commands has a [`CommandDescription`], and [`described`]
//! joins it with its handler.

use std::collections::BTreeSet;

use axum::handler::Handler;
use axum::routing::{post, put};
use domain::ids::Sku;
use http::StatusCode;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathsBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Ref, Schema, Type};
use utoipa::openapi::{HttpMethod, PathItem, RefOr, Required};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::UtoipaMethodRouter;

use crate::request::BodyRequirement;

/// The methods of commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommandMethod {
    Post,
    /// It puts what is sent in the place of what there is.
    Put,
}

/// How the document describes a command.
pub(crate) struct CommandDescription {
    id: &'static str,
    summary: &'static str,
    /// An example of a body, as JSON.
    example: &'static str,
    body: SchemaOf,
    /// Whether a request has to say which version it is meant for.
    pub(crate) requires_version: bool,
}

/// Adds the schemas that a type needs, and returns its name.
type SchemaOf = fn(&mut Schemas) -> String;

type Schemas = Vec<(String, RefOr<Schema>)>;

impl CommandDescription {
    /// `T` is the type of the body.
    pub(crate) const fn of<T: ToSchema>(id: &'static str, summary: &'static str, example: &'static str) -> Self {
        Self { id, summary, example, body: schema_of::<T>, requires_version: false }
    }

    /// The same of a command whose requests have to say which version they are meant for.
    pub(crate) const fn of_one_version(self) -> Self {
        Self { requires_version: true, ..self }
    }
}

fn schema_of<T: ToSchema>(schemas: &mut Schemas) -> String {
    T::schemas(schemas);
    schemas.push((T::name().into_owned(), T::schema()));
    T::name().into_owned()
}

/// A route of a command with its description. `T` is the type of the answer.
pub(crate) fn described<H, A, S, T>(
    (method, path): (CommandMethod, &str),
    description: &CommandDescription,
    presence: BodyRequirement,
    successes: &[StatusCode],
    tag: &str,
    handler: H,
) -> UtoipaMethodRouter<S>
where
    H: Handler<A, S>,
    A: 'static,
    S: Clone + Send + Sync + 'static,
    T: ToSchema,
{
    let mut schemas = Schemas::new();
    let (body, answer) = ((description.body)(&mut schemas), schema_of::<T>(&mut schemas));
    let example: Option<serde_json::Value> = serde_json::from_str(description.example).ok();
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(body))).example(example).build();
    let required = if presence == BodyRequirement::Optional { Required::False } else { Required::True };
    // What is said of one order is not for several.
    let is_of_many = presence == BodyRequirement::Lines;
    let body = RequestBodyBuilder::new().content("application/json", content).required(Some(required)).build();
    let mut operation = OperationBuilder::new()
        .tag(tag)
        .operation_id(Some(description.id))
        .summary(Some(description.summary))
        .request_body(Some(body));
    for parameter in path_parameters(path)
        .into_iter()
        .chain(headers(description.requires_version).into_iter().filter(|_| !is_of_many))
    {
        operation = operation.parameter(parameter);
    }
    for status in successes {
        let answer = if is_of_many { answer_of_each(&answer) } else { accepted(&answer) };
        operation = operation.response(status.as_str(), answer);
    }
    let mut refusals = BTreeSet::from([(409, "It does not fit what is there"), (412, "It is at another version")]);
    refusals.retain(|_| !is_of_many);
    if description.requires_version {
        refusals.insert((428, "It has to say which version it is meant for"));
    }
    if path.contains('{') {
        refusals.insert((404, "There is no such thing"));
    }
    for (status, about) in refusals {
        operation = operation.response(status.to_string(), ResponseBuilder::new().description(about).build());
    }
    let (documented, route) = match method {
        CommandMethod::Post => (HttpMethod::Post, post(handler)),
        CommandMethod::Put => (HttpMethod::Put, put(handler)),
    };
    let item = PathItem::new(documented, operation.build());
    (schemas, PathsBuilder::new().path(path, item).build(), route)
}

/// What every command is answered with once it is carried out.
fn accepted(answer: &str) -> utoipa::openapi::Response {
    ResponseBuilder::new()
        .description("It is stored")
        .content("application/json", ContentBuilder::new().schema(Some(Ref::from_schema_name(answer))).build())
        .header("Location", header("What it was about"))
        .header("ETag", header("Its version"))
        .header("Event-Position", header(EVENT_POSITION))
        .header("Idempotent-Replayed", header("`true`: this is the answer that an earlier request with the key got"))
        .build()
}

/// What a command on several things is answered with.
fn answer_of_each(answer: &str) -> utoipa::openapi::Response {
    ResponseBuilder::new()
        .description("What became of each")
        .content("application/json", ContentBuilder::new().schema(Some(Ref::from_schema_name(answer))).build())
        .header("Event-Position", header(EVENT_POSITION))
        .build()
}

const EVENT_POSITION: &str = "The place in the log of the last event: what `minPosition` waits for";

fn header(about: &str) -> Header {
    HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String))).description(Some(about)).build()
}

fn path_parameters(path: &str) -> Vec<Parameter> {
    let names = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let id = || RefOr::T(text("^[A-Za-z0-9._:-]{1,128}$"));
    let uuid = || RefOr::T(text("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"));
    let parameter = |name| {
        let (about, schema, example) = match name {
            "order_id" => ("The order's id", id(), "order-1001"),
            "shipment_id" => ("The shipment's id", id(), "shipment-1"),
            "notification_id" => ("The mail's id", uuid(), "0192f0c1-2b3a-5c4d-8e5f-60718293a4b5"),
            "return_id" => ("The return's id", id(), "return-1"),
            _ => ("The SKU", Sku::schema(), "sku-123"),
        };
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(about))
            .schema(Some(schema))
            .example(Some(example.into()))
            .build()
    };
    names.map(parameter).collect()
}

fn headers(requires_version: bool) -> [Parameter; 3] {
    let header = |name: &str, about: &str, schema: Schema| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(if requires_version && name == "If-Match" { Required::True } else { Required::False })
            .description(Some(about))
            .schema(Some(schema))
            .build()
    };
    let etags = || ObjectBuilder::new().schema_type(Type::String).build().into();
    [
        header(
            "Idempotency-Key",
            "A request with this key is carried out once, however often it comes",
            text("^[ -~]{1,255}$"),
        ),
        header("If-Match", "Carried out only while it has this `ETag`; `\"0\"`: while it is not there", etags()),
        header("If-None-Match", "Not carried out while it has this `ETag`; `*`: only while it is not there", etags()),
    ]
}

fn text(pattern: &str) -> Schema {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).build().into()
}
