//! What is left when the owner of a server is killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use embedded::postgres::{Options, Postgres};
use rustix::process::Pid;

use crate::support::{alive, assert_row, eventually, folder, kill, server_pid, start, write_row};

#[tokio::test]
async fn a_killed_owner_leaves_no_server_behind() {
    let folder = folder();
    let mut owner = Owner::start(Some(folder.path()));
    let server = server_pid(&owner.data_directory);
    owner.kill();
    eventually("the server stops", || !alive(server));
    let postgres = start(&folder).await.unwrap();
    postgres.stop().await;
}

#[test]
fn a_killed_owner_leaves_no_temporary_folder_behind() {
    let mut owner = Owner::start(None);
    let folder = owner.data_directory.parent().unwrap().to_owned();
    let server = server_pid(&owner.data_directory);
    owner.kill();
    eventually("the server stops", || !alive(server));
    eventually("the folder goes", || !folder.exists());
}

#[tokio::test]
async fn a_start_right_after_a_kill_waits_for_the_old_server() {
    let folder = folder();
    let mut owner = Owner::start(Some(folder.path()));
    write_row(&owner.url).await;
    owner.kill();
    let postgres = start(&folder).await.unwrap();
    assert_row(&postgres.url()).await;
    postgres.stop().await;
}

#[tokio::test]
async fn a_server_without_its_watchdog_is_replaced() {
    let folder = folder();
    let mut owner = Owner::start(Some(folder.path()));
    write_row(&owner.url).await;
    let orphan = server_pid(&owner.data_directory);
    kill(parent(orphan));
    owner.kill();
    assert!(alive(orphan));

    let postgres = start(&folder).await.unwrap();
    assert!(!alive(orphan));
    assert_row(&postgres.url()).await;
    postgres.stop().await;
}

/// Another process that owns a server: this test binary, running only [`owner`].
struct Owner {
    process: Child,
    url: String,
    data_directory: PathBuf,
}

impl Owner {
    fn start(data_dir: Option<&Path>) -> Self {
        let notes = tempfile::tempdir().unwrap();
        let note = notes.path().join("ready");
        let process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "killed_owner::owner", "--ignored"])
            .env("OWNER_DATA_DIR", data_dir.unwrap_or(Path::new("")))
            .env("OWNER_NOTE", &note)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the owner is ready", || note.exists());
        let text = fs::read_to_string(&note).unwrap();
        let (url, directory) = text.split_once('\n').unwrap();
        Self { process, url: url.to_owned(), data_directory: directory.into() }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test]
#[ignore = "not a test: the process that others start and kill"]
async fn owner() {
    let data_dir = PathBuf::from(env::var_os("OWNER_DATA_DIR").unwrap());
    let ephemeral = data_dir.as_os_str().is_empty();
    let postgres = Postgres::start(Options { data_dir, ephemeral }).await.unwrap();
    let note = PathBuf::from(env::var_os("OWNER_NOTE").unwrap());
    let draft = note.with_extension("draft");
    fs::write(&draft, format!("{}\n{}", postgres.url(), postgres.data_directory().display())).unwrap();
    fs::rename(draft, note).unwrap();
    std::future::pending::<()>().await;
}

fn parent(pid: Pid) -> Pid {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    Pid::from_raw(line.trim().parse().unwrap()).unwrap()
}
