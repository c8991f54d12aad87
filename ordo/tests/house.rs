//! Rules of the house: which crate may depend on which, how long a source file may be, and what a crate may make public.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use toml::Table;

/// A source file is read in one sitting.
const LONGEST_FILE: usize = 400;

/// A crate of this workspace.
struct Package {
    name: String,
    folder: PathBuf,
    manifest: Table,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn manifest_in(folder: &Path) -> Table {
    fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap()
}

fn packages() -> Vec<Package> {
    let members = manifest_in(&root())["workspace"]["members"].as_array().unwrap().clone();
    let folders = members.iter().map(|member| root().join(member.as_str().unwrap()));
    let package = |folder: PathBuf| {
        let manifest = manifest_in(&folder);
        Package { name: manifest["package"]["name"].as_str().unwrap().to_owned(), folder, manifest }
    };
    folders.map(package).collect()
}

/// All Rust sources below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The crates that each crate depends on by the table in ARCHITECTURE.md: its last column, or all for `ordo`.
fn table_of_dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = text.lines().skip_while(|line| !line.starts_with("| crate |")).skip(2);
    let in_backticks =
        |cell: &str| -> BTreeSet<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        (in_backticks(cells.first().unwrap()).pop_first().unwrap(), in_backticks(cells.last().unwrap()))
    };
    rows.take_while(|line| line.starts_with('|')).map(row).collect()
}

#[test]
fn crates_depend_only_on_what_the_architecture_says() {
    let packages = packages();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let depends_on = |package: &Package| -> BTreeSet<String> {
        let dependencies = package.manifest.get("dependencies").and_then(|table| table.as_table());
        let names = dependencies.into_iter().flat_map(|table| table.keys());
        names.filter(|name| ours.contains(name.as_str())).cloned().collect()
    };
    let actual: BTreeMap<String, BTreeSet<String>> =
        packages.iter().map(|package| (package.name.clone(), depends_on(package))).collect();
    let allowed = table_of_dependencies();
    for (package, depends_on) in &actual {
        let may = allowed.get(package).unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for {package}"));
        let more: Vec<_> = depends_on.difference(may).collect();
        assert!(more.is_empty(), "by ARCHITECTURE.md, {package} does not depend on {more:?}");
    }
    let gone: Vec<_> = allowed.keys().filter(|package| !actual.contains_key(*package)).collect();
    assert!(gone.is_empty(), "ARCHITECTURE.md has rows for crates that are not there: {gone:?}");
}

#[test]
fn helpers_of_development_are_no_part_of_the_product() {
    for package in packages().iter().filter(|package| !package.folder.starts_with(root().join("dev"))) {
        for helper in ["bench", "testkit", "postgres-es", "stateright", "proptest"] {
            let dependencies = package.manifest.get("dependencies").and_then(|table| table.get(helper));
            assert!(dependencies.is_none(), "{} depends on {helper}", package.name);
        }
    }
}

#[test]
fn no_source_file_is_longer_than_a_sitting() {
    let lines = |path: &PathBuf| fs::read_to_string(path).unwrap().lines().count();
    let all = packages().into_iter().flat_map(|package| sources(&package.folder));
    let long: Vec<_> = all.map(|path| (lines(&path), path)).filter(|(lines, _)| *lines > LONGEST_FILE).collect();
    assert!(long.is_empty(), "files of more than {LONGEST_FILE} lines: {long:#?}");
}

/// A route that is not described would be missing in the OpenAPI document.
#[test]
fn every_route_of_the_product_is_described() {
    // It hands requests on to the routes that there are.
    let exempt = root().join("ordo/src/http.rs");
    let product = packages().into_iter().filter(|package| !package.folder.starts_with(root().join("dev")));
    // Its pages are for people, on a listener that the document is not about.
    let product = product.filter(|package| package.name != "ordo-console");
    let sources = product.flat_map(|package| sources(&package.folder.join("src")));
    for path in sources.filter(|path| *path != exempt && !path.ends_with("tests.rs")) {
        let text = fs::read_to_string(&path).unwrap();
        let product = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        assert!(!product.contains(".route("), "{}: use OpenApiRouter::routes with a description", path.display());
    }
}

