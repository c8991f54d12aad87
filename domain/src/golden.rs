//! What the golden files of an aggregate's events have to hold: for tests.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs::read_to_string;
use std::path::PathBuf;

use cqrs_es::DomainEvent;
use event_versions::{FIRST, Snapshotted, Upcastable};

/// Each event encodes to the golden file of its current version, and decodes from it.
pub(crate) fn check_today<A: Upcastable>(folder: &str, one_of_each: impl IntoIterator<Item = A::Event>) {
    for event in one_of_each {
        let (name, version) = (event.event_type(), event.event_version());
        let path = path(folder, &format!("{name}-{version}.json"));
        let golden = read_to_string(&path).unwrap_or_else(|error| {
            let written = serde_json::to_string(&event).unwrap();
            panic!("{}: {error}; a new event, or a new version of one, needs one:\n{written}", path.display())
        });
        assert_eq!(serde_json::to_string(&event).unwrap(), golden.trim_end(), "{name} {version}");
        assert_eq!(event_versions::decode::<A>(&name, &version, &golden).unwrap(), event, "{name} {version}");
        // cqrs-es's own repositories decode through a Value.
        let value: serde_json::Value = serde_json::from_str(&golden).unwrap();
        assert_eq!(serde_json::from_value::<A::Event>(value).unwrap(), event, "{name} {version} through a Value");
    }
}

/// Every golden file decodes to an event of its name.
pub(crate) fn check_all<A: Upcastable>(folder: &str) {
    for (name, version) in files(folder) {
        let file = format!("{name}-{version}.json");
        let golden = read_to_string(path(folder, &file)).unwrap();
        let event =
            event_versions::decode::<A>(&name, &version, &golden).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(event.event_type(), name, "{file}");
    }
}

/// There is a golden file of every version of every event, and no other.
pub(crate) fn check_versions<A: Upcastable>(folder: &str, names: &[&str]) {
    let mut expected: BTreeSet<(String, String)> =
        names.iter().map(|name| ((*name).to_owned(), FIRST.to_owned())).collect();
    for upcast in A::UPCASTS {
        assert!(names.contains(&upcast.event_type), "there is no event {}", upcast.event_type);
        let is_new = expected.insert((upcast.event_type.to_owned(), upcast.to.to_owned()));
        assert!(is_new, "{} became {} twice", upcast.event_type, upcast.to);
    }
    assert_eq!(files(folder), expected);
    // cqrs-es itself accepts the same list: it panics at a text that is not a version.
    assert_eq!(event_versions::upcasters::<A>().len(), A::UPCASTS.len());
}

/// The states after each of some events are those of the golden file. The events must include each event.
pub(crate) fn check_states<A: Snapshotted + PartialEq + Debug>(
    folder: &str,
    names: &[&str],
    events: impl IntoIterator<Item = A::Event>,
) {
    let (mut state, mut states, mut seen) = (A::default(), Vec::new(), BTreeSet::new());
    for event in events {
        seen.insert(event.event_type());
        state.apply(event);
        let json = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<A>(&json).unwrap(), state, "{json}");
        states.push(json);
    }
    assert_eq!(seen, names.iter().map(|name| (*name).to_owned()).collect());
    let path = path(folder, &format!("{}.ndjson", A::STATE_VERSION));
    let golden = read_to_string(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; a new version of the state needs one:\n{}", path.display(), states.join("\n"))
    });
    assert_eq!(golden.lines().collect::<Vec<_>>(), states, "another state needs another STATE_VERSION");
}

/// The events and versions of all golden files.
fn files(folder: &str) -> BTreeSet<(String, String)> {
    let files =
        std::fs::read_dir(path(folder, "")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let parts = |file: String| {
        let (name, version) = file.strip_suffix(".json").unwrap().split_once('-').unwrap();
        (name.to_owned(), version.to_owned())
    };
    files.map(parts).collect()
}

fn path(folder: &str, file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "golden", folder, file].iter().collect()
}
