//! The command line of `ordo`, and how it reports a failure.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage. An error is one line on standard error that says what to do.

mod health;
mod help;
#[cfg(all(test, feature = "embedded"))]
mod tests;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;

use anyhow::Context;
use clap::{FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use self::health::HealthArgs;
use self::help::command_line;
use crate::config::ConfigCommand;
use crate::data_dir::DataDir;
use crate::demo::DemoArgs;
use crate::dlq::DlqCommand;
use crate::doctor::DoctorArgs;
use crate::events::EventsCommand;
#[cfg(feature = "inbox")]
use crate::inbox::{self, InboxServerArgs};
use crate::key::KeyCommand;
use crate::mail::MailCommand;
use crate::migrate::MigrateArgs;
use crate::order::OrderCliCommand;
#[cfg(feature = "queues")]
use crate::queues::{self, QueuesServerArgs};
use crate::replay::ReplayArgs;
use crate::saga::SagaCliCommand;
use crate::serve::ServeArgs;
use crate::settings::{RawSettings, SettingSource, Settings, SettingsWithSources};
use crate::subscriptions::SubscriptionsCommand;
use crate::tail::TailArgs;
use crate::token::TokenArgs;
#[cfg(feature = "embedded")]
use crate::up::{self, UpArgs};
use crate::verify::VerifyArgs;
use crate::webhook::WebhookCommand;
use crate::{
    config, demo, dlq, doctor, events, key, mail, migrate, order, output, replay, saga, serve, subscriptions, tail,
    telemetry, token, verify, webhook,
};

/// Credentials for AWS on this machine do not mean that its queues are meant.
const NO_QUEUES: &str = "no queues are named, and no platform runs in .ordo: set AWS_REGION for those that AWS has, or start a platform \
                         with `ordo up` (--data-dir, if it is elsewhere)";

/// The version, with the commit where the build names it.
static VERSION: LazyLock<String> =
    LazyLock::new(|| match option_env!("ORDO_COMMIT").filter(|commit| !commit.is_empty()) {
        Some(commit) => format!("{} ({commit})", env!("CARGO_PKG_VERSION")),
        None => env!("CARGO_PKG_VERSION").to_owned(),
    });

/// An event-sourced order platform.
#[derive(Debug, Parser)]
#[command(name = "ordo", version = VERSION.as_str())]
pub(crate) struct Cli {
    /// The settings file [default: ordo.toml, where there is one; environment: ORDO_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where a platform of this machine has its data, and says where it is: what commands are about, unless the settings name
    /// another [default: .ordo]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Run the whole platform on this machine, with a database, queues and an inbox of its own
    #[cfg(feature = "embedded")]
    Up(UpArgs),
    /// Run some roles, or all, against the endpoints in the settings
    Serve(ServeArgs),
    /// Bring the database schema up to date
    Migrate(MigrateArgs),
    /// Post the demo order and show its journey until the mail is there
    Demo(DemoArgs),
    /// Show an order as it is or was, and what changed in it
    #[command(subcommand)]
    Order(OrderCliCommand),
    /// Print events as they come
    Tail(TailArgs),
    /// Write the log to a file, and such a file into an empty store
    #[command(subcommand)]
    Events(EventsCommand),
    /// Rebuild read models from the events, beside the live ones, and go back to the ones before
    Replay(ReplayArgs),
    /// Show how far subscriptions are and what they have parked, and repair it
    #[command(subcommand)]
    Subscriptions(SubscriptionsCommand),
    /// Show the messages that could not be handled, change them, send them again
    #[command(subcommand)]
    Dlq(DlqCommand),
    /// Show how far the sagas of orders are and where they are stuck, and repair it
    #[command(subcommand)]
    Saga(SagaCliCommand),
    /// Look at mails
    #[command(subcommand)]
    Mail(MailCommand),
    /// Say which programs are told of events, and what was delivered to them
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// Check that the log is what it was, and that stock, money, sagas and mails agree with it; exit code 1 if not
    Verify(VerifyArgs),
    /// Look at everything around the program that can be wrong, and say what to do; exit code 1 if there is a problem
    Doctor(DoctorArgs),
    /// Check or explain the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Ask a running platform whether it is ready; exit code 1 if not
    Health(HealthArgs),
    /// Run the mail inbox alone
    #[cfg(feature = "inbox")]
    Inbox(InboxServerArgs),
    /// Run queues as SQS has them alone, which are kept if --data-dir names a folder
    #[cfg(feature = "queues")]
    Queues(QueuesServerArgs),
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Print a token for development
    Token(TokenArgs),
    /// Print what makes a shell complete these commands
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write these commands as pages of a manual
    Man {
        /// The folder that they go to
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Say which build this is
    Version,
}

/// Runs the command of the command line. Wrong usage ends the process with exit code 2.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::from_arg_matches(&command_line().get_matches());
    match execute(cli.unwrap_or_else(|error| error.exit())) {
        Ok(code) => code,
        Err(error) => {
            // Several mistakes in the settings are several lines.
            for line in format!("{error:#}").lines() {
                if telemetry::logs_last_words() {
                    tracing::error!("{line}");
                    continue;
                }
                // There is nowhere left to report a standard error that cannot be written to.
                let _ = writeln!(io::stderr().lock(), "ordo: {line}");
            }
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn execute(cli: Cli) -> anyhow::Result<ExitCode> {
    let file = cli.config.as_deref();
    let dir = DataDir::of(cli.data_dir);
    let settings = || dir.complete(load(RawSettings::of_process(file))?);
    match cli.command {
        #[cfg(feature = "embedded")]
        CliCommand::Up(args) => {
            let addresses = [args.listen, args.ops_listen, args.console_listen];
            let sources = listening(RawSettings::of_process(file), addresses, args.require_auth);
            up::run(load(sources)?, args, &dir).await?;
        }
        CliCommand::Serve(args) => {
            let roles = (!args.roles.is_empty()).then(|| args.roles.join(","));
            let sources = RawSettings::of_process(file).flag("ORDO_ROLES", "--roles", roles);
            let addresses = [args.listen, args.ops_listen, args.console_listen];
            let sources = listening(sources, addresses, args.require_auth);
            let anonymous = args.allow_anonymous.then(|| "true".to_owned());
            let sources = sources.flag("ORDO_ALLOW_ANONYMOUS", "--allow-anonymous", anonymous);
            serve::run(dir.complete(load(sources)?)?, &args).await?;
        }
        CliCommand::Migrate(args) => migrate::run(&settings()?, &args).await?,
        CliCommand::Demo(args) => demo::run(&args, &dir.endpoints(args.api.clone(), args.inbox.clone())?).await?,
        CliCommand::Order(command) => order::run(&settings()?, &command).await?,
        CliCommand::Events(command) => events::run(&settings()?, &command).await?,
        CliCommand::Replay(args) => return replay::run(&settings()?, args).await,
        CliCommand::Tail(args) => tail::run(&args, &dir.endpoints(args.api.clone(), None)?.api).await?,
        CliCommand::Subscriptions(command) => subscriptions::run(&settings()?, &command).await?,
        CliCommand::Dlq(command) => {
            let loaded = load(RawSettings::of_process(file))?;
            let names_aws =
                loaded.source_of("AWS_REGION") != SettingSource::Default || loaded.settings.database_url.is_some();
            let settings = dir.complete(loaded)?;
            anyhow::ensure!(settings.aws.sqs_endpoint.is_some() || names_aws, NO_QUEUES);
            dlq::run(&settings, command).await?;
        }
        CliCommand::Saga(command) => saga::run(&settings()?, command).await?,
        CliCommand::Mail(MailCommand::Preview(args)) => {
            let settings = if args.needs_orders() { Some(settings()?) } else { None };
            mail::preview(settings.as_ref(), &args).await?;
        }
        CliCommand::Webhook(command) => webhook::run(&settings()?, command).await?,
        CliCommand::Verify(args) => return verify::run(&settings()?, &args).await,
        CliCommand::Doctor(args) => return doctor::run(&settings()?, &args).await,
        CliCommand::Config(ConfigCommand::Check { json }) => {
            return config::check(Settings::load(RawSettings::of_process(file)), json);
        }
        CliCommand::Config(ConfigCommand::List) => config::list()?,
        CliCommand::Health(args) => health::run(file, &dir, args).await?,
        #[cfg(feature = "inbox")]
        CliCommand::Inbox(args) => {
            let settings = load(RawSettings::of_process(file))?.settings;
            inbox::run(&settings, &args).await?;
        }
        #[cfg(feature = "queues")]
        CliCommand::Queues(args) => queues::run(&load(RawSettings::of_process(file))?.settings, &args, &dir).await?,
        CliCommand::Key(command) => key::run(&settings()?, command).await?,
        CliCommand::Token(args) => token::run(&load(RawSettings::of_process(file))?.settings, &dir, &args)?,
        CliCommand::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command_line(), "ordo", &mut script);
            output::line(String::from_utf8(script)?.trim_end())?;
        }
        CliCommand::Man { folder } => {
            let unwritable = || format!("cannot write to {}", folder.display());
            std::fs::create_dir_all(&folder).with_context(unwritable)?;
            clap_mangen::generate_to(command_line(), &folder).with_context(unwritable)?;
            output::line(&format!("the pages are in {}", folder.display()))?;
        }
        CliCommand::Version => output::line(&format!("ordo {}", *VERSION))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The flags of whoever listens: where the API, the operate listener and the console are.
fn listening(sources: RawSettings, [api, ops, console]: [Option<SocketAddr>; 3], require_auth: bool) -> RawSettings {
    let text = |address: Option<SocketAddr>| address.map(|address| address.to_string());
    let sources = sources.flag("ORDO_LISTEN", "--listen", text(api)).flag("ORDO_OPS_LISTEN", "--ops-listen", text(ops));
    let sources = sources.flag("ORDO_CONSOLE_LISTEN", "--console-listen", text(console));
    sources.flag("ORDO_REQUIRE_AUTH", "--require-auth", require_auth.then(|| "true".to_owned()))
}

/// Loads the settings, and starts logging as they say.
fn load(sources: RawSettings) -> anyhow::Result<SettingsWithSources> {
    let loaded = Settings::load(sources)?;
    telemetry::init(&loaded.settings);
    Ok(loaded)
}
