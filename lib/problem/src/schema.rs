//! The JSON Schema of problems: `docs/reference/schemas/problem.json`.

use axum::body::to_bytes;
use http::StatusCode;
use json_schemas::{check, schema_as_written};
use serde_json::{Value, json};

use super::{FieldError, Problem, ProblemJson, ProblemType};

#[tokio::test]
async fn problems_have_a_schema_that_they_agree_with() {
    let mut schema = schema_as_written::<ProblemJson<'static>>();
    schema["title"] = json!("Problem");
    schema["description"] =
        json!("RFC 9457. What else a problem of its code has, such as `currentVersion`, is beside these members.");
    let error = FieldError { pointer: "/items".into(), code: "invalid".into(), message: "is empty".into() };
    let problems = [
        Problem::invalid(vec![error]),
        Problem::of_status(StatusCode::PAYMENT_REQUIRED),
        Problem::new(ProblemType::Conflict, "look again").with("currentVersion", 3),
        Problem::internal("a cause"),
    ];
    let mut examples = Vec::new();
    for problem in problems {
        for request in [None, Some("0af7651916cd43dd8448eb211c80319c")] {
            let answer = problem.render(request.map(|_| "/orders"), request);
            let body = to_bytes(answer.into_body(), 4096).await.unwrap();
            examples.push(serde_json::from_slice::<Value>(&body).unwrap());
        }
    }
    check("problem.json", &schema, &examples);
}
