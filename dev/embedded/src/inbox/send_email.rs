//! SES's `SendEmail`: what it takes, and what it refuses.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::mailbox::Message;

/// SES allows no more recipients per mail, copies included.
const RECIPIENTS: usize = 50;

/// Reads a request's body as a mail. The error says what is wrong in words for its sender.
pub(super) fn parse(body: &[u8], id: String, received_at: DateTime<Utc>) -> Result<Message, String> {
    let request: Request =
        serde_json::from_slice(body).map_err(|error| format!("the request is not valid: {error}"))?;
    let content = simple(request.content)?;
    let Destination { to, cc, bcc } = request.destination;

    let from = request.from.filter(|from| !from.is_empty()).ok_or("FromEmailAddress is missing")?;
    let recipients = to.len() + cc.len() + bcc.len();
    if recipients == 0 {
        return Err("Destination has no recipients".to_owned());
    }
    if recipients > RECIPIENTS {
        return Err(format!("Destination has {recipients} recipients, the limit is {RECIPIENTS}"));
    }
    let lists = [&to, &cc, &bcc, &request.reply_to];
    for address in lists.into_iter().flatten().chain([&from]) {
        check_address(address)?;
    }
    if content.subject.data.chars().any(char::is_control) {
        return Err("Subject must be a single line".to_owned());
    }
    let Body { text, html } = content.body;
    if text.is_none() && html.is_none() {
        return Err("Body has neither Text nor Html".to_owned());
    }

    Ok(Message {
        id,
        to,
        cc,
        bcc,
        reply_to: request.reply_to,
        from,
        subject: content.subject.data,
        text: text.map(|part| part.data),
        html: html.map(|part| part.data),
        headers: pairs(content.headers, check_header)?,
        tags: pairs(request.tags, check_tag)?,
        received_at,
    })
}

#[derive(Deserialize)]
struct Request {
    #[serde(rename = "FromEmailAddress")]
    from: Option<String>,
    #[serde(rename = "Destination", default)]
    destination: Destination,
    #[serde(rename = "ReplyToAddresses", default)]
    reply_to: Vec<String>,
    #[serde(rename = "Content")]
    content: Content,
    #[serde(rename = "EmailTags", default)]
    tags: Vec<Pair>,
}

