//! The program `ordo`, which benchmarks run in processes of their own, as operators do.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::server::Server;

/// Where things are that a benchmark's platform must not use: it would write into somebody's database.
const NOT_INHERITED: [&str; 14] = [
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "ORDO_TOKEN_SECRET",
    "ORDO_TOKEN_SECRET_FILE",
    "ORDO_JWKS_URL",
    "ORDO_JWKS_FILE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_ENDPOINT_URL_SNS",
    "AWS_ENDPOINT_URL_SESV2",
    "ORDO_CONFIG",
    "ORDO_ROLES",
    "ORDO_LISTEN",
    "ORDO_QUEUE_PREFIX",
];

/// The secret of the tokens that these platforms accept. Nobody but the benchmark calls them.
const TOKEN_SECRET: (&str, &str) = ("ORDO_TOKEN_SECRET", "the secret of tokens of benchmarks");

/// The command that starts a platform of which nothing is kept, on any free ports.
const UP: [&str; 10] = [
    "up",
    "--ephemeral",
    "--leashed",
    "--json",
    "--listen",
    "127.0.0.1:0",
    "--sqs-listen",
    "127.0.0.1:0",
    "--ses-listen",
    "127.0.0.1:0",
];

/// Where the program is, and where its commands run.
#[derive(Debug)]
pub(crate) struct Ordo {
    program: PathBuf,
    /// An empty working directory for commands, without a settings file.
    folder: TempDir,
}

impl Ordo {
    /// The program that is named, or the one beside this program. Whether it is there is checked when it is first run.
    pub(crate) fn at(named: Option<PathBuf>) -> anyhow::Result<Self> {
        let program = match named {
            // Processes are started in other folders.
            Some(program) => std::path::absolute(program)?,
            None => this_program()?.with_file_name("ordo"),
        };
        Ok(Self { program, folder: tempfile::Builder::new().prefix("ordo-bench-").tempdir()? })
    }

    /// Starts `ordo up` with these roles and a database, queues and an inbox of its own, of which nothing is kept.
    pub(crate) async fn up(&self, roles: &str) -> anyhow::Result<Server> {
        let mut server = Server::start(self.found()?, &UP, &[("ORDO_ROLES", roles), TOKEN_SECRET]).await?;
        server.read_database_url()?;
        Ok(server)
    }

    /// The same on a database that is there already. The queues are its own, so what is in them ends with it.
    pub(crate) async fn up_on(&self, database: &str, roles: &str) -> anyhow::Result<Server> {
        let variables = [("ORDO_ROLES", roles), ("DATABASE_URL", database), TOKEN_SECRET];
        let mut server = Server::start(self.found()?, &UP, &variables).await?;
        server.read_database_url()?;
        Ok(server)
    }

    /// Starts `ordo serve` with these roles on a database.
    pub(crate) async fn serve(&self, roles: &str, database: &str) -> anyhow::Result<Server> {
        self.serve_with(roles, database, &[]).await
    }

    /// The same with further settings.
    pub(crate) async fn serve_with(
        &self,
        roles: &str,
        database: &str,
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Server> {
        let line = ["serve", "--leashed", "--json", "--allow-anonymous", "--roles", roles, "--listen", "127.0.0.1:0"];
        let own = [("DATABASE_URL", database), ("ORDO_PAYMENT_PROVIDER", "sandbox")];
        let variables: Vec<_> = own.into_iter().chain(variables.iter().copied()).collect();
        Server::start(self.found()?, &line, &variables).await
    }

    /// Creates the schema in a database.
    pub(crate) async fn migrate(&self, database: &str) -> anyhow::Result<()> {
        let output = self.command(&["migrate"], database)?.output().await.context("cannot start `ordo migrate`")?;
        ensure!(output.status.success(), "`ordo migrate` failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Fails with what `ordo verify` finds first in a database, if it finds anything.
    pub(crate) async fn verify(&self, database: &str) -> anyhow::Result<()> {
        let command = self.command(&["verify", "--json"], database)?.output().await;
        let output = command.context("cannot start `ordo verify`")?;
        let verified: Option<Value> = serde_json::from_slice(&output.stdout).ok();
        let Some(findings) = verified.as_ref().and_then(|verified| verified["findings"].as_array()) else {
            bail!("`ordo verify` failed: {}", String::from_utf8_lossy(&output.stderr))
        };
        if let Some(first) = findings.first() {
            let text = |member: &str| first[member].as_str().unwrap_or_default();
            bail!(
                "the database does not agree with itself, {} findings; the first: {}: {}",
                findings.len(),
                text("about"),
                text("what")
            );
        }
        Ok(())
    }

    /// The one line that a command on a database prints.
    pub(crate) async fn printed(&self, line: &[&str], database: &str) -> anyhow::Result<String> {
        let output = self.command(line, database)?.envs([TOKEN_SECRET]).output().await;
        let output = output.with_context(|| format!("cannot start `ordo {}`", line.join(" ")))?;
        let failed = || format!("`ordo {}` failed: {}", line.join(" "), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), failed());
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// A command of `ordo` on a database.
    pub(crate) fn command(&self, line: &[&str], database: &str) -> anyhow::Result<Command> {
        let mut command = Command::from(isolated(self.found()?, self.folder.path()));
        command.args(line).env("DATABASE_URL", database);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Ok(command)
    }

    fn found(&self) -> anyhow::Result<&Path> {
        let profile = if cfg!(debug_assertions) { "" } else { " --release" };
        ensure!(
            self.program.is_file(),
            "there is no {}: build it with `cargo build{profile} --package ordo`, or name another with --ordo",
            self.program.display()
        );
        Ok(&self.program)
    }
}

/// A command that takes no database, queues or settings over from the surroundings.
pub(crate) fn isolated(program: &Path, folder: &Path) -> std::process::Command {
    let mut command = std::process::Command::new(program);
    command.current_dir(folder).env("ORDO_LOG", "warn");
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    command
}

/// Where this program is.
pub(crate) fn this_program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("this program does not know where it is")
}
