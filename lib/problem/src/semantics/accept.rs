//! `Accept`: RFC 9110, 12.5.1.

use http::HeaderValue;

/// Whether an answer of a media type is wanted. Without the header, or if nothing in it can be read, every one is.
pub(super) fn accepts(accept: &[HeaderValue], media_type: &str) -> bool {
    let ranges = || accept.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let mut ranges = ranges().filter_map(MediaRange::parse).peekable();
    if ranges.peek().is_none() {
        return true;
    }
    // The most specific range decides, and of several the most wanted one.
    let fitting = ranges.filter_map(|range| Some((range.specificity(media_type)?, range.is_wanted)));
    fitting.max().is_some_and(|(_, is_wanted)| is_wanted)
}

/// One of the ranges, such as `application/*;q=0.5`. Parameters but `q` are left aside.
struct MediaRange<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// The quality is not 0.
    is_wanted: bool,
}

impl<'a> MediaRange<'a> {
    fn parse(range: &'a str) -> Option<Self> {
        let mut parts = range.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let quality = quality.map_or(Ok(1.0), str::parse::<f32>).ok()?;
        (!kind.is_empty() && !subtype.is_empty()).then_some(Self { kind, subtype, is_wanted: quality > 0.0 })
    }

    /// How specific the range is; `None`: the media type is not in it.
    fn specificity(&self, media_type: &str) -> Option<u8> {
        let (kind, subtype) = media_type.split_once('/')?;
        let fits = |range: &str, name: &str| range.eq_ignore_ascii_case(name);
        match (self.kind, self.subtype) {
            ("*", "*") => Some(0),
            (range, "*") if fits(range, kind) => Some(1),
            (range, of_range) if fits(range, kind) && fits(of_range, subtype) => Some(2),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_range_decides() {
        for (accept, json) in [
            (&[][..], true),
            (&[""], true),
            (&["*/*"], true),
            (&["application/json"], true),
            (&["APPLICATION/JSON"], true),
            (&["application/*;q=0.1"], true),
            (&["text/html, */*;q=0.8"], true),
            (&["text/html", "application/json"], true),
            (&["application/json;version=1"], true),
            (&["text/html"], false),
            (&["application/problem+json"], false),
            (&["application/json;q=0"], false),
            (&["*/*, application/json; q=0.000"], false),
            (&["application/*;q=0, */*"], false),
            (&["application/*;q=0, application/json"], true),
            (&["text/*", "image/png"], false),
            // What can't be read says nothing.
            (&["json"], true),
            (&["application/json;q=high"], true),
            (&["/"], true),
        ] {
            let values: Vec<_> = accept.iter().copied().map(HeaderValue::from_static).collect();
            assert_eq!(accepts(&values, "application/json"), json, "{accept:?}");
        }
        assert!(accepts(&[HeaderValue::from_static("text/event-stream")], "text/event-stream"));
    }
}
