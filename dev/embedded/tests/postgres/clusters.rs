//! What a start makes of the files that it finds.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use embedded::postgres::{Options, Postgres, PostgresError};

use crate::support::{assert_row, folder, start, write_row};

#[tokio::test]
async fn a_stale_note_about_someone_elses_process_harms_neither() {
    let folder = folder();
    let postgres = start(&folder).await.unwrap();
    write_row(&postgres.url()).await;
    let directory = postgres.data_directory().to_owned();
    let note = directory.join("postmaster.pid");
    let text = fs::read_to_string(&note).unwrap();
    postgres.stop().await;

    // Postgres only minds processes of its own account.
    let account = fs::metadata(&directory).unwrap();
    let mut bystander = Command::new("sleep").arg("60").uid(account.uid()).spawn().unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    fs::write(&note, format!("{}\n{rest}", bystander.id())).unwrap();
    std::os::unix::fs::chown(&note, Some(account.uid()), Some(account.gid())).unwrap();

    let postgres = start(&folder).await.unwrap();
    assert_row(&postgres.url()).await;
    postgres.stop().await;
    assert!(bystander.try_wait().unwrap().is_none(), "the bystander lives");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[tokio::test]
async fn an_interrupted_first_start_is_no_obstacle() {
    let folder = folder();
    fs::create_dir(folder.path().join("postgres.new")).unwrap();
    fs::write(folder.path().join("postgres.new/PG_VERSION"), "15").unwrap();
    let postgres = start(&folder).await.unwrap();
    postgres.stop().await;
    assert!(!folder.path().join("postgres.new").exists());
}

#[tokio::test]
async fn a_cluster_of_another_version_is_left_alone() {
    let folder = folder();
    fs::create_dir(folder.path().join("postgres")).unwrap();
    fs::write(folder.path().join("postgres/PG_VERSION"), "9\n").unwrap();
    let error = start(&folder).await.unwrap_err();
    assert!(matches!(error, PostgresError::OtherVersion { .. }), "{error}");
    assert!(error.to_string().contains("was made by Postgres 9, this machine has"), "{error}");
}

#[tokio::test]
async fn a_lost_cluster_is_not_replaced_by_an_empty_one() {
    let folder = folder();
    symlink("/nowhere/at/all", folder.path().join("postgres")).unwrap();
    let error = start(&folder).await.unwrap_err();
    assert!(error.to_string().contains("points to /nowhere/at/all, which is not there"), "{error}");
}

#[tokio::test]
async fn a_server_that_ends_at_once_is_quoted() {
    let folder = folder();
    let postgres = start(&folder).await.unwrap();
    let configuration = postgres.data_directory().join("postgresql.conf");
    postgres.stop().await;
    fs::write(&configuration, "no_such_setting = 1\n").unwrap();
    let error = start(&folder).await.unwrap_err();
    assert!(matches!(error, PostgresError::Exited { .. }), "{error}");
    assert!(error.to_string().contains("FATAL"), "{error}");
    assert!(error.to_string().contains("postgres.log"), "{error}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let options = Options { data_dir: PathBuf::from("/dev/null/data"), ephemeral: false };
    let error = Postgres::start(options).await.unwrap_err();
    assert!(matches!(error, PostgresError::NotWritable { .. }), "{error}");
    assert!(error.to_string().contains("cannot write to /dev/null/data"), "{error}");
}

#[tokio::test]
async fn root_keeps_a_cluster_that_its_account_can_reach() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let postgres = start(&folder).await.unwrap();
    write_row(&postgres.url()).await;
    let directory = postgres.data_directory().to_owned();
    postgres.stop().await;

    assert!(directory.starts_with("/var/lib/ordo"), "{}", directory.display());
    assert_eq!(fs::read_link(folder.path().join("postgres")).unwrap(), directory);
    assert_eq!(fs::metadata(folder.path()).unwrap().mode() & 0o777, 0o700);

    let postgres = start(&folder).await.unwrap();
    assert_row(&postgres.url()).await;
    postgres.stop().await;
    fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn root_removes_only_what_lies_where_its_clusters_lie() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (folder, precious) = (folder(), folder());
    fs::create_dir_all("/var/lib/ordo").unwrap();
    fs::write(precious.path().join("letter"), "keep me").unwrap();
    let around = format!("/var/lib/ordo/../../..{}", precious.path().display());
    symlink(around, folder.path().join("postgres.new")).unwrap();
    let postgres = start(&folder).await.unwrap();
    postgres.stop().await;
    assert_eq!(fs::read_to_string(precious.path().join("letter")).unwrap(), "keep me");
}
