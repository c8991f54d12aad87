//! The inbox: through the SDK that the platform uses, and as its pages and programs see it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use aws_sdk_sesv2::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    error::ProvideErrorMetadata,
    types::{Body, Content, Destination, EmailContent, Message, MessageHeader, MessageTag},
};
use embedded::inbox::{BODY_LIMIT, Inbox};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn start() -> (Inbox, Client) {
    let inbox = Inbox::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let config = aws_sdk_sesv2::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(inbox.url())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    (inbox, Client::from_conf(config))
}

fn text(data: &str) -> Content {
    Content::builder().data(data).charset("UTF-8").build().unwrap()
}

fn mail(subject: &str) -> EmailContent {
    let body = Body::builder().text(text("Thanks!")).html(text("<p>Thanks!</p>")).build();
    let header = MessageHeader::builder().name("X-Order").value("demo-1").build().unwrap();
    let message = Message::builder().subject(text(subject)).body(body).headers(header).build();
    EmailContent::builder().simple(message).build()
}

async fn send(client: &Client, to: &str, subject: &str) -> Result<String, aws_sdk_sesv2::Error> {
    let answer = client
        .send_email()
        .from_email_address("Shop <shop@example.com>")
        .destination(Destination::builder().to_addresses(to).build())
        .reply_to_addresses("help@example.com")
        .content(mail(subject))
        .email_tags(MessageTag::builder().name("order").value("demo-1").build().unwrap())
        .send()
        .await?;
    Ok(answer.message_id().unwrap().to_owned())
}

#[tokio::test]
async fn who_listens_everywhere_is_asked_under_the_name_of_a_container() {
    let names = ["inbox.shop.example".to_owned()];
    for (ip, names, status) in [
        ([0, 0, 0, 0], None, 200),
        ([127, 0, 0, 1], None, 421),
        ([0, 0, 0, 0], Some(&names[..]), 421),
        ([127, 0, 0, 1], Some(&["inbox.internal".to_owned()][..]), 200),
    ] {
        let inbox = Inbox::start_known_as((ip, 0).into(), names).await.unwrap();
        let address = inbox.url().trim_start_matches("http://").to_owned();
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let head = "GET /health HTTP/1.1\r\nhost: inbox.internal:8005\r\nconnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{ip:?} {names:?}: {answer}");
    }
}

