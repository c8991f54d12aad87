//! ETags of answers that have no version of their own.

use std::hash::{DefaultHasher, Hasher};

use http::HeaderValue;

/// The strong ETag of a body. The hash may differ from build to build; then the answer is sent once more.
pub(super) fn of_body(body: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    format!("\"{:x}-{:016x}\"", body.len(), hasher.finish())
}

/// Whether `If-None-Match` names an ETag. Both may be weak: RFC 9110, 13.1.2.
pub(super) fn matches(if_none_match: &[HeaderValue], etag: &str) -> bool {
    let named = if_none_match.iter().filter_map(|value| value.to_str().ok());
    // No ETag of a body has a comma in it.
    named
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
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
    fn a_list_names_an_etag_weak_or_strong() {
        let etag = of_body(b"{}");
        for (values, known) in [
            (vec![], false),
            (vec!["*".to_owned()], true),
            (vec![etag.clone()], true),
            (vec![format!("W/{etag}")], true),
            (vec![format!("\"3\" ,{etag}")], true),
            (vec!["\"3\"".to_owned(), etag.clone()], true),
            (vec!["\"3\"".to_owned()], false),
            (vec![etag.trim_matches('"').to_owned()], false),
        ] {
            let headers: Vec<_> = values.iter().map(|value| HeaderValue::try_from(value).unwrap()).collect();
            assert_eq!(matches(&headers, &etag), known, "{values:?}");
        }
    }
}