#[derive(Default, Deserialize)]
struct Destination {
    #[serde(rename = "ToAddresses", default)]
    to: Vec<String>,
    #[serde(rename = "CcAddresses", default)]
    cc: Vec<String>,
    #[serde(rename = "BccAddresses", default)]
    bcc: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Content {
    simple: Option<Simple>,
    raw: Option<Value>,
    template: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Simple {
    subject: Part,
    body: Body,
    #[serde(default)]
    headers: Vec<Pair>,
    #[serde(default)]
    attachments: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    text: Option<Part>,
    html: Option<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Part {
    data: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pair {
    name: String,
    value: String,
}

fn simple(content: Content) -> Result<Simple, String> {
    match content {
        Content { simple: Some(simple), raw: None, template: None } => {
            if simple.attachments.is_empty() {
                Ok(simple)
            } else {
                Err("this endpoint takes no attachments".to_owned())
            }
        }
        Content { simple: None, raw: None, template: None } => Err("Content is empty".to_owned()),
        Content { simple: None, .. } => {
            Err("this endpoint takes Simple content only, neither Raw nor Template".to_owned())
        }
        Content { .. } => Err("Content has more than one of Simple, Raw and Template".to_owned()),
    }
}

/// `local@domain`, or `Any name <local@domain>`.
fn check_address(text: &str) -> Result<(), String> {
    let address = match text.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((_, address)) => address,
        None => text,
    };
    let plain = |part: &str| {
        !part.is_empty() && part.chars().all(|c| (!c.is_ascii() || c.is_ascii_graphic()) && !"<>,;:\\\"()".contains(c))
    };
    let valid = text.len() <= 320
        && !text.chars().any(char::is_control)
        && address
            .rsplit_once('@')
            .is_some_and(|(local, domain)| plain(local) && plain(domain) && domain.is_ascii() && !local.contains('@'));
    if valid { Ok(()) } else { Err(format!("Illegal address: {text:?}")) }
}

fn pairs(pairs: Vec<Pair>, check: fn(&Pair) -> Result<(), String>) -> Result<BTreeMap<String, String>, String> {
    pairs.into_iter().map(|pair| check(&pair).map(|()| (pair.name, pair.value))).collect()
}

fn check_header(Pair { name, value }: &Pair) -> Result<(), String> {
    let name_fits = (1..=126).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    let value_fits = value.len() <= 870 && value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if name_fits && value_fits {
        Ok(())
    } else {
        Err(format!("Headers: {name:?} is not a printable ASCII name and value"))
    }
}

fn check_tag(Pair { name, value }: &Pair) -> Result<(), String> {
    let fits = |text: &str| {
        (1..=256).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.@".contains(&byte))
    };
    if fits(name) && fits(value) {
        Ok(())
    } else {
        Err(format!("EmailTags: {name:?} may have letters, digits and _-.@ only, 1 to 256 of them"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mail(change: impl FnOnce(&mut Value)) -> Result<Message, String> {
        let mut request = json!({
            "FromEmailAddress": "Shop <shop@example.com>",
            "Destination": { "ToAddresses": ["ann@example.com"] },
            "Content": { "Simple": {
                "Subject": { "Data": "Grüße" },
                "Body": { "Text": { "Data": "Hello" } }
            } },
            "SomethingNew": true
        });
        change(&mut request);
        parse(request.to_string().as_bytes(), "id".to_owned(), DateTime::UNIX_EPOCH)
    }

    #[test]
    fn a_simple_mail_is_taken_as_it_is() {
        let message = mail(|_| {}).unwrap();
        assert_eq!(message.to, ["ann@example.com"]);
        assert_eq!(message.from, "Shop <shop@example.com>");
        assert_eq!(message.subject, "Grüße");
        assert_eq!(message.text.as_deref(), Some("Hello"));
        assert_eq!(message.html, None);
    }

    #[test]
    fn what_ses_refuses_is_refused_and_named() {
        let refusal = |change: fn(&mut Value)| mail(change).unwrap_err();
        let simple = "/Content/Simple";
        assert!(refusal(|m| m["FromEmailAddress"] = json!(null)).contains("FromEmailAddress"));
        assert!(refusal(|m| m["Destination"] = json!({})).contains("no recipients"));
        assert!(refusal(|m| m["Destination"]["BccAddresses"] = json!(vec!["a@b.c"; 50])).contains("51"));
        assert!(refusal(|m| m["Destination"]["ToAddresses"] = json!(["nobody"])).contains("Illegal"));
        assert!(refusal(|m| m["ReplyToAddresses"] = json!(["a@b.c\r\nBcc: x@y.z"])).contains("Illegal"));
        assert!(refusal(|m| m["Content"] = json!({})).contains("empty"));
        assert!(refusal(|m| m["Content"] = json!({ "Raw": { "Data": "" } })).contains("Simple"));
        assert!(refusal(|m| m["Content"]["Template"] = json!({})).contains("more than one"));
        let missing = mail(|m| m.pointer_mut(simple).unwrap()["Subject"] = json!({})).unwrap_err();
        assert!(missing.contains("Data"), "{missing}");
        let bare = mail(|m| m.pointer_mut(simple).unwrap()["Body"] = json!({})).unwrap_err();
        assert!(bare.contains("neither"), "{bare}");
        let header = json!([{ "Name": "X-Order", "Value": "1\r\nBcc: a@b.c" }]);
        assert!(mail(|m| m.pointer_mut(simple).unwrap()["Headers"] = header).is_err());
        assert!(mail(|m| m["EmailTags"] = json!([{ "Name": "a b", "Value": "c" }])).is_err());
        let lines = json!({ "Data": "one\ntwo" });
        assert!(mail(|m| m.pointer_mut(simple).unwrap()["Subject"] = lines).is_err());
    }

    #[test]
    fn addresses_have_a_name_or_not() {
        for good in ["a@b.c", "Ann <a@b.c>", "\"Ann, Bob\" <a+x@b-c.d>", "<a@b.c>", "Änne <a@b.c>", "änne@b.c"] {
            assert_eq!(check_address(good), Ok(()), "{good}");
        }
        for bad in
            ["", "a", "a@", "@b", "a@b@c", "a b@c", "a@b.c, d@e.f", "Ann <a@b.c", "a@b.c\n", "a@bü.c", "ä\u{85}@b.c"]
        {
            assert!(check_address(bad).is_err(), "{bad}");
        }
    }
}
