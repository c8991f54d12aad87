//! `If-Match`: a command that is meant for one version of its stream, and for no other.

use http::{HeaderMap, StatusCode, header};
use problem::Problem;

/// What a client takes the stream to be. A version is what answers have as their `ETag`; `"0"` is a stream without events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// Whatever it is.
    None,
    /// `*`: it has events.
    Exists,
    /// One of these versions. An ETag that is no version is in no stream, so there may be none.
    Versions(Vec<i64>),
}

impl Precondition {
    /// What the request asks for.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut precondition = Self::None;
        for value in headers.get_all(header::IF_MATCH) {
            let text = value.to_str().map_err(|_| malformed())?.trim();
            match (&mut precondition, text) {
                (Self::None, "*") => precondition = Self::Exists,
                (Self::None, tags) => precondition = Self::Versions(versions(tags)?),
                (Self::Versions(known), tags) if tags != "*" => known.extend(versions(tags)?),
                (Self::Versions(_) | Self::Exists, _) => return Err(malformed()),
            }
        }
        Ok(precondition)
    }

    /// Refuses a stream that is at another version: 412, with the version that it is at.
    pub(crate) fn check(&self, version: i64) -> Result<(), Problem> {
        let holds = match self {
            Self::None => true,
            Self::Exists => version > 0,
            Self::Versions(wanted) => wanted.contains(&version),
        };
        if holds {
            return Ok(());
        }
        let detail = "it is at another version than If-Match says; look at it again and decide anew";
        Err(Problem::new(StatusCode::PRECONDITION_FAILED, "precondition-failed", "It has changed")
            .detail(detail)
            .with("currentVersion", version))
    }
}

/// The versions in a list of ETags.
fn versions(tags: &str) -> Result<Vec<i64>, Problem> {
    let mut versions = Vec::new();
    for tag in tags.split(',').map(str::trim) {
        // A weak one never matches here: RFC 9110, 13.1.1.
        let (weak, tag) = tag.strip_prefix("W/").map_or((false, tag), |tag| (true, tag));
        let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).ok_or_else(malformed)?;
        // Versions have one spelling: "01" and "+1" are others.
        let version = tag.parse().ok().filter(|version: &i64| !weak && version.to_string() == tag);
        versions.extend(version);
    }
    Ok(versions)
}

fn malformed() -> Problem {
    Problem::malformed("header If-Match must be an ETag, as answers have it: \"3\"; or several, with commas; or *")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(values: &[&str]) -> Result<Precondition, u16> {
        let header = |value: &&str| (header::IF_MATCH, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        Precondition::read(&values.iter().map(header).collect()).map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn a_command_is_for_the_versions_it_names() {
        for (values, fits) in [
            (&[][..], [true, true, true]),
            (&["*"], [false, true, true]),
            (&["\"0\""], [true, false, false]),
            (&["\"1\" , \"2\""], [false, true, true]),
            (&["\"1\"", "\"2\""], [false, true, true]),
            (&["W/\"1\", \"2\""], [false, false, true]),
            (&["\"+1\", \"abc\""], [false, false, false]),
        ] {
            let precondition = read(values).unwrap();
            assert_eq!([0, 1, 2].map(|version| precondition.check(version).is_ok()), fits, "{values:?}");
        }
    }

    #[test]
    fn a_stream_at_another_version_is_told_with_412() {
        assert_eq!(read(&["\"1\""]).unwrap().check(2).unwrap_err().status(), StatusCode::PRECONDITION_FAILED);
    }

    #[test]
    fn what_is_no_etag_is_refused() {
        for values in [&["1"][..], &[""], &["\"1"], &["\"1\",, \"2\""], &["*", "\"1\""], &["\"1\"", "*"], &["ä"]] {
            assert_eq!(read(values), Err(400), "{values:?}");
        }
    }
}
