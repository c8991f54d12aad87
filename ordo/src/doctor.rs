//! `ordo doctor`: looks at everything around the program that a deployment can get wrong, and says of each what to do.
//!
//! It only reads, but for the positions that `after-restore` moves. A check that fails or hangs holds up no other.

mod after_restore;
mod database;
mod platform;
mod queues;
mod report;
mod setup;

use std::process::ExitCode;
use std::time::Duration;

use error_chain::error_chain;
use serde_json::json;
use sqlx::PgPool;

use self::after_restore::AfterRestoreArgs;
use self::report::{CheckState, CheckedItem, Findings};
use crate::settings::Settings;
use crate::{connections, output};

/// How long one check may take.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DoctorArgs {
    /// Say it as one line of JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) occasion: Option<Occasion>,
}

/// What happened that asks for more than the usual.
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum Occasion {
    /// The database was put back to an earlier moment: before anything is started, moves positions past those that were seen, and says
    /// what else is to be done
    AfterRestore(AfterRestoreArgs),
}

/// Checks everything, and prints what was seen. The exit code is 1 if there is a problem.
pub(crate) async fn run(settings: &Settings, args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let mut findings = Findings::default();
    if let Some(Occasion::AfterRestore(occasion)) = &args.occasion {
        after_restore::check(settings, occasion, &mut findings).await?;
        return say(&findings, args.json);
    }
    setup::check(settings, &mut findings);
    match connections::database(settings).await {
        Ok(pool) => {
            findings.ok("database", "it answers");
            database::check(settings, &pool, &mut findings).await;
            platform::check(settings, &pool, &mut findings).await;
            pool.close().await;
        }
        Err(error) => {
            findings.problem("database", &error_chain(&*error), "start it, or set DATABASE_URL to where it is");
            for check in database::CHECKS.into_iter().chain(platform::CHECKS) {
                findings.not_checked(check, "the database does not answer");
            }
        }
    }
    queues::check(settings, &mut findings).await;
    say(&findings, args.json)
}

/// Prints the findings, and says whether there is a problem among them.
fn say(findings: &Findings, json: bool) -> anyhow::Result<ExitCode> {
    let (items, worst) = (findings.items(), findings.worst());
    if json {
        let answer = json!({ "ok": worst != CheckState::Problem, "worst": worst, "checks": items });
        output::line(&answer.to_string())?;
    } else {
        items.iter().flat_map(CheckedItem::lines).try_for_each(|line| output::line(&line))?;
    }
    Ok(if worst == CheckState::Problem { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What a query found, or a note of why it found nothing.
async fn found<T>(
    findings: &mut Findings,
    check: &'static str,
    query: impl Future<Output = Result<T, sqlx::Error>>,
) -> Option<T> {
    match tokio::time::timeout(PATIENCE, query).await {
        Ok(Ok(found)) => Some(found),
        Ok(Err(error)) => {
            let seen = format!("it could not be looked at: {}", error_chain(&error));
            findings.problem(
                check,
                &seen,
                "see that the database's user may read, and that the schema is there (`ordo migrate`)",
            );
            None
        }
        Err(_) => {
            findings.problem(check, "there was no answer in time", "see what the database is busy with");
            None
        }
    }
}

/// The value of a query with one column of one row.
async fn scalar<T>(pool: &PgPool, query: &str) -> Result<T, sqlx::Error>
where
    T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    sqlx::query_scalar(query).fetch_one(pool).await
}
