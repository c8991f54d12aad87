//! What every role talks to: the database, SQS, SES.

use std::time::Duration;

use anyhow::Context;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::aws;
use crate::settings::{DatabaseUrl, Settings};

/// Clients, shared by all roles of the process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Connections {
    /// The pool of database connections.
    pub database: PgPool,
    /// The queues.
    pub sqs: aws_sdk_sqs::Client,
    /// The mail service.
    pub ses: aws_sdk_sesv2::Client,
}

impl Connections {
    /// Connects to what the settings name. The database must answer; SQS and SES are asked when they are first needed.
    pub async fn open(settings: &Settings) -> anyhow::Result<Self> {
        let (database, sqs, ses) = tokio::join!(database(settings), aws::sqs(&settings.aws), aws::ses(&settings.aws));
        Ok(Self { database: database?, sqs, ses })
    }
}

/// A pool of connections to the database in the settings, with the first one made.
pub async fn database(settings: &Settings) -> anyhow::Result<PgPool> {
    let url = named(settings)?;
    let pool = PgPoolOptions::new()
        .max_connections(settings.database_connections)
        // A request that waits longer for a connection is better answered 503.
        .acquire_timeout(Duration::from_secs(5))
        .connect(url.expose());
    pool.await
        .with_context(|| format!("cannot connect to the database at {url}; is it running, and is DATABASE_URL right?"))
}

fn named(settings: &Settings) -> anyhow::Result<&DatabaseUrl> {
    settings
        .database_url
        .as_ref()
        .context("DATABASE_URL is not set; set it, or use `ordo up`, which brings a database of its own")
}