/// What was vendored is what it says it is.
#[test]
fn vendored_files_have_their_hashes() {
    let vendored =
        [("ordo/assets/swagger-ui", 2, ["LICENSE", "NOTICE"]), ("console/assets/htmx", 3, ["LICENSE", "LICENSE-sse"])];
    for (folder, files, licences) in vendored {
        let folder = root().join(folder);
        let sums = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
        for line in sums.lines() {
            let (hash, name) = line.split_once("  ").unwrap();
            let content = fs::read(folder.join(name)).unwrap();
            let actual: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(actual, hash, "{name}");
        }
        assert_eq!(sums.lines().count(), files, "{}", folder.display());
        assert!(licences.iter().all(|licence| folder.join(licence).is_file()), "{}", folder.display());
    }
}

/// By its text: a name counts as used outside its crate if another crate, or a test of its own, has it as a word. A type may also
/// be public because the signature of another public item names it.
#[test]
fn what_a_crate_makes_public_is_used_outside_it() {
    let packages = packages();
    let texts: Vec<Vec<(PathBuf, String)>> = packages.iter().map(|package| texts_of(&package.folder)).collect();
    let words_outside = |nth: usize| -> BTreeSet<&str> {
        let is_outside = |of: usize, path: &Path| of != nth || !path.starts_with(packages[nth].folder.join("src"));
        let all = texts.iter().enumerate().flat_map(|(of, texts)| texts.iter().map(move |text| (of, text)));
        let outside = all.filter(|(of, (path, _))| is_outside(*of, path) || path.ends_with("main.rs"));
        outside.flat_map(|(_, (_, text))| words(text)).collect()
    };
    let mut unused = Vec::new();
    for (nth, package) in packages.iter().enumerate().filter(|(_, package)| package.folder.join("src/lib.rs").is_file())
    {
        let outside = words_outside(nth);
        let own = texts[nth].iter().filter(|(path, _)| path.starts_with(package.folder.join("src")));
        let own: Vec<&str> = own.map(|(_, text)| text.split("#[cfg(test)]\nmod tests {").next().unwrap()).collect();
        let signatures: Vec<&str> = own.iter().flat_map(|text| signatures(text)).collect();
        for (kind, name) in own.iter().flat_map(|text| public_items(text)) {
            let is_type = ["struct", "enum", "trait", "type"].contains(&kind);
            let in_signature = || {
                let declares = |signature: &str| signature.contains(&format!("{kind} {name}"));
                signatures.iter().any(|signature| !declares(signature) && words(signature).any(|word| word == name))
            };
            let is_used = outside.contains(name) || (is_type && in_signature());
            if !is_used {
                unused.push(format!("{}: {kind} {name}", package.name));
            }
        }
    }
    assert!(unused.is_empty(), "public and not used outside: {unused:#?}");
}

/// The sources of a crate without comments.
fn texts_of(folder: &Path) -> Vec<(PathBuf, String)> {
    let without_comment = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    let text = |path: PathBuf| {
        let text: Vec<String> = fs::read_to_string(&path).unwrap().lines().map(without_comment).collect();
        (path, text.join("\n"))
    };
    sources(folder).into_iter().map(text).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_alphanumeric() && character != '_').filter(|word| !word.is_empty())
}

/// The kind and name of each item that a line declares as public.
fn public_items(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let mut words = line.trim_start().strip_prefix("pub ")?.split_whitespace();
        let kinds = ["fn", "struct", "enum", "trait", "const", "static", "type", "mod"];
        let mut kind = words.next().filter(|word| kinds.contains(word) || ["async", "unsafe"].contains(word))?;
        let mut name = words.next()?;
        while kinds.contains(&name) {
            (kind, name) = (name, words.next()?);
        }
        let end = name.find(|character: char| !character.is_alphanumeric() && character != '_');
        let name = &name[..end.unwrap_or(name.len())];
        // Macros have variables for names.
        (!name.is_empty()).then_some((kind, name))
    })
}

/// The texts that name types of other public items: public functions up to their bodies, public fields, associated types, and the
/// whole of public types.
fn signatures(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("pub ") {
        let rest = &text[at..];
        let is_type =
            ["pub enum ", "pub struct ", "pub trait ", "pub type "].iter().any(|start| rest.starts_with(start));
        let end = if is_type { rest.find("\n}").or(rest.find(';')) } else { rest.find(['{', ';', '\n']) };
        let end = if rest.contains("fn ") && !is_type { rest.find(['{', ';']).or(end) } else { end };
        found.push(&rest[..end.unwrap_or(rest.len())]);
    }
    for (at, _) in text.match_indices("    type ") {
        let rest = &text[at..];
        found.push(&rest[..rest.find(';').unwrap_or(rest.len())]);
    }
    found
}
