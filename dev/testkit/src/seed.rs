//! A cluster with the schema applied, made once per build folder and schema: each test process starts on a copy, which takes a
//! fraction of what making a cluster takes.

use std::{
    env,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use embedded::postgres::{Options, Postgres};

use crate::database;

/// A server on a copy of the seed. It is made first where there is none for this schema.
pub(crate) async fn start_copy() -> Postgres {
    let folder = folder();
    fs::create_dir_all(&folder).expect("a folder in the build folder");
    let seed = folder.join(format!("schema-{:016x}", schema()));
    let lock = File::create(folder.join("lock")).expect("a lock file in the build folder");
    loop {
        lock.lock_shared().expect("locking the seed");
        if seed.exists()
            && let Ok(server) = Postgres::start_copy_of(seed.clone()).await
        {
            return server;
        }
        lock.unlock().expect("unlocking the seed");
        lock.lock().expect("locking the seed");
        // Another process may have been quicker; if what it made does not start here, this one makes it anew and sees why.
        if !seed.exists() || Postgres::start_copy_of(seed.clone()).await.is_err() {
            make(&folder, &seed).await;
        }
        lock.unlock().expect("unlocking the seed");
    }
}

async fn make(folder: &Path, seed: &Path) {
    // Seeds of earlier schemas go too: they are large.
    for entry in fs::read_dir(folder).expect("reading the build folder").flatten() {
        if entry.path().is_dir() {
            fs::remove_dir_all(entry.path()).expect("removing an old seed");
        }
    }
    let draft = folder.join("draft");
    let options = Options { data_dir: draft.clone(), ephemeral: false };
    let server = Postgres::start(options).await.expect("a Postgres for the tests");
    database::apply_schema(&server).await;
    server.stop().await;
    fs::rename(&draft, seed).expect("renaming the seed");
}

/// `target/debug/testkit`, or wherever the test binary lies.
fn folder() -> PathBuf {
    let binary = env::current_exe().expect("the path of the test binary");
    let build = binary.ancestors().nth(2).expect("a test binary lies in a build folder");
    build.join("testkit")
}

/// Differs whenever a migration does, or what else is in the seed.
fn schema() -> u64 {
    const LAYOUT: u32 = 3;
    let mut hasher = DefaultHasher::new();
    LAYOUT.hash(&mut hasher);
    for migration in migrations::MIGRATIONS.iter() {
        migration.version.hash(&mut hasher);
        migration.checksum.hash(&mut hasher);
    }
    hasher.finish()
}
