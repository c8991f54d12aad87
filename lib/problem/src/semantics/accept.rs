//! `Accept`: RFC 9110, 12.5.1.

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue};

/// Whether an answer of a media type is wanted. Without the header, or if nothing in it can be read, every one is.
pub(super) fn accepts(accept: &[HeaderValue], media_type: &str) -> bool {
    let mut ranges = ranges(accept).peekable();
    ranges.peek().is_none() || quality(ranges, media_type).is_some_and(|(quality, _)| quality > 0.0)
}

/// Whether `Accept` asks for an answer of the media type `other` rather than of the `usual` one: it wants it more, or as much and names it
/// more exactly.
pub fn prefers(headers: &HeaderMap, other: &str, usual: &str) -> bool {
    let of = |media_type| quality(ranges(headers.get_all(ACCEPT)), media_type);
    of(other).is_some_and(|(quality, _)| quality > 0.0) && of(other) > of(usual)
}

fn ranges<'a>(accept: impl IntoIterator<Item = &'a HeaderValue>) -> impl Iterator<Item = MediaRange<'a>> {
    let values = accept.into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(MediaRange::parse)
}

/// How much a media type is wanted, and how exactly it is named. The most specific range decides, and of several the most wanted one.
fn quality<'a>(ranges: impl Iterator<Item = MediaRange<'a>>, media_type: &str) -> Option<(f32, u8)> {
    let fitting = ranges.filter_map(|range| Some((range.quality, range.specificity(media_type)?)));
    fitting.max_by(|one, other| one.1.cmp(&other.1).then(one.0.total_cmp(&other.0)))
}

/// One of the ranges, such as `application/*;q=0.5`. Parameters but `q` are left aside.
struct MediaRange<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// From 0, for what is not wanted, to 1.
    quality: f32,
}

impl<'a> MediaRange<'a> {
    fn parse(range: &'a str) -> Option<Self> {
        let mut parts = range.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let quality = quality.map_or(Ok(1.0), str::parse::<f32>).ok()?;
        let is_whole = !kind.is_empty() && !subtype.is_empty() && (0.0..=1.0).contains(&quality);
        is_whole.then_some(Self { kind, subtype, quality })
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

    #[test]
    fn of_two_media_types_the_usual_one_is_left_for_one_that_is_wanted_more() {
        for (accept, csv) in [
            (None, false),
            (Some("*/*"), false),
            (Some("text/csv"), true),
            (Some("TEXT/CSV"), true),
            (Some("text/csvx"), false),
            (Some("text/csv, */*"), true),
            (Some("text/*"), true),
            (Some("application/json, text/csv"), false),
            (Some("application/json, text/csv;q=0.5"), false),
            (Some("application/json;q=0.4, text/csv;q=0.5"), true),
            (Some("text/csv;q=0"), false),
            (Some("text/csv;q=high"), false),
            (Some("image/png"), false),
        ] {
            let headers = accept.map(|accept| (ACCEPT, HeaderValue::from_static(accept))).into_iter().collect();
            assert_eq!(prefers(&headers, "text/csv", "application/json"), csv, "{accept:?}");
        }
    }
}
