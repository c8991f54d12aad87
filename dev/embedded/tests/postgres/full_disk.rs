//! A server whose disk is full.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use embedded::postgres::{Options, Postgres};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::support::folder;

/// A disk of its own, small, that goes with the test.
struct Disk(TempDir);

impl Disk {
    /// `None` where we may not have one.
    fn of(megabytes: u32) -> Option<Self> {
        let folder = folder();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=755"), "none"]).arg(folder.path());
        mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success()).then_some(Self(folder))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn an_error_names_a_full_disk_whenever_that_is_the_cause() {
    // Room for a cluster, and little more.
    let Some(disk) = Disk::of(90) else { return };
    let data_dir = disk.0.path().join("data");
    let again = || Postgres::start(Options { data_dir: data_dir.clone(), ephemeral: false });

    // When: the disk fills up beneath a server at work.
    let mut postgres = again().await.unwrap();
    let mut connection = PgConnection::connect(&postgres.url()).await.unwrap();
    let filler = disk.0.path().join("filler");
    let filled = Command::new("dd").arg("if=/dev/zero").arg(format!("of={}", filler.display())).arg("bs=1M").output();
    assert!(String::from_utf8_lossy(&filled.unwrap().stderr).contains("No space left"));
    // A segment of the log of changes that it can't make is what it dies of.
    for _ in 0..2 {
        let _ = sqlx::query("select pg_logical_emit_message(true, 'fill', repeat('x', 17000000))")
            .execute(&mut connection)
            .await;
    }
    tokio::time::timeout(Duration::from_secs(60), postgres.ended()).await.expect("it has ended");

    // Then
    let said = postgres.why_it_ended().to_string();
    assert!(said.contains("the disk is full: of its 94 MB, 0 are free now"), "{said}");
    postgres.stop().await;
    for _ in 0..2 {
        let said = again().await.unwrap_err().to_string();
        assert!(said.contains("the disk is full: of its 94 MB, 0 are free now"), "{said}");
    }

    // And with room again it goes on.
    fs::remove_file(filler).unwrap();
    again().await.unwrap().stop().await;

    // A first start, too.
    let Some(disk) = Disk::of(20) else { return };
    let options = Options { data_dir: disk.0.path().join("data"), ephemeral: false };
    let said = Postgres::start(options).await.unwrap_err().to_string();
    assert!(said.contains("the disk is full"), "{said}");
}
