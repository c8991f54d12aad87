//! ETags: of answers that have no version of their own, and of answers that are sent compressed.

use std::hash::{DefaultHasher, Hasher};

use axum::response::Response;
use http::header::{ACCEPT_ENCODING, ETAG, IF_MATCH, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue};

/// The ETag of what is not there, such as a SKU that is not tracked. `*` does not name it.
const NOT_THERE: &str = "\"0\"";
/// How the ETag of a compressed answer ends.
const GZIP: &str = "-gzip\"";

/// Marks an answer about a version of an order or a SKU whose bytes depend on more than that version: on who asks, or on what else was
/// asked for. [`HttpSemantics`](super::HttpSemantics) gives it an ETag of the version and a hash of what is sent: `"3.9f86d081884c7d65"`.
/// A [`Precondition`](crate::Precondition) of a command takes it for the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ETagByContent(pub i64);

impl ETagByContent {
    /// Marks an answer whose body was changed after it got the version as its ETag. One without a version is not marked: its ETag is a
    /// hash anyway.
    pub fn replace_version(answer: &mut Response) {
        let etag = answer.headers_mut().remove(ETAG);
        let version = etag.and_then(|etag| etag.to_str().ok()?.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
        if let Some(version) = version {
            answer.extensions_mut().insert(Self(version));
        }
    }

    /// The ETag once the body is known.
    pub(super) fn of(self, body: &[u8]) -> String {
        format!("\"{}.{:016x}\"", self.0, hash(body))
    }
}

/// The version in the opaque part of an ETag that [`ETagByContent`] made.
pub(crate) fn version_with_hash(opaque: &str) -> Option<&str> {
    let (version, hash) = opaque.split_once('.')?;
    let is_hash = hash.len() == 16 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_hash.then_some(version)
}

/// The ETag of an answer that is sent compressed by gzip: other bytes have another strong ETag. [`HttpSemantics`](super::HttpSemantics)
/// reads it in a request as the ETag that it was made from. `None`: the ETag is weak, so that it is right for both.
#[must_use]
pub fn gzip_etag(etag: &HeaderValue) -> Option<HeaderValue> {
    let opaque = etag.to_str().ok()?.strip_prefix('"')?.strip_suffix('"')?;
    HeaderValue::try_from(format!("\"{opaque}{GZIP}")).ok()
}

/// Replaces the ETags of compressed answers in a request by those that they were made from.
pub(super) fn forget_compression(headers: &mut HeaderMap) {
    for (_, value) in headers.iter_mut().filter(|(name, _)| [IF_MATCH, IF_NONE_MATCH].contains(name)) {
        // Any other text than an ETag is refused, whatever it ends with.
        let Some(tags) = value.to_str().ok().filter(|tags| tags.contains(GZIP)) else { continue };
        if let Ok(tags) = HeaderValue::try_from(tags.replace(GZIP, "\"")) {
            *value = tags;
        }
    }
}

/// Gives a 304 the ETag of the compressed answer if that is the one that the client has.
pub(super) fn name_as_known(if_none_match: &[HeaderValue], headers: &mut HeaderMap) {
    let has = |etag: &HeaderValue| tags(if_none_match).any(|tag| tag.as_bytes() == etag.as_bytes());
    let Some(etag) = headers.get(ETAG).filter(|etag| !has(etag)) else { return };
    if let Some(compressed) = gzip_etag(etag).filter(has) {
        headers.insert(ETAG, compressed);
        if !headers.get_all(VARY).iter().any(|value| value.as_bytes() == ACCEPT_ENCODING.as_str().as_bytes()) {
            headers.append(VARY, HeaderValue::from(ACCEPT_ENCODING));
        }
    }
}

/// The strong ETag of a body. The hash may differ from build to build; then the answer is sent once more.
pub(super) fn of_body(body: &[u8]) -> String {
    format!("\"{:x}-{:016x}\"", body.len(), hash(body))
}

fn hash(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    hasher.finish()
}

/// Whether `If-None-Match` names an ETag. Both may be weak: RFC 9110, 13.1.2.
pub(super) fn matches(if_none_match: &[HeaderValue], etag: &str) -> bool {
    let opaque = etag.trim_end_matches('"');
    let is_any = |tag: &str| tag == "*" && etag != NOT_THERE;
    tags(if_none_match).any(|tag| is_any(tag) || tag == etag || tag.strip_prefix(opaque) == Some(GZIP))
}

/// The ETags that a header names, without the mark of weak ones. No ETag of ours has a comma in it.
fn tags(if_none_match: &[HeaderValue]) -> impl Iterator<Item = &str> {
    let values = if_none_match.iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|tag| tag.trim().trim_start_matches("W/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_of_the_bytes() {
        assert_eq!(of_body(b"{}"), of_body(b"{}"));
        assert_ne!(of_body(b"{}"), of_body(b"[]"));
        assert_ne!(of_body(b""), of_body(b"\0"));
    }

    #[test]
    fn an_answer_whose_body_was_changed_has_its_version_and_a_hash_as_its_etag() {
        let marked = |etag: &'static str| {
            let mut answer = Response::default();
            answer.headers_mut().insert(ETAG, HeaderValue::from_static(etag));
            ETagByContent::replace_version(&mut answer);
            assert!(!answer.headers().contains_key(ETAG));
            answer.extensions().get::<ETagByContent>().copied()
        };
        assert_eq!(marked("\"3\""), Some(ETagByContent(3)));
        for etag in ["W/\"3\"", "\"9-00112233445566ff\"", "3"] {
            assert_eq!(marked(etag), None, "{etag}");
        }
        let (etag, other) = (ETagByContent(3).of(b"{}"), ETagByContent(3).of(b"[]"));
        assert_ne!(etag, other);
        assert_eq!(version_with_hash(etag.trim_matches('"')), Some("3"));
        for opaque in
            ["3", "9-00112233445566ff", "3.", "3.00112233445566f", "3.00112233445566FF", "3.5.00112233445566f"]
        {
            assert_eq!(version_with_hash(opaque), None, "{opaque}");
        }
    }

