//! The embedded Postgres: what it keeps, whom it refuses, and what is left when its owner dies.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod clusters;
mod full_disk;
mod killed_owner;
mod passwords;
mod support;

use std::path::PathBuf;
use std::time::Duration;

use embedded::postgres::{Options, Postgres, PostgresError};

use crate::support::{alive, ask, assert_row, eventually, folder, kill, server_pid, start, write_row};

#[tokio::test]
async fn a_fresh_folder_becomes_a_durable_server() {
    let folder = folder();
    let postgres = start(&folder).await.unwrap();
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let value = ask(&postgres.url(), &format!("select current_setting('{setting}')")).await;
        assert_eq!(value, "on", "{setting}");
    }
    assert_eq!(ask(&postgres.url(), "select current_database()::text").await, "ordo");
    assert_eq!(ask(&postgres.url(), "show server_encoding").await, "UTF8");
    let server = server_pid(postgres.data_directory());
    postgres.stop().await;
    assert!(!alive(server));
}

#[tokio::test]
async fn a_restart_keeps_the_data() {
    let folder = folder();
    let postgres = start(&folder).await.unwrap();
    write_row(&postgres.url()).await;
    postgres.stop().await;
    let postgres = start(&folder).await.unwrap();
    assert_row(&postgres.url()).await;
    postgres.stop().await;
}

#[tokio::test]
async fn a_second_start_is_told_who_has_the_folder() {
    let folder = folder();
    let postgres = start(&folder).await.unwrap();
    let error = start(&folder).await.unwrap_err();
    assert!(matches!(error, PostgresError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    assert_eq!(ask(&postgres.url(), "select 'still there'").await, "still there");
    postgres.stop().await;
}

#[tokio::test]
async fn an_ephemeral_server_leaves_nothing() {
    let options = Options { data_dir: PathBuf::new(), ephemeral: true };
    let postgres = Postgres::start(options).await.unwrap();
    let folder = postgres.data_directory().parent().unwrap().to_owned();
    assert_eq!(ask(&postgres.url(), "show fsync").await, "on");
    postgres.stop().await;
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_copy_has_the_data_and_leaves_the_original_alone() {
    let folder = folder();
    let original = start(&folder).await.unwrap();
    write_row(&original.url()).await;
    original.stop().await;

    let copy = Postgres::start_copy_of(folder.path().to_owned()).await.unwrap();
    assert_row(&copy.url()).await;
    ask(&copy.url(), "with gone as (delete from kept) select 'done'").await;
    let temporary = copy.data_directory().parent().unwrap().to_owned();
    copy.stop().await;
    assert!(!temporary.exists());

    let original = start(&folder).await.unwrap();
    assert_row(&original.url()).await;
    original.stop().await;
}

#[tokio::test]
async fn a_copy_of_a_folder_without_a_cluster_is_refused() {
    let folder = folder();
    let error = Postgres::start_copy_of(folder.path().to_owned()).await.unwrap_err();
    assert!(error.to_string().contains("there is none in"), "{error}");
}

#[test]
fn a_dropped_server_stops() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = folder();
    let postgres = runtime.block_on(start(&folder)).unwrap();
    let server = server_pid(postgres.data_directory());
    drop(runtime);
    assert!(alive(server), "it does not depend on the runtime that started it");
    drop(postgres);
    eventually("the server stops", || !alive(server));
}

#[tokio::test]
async fn a_crashed_server_recovers_what_was_committed() {
    let folder = folder();
    let postgres = start(&folder).await.unwrap();
    write_row(&postgres.url()).await;
    let server = server_pid(postgres.data_directory());
    kill(server);
    postgres.stop().await;
    let postgres = start(&folder).await.unwrap();
    assert_row(&postgres.url()).await;
    postgres.stop().await;
}

#[tokio::test]
async fn the_owner_learns_that_the_server_has_ended() {
    let folder = folder();
    let mut postgres = start(&folder).await.unwrap();
    assert_eq!(postgres.log(), Some(folder.path().join("postgres.log").as_path()));
    let early = tokio::time::timeout(Duration::from_millis(300), postgres.ended()).await;
    assert!(early.is_err(), "it runs");
    kill(server_pid(postgres.data_directory()));
    tokio::time::timeout(Duration::from_secs(10), postgres.ended()).await.expect("it has ended");
}
