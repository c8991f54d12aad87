//! Says by which code events become items: a replay that another build began is not gone on with, for its items may
//! differ.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// Whatever a fold is made of, beside this crate.
const ALSO: [&str; 3] = ["../domain/src", "../lib/event-versions/src", "../lib/read-models/src"];

fn main() {
    let mut files = BTreeSet::new();
    for folder in ["src"].into_iter().chain(ALSO) {
        println!("cargo:rerun-if-changed={folder}");
        collect(Path::new(folder), &mut files);
    }
    // The same for the same sources, wherever they are built.
    let mut hasher = DefaultHasher::new();
    for file in files {
        if let Ok(content) = fs::read(&file) {
            content.hash(&mut hasher);
        }
    }
    println!("cargo:rustc-env=ORDO_FOLDS={:016x}", hasher.finish());
}

fn collect(folder: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.insert(path);
        }
    }
}
