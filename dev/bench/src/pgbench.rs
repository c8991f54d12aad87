//! pgbench: what the server itself can do, one insert a transaction.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::Serialize;
use sqlx::postgres::PgConnectOptions;
use tokio::process::Command;

use crate::databases::{Database, RowBytes};

/// How many clients; the best figure counts.
pub(crate) const CLIENTS: [usize; 4] = [8, 16, 32, 64];

/// One row; its id is of no other run or client.
const SCRIPT: &str = r"\set n :n + 1
insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata) values ('order', 'pgbench-' || :run || '-' || :client_id || '-' || :n, 1, 'OrderCreated', '1.0', :payload, :metadata);
";

/// The pgbench of this machine, and a table to write to.
#[derive(Debug)]
pub(crate) struct Pgbench {
    program: PathBuf,
    database: Database,
    script: tempfile::NamedTempFile,
    runs: usize,
}

/// Inserts a second, run by run, for the number of clients that made the most of it.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Best {
    pub(crate) clients: usize,
    pub(crate) per_second: Vec<f64>,
}

impl Pgbench {
    /// `None` where there is no pgbench. It gets a database beside `ours`, with the table that stock postgres-es asks for.
    pub(crate) async fn find(ours: &Database) -> anyhow::Result<Option<Self>> {
        let Some(program) = program(ours).await else { return Ok(None) };
        let database = ours.stock("pgbench").await?;
        let script = tempfile::NamedTempFile::new()?;
        std::fs::write(&script, SCRIPT)?;
        Ok(Some(Self { program, database, script, runs: 0 }))
    }

    /// One run with each number of clients: rows inserted a second.
    pub(crate) async fn round(&mut self, row: RowBytes, duration: Duration) -> anyhow::Result<Vec<f64>> {
        let mut round = Vec::with_capacity(CLIENTS.len());
        for clients in CLIENTS {
            round.push(self.run(clients, row, duration).await?);
        }
        Ok(round)
    }

    async fn run(&mut self, clients: usize, row: RowBytes, duration: Duration) -> anyhow::Result<f64> {
        let server: PgConnectOptions = self.database.url.parse()?;
        self.runs += 1;
        let mut command = Command::new(&self.program);
        // Not an argument: those can be seen by everyone on the machine.
        let password = url::Url::parse(&self.database.url)?.password().map(str::to_owned);
        command.envs(password.map(|password| ("PGPASSWORD", password)));
        command.args(["--no-vacuum", "--protocol=prepared"]);
        command.arg(format!("--host={}", server.get_host())).arg(format!("--port={}", server.get_port()));
        command.arg(format!("--username={}", server.get_username()));
        command.arg(format!("--client={clients}")).arg(format!("--jobs={}", threads(clients)));
        // Whole seconds are all it knows.
        command.arg(format!("--time={}", duration.as_secs_f64().ceil().max(1.0)));
        command.arg("--file").arg(self.script.path());
        command.arg("--define=n=0").arg(format!("--define=run={}", self.runs));
        command.arg(format!("--define=payload={}", json_of(row.content)));
        command.arg(format!("--define=metadata={}", json_of(row.metadata)));
        command.arg(server.get_database().unwrap_or_default()).kill_on_drop(true);
        let output = command.output().await.context("pgbench cannot be run")?;
        let error = String::from_utf8_lossy(&output.stderr);
        if error.contains("could not create connection") {
            // The server has none left for so many clients beside what the others hold: fewer will do.
            return Ok(0.0);
        }
        ensure!(output.status.success(), "pgbench failed: {}", error.lines().last().unwrap_or_default());
        let Some(per_second) = transactions_per_second(&String::from_utf8_lossy(&output.stdout)) else {
            bail!("pgbench does not say how many transactions it made: {error}")
        };
        Ok(per_second)
    }
}

impl Best {
    /// Of rounds with a figure for each of [`CLIENTS`]. The same number of clients counts in every round.
    pub(crate) fn of(rounds: &[Vec<f64>]) -> Option<Self> {
        let each = CLIENTS.iter().enumerate().map(|(nth, clients)| Self {
            clients: *clients,
            per_second: rounds.iter().filter_map(|round| round.get(nth).copied()).collect(),
        });
        let median = |of: &Self| crate::figures::Spread::of(of.per_second.iter().copied()).map(|spread| spread.median);
        each.filter(|of| !of.per_second.is_empty())
            .max_by(|one, other| median(one).unwrap_or(0.0).total_cmp(&median(other).unwrap_or(0.0)))
    }
}

/// On PATH, or where the server's own programs are.
async fn program(database: &Database) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("pgbench")).find(|program| program.is_file());
    if on_path.is_some() {
        return on_path;
    }
    let folder: Result<String, _> =
        sqlx::query_scalar("select setting from pg_config where name = 'BINDIR'").fetch_one(&database.pool).await;
    folder.ok().map(|folder| PathBuf::from(folder).join("pgbench")).filter(|program| program.is_file())
}

fn threads(clients: usize) -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(clients).min(4)
}

/// JSON of so many bytes.
fn json_of(bytes: usize) -> String {
    format!(r#"{{"text":"{}"}}"#, "x".repeat(bytes.saturating_sub(11)))
}

fn transactions_per_second(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("tps = "))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_is_found_in_what_pgbench_says() {
        let text = "latency average = 1.0 ms\ninitial connection time = 9.6 ms\ntps = 13456.78 (without initial connection time)\n";
        assert_eq!(transactions_per_second(text), Some(13_456.78));
        assert_eq!(transactions_per_second("pgbench: error"), None);
    }

    #[test]
    fn the_same_number_of_clients_counts_in_every_round() {
        let best = Best::of(&[vec![1.0, 5.0, 9.0, 2.0], vec![2.0, 6.0, 5.0, 2.0], vec![1.0, 7.0, 4.0, 2.0]]).unwrap();
        assert_eq!((best.clients, best.per_second), (16, vec![5.0, 6.0, 7.0]));
        assert!(Best::of(&[]).is_none());
    }

    #[test]
    fn rows_are_as_long_as_asked_for() {
        for bytes in [11, 100, 485] {
            assert_eq!(json_of(bytes).len(), bytes);
            assert!(serde_json::from_str::<serde_json::Value>(&json_of(bytes)).is_ok());
        }
    }
}
