//! `If-Match` and `If-None-Match`: a request that is meant for some versions of a stream only.

use http::{HeaderMap, HeaderName, header};

use crate::semantics::etag::version_with_hash;
use crate::{Problem, ProblemType};

/// The versions that a request is meant for. Answers have a version as their `ETag`, or a version and a hash of what was sent
/// ([`ETagByContent`](crate::ETagByContent)); `"0"` is a stream without events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Precondition {
    if_match: Option<ETags>,
    if_none_match: Option<ETags>,
}

/// The versions that a header names. An ETag that is no version matches no stream, so there may be none.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ETags {
    /// `*`: any, as long as there are events.
    Any,
    Versions(Vec<ETag>),
}

/// An ETag that has a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ETag {
    version: i64,
    is_weak: bool,
    /// It is of one of several answers about the version.
    has_hash: bool,
}

impl Precondition {
    pub fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let (if_match, if_none_match) = (tags(headers, &header::IF_MATCH)?, tags(headers, &header::IF_NONE_MATCH)?);
        Ok(Self { if_match, if_none_match })
    }

    /// Whether the request has no precondition.
    #[must_use]
    pub fn accepts_any_version(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the request says which version it is meant for.
    #[must_use]
    pub fn names_versions(&self) -> bool {
        matches!(self.if_match, Some(ETags::Versions(_)))
    }

    /// Refuses to change a stream that is at another version: 412, with the version that it is at.
    pub fn check(&self, version: i64) -> Result<(), Problem> {
        self.check_match(version)?;
        match &self.if_none_match {
            Some(tags) if tags.contain(version) => {
                Err(failed(version, "it is what If-None-Match says that it must not be"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether a reader has the answer whose `ETag` is this version already: 304. Refuses a version that `If-Match` does not name, as
    /// [`check`](Self::check) does.
    pub fn is_not_modified(&self, version: i64) -> Result<bool, Problem> {
        self.check_match(version)?;
        Ok(self.if_none_match.as_ref().is_some_and(|tags| tags.name_only(version)))
    }

    /// Refuses a version that `If-Match` does not name: 412.
    pub fn check_match(&self, version: i64) -> Result<(), Problem> {
        match &self.if_match {
            Some(tags) if !tags.contain_strongly(version) => {
                Err(failed(version, "it is at another version than If-Match says; look at it again and decide anew"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl ETags {
    fn contain(&self, version: i64) -> bool {
        match self {
            Self::Any => version > 0,
            Self::Versions(tags) => tags.iter().any(|tag| tag.version == version),
        }
    }

    /// Whether they name the version and no hash.
    fn name_only(&self, version: i64) -> bool {
        match self {
            Self::Any => version > 0,
            Self::Versions(tags) => tags.iter().any(|tag| tag.version == version && !tag.has_hash),
        }
    }

    /// A weak ETag never matches under `If-Match`: RFC 9110, 13.1.1.
    fn contain_strongly(&self, version: i64) -> bool {
        match self {
            Self::Any => version > 0,
            Self::Versions(tags) => tags.iter().any(|tag| tag.version == version && !tag.is_weak),
        }
    }
}

fn failed(version: i64, detail: &'static str) -> Problem {
    Problem::new(ProblemType::PreconditionFailed, detail).with("currentVersion", version)
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<ETags>, Problem> {
    let mut tags = None;
    for value in headers.get_all(name) {
        let text = value.to_str().map_err(|_| malformed(name))?.trim();
        match (&mut tags, text) {
            (None, "*") => tags = Some(ETags::Any),
            (None, list) => tags = Some(ETags::Versions(versions(list).ok_or_else(|| malformed(name))?)),
            (Some(ETags::Versions(known)), list) if list != "*" => {
                known.extend(versions(list).ok_or_else(|| malformed(name))?);
            }
            (Some(ETags::Versions(_) | ETags::Any), _) => return Err(malformed(name)),
        }
    }
    Ok(tags)
}

/// The versions in a list of ETags; `None`: it is no list of ETags.
fn versions(list: &str) -> Option<Vec<ETag>> {
    let mut versions = Vec::new();
    for tag in list.split(',').map(str::trim) {
        let (is_weak, tag) = tag.strip_prefix("W/").map_or((false, tag), |tag| (true, tag));
        let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'))?;
        let (tag, has_hash) = version_with_hash(tag).map_or((tag, false), |version| (version, true));
        // Versions have one spelling: "01" and "+1" are others.
        let version = tag.parse().ok().filter(|version: &i64| version.to_string() == tag);
        versions.extend(version.map(|version| ETag { version, is_weak, has_hash }));
    }
    Some(versions)
}

fn malformed(name: &HeaderName) -> Problem {
    let name = if *name == header::IF_MATCH { "If-Match" } else { "If-None-Match" };
    Problem::malformed(format!(
        "header {name} must be an ETag, as answers have it: \"3\"; or several, with commas; or *"
    ))
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, StatusCode};

    use super::*;

    fn read(name: &HeaderName, values: &[&str]) -> Result<Precondition, u16> {
        let header = |value: &&str| (name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
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
            let precondition = read(&header::IF_MATCH, values).unwrap();
            assert_eq!([0, 1, 2].map(|version| precondition.check(version).is_ok()), fits, "{values:?}");
            assert_eq!([0, 1, 2].map(|version| precondition.is_not_modified(version).is_ok()), fits, "{values:?}");
        }
    }

    #[test]
    fn a_command_takes_the_etag_of_any_answer_about_the_version() {
        for (value, fits) in [
            ("\"1.0123456789abcdef\"", [false, true, false]),
            ("\"2.0123456789abcdef\", \"0\"", [true, false, true]),
            ("W/\"1.0123456789abcdef\"", [false, false, false]),
            // Those of lists, and what is none of ours.
            ("\"1-0123456789abcdef\"", [false, false, false]),
            ("\"1.5\"", [false, false, false]),
            ("\"01.0123456789abcdef\"", [false, false, false]),
        ] {
            let precondition = read(&header::IF_MATCH, &[value]).unwrap();
            assert_eq!([0, 1, 2].map(|version| precondition.check(version).is_ok()), fits, "{value}");
            assert_eq!([0, 1, 2].map(|version| precondition.check_match(version).is_ok()), fits, "{value}");
        }
        let precondition = read(&header::IF_NONE_MATCH, &["\"1.0123456789abcdef\""]).unwrap();
        assert!(precondition.check(1).is_err() && precondition.check(2).is_ok());
        // Who has another answer about the version does not have this one.
        assert!(!precondition.is_not_modified(1).unwrap());
    }

    #[test]
    fn what_must_not_be_there_is_refused_to_who_changes_it_and_known_to_who_reads_it() {
        for (values, known) in [
            (&[][..], [false, false, false]),
            (&["*"], [false, true, true]),
            (&["\"0\""], [true, false, false]),
            (&["\"1\" , \"2\""], [false, true, true]),
            (&["W/\"1\""], [false, true, false]),
            (&["\"abc\""], [false, false, false]),
        ] {
            let precondition = read(&header::IF_NONE_MATCH, values).unwrap();
            assert_eq!([0, 1, 2].map(|version| precondition.is_not_modified(version).unwrap()), known, "{values:?}");
            assert_eq!([0, 1, 2].map(|version| precondition.check(version).is_err()), known, "{values:?}");
        }
    }

    #[test]
    fn a_stream_at_another_version_is_told_with_412() {
        let precondition = read(&header::IF_MATCH, &["\"1\""]).unwrap();
        assert_eq!(precondition.check(2).unwrap_err().status(), StatusCode::PRECONDITION_FAILED);
        assert_eq!(precondition.is_not_modified(2).unwrap_err().status(), StatusCode::PRECONDITION_FAILED);
    }

    #[test]
    fn what_is_no_etag_is_refused() {
        for values in [&["1"][..], &[""], &["\"1"], &["\"1\",, \"2\""], &["*", "\"1\""], &["\"1\"", "*"], &["ä"]] {
            for name in [header::IF_MATCH, header::IF_NONE_MATCH] {
                assert_eq!(read(&name, values), Err(400), "{name}: {values:?}");
            }
        }
    }
}