    #[test]
    fn a_list_names_an_etag_weak_or_strong() {
        let etag = of_body(b"{}");
        for (values, known) in [
            (vec![], false),
            (vec!["*".to_owned()], true),
            (vec![etag.clone()], true),
            (vec![format!("W/{etag}")], true),
            (vec![gzip_etag(&HeaderValue::try_from(&etag).unwrap()).unwrap().to_str().unwrap().to_owned()], true),
            (vec![format!("{}-br\"", etag.trim_end_matches('"'))], false),
            (vec![format!("\"3\" ,{etag}")], true),
            (vec!["\"3\"".to_owned(), etag.clone()], true),
            (vec!["\"3\"".to_owned()], false),
            (vec![etag.trim_matches('"').to_owned()], false),
        ] {
            let headers: Vec<_> = values.iter().map(|value| HeaderValue::try_from(value).unwrap()).collect();
            assert_eq!(matches(&headers, &etag), known, "{values:?}");
        }
    }

    #[test]
    fn any_etag_is_not_that_of_what_is_not_there() {
        let any = [HeaderValue::from_static("*")];
        assert!(matches(&any, "\"1\"") && !matches(&any, NOT_THERE));
        assert!(matches(&[HeaderValue::from_static("\"0\"")], NOT_THERE));
    }

    #[test]
    fn a_request_may_name_the_etag_of_a_compressed_answer() {
        let etag = HeaderValue::from_static("\"3\"");
        assert_eq!(gzip_etag(&etag).unwrap(), "\"3-gzip\"");
        assert_eq!(gzip_etag(&HeaderValue::from_static("W/\"3\"")), None);
        for (sent, read) in [
            ("\"3-gzip\"", "\"3\""),
            ("\"2-gzip\", W/\"3-gzip\", \"4\"", "\"2\", W/\"3\", \"4\""),
            ("\"3-gzip", "\"3-gzip"),
            ("*", "*"),
        ] {
            let mut headers = HeaderMap::new();
            for name in [IF_MATCH, IF_NONE_MATCH, VARY] {
                headers.append(name, HeaderValue::from_static(sent));
            }
            forget_compression(&mut headers);
            assert_eq!([&headers[IF_MATCH], &headers[IF_NONE_MATCH]], [read; 2]);
            assert_eq!(headers[VARY], sent);
        }
    }

    #[test]
    fn what_has_not_changed_is_named_as_the_client_has_it() {
        for (known, named) in [
            ("\"3-gzip\"", "\"3-gzip\""),
            ("\"2\", W/\"3-gzip\"", "\"3-gzip\""),
            ("\"3\", \"3-gzip\"", "\"3\""),
            ("\"2-gzip\", \"3\"", "\"3\""),
            ("*", "\"3\""),
        ] {
            let mut headers = HeaderMap::from_iter([(ETAG, HeaderValue::from_static("\"3\""))]);
            name_as_known(&[HeaderValue::from_static(known)], &mut headers);
            assert_eq!(headers[ETAG], named, "{known}");
            assert_eq!(headers.contains_key(VARY), named == "\"3-gzip\"", "{known}");
        }
    }
}
