//! A database per test, on one Postgres per test process.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use embedded::postgres::{Options, Postgres};
use read_models::GenerationStore;
use sqlx::{
    Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::sync::OnceCell;

use crate::seed;

/// The servers of this process. They are never dropped: the end of the process closes the pipe that their watchdogs read.
static QUICK: Server = Server::new(Commits::InMemory);
static DURABLE: Server = Server::new(Commits::OnDisk);

/// A database that belongs to one test.
#[derive(Debug, Clone)]
pub struct Database {
    url: String,
    pool: PgPool,
}

impl Database {
    fn of(server: &Postgres, name: &str) -> Self {
        let url = server.url_of(name);
        let options: PgConnectOptions = url.parse().expect("a valid URL");
        let pool = PgPoolOptions::new()
            .max_connections(10)
            .acquire_timeout(Duration::from_secs(10))
            .connect_lazy_with(options);
        Self { url, pool }
    }

    /// The connection URL, for pools and processes of the test's own.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Up to ten connections. They live in the runtime of the test that asked for the database: do not hand it to another.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }
}

/// A fresh database with the product's schema. Commits do not wait for the disk.
pub async fn database() -> Database {
    QUICK.migrated().await
}

/// Like [`database`], with commits that wait for the disk, for tests that kill the server or measure it.
pub async fn durable_database() -> Database {
    DURABLE.migrated().await
}

/// A fresh database with nothing in it.
pub async fn empty_database() -> Database {
    QUICK.empty().await
}

/// The read models of a database.
pub fn read_models(pool: &PgPool) -> Arc<dyn GenerationStore> {
    Arc::new(read_models::postgres::PostgresReadModels::new(pool.clone()))
}

#[derive(Clone, Copy)]
enum Commits {
    InMemory,
    OnDisk,
}

struct Server {
    commits: Commits,
    postgres: OnceCell<Postgres>,
    /// Databases with the schema handed out.
    migrated: AtomicU32,
    empty: AtomicU32,
}

const TEMPLATE: &str = "ordo_template";

impl Server {
    const fn new(commits: Commits) -> Self {
        Self { commits, postgres: OnceCell::const_new(), migrated: AtomicU32::new(0), empty: AtomicU32::new(0) }
    }

    async fn postgres(&self) -> &Postgres {
        let start = || async {
            match self.commits {
                Commits::InMemory => seed::start_copy().await,
                Commits::OnDisk => {
                    let options = Options { data_dir: PathBuf::new(), ephemeral: true };
                    let server = Postgres::start(options).await.expect("a Postgres for the tests");
                    apply_schema(&server).await;
                    server
                }
            }
        };
        self.postgres.get_or_init(start).await
    }

    async fn migrated(&self) -> Database {
        let server = self.postgres().await;
        match self.migrated.fetch_add(1, Ordering::Relaxed) {
            // Most test processes ask once: that one is there already.
            0 => Database::of(server, "ordo"),
            count => {
                let name = format!("test_{count}");
                create(server, &name, TEMPLATE).await;
                Database::of(server, &name)
            }
        }
    }

    async fn empty(&self) -> Database {
        let server = self.postgres().await;
        let name = format!("empty_{}", self.empty.fetch_add(1, Ordering::Relaxed));
        create(server, &name, "template0").await;
        Database::of(server, &name)
    }
}

/// Applies the schema to the server's database `ordo`, and makes the one that others are copied from.
pub(crate) async fn apply_schema(server: &Postgres) {
    let mut connection = connect(server, "ordo").await;
    migrations::MIGRATIONS.run(&mut connection).await.expect("applying the schema");
    // While it is copied, nobody may be connected.
    connection.close().await.expect("closing a connection");
    create(server, TEMPLATE, "ordo").await;
}

async fn create(server: &Postgres, name: &str, template: &str) {
    let mut admin = connect(server, "postgres").await;
    // A connection that was closed a moment ago may still count; Postgres waits five seconds for it.
    sqlx::query(&format!("create database {name} template {template}"))
        .execute(&mut admin)
        .await
        .expect("creating a database");
    admin.close().await.expect("closing a connection");
}

async fn connect(server: &Postgres, database: &str) -> PgConnection {
    PgConnection::connect(&server.url_of(database)).await.expect("connecting to the test Postgres")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_test_has_a_database_of_its_own() {
        let (one, other) = tokio::join!(database(), database());
        sqlx::query("create table only_here (n int)").execute(one.pool()).await.unwrap();
        let tables: i64 =
            sqlx::query_scalar("select count(*) from information_schema.tables where table_name = 'only_here'")
                .fetch_one(other.pool())
                .await
                .unwrap();
        assert_eq!(tables, 0);
    }

    #[tokio::test]
    async fn an_empty_database_has_no_tables() {
        let database = empty_database().await;
        let tables: i64 =
            sqlx::query_scalar("select count(*) from information_schema.tables where table_schema = 'public'")
                .fetch_one(database.pool())
                .await
                .unwrap();
        assert_eq!(tables, 0);
    }

    #[tokio::test]
    async fn only_durable_databases_wait_for_the_disk() {
        let setting = |database: Database| async move {
            sqlx::query_scalar::<_, String>("show fsync").fetch_one(database.pool()).await.unwrap()
        };
        assert_eq!(setting(durable_database().await).await, "on");
        assert_eq!(setting(database().await).await, "off");
    }

    #[test]
    fn the_server_outlives_the_runtime_that_started_it() {
        for _ in 0..2 {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let database = database().await;
                sqlx::query("select 1").execute(database.pool()).await.unwrap();
            });
        }
    }
}