/// One request on a connection of its own; the status, the headers in lower case, the body.
async fn request(inbox: &Inbox, method: &str, path: &str, body: &[u8]) -> (u16, String, String) {
    let address = inbox.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    // A refusal may come before all of the body is read.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

async fn get_json(inbox: &Inbox, path: &str) -> Value {
    let (status, _, body) = request(inbox, "GET", path, b"").await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn a_mail_from_the_sdk_is_shown_as_it_was_sent() {
    let (inbox, client) = start().await;
    let id = send(&client, "ann@example.com", "Your order").await.unwrap();

    let mut shown = get_json(&inbox, &format!("/messages/{id}")).await;
    let received = shown.as_object_mut().unwrap().remove("receivedAt").unwrap();
    assert!(received.as_str().unwrap().ends_with('Z'), "{received}");
    assert_eq!(
        shown,
        json!({
            "id": id, "to": ["ann@example.com"], "cc": [], "bcc": [], "replyTo": ["help@example.com"],
            "from": "Shop <shop@example.com>", "subject": "Your order",
            "text": "Thanks!", "html": "<p>Thanks!</p>",
            "headers": { "X-Order": "demo-1" }, "tags": { "order": "demo-1" },
        })
    );
    inbox.stop().await;
}

#[tokio::test]
async fn mails_are_listed_newest_first_until_they_are_deleted() {
    let (inbox, client) = start().await;
    for subject in ["first", "second", "third"] {
        send(&client, "ann@example.com", subject).await.unwrap();
    }
    let subjects = |list: &Value| -> Vec<String> {
        let mails = list.as_array().unwrap().iter();
        mails.map(|mail| mail["subject"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(subjects(&get_json(&inbox, "/messages").await), ["third", "second", "first"]);
    assert_eq!(subjects(&get_json(&inbox, "/messages?limit=1").await), ["third"]);
    let mut brief = get_json(&inbox, "/messages?brief=true&limit=1").await;
    let (newest, receipt) = (inbox.messages()[0].clone(), brief[0].as_object_mut().unwrap().remove("receivedAt"));
    assert_eq!(receipt, Some(json!(newest.received_at)));
    assert_eq!(brief, json!([{ "id": newest.id, "to": ["ann@example.com"], "subject": "third" }]));
    assert_eq!(inbox.messages()[0].subject, "third");

    assert_eq!(subjects(&get_json(&inbox, "/messages?after=1").await), ["second", "third"]);
    let next = get_json(&inbox, "/messages?brief=true&after=1&limit=1").await;
    assert_eq!((&next[0]["number"], &next[0]["subject"]), (&json!(2), &json!("second")));
    assert_eq!(get_json(&inbox, "/messages?brief=true&after=3").await, json!([]));

    assert_eq!(request(&inbox, "DELETE", "/messages", b"").await.0, 204);
    assert_eq!(get_json(&inbox, "/messages").await, json!([]));
    assert_eq!(get_json(&inbox, "/health").await, json!({ "status": "ok", "accepted": 3, "kept": 0 }));
}

#[tokio::test]
async fn mails_are_found_by_what_is_in_them() {
    let (inbox, client) = start().await;
    for (to, subject) in
        [("ann@example.com", "Your order A-1"), ("bea@example.com", "Your ORDER A-2"), ("bea@shop.example", "Hello")]
    {
        send(&client, to, subject).await.unwrap();
    }
    let found = async |query: &str| {
        let list = get_json(&inbox, &format!("/messages?{query}")).await;
        list.as_array().unwrap().iter().map(|mail| mail["subject"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("q=bea%40").await, ["Hello", "Your ORDER A-2"]);
    assert_eq!(found("q=order%20a-&limit=1").await, ["Your ORDER A-2"]);
    assert_eq!(found("q=thanks&limit=2").await.len(), 2);
    assert_eq!(found("q=demo-1&after=2").await, ["Hello"]);
    assert_eq!(found("q=%3Cp%3E").await, Vec::<String>::new());
    assert_eq!(found("q=").await.len(), 3);
    inbox.stop().await;
}

#[tokio::test]
async fn a_bad_mail_is_refused_as_ses_does() {
    let (inbox, client) = start().await;
    let error = send(&client, "nobody", "Your order").await.unwrap_err();
    assert!(matches!(error, aws_sdk_sesv2::Error::BadRequestException(_)), "{error:?}");
    assert_eq!(error.message(), Some("Illegal address: \"nobody\""));
    assert_eq!(inbox.accepted(), 0);
}

#[tokio::test]
async fn what_the_inbox_does_not_know_is_refused_by_name() {
    let (inbox, client) = start().await;
    let error = client.get_account().send().await.unwrap_err();
    assert_eq!(error.code(), Some("UnknownOperationException"));
    assert_eq!(error.message(), Some("this endpoint knows SendEmail only, not GET /v2/email/account"));
    assert_eq!(request(&inbox, "PUT", "/messages", b"").await.0, 404);
    assert_eq!(request(&inbox, "GET", "/messages/none", b"").await.0, 404);
}

#[tokio::test]
async fn random_bodies_do_not_make_the_inbox_fail() {
    let (inbox, _) = start().await;
    let path = "/v2/email/outbound-emails";
    let deep = "[".repeat(100_000);
    for body in [&b""[..], b"{", b"[]", b"{\"Content\":7}", b"\xff\xfe", deep.as_bytes()] {
        let (status, head, answer) = request(&inbox, "POST", path, body).await;
        assert_eq!(status, 400, "{answer}");
        assert!(head.contains("x-amzn-errortype: badrequestexception"), "{head}");
        let message: Value = serde_json::from_str(&answer).unwrap();
        assert!(message["message"].is_string());
    }
    let (status, _, answer) = request(&inbox, "POST", path, &vec![b' '; BODY_LIMIT + 1]).await;
    assert_eq!(status, 400, "{answer}");
}

#[tokio::test]
async fn the_page_runs_its_own_script_only() {
    let (inbox, _) = start().await;
    let (status, head, page) = request(&inbox, "GET", "/", b"").await;
    assert_eq!(status, 200);
    let nonce = head.split("script-src 'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert!(page.contains(&format!("<script nonce=\"{nonce}\">")));
    assert_eq!(page.matches("<script").count(), 1);
    for outside in ["src=\"http", "href=\"http", "url(http", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(!page.contains("innerHTML"), "what a mail says goes in as text");
    let (_, other, _) = request(&inbox, "GET", "/", b"").await;
    assert!(!other.contains(nonce), "each page has a number of its own");
}

#[tokio::test]
async fn what_pages_of_other_sites_ask_is_refused() {
    let (inbox, client) = start().await;
    send(&client, "customer@example.com", "Hello").await.unwrap();
    let address = inbox.url().trim_start_matches("http://").to_owned();
    let ask = async |method: &str, headers: &str| {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let head = format!("{method} /messages HTTP/1.1\r\n{headers}\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer[9..12].to_owned()
    };
    assert_eq!(ask("DELETE", &format!("host: {address}\r\norigin: https://elsewhere.example")).await, "403");
    assert_eq!(ask("DELETE", &format!("host: {address}\r\nsec-fetch-site: cross-site")).await, "403");
    assert_eq!(ask("GET", &format!("host: {address}\r\nsec-fetch-site: cross-site")).await, "403");
    assert_eq!(ask("GET", "host: rebound.example").await, "421");
    assert_eq!(inbox.messages().len(), 1);
    // The page that it has itself, and other programs.
    assert_eq!(ask("GET", "host: localhost").await, "200");
    let own = format!("host: {address}\r\norigin: http://{address}\r\nsec-fetch-site: same-origin");
    assert_eq!(ask("DELETE", &own).await, "204");
    assert_eq!(inbox.messages().len(), 0);
}
