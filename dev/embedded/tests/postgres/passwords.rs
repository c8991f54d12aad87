//! Who gets into the server, and who reads its password.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use embedded::postgres::{Options, Postgres};
use sqlx::{Connection, PgConnection};

use crate::support::{ask, assert_row, folder, start, write_row};

#[tokio::test]
async fn a_login_without_the_password_is_refused() {
    let folder = folder();
    let postgres = start(&folder).await.unwrap();
    assert_closed(&postgres).await;
    postgres.stop().await;

    let ephemeral = Postgres::start(Options { data_dir: PathBuf::new(), ephemeral: true }).await.unwrap();
    assert_closed(&ephemeral).await;
    ephemeral.stop().await;
}

#[tokio::test]
async fn only_the_owner_reads_the_password_and_it_stays() {
    let folder = folder();
    let postgres = start(&folder).await.unwrap();
    let (url, file) = (postgres.url(), folder.path().join("postgres.url"));
    assert_eq!(fs::read_to_string(&file).unwrap().trim(), url);
    let about = fs::metadata(&file).unwrap();
    assert_eq!((about.mode() & 0o777, about.uid()), (0o600, rustix::process::geteuid().as_raw()));
    assert_eq!(Postgres::url_kept_in(folder.path()), Some(url.clone()));
    postgres.stop().await;

    let postgres = start(&folder).await.unwrap();
    assert_eq!(postgres.url(), url, "what was exported yesterday is right today");
    let port = postgres.port();
    postgres.stop().await;

    let _other = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let postgres = start(&folder).await.unwrap();
    assert_ne!(postgres.port(), port);
    assert_eq!(Postgres::url_kept_in(folder.path()), Some(postgres.url()));
    postgres.stop().await;
}

#[tokio::test]
async fn a_cluster_that_let_everyone_in_gets_a_password() {
    // Given: as earlier builds made and left them.
    let folder = folder();
    let postgres = start(&folder).await.unwrap();
    write_row(&postgres.url()).await;
    let rules = postgres.data_directory().join("pg_hba.conf");
    postgres.stop().await;
    fs::write(&rules, "local all all trust\nhost all all 127.0.0.1/32 trust\nhost all all ::1/128 trust\n").unwrap();
    fs::remove_file(folder.path().join("postgres.url")).unwrap();

    // When
    let postgres = start(&folder).await.unwrap();

    // Then
    assert_row(&postgres.url()).await;
    assert_closed(&postgres).await;
    postgres.stop().await;
}

#[tokio::test]
async fn a_cluster_that_takes_no_password_is_quoted() {
    // Given: one without a password whose user has another name.
    let folder = folder();
    let postgres = start(&folder).await.unwrap();
    let mut connection = PgConnection::connect(&postgres.url()).await.unwrap();
    sqlx::raw_sql("create role other superuser login password 'other'").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let url = format!("postgres://other:other@127.0.0.1:{}/ordo", postgres.port());
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("alter role postgres rename to renamed").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    postgres.stop().await;
    let file = folder.path().join("postgres.url");
    fs::remove_file(&file).unwrap();

    // When
    let error = start(&folder).await.unwrap_err();

    // Then: nothing is kept that the server does not know.
    assert!(error.to_string().contains("role \"postgres\" does not exist"), "{error}");
    assert!(!file.exists());
}

#[tokio::test]
async fn a_start_with_a_password_that_the_server_does_not_have_names_it() {
    let folder = folder();
    let postgres = start(&folder).await.unwrap();
    let (url, file) = (postgres.url(), folder.path().join("postgres.url"));
    postgres.stop().await;
    let (_, place) = url.split_once('@').unwrap();
    fs::write(&file, format!("postgres://postgres:wrong@{place}")).unwrap();
    let error = start(&folder).await.unwrap_err();
    assert!(error.to_string().contains("does not take the password in"), "{error}");
    fs::remove_file(&file).unwrap();
    start(&folder).await.unwrap().stop().await;
}

/// Whoever can open a connection to the server can do nothing with it.
async fn assert_closed(postgres: &Postgres) {
    for login in ["postgres", "postgres:postgres", "ordo:ordo"] {
        for database in ["postgres", "ordo", "template1"] {
            let url = format!("postgres://{login}@127.0.0.1:{}/{database}", postgres.port());
            let Err(error) = PgConnection::connect(&url).await else { panic!("{url} lets everyone in") };
            assert!(error.to_string().contains("password"), "{url}: {error}");
        }
    }
    assert_eq!(ask(&postgres.url(), "select 'in'").await, "in");
}
