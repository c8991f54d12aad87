//! The OpenAPI document says what the platform does: its routes are the router's, its examples are sent, and the file in the book is it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;

use access_control::ROUTES;
use flate2::read::GzDecoder;
use http::{HeaderName, Method};
use serde_json::Value;
use testkit::{demo_order, eventually};

use crate::support::{Answer, Client, Ordo, PATIENCE, folder, run, settled};

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
    let plain = client.get("/docs/swagger-ui.css").await;
    assert!(plain.header("content-encoding").is_empty() && plain.text().contains(".swagger-ui"), "{:?}", plain.headers);
    let packed = client.get_with("/docs/swagger-ui.css", "accept-encoding", "gzip").await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.body.len() < plain.body.len() && packed.header("etag") != plain.header("etag"));
    let head =
        client.send_with(Method::HEAD, "/docs/swagger-ui.css", &[("accept-encoding", "gzip")], String::new()).await;
    for name in ["content-encoding", "content-length", "etag", "vary"] {
        assert_eq!(head.header(name), packed.header(name), "{name}");
    }
    assert_eq!(client.get("/docs/nothing.js").await.problem(404)["code"], "not-found");
}

#[tokio::test]
async fn the_requests_of_the_book_get_the_statuses_that_they_say_and_have_every_example() {
    let ordo = Ordo::up(&[]).await;
    let document = ordo.client().get("/openapi.json").await.json();
    let requests: Vec<BookRequest> = REQUESTS.split("\n### ").skip(1).map(BookRequest::parse).collect();
    for request in &requests {
        let operation = request.operation(&document);
        let documented = operation["responses"].as_object().unwrap();
        assert!(documented.contains_key(&request.status), "{}: {documented:?}", request.title);
        // Whichever the path is: only the listener that is named answers.
        let listener = Client::new(if request.listener == "ops" { &ordo.ops } else { &ordo.api });
        // What it is about may have to wait for a saga.
        eventually(PATIENCE, || async { request.sent(&listener).await == request.status }).await;
    }

    for (method, path, operation) in operations(&document) {
        let Some(body) = operation["requestBody"]["content"]["application/json"].as_object() else { continue };
        let schema = body["schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        let example = body.get("example").unwrap_or(&document["components"]["schemas"][schema]["example"]);
        assert!(example.is_object() || example.is_array(), "{method} {path} has no example");
        let sent = requests.iter().any(|it| {
            it.method == method
                && is_at(&it.path, &path)
                && serde_json::from_str::<Value>(&it.body).unwrap() == *example
        });
        assert!(sent, "docs/requests.http does not send the example of {method} {path}: {example}");
    }
}

/// Who asks, with which headers and which query.
type Ask<'a> = (&'a Client, &'a [(&'a str, &'a str)], &'a str);

/// What frames every message of HTTP is nothing that an API says.
const FRAMING: [&str; 5] = ["connection", "content-length", "content-type", "date", "transfer-encoding"];

