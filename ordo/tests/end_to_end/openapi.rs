//! The OpenAPI document says what the platform does: its routes are the router's, its examples are sent, and the file in the book is it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;

use access_control::ROUTES;
use flate2::read::GzDecoder;
use http::Method;
use serde_json::Value;
use testkit::eventually;

use crate::support::{Client, Ordo, PATIENCE};

const REQUESTS: &str = include_str!("../../../docs/requests.http");

#[tokio::test]
async fn the_document_is_the_one_in_the_book_and_has_the_routes_that_there_are() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    let document = client.get("/openapi.json").await;
    assert_eq!((document.status, document.header("content-type")), (200, "application/json"));
    let tag = document.header("etag").to_owned();
    let headers = [("if-none-match", tag.as_str())];
    let again = client.send_with(Method::GET, "/openapi.json", &headers, String::new()).await;
    assert_eq!((again.status, again.text().as_str()), (304, ""));
    let packed = client.send_with(Method::GET, "/openapi.json", &[("accept-encoding", "gzip")], String::new()).await;
    let described_by = ["content-encoding", "etag", "vary"].map(|name| packed.header(name).to_owned());
    assert_eq!(
        described_by,
        ["gzip".to_owned(), format!("{}-gzip\"", tag.trim_end_matches('"')), "accept-encoding".to_owned()]
    );
    let mut plain = Vec::new();
    GzDecoder::new(&*packed.body).read_to_end(&mut plain).unwrap();
    assert_eq!(plain, document.body);
    let document = document.json();

    let described: BTreeSet<(String, String)> = operations(&document).map(|(method, path, _)| (method, path)).collect();
    let routed: BTreeSet<(String, String)> =
        ROUTES.iter().map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
    assert_eq!(described, routed);
    let ids = operations(&document).map(|(_, _, operation)| operation["operationId"].as_str().unwrap().to_owned());
    assert_eq!(ids.collect::<BTreeSet<_>>().len(), described.len(), "an id is given twice");

    // Generators take the file from the book.
    for (path, name) in [("/openapi.json", "openapi.json"), ("/openapi-3.0.json", "openapi-3.0.json")] {
        let mut served = serde_json::to_string_pretty(&client.get(path).await.json()).unwrap();
        served.push('\n');
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(name);
        if std::env::var_os("ORDO_TEST_WRITE").is_some() {
            fs::write(&file, &served).unwrap();
        }
        let same = fs::read_to_string(&file).is_ok_and(|written| written == served);
        assert!(
            same,
            "docs/reference/{name} is not what is served: run this test with ORDO_TEST_WRITE=1, which writes it"
        );
    }
}

#[tokio::test]
async fn the_page_is_served_with_all_that_it_loads() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    let page = client.get("/docs").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    let text = page.text();
    let sources = text.split('"').filter(|value| value.starts_with('/'));
    let mut loaded = 0;
    for source in sources {
        let file = client.get(source).await;
        assert_eq!(file.status, 200, "{source}");
        assert!(!file.body.is_empty());
        loaded += 1;
    }
    assert!(loaded >= 4, "{text}");
    assert_eq!(client.get("/docs/nothing.js").await.problem(404)["code"], "not-found");
}

#[tokio::test]
async fn the_requests_of_the_book_get_the_statuses_that_they_say_and_have_every_example() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    let document = client.get("/openapi.json").await.json();
    let requests: Vec<BookRequest> = REQUESTS.split("\n### ").skip(1).map(BookRequest::parse).collect();
    for request in &requests {
        let operation = request.operation(&document);
        let documented = operation["responses"].as_object().unwrap();
        assert!(documented.contains_key(&request.status), "{}: {documented:?}", request.title);
        // What it is about may have to wait for a saga.
        eventually(PATIENCE, || async { request.sent(&client).await == request.status }).await;
    }

    for (method, path, operation) in operations(&document) {
        let Some(body) = operation["requestBody"]["content"]["application/json"].as_object() else { continue };
        let schema = body["schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        let example = body.get("example").unwrap_or(&document["components"]["schemas"][schema]["example"]);
        assert!(example.is_object(), "{method} {path} has no example");
        let sent = requests.iter().any(|it| {
            it.method == method
                && is_at(&it.path, &path)
                && serde_json::from_str::<Value>(&it.body).unwrap() == *example
        });
        assert!(sent, "docs/requests.http does not send the example of {method} {path}: {example}");
    }
}

/// A request of the book.
struct BookRequest {
    title: String,
    status: String,
    method: String,
    /// With its query.
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl BookRequest {
    fn parse(text: &str) -> Self {
        let (title, rest) = text.split_once('\n').unwrap();
        let (head, body) = rest.split_once("\n\n").unwrap_or((rest, ""));
        let mut lines = head.lines();
        let (method, url) = lines.next().unwrap().split_once(' ').unwrap();
        let headers = lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.into(), value.into()));
        Self {
            title: title.to_owned(),
            status: title.rsplit(' ').next().unwrap().to_owned(),
            method: method.to_owned(),
            path: url.strip_prefix("{{api}}").or(url.strip_prefix("{{ops}}")).unwrap().to_owned(),
            headers: headers.collect(),
            body: body.trim().to_owned(),
        }
    }

    /// The status that it gets.
    async fn sent(&self, client: &Client) -> String {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = client.send_with(self.method.parse().unwrap(), &self.path, &headers, self.body.clone()).await;
        answer.status.to_string()
    }

    fn operation<'a>(&self, document: &'a Value) -> &'a Value {
        let found = operations(document).find(|(method, path, _)| *method == self.method && is_at(&self.path, path));
        found.unwrap_or_else(|| panic!("the document has no {} {}", self.method, self.path)).2
    }
}

/// Whether a path is one of a template, and of no other that is more exact: `/events/stream` is not of `/events/{id}`.
fn is_at(path: &str, template: &str) -> bool {
    let path = path.split('?').next().unwrap();
    let (path, template): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), template.split('/').collect());
    path.len() == template.len()
        && path.iter().zip(&template).all(|(part, wanted)| part == wanted || wanted.starts_with('{'))
}

/// The method, path and description of each operation.
fn operations(document: &Value) -> impl Iterator<Item = (String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| {
        let item = item.as_object().unwrap().iter();
        item.map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
    })
}
