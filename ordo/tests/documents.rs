//! The documents say what the program does, and every link in them leads somewhere.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const COMMANDS: &str = include_str!("../../docs/reference/commands.md");
const GLOSSARY: &str = include_str!("../../docs/glossary.md");
const HTTP: &str = include_str!("../../docs/reference/http.md");
const SETTINGS: &str = include_str!("../../docs/reference/settings.md");
const SUMMARY: &str = include_str!("../../docs/SUMMARY.md");

/// What a line of text may have; tables and links can't be broken.
const LINE: usize = 140;

fn ordo(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_ordo")).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_table_of_settings_is_the_programs() {
    let table = ordo(&["config", "list"]);
    assert!(SETTINGS.contains(table.trim()), "put the output of `ordo config list` into docs/reference/settings.md");
}

#[test]
fn every_command_is_named() {
    let help = ordo(&["--help"]);
    // In groups, before the options.
    let commands = help.lines().take_while(|line| *line != "Options:").filter_map(|line| line.strip_prefix("  "));
    let mut names = 0;
    for name in commands.filter_map(|line| line.split_whitespace().next()) {
        assert!(COMMANDS.contains(&format!("`ordo {name}")), "docs/reference/commands.md does not name `ordo {name}`");
        names += 1;
    }
    assert!(names >= 18, "{help}");
}

#[test]
fn every_route_is_described_and_every_route_that_is_described_is_there() {
    let mut routes = HashSet::new();
    for source in [
        "bulk-actions/src",
        "command-api/src",
        "dead-letters/src",
        "projections/src",
        "sagas/src",
        "webhooks/src",
        "ordo/src",
        "lib/problem/src",
    ] {
        let is_test = |file: &PathBuf| file.iter().any(|part| part == "tests" || part == "tests.rs");
        for file in files(&checkout().join(source), "rs").into_iter().filter(|file| !is_test(file)) {
            let text = fs::read_to_string(&file).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap();
            routes.extend(text.split('"').filter(|literal| is_route(literal)).map(str::to_owned));
            for path in text.split("route(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(path == "/" || is_below_a_root(path), "{path} begins like no known route: {ADD_THE_ROOT}");
            }
        }
    }
    let routes: HashSet<String> = routes.iter().map(|route| as_described(route)).collect();
    for route in &routes {
        assert!(HTTP.contains(route), "docs/reference/http.md does not describe {route}");
    }
    assert!(routes.len() >= 25, "{routes:?}");
    let rows = HTTP.lines().filter(|line| line.starts_with("| `"));
    for described in rows.flat_map(|row| row.split('`').skip(1).step_by(2)) {
        let Some((_, path)) = described.split_once(" /") else { continue };
        let path = format!("/{}", path.split('?').next().unwrap());
        assert!(
            path == "/" || is_below_a_root(&path),
            "docs/reference/http.md describes {path}, which begins like no known route: {ADD_THE_ROOT}"
        );
        assert!(
            path == "/" || routes.contains(&path),
            "docs/reference/http.md describes {path}, and there is no such route"
        );
    }
}

/// A route with the names that its ids have in the documents.
fn as_described(route: &str) -> String {
    let route = route.replace("{order_id}", "{id}").replace("{customer_id}", "{id}");
    let route = route.replace("{return_id}", "{returnId}").replace("{shipment_id}", "{shipmentId}");
    route
        .replace("{delivery_id}", "{deliveryId}")
        .replace("{document_id}", "{documentId}")
        .replace("{stream_id}", "{streamId}")
        .replace("{replay_id}", "{replayId}")
        .replace("{notification_id}", "{notificationId}")
}

/// What the paths of routes begin with. A text in the sources is taken for a route if it begins like one of these.
const ROOTS: [&str; 18] = [
    "/orders",
    "/customers",
    "/stock",
    "/sales",
    "/sagas",
    "/audit",
    "/read-models",
    "/bulk-actions",
    "/dead-letters",
    "/webhooks",
    "/subscriptions",
    "/events",
    "/admin",
    "/health",
    "/metrics",
    "/problems",
    "/openapi",
    "/docs",
];
const ADD_THE_ROOT: &str = "add the first part of the path to ROOTS in ordo/tests/documents.rs";

/// A path below one of the resources, and nothing else.
fn is_route(literal: &str) -> bool {
    // Ids in examples have digits.
    let has_digits = literal.starts_with("/openapi");
    let of_path =
        |char: char| char.is_ascii_lowercase() || "/{}_-.".contains(char) || has_digits && char.is_ascii_digit();
    literal.chars().all(of_path) && !literal.contains("{}") && is_below_a_root(literal)
}

fn is_below_a_root(path: &str) -> bool {
    ROOTS.iter().any(|root| path.starts_with(root))
}