#[tokio::test]
async fn every_answer_has_the_status_and_the_headers_that_the_document_says() {
    let folder = folder();
    let settings = [("ORDO_REQUIRE_AUTH", "true"), ("ORDO_RATE_LIMITS", "customer=1/min")];
    let ordo = Ordo::up_on(folder.path(), &settings).await;
    let token = async |arguments: &[&str]| {
        let line = [&["token", "--data-dir", folder.path().to_str().unwrap()], arguments].concat();
        run(&line, &[]).await.out.trim().to_owned()
    };
    let operator = token(&["--role", "operator"]).await;
    let limited = token(&["--role", "customer", "--customer", "customer-42"]).await;
    let document = ordo.client().get("/openapi.json").await.json();
    assert_eq!(ordo.client().with_token(&operator).order(&demo_order("a")).await.status, 201);
    settled(&ordo.client().with_token(&operator), "a").await;

    let (mut statuses, mut headers) = (BTreeSet::new(), BTreeSet::new());
    let mut undocumented = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let url = if operation.get("servers").is_some() { &ordo.ops } else { &ordo.api };
        let (nobody, limited) = (Client::new(url), Client::new(url).with_token(&limited));
        let operator = nobody.clone().with_token(&operator);
        let asks: [Ask; 12] = [
            (&nobody, &[], ""),
            (&operator, &[], ""),
            (&operator, &[("accept-encoding", "gzip")], ""),
            (&operator, &[("accept", "image/png")], ""),
            (&operator, &[("sec-fetch-site", "cross-site")], ""),
            (&operator, &[("host", "elsewhere.example")], ""),
            (&operator, &[("if-none-match", "*")], ""),
            (&operator, &[("if-match", "\"99\"")], ""),
            (&operator, &[("prefer", "wait=0")], "?minPosition=1"),
            (&operator, &[], "?unknown=1"),
            (&limited, &[], ""),
            (&limited, &[], ""),
        ];
        for (client, sent, query) in asks {
            // The live stream has no end.
            let asked = if path == "/events/stream" { "HEAD" } else { method.as_str() };
            let of = of_template(&path) + query;
            let answer = client.send_with(asked.parse().unwrap(), &of, sent, String::new()).await;
            for what in not_in(operation, &document, &answer) {
                undocumented.insert(format!("{method} {path}: {} has {what}: {}", answer.status, answer.text()));
            }
            statuses.insert(answer.status);
            headers.extend(answer.headers.keys().map(ToString::to_string));
        }
    }
    assert!(undocumented.is_empty(), "{undocumented:#?}");
    // It did see what it looks for.
    let seen = [200, 304, 401, 403, 404, 406, 409, 412, 415, 421, 422, 429];
    assert!(seen.iter().all(|status| statuses.contains(status)), "{statuses:?}");
    let seen = ["content-encoding", "preference-applied", "ratelimit", "retry-after", "vary", "www-authenticate"];
    assert!(seen.iter().all(|name| headers.contains(*name)), "{headers:?}");
}

/// A path of a template.
fn of_template(template: &str) -> String {
    let ids = [
        ("{order_id}", "a"),
        ("{customer_id}", "customer-42"),
        ("{sku}", "sku-123"),
        ("{return_id}", "return-1"),
        ("{code}", "not-found"),
        ("{file}", "docs.js"),
        ("{id}", "01930000-0000-7000-8000-000000000000"),
    ];
    ids.iter().fold(template.to_owned(), |path, (name, id)| path.replace(name, id))
}

/// What an answer has that the document does not say: its status, or headers.
fn not_in(operation: &Value, document: &Value, answer: &Answer) -> Vec<String> {
    let Some(mut described) = operation["responses"].get(answer.status.to_string()) else {
        return vec!["its status".to_owned()];
    };
    if let Some(reference) = described["$ref"].as_str() {
        described = document.pointer(reference.trim_start_matches('#')).unwrap();
    }
    let headers = described["headers"].as_object();
    let is_said = |name: &str| headers.is_some_and(|headers| headers.keys().any(|it| it.eq_ignore_ascii_case(name)));
    let sent = answer.headers.keys().map(HeaderName::as_str).filter(|name| !FRAMING.contains(name));
    sent.filter(|name| !is_said(name)).map(str::to_owned).collect()
}

/// A request of the book.
struct BookRequest {
    title: String,
    status: String,
    method: String,
    /// `api` or `ops`.
    listener: String,
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
        let (listener, path) = url.strip_prefix("{{").and_then(|url| url.split_once("}}")).unwrap();
        assert!(["api", "ops"].contains(&listener), "{url}");
        let headers = lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.into(), value.into()));
        Self {
            title: title.to_owned(),
            status: title.rsplit(' ').next().unwrap().to_owned(),
            method: method.to_owned(),
            listener: listener.to_owned(),
            path: path.to_owned(),
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
