//! Starting servers, asking them, and looking at their processes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use embedded::postgres::{Options, Postgres, PostgresError};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

/// A folder that the account root hands the server to can reach as well.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

pub(crate) async fn start(folder: &TempDir) -> Result<Postgres, PostgresError> {
    let data_dir = folder.path().to_owned();
    Postgres::start(Options { data_dir, ephemeral: false }).await
}

pub(crate) async fn ask(url: &str, query: &str) -> String {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let answer = sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    answer
}

pub(crate) async fn write_row(url: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql("create table kept (word text); insert into kept values ('kept')")
        .execute(&mut connection)
        .await
        .unwrap();
}

pub(crate) async fn assert_row(url: &str) {
    assert_eq!(ask(url, "select word from kept").await, "kept");
}

pub(crate) fn server_pid(data_directory: &Path) -> Pid {
    let notes = fs::read_to_string(data_directory.join("postmaster.pid")).unwrap();
    Pid::from_raw(notes.lines().next().unwrap().parse().unwrap()).unwrap()
}

/// Whether the process runs: one that has ended and was not waited for does not.
pub(crate) fn alive(pid: Pid) -> bool {
    fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero())).is_ok()
}

pub(crate) fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).unwrap();
    eventually("the process is gone", || !alive(pid));
}

pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < until, "{what}: not within 30 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}