#[test]
fn every_link_leads_somewhere() {
    let mut anchors = HashMap::new();
    let mut broken = Vec::new();
    for document in files(&checkout(), "md") {
        let text = without_code(&fs::read_to_string(&document).unwrap());
        for link in links(&text).filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
            let leads = target.exists()
                && (anchor.is_empty()
                    || anchors.entry(target.clone()).or_insert_with(|| headings(&target)).contains(anchor));
            if !leads {
                broken.push(format!("{}: {link}", document.strip_prefix(checkout()).unwrap().display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn every_file_that_is_named_is_there() {
    let mut missing = Vec::new();
    // What was decided, and what changed, speaks of the files of its time.
    let is_of_today =
        |path: &&PathBuf| !path.ends_with("CHANGELOG.md") && !path.starts_with(checkout().join("docs/decisions"));
    for document in files(&checkout(), "md").iter().filter(is_of_today) {
        let text = fs::read_to_string(document).unwrap();
        for code in text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)) {
            let is_path = |char: char| char.is_ascii_alphanumeric() || "/_-.".contains(char);
            let folder = code.split('/').next().filter(|folder| !folder.is_empty());
            let is_of_a_crate = folder.is_some_and(|folder| checkout().join(folder).is_dir());
            // Names in capitals stand for others.
            let is_one =
                code.contains('/') && code.chars().all(is_path) && !code.contains("NAME") && !code.contains("VERSION");
            if is_one && is_of_a_crate && !code.starts_with("target/") && !checkout().join(code).exists() {
                missing.push(format!("{}: {code}", document.strip_prefix(checkout()).unwrap().display()));
            }
        }
    }
    assert!(missing.is_empty(), "files that are not there:\n{}", missing.join("\n"));
}

#[test]
fn every_type_that_the_glossary_names_is_there() {
    let mut declared = HashSet::new();
    for file in files(&checkout(), "rs") {
        let text = fs::read_to_string(&file).unwrap();
        let words: Vec<&str> = text.split(|char: char| !char.is_alphanumeric() && char != '_').collect();
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            match pair {
                ["struct" | "enum" | "trait" | "type", name] => declared.insert((*name).to_owned()),
                // Events are declared by a macro.
                [name, "UPCASTS"] => declared.insert((*name).to_owned()),
                _ => false,
            };
        }
    }
    let mut names = 0;
    for entry in GLOSSARY.split("\n### ") {
        let in_the_code = entry.split_once("*In the code:*").map_or("", |(_, names)| names);
        let is_type = |name: &&str| name.starts_with(char::is_uppercase) && name.chars().all(char::is_alphanumeric);
        for name in in_the_code.split('`').skip(1).step_by(2).filter(is_type) {
            assert!(declared.contains(name), "docs/glossary.md names {name}, and there is no such type");
            names += 1;
        }
    }
    assert!(names >= 30, "{names} names");
}

#[test]
fn every_page_is_in_the_book() {
    let docs = checkout().join("docs");
    for page in files(&docs, "md").into_iter().filter(|page| !page.ends_with("SUMMARY.md")) {
        let page = page.strip_prefix(&docs).unwrap().display().to_string();
        assert!(SUMMARY.contains(&format!("]({page})")), "docs/SUMMARY.md does not have {page}");
    }
}

#[test]
fn lines_can_be_read() {
    for document in files(&checkout(), "md") {
        let text = fs::read_to_string(&document).unwrap();
        let is_text = |line: &&str| !line.trim_start().starts_with(['|', '{', '[']) && !line.contains("](");
        let long = text.lines().filter(is_text).find(|line| line.chars().count() > LINE);
        assert_eq!(long, None, "{}: a line is longer than {LINE} characters", document.display());
    }
    let readme = fs::read_to_string(checkout().join("README.md")).unwrap();
    assert!(readme.lines().count() <= 150, "README.md says what it is and where to read on; the rest goes into docs");
}

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The files below a folder with this extension, but for what was built or is hidden.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (name, path) = (entry.file_name(), entry.path());
            let name = name.to_string_lossy();
            if entry.file_type().unwrap().is_dir() {
                if !name.starts_with('.') && !["target", "book"].contains(&&*name) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|it| it == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Examples are no links.
fn without_code(markdown: &str) -> String {
    let mut is_code = false;
    let text = markdown.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    let text: Vec<_> = text.map(|line| line.split('`').step_by(2).collect::<Vec<_>>().join("code")).collect();
    text.join("\n")
}

/// What stands in `](…)`.
fn links(markdown: &str) -> impl Iterator<Item = &str> {
    markdown.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link)
}

/// The anchors of a document's headings, as GitHub and mdBook make them.
fn headings(document: &Path) -> HashSet<String> {
    let text = fs::read_to_string(document).unwrap_or_default();
    let headings =
        text.lines().filter_map(|line| line.strip_prefix('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| {
        let kept = heading.chars().filter(|char| char.is_alphanumeric() || " -_".contains(*char));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    headings.map(anchor).collect()
}
