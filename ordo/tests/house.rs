//! Rules of the house: which crate may depend on which.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

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
fn crates_depend_on_what_the_architecture_says() {
    let packages = packages();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let depends_on = |package: &Package| -> BTreeSet<String> {
        let dependencies = package.manifest.get("dependencies").and_then(|table| table.as_table());
        let names = dependencies.into_iter().flat_map(|table| table.keys());
        names.filter(|name| ours.contains(name.as_str())).cloned().collect()
    };
    let actual: BTreeMap<String, BTreeSet<String>> =
        packages.iter().map(|package| (package.name.clone(), depends_on(package))).collect();
    assert_eq!(actual, table_of_dependencies(), "left: the manifests, right: the table in ARCHITECTURE.md");
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
