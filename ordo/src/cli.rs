//! The command line: what can be asked of `ordo`, and how a failure leaves.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage. What went wrong is one line on standard error that says what to do.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::builder::PossibleValuesParser;
use clap::builder::styling::Styles;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use event_store::hash_chain::ChainHead;

use crate::running::DataDir;
use crate::settings::{Loaded, Role, Settings, Source, Sources};
#[cfg(feature = "embedded")]
use crate::{bench, up};
use crate::{
    client, config, demo, dlq, events, http, inbox, migrate, order, output, replay, saga, serve, subscriptions, tail,
    telemetry, verify,
};

/// What somebody who came here for the first time wants to do.
const EXAMPLES: &str = "\
  ordo demo                             an order's journey through it
  ordo order show demo-1                an order as it is
  ordo saga list --state stuck          what waits for a decision; `ordo saga show ORDER` says for which
  ordo dlq list                         messages that could not be handled
  ordo replay --all --compare           read models made anew, if they would differ
  ordo verify                           does everything agree

docs/reference/commands.md describes each of them.";
/// Nobody meant those of some account of AWS that this machine happens to have credentials for.
const NO_QUEUES: &str = "no queues are named, and no platform runs in .ordo: set AWS_REGION for those that AWS has, or start a platform \
                         with `ordo up` (--data-dir, if it is elsewhere)";
/// What starts it, and how commands find it.
#[cfg(feature = "embedded")]
const START: (&str, &str) = (
    "  ordo up                               the whole platform; Ctrl-C stops it",
    " Commands find the platform that `ordo up` runs in this folder.",
);
#[cfg(not(feature = "embedded"))]
const START: (&str, &str) = ("  ordo serve                            the roles in ORDO_ROLES; Ctrl-C stops them", "");

/// The commands by what somebody wants to do; `--help` lists them so.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Running", &["up", "serve", "migrate", "inbox"]),
    ("Looking", &["demo", "order", "tail", "health", "verify", "config"]),
    ("Operating", &["saga", "dlq", "subscriptions", "replay", "events"]),
    ("Measuring", &["bench"]),
    ("These commands themselves", &["completions", "man", "version"]),
];

/// The command line, with help that has its commands in groups: clap has none for them.
fn command_line() -> clap::Command {
    let command = Cli::command();
    let heading = Styles::styled();
    let heading = heading.get_header();
    let mut help = format!("{{about-with-newline}}\n{heading}Usage:{heading:#} {{usage}}\n");
    for (group, names) in GROUPS {
        // A build for production has not all of them.
        let there: Vec<_> = names.iter().filter_map(|name| command.find_subcommand(name)).collect();
        if there.is_empty() {
            continue;
        }
        let _ = write!(help, "\n{heading}{group}:{heading:#}\n");
        for named in there {
            let about = named.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(help, "  {:<14} {about}", named.get_name());
        }
    }
    let _ = write!(help, "\n{heading}Options:{heading:#}\n{{options}}{{after-help}}");
    let (start, found) = START;
    command.help_template(help).after_help(format!("Examples:\n{start}\n  {EXAMPLES}{found}"))
}

/// An event-sourced order platform.
#[derive(Debug, Parser)]
#[command(name = "ordo", version)]
pub struct Cli {
    /// The settings file [default: ordo.toml, where there is one; environment: ORDO_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where a platform of this machine has its data, and says where it is: what commands are about, unless the settings name
    /// another [default: .ordo]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole platform on this machine, with a database, queues and an inbox of its own
    #[cfg(feature = "embedded")]
    Up(Up),
    /// Run some roles, or all, against the endpoints in the settings
    Serve(Serve),
    /// Bring the database schema up to date
    Migrate(Migrate),
    /// Post the demo order and show its journey until the mail is there
    Demo(Demo),
    /// Show an order as it is or was, and what changed in it
    #[command(subcommand)]
    Order(order::Order),
    /// Print events as they come
    Tail(tail::Tail),
    /// Write the log to a file, and such a file into an empty store
    #[command(subcommand)]
    Events(events::Events),
    /// Rebuild read models from the events, beside the live ones, and go back to the ones before
    Replay(replay::Args),
    /// Show how far subscriptions are and what they have parked, and repair it
    #[command(subcommand)]
    Subscriptions(Subscriptions),
    /// Show the messages that could not be handled, change them, send them again
    #[command(subcommand)]
    Dlq(dlq::Dlq),
    /// Show how far the sagas of orders are and where they are stuck, and repair it
    #[command(subcommand)]
    Saga(saga::Saga),
    /// Check that the log is what it was, and that stock, money, sagas and mails agree with it; exit code 1 if not
    Verify(Verify),
    /// Measure how fast the platform is, side by side with others
    #[cfg(feature = "embedded")]
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Check or explain the settings
    #[command(subcommand)]
    Config(Config),
    /// Ask a running platform whether it is ready; exit code 1 if not
    Health(Health),
    /// Run the mail inbox alone
    Inbox(Inbox),
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

/// See `ordo up --help`.
#[cfg(feature = "embedded")]
#[derive(Debug, Clone, Args)]
pub struct Up {
    /// Keep nothing: the database's data goes when the platform stops
    #[arg(long)]
    pub ephemeral: bool,
    /// Where the HTTP API listens; port 0: any free one [default: ORDO_LISTEN, 127.0.0.1:3000]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Where the queues listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4566")]
    pub sqs_listen: SocketAddr,
    /// Where the mail inbox listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8005")]
    pub ses_listen: SocketAddr,
    /// Say where everything is as one line of JSON
    #[arg(long)]
    pub json: bool,
    /// Start on a database that may lose acknowledged orders
    #[arg(long)]
    pub unsafe_durability: bool,
    /// Stop when standard input ends
    #[arg(long, hide = true)]
    pub leashed: bool,
}

/// See `ordo serve --help`.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// Which roles, separated by commas [default: ORDO_ROLES, all]
    #[arg(long, value_delimiter = ',', value_parser = role_names(), value_name = "ROLES")]
    pub roles: Vec<String>,
    /// Where the HTTP API listens; port 0: any free one [default: ORDO_LISTEN, 127.0.0.1:3000]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Say where the API is as one line of JSON
    #[arg(long)]
    pub json: bool,
    /// Start on a database that may lose acknowledged orders
    #[arg(long)]
    pub unsafe_durability: bool,
    /// Stop when standard input ends
    #[arg(long, hide = true)]
    pub leashed: bool,
}

/// See `ordo migrate --help`.
#[derive(Debug, Clone, Args)]
pub struct Migrate {
    /// Create the queues as well
    #[arg(long)]
    pub queues: bool,
}

/// See `ordo demo --help`.
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// The API of the platform [default: where the one in the data directory is, or http://127.0.0.1:3000]
    #[arg(long, value_name = "URL")]
    pub api: Option<String>,
    /// The inbox the mail arrives in [default: where that platform's is, or http://127.0.0.1:8005]
    #[arg(long, value_name = "URL")]
    pub inbox: Option<String>,
    /// The order's id [default: a fresh one]
    #[arg(long, value_name = "ID")]
    pub order_id: Option<String>,
    /// How long to wait for the mail
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub timeout: u64,
    /// Say it as one line of JSON
    #[arg(long)]
    pub json: bool,
}

/// See `ordo verify --help`.
#[derive(Debug, Clone, Args)]
pub struct Verify {
    /// Check the log against this, which an earlier `ordo verify` printed: whatever was changed up to there is found
    #[arg(long, value_name = "POSITION:HASH")]
    pub head: Option<ChainHead>,
    /// First seal what is not sealed yet, so that a later change to it can be told by its position
    #[arg(long)]
    pub seal: bool,
    /// Say it as one line of JSON
    #[arg(long)]
    pub json: bool,
}

/// See `ordo subscriptions --help`.
#[derive(Debug, Subcommand)]
pub enum Subscriptions {
    /// How far each is behind the log, who works on it, and who holds the log's tail, if someone does
    List {
        /// Say it as one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// The events that could not be handled, and those that wait behind them
    Parked {
        /// Only those of this subscription
        name: Option<String>,
        /// Say it as one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Have the parked events of a stream handled again
    Retry {
        /// The subscription
        name: String,
        /// The stream's id, such as the order's
        stream: String,
    },
    /// Forget the first parked event of a stream, which is never handled then, and have the others handled
    Skip {
        /// The subscription
        name: String,
        /// The stream's id, such as the order's
        stream: String,
    },
}

#[derive(Debug, Subcommand)]
enum Config {
    /// Say everything that is wrong with the settings, or which hold and why
    Check {
        /// Say it as JSON
        #[arg(long)]
        json: bool,
    },
    /// List every setting there is, with its default and its bounds
    List,
}

/// See `ordo health --help`.
#[derive(Debug, Clone, Args)]
pub struct Health {
    /// What to ask [default: /health/ready of the platform in the data directory, or at ORDO_LISTEN]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// See `ordo inbox --help`.
#[derive(Debug, Clone, Args)]
pub struct Inbox {
    /// Where it listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8005")]
    pub listen: SocketAddr,
}

/// Does what the command line says. Wrong usage ends the process here, with exit code 2.
#[must_use]
pub fn run() -> ExitCode {
    let line = Cli::from_arg_matches(&command_line().get_matches());
    match command(line.unwrap_or_else(|error| error.exit())) {
        Ok(code) => code,
        Err(error) => {
            // Several mistakes in the settings are several lines.
            for line in format!("{error:#}").lines() {
                // There is nowhere left to report a standard error that cannot be written to.
                let _ = writeln!(io::stderr().lock(), "ordo: {line}");
            }
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn command(cli: Cli) -> anyhow::Result<ExitCode> {
    let file = cli.config.as_deref();
    let dir = DataDir::of(cli.data_dir);
    let running = || dir.complete(load(sources(file))?);
    match cli.command {
        #[cfg(feature = "embedded")]
        Command::Up(args) => up::run(load(listening(sources(file), args.listen))?, args, &dir).await?,
        Command::Serve(args) => {
            let roles = (!args.roles.is_empty()).then(|| args.roles.join(","));
            let sources = sources(file).flag("ORDO_ROLES", "--roles", roles);
            serve::run(dir.complete(load(listening(sources, args.listen))?)?, &args).await?;
        }
        Command::Migrate(args) => migrate::run(&running()?, &args).await?,
        Command::Demo(args) => demo::run(&args, &places(&dir, args.api.clone(), args.inbox.clone())?).await?,
        Command::Order(args) => order::run(&running()?, &args).await?,
        Command::Events(args) => events::run(&running()?, &args).await?,
        Command::Replay(args) => return replay::run(&running()?, args).await,
        Command::Tail(args) => tail::run(&args, &places(&dir, args.api.clone(), None)?.api).await?,
        Command::Subscriptions(args) => subscriptions::run(&running()?, &args).await?,
        Command::Dlq(args) => {
            let loaded = load(sources(file))?;
            let names_aws = loaded.source_of("AWS_REGION") != Source::Default || loaded.settings.database_url.is_some();
            let settings = dir.complete(loaded)?;
            anyhow::ensure!(settings.aws.sqs_endpoint.is_some() || names_aws, NO_QUEUES);
            dlq::run(&settings, args).await?;
        }
        Command::Saga(args) => saga::run(&running()?, args).await?,
        Command::Verify(args) => return verify::run(&running()?, &args).await,
        #[cfg(feature = "embedded")]
        Command::Bench(args) => bench::run(args).await?,
        Command::Config(Config::Check { json }) => return config::check(Settings::load(sources(file)), json),
        Command::Config(Config::List) => config::list()?,
        Command::Health(args) => health(file, &dir, args).await?,
        Command::Inbox(args) => {
            let settings = load(sources(file))?.settings;
            inbox::run(&settings, &args).await?;
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command_line(), "ordo", &mut script);
            output::line(String::from_utf8(script)?.trim_end())?;
        }
        Command::Man { folder } => {
            let unwritable = || format!("cannot write to {}", folder.display());
            std::fs::create_dir_all(&folder).with_context(unwritable)?;
            clap_mangen::generate_to(command_line(), &folder).with_context(unwritable)?;
            output::line(&format!("the pages are in {}", folder.display()))?;
        }
        Command::Version => output::line(&format!("ordo {}", env!("CARGO_PKG_VERSION")))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn sources(file: Option<&Path>) -> Sources {
    Sources::of_process(file)
}

fn listening(sources: Sources, address: Option<SocketAddr>) -> Sources {
    sources.flag("ORDO_LISTEN", "--listen", address.map(|address| address.to_string()))
}

/// The settings, with log lines going where they say.
fn load(sources: Sources) -> anyhow::Result<Loaded> {
    let loaded = Settings::load(sources)?;
    telemetry::init(&loaded.settings);
    Ok(loaded)
}

/// Where a platform answers that a client asks.
#[derive(Debug, Clone)]
pub struct Places {
    /// Its API.
    pub api: String,
    /// The inbox its mails go to.
    pub inbox: String,
}

/// What the command line names, then the platform in the data directory, then where one is by default.
fn places(dir: &DataDir, api: Option<String>, inbox: Option<String>) -> anyhow::Result<Places> {
    let place = if api.is_some() && !dir.named { None } else { dir.place()? };
    let (its_api, its_inbox) = place.map_or((None, None), |place| (Some(place.api), place.inbox));
    Ok(Places {
        api: api.or(its_api).unwrap_or_else(|| "http://127.0.0.1:3000".to_owned()),
        inbox: inbox.or(its_inbox).unwrap_or_else(|| "http://127.0.0.1:8005".to_owned()),
    })
}

async fn health(file: Option<&Path>, dir: &DataDir, args: Health) -> anyhow::Result<()> {
    let url = match args.url {
        Some(url) => url,
        None => {
            let loaded = Settings::load(sources(file))?;
            let listen = || format!("http://{}", http::reachable(loaded.settings.listen));
            let set = loaded.source_of("ORDO_LISTEN") != Source::Default && !dir.named;
            let place = if set { None } else { dir.place()? };
            format!("{}/health/ready", place.map_or_else(listen, |place| place.api))
        }
    };
    let (status, body) = client::Client::new(Duration::from_secs(3)).get(&url).await?;
    anyhow::ensure!(status.is_success(), "{url} answers {status}: {body}");
    Ok(())
}

fn role_names() -> PossibleValuesParser {
    PossibleValuesParser::new(Role::ALL.map(Role::as_str).into_iter().chain(["all"]))
}

#[cfg(all(test, feature = "embedded"))]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_is_in_one_group_of_the_help() {
        let command = command_line();
        let visible = command.get_subcommands().filter(|command| !command.is_hide_set());
        let mut visible: Vec<&str> = visible.map(clap::Command::get_name).collect();
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        visible.sort_unstable();
        grouped.sort_unstable();
        assert_eq!(visible, grouped);

        let help = command_line().render_help().to_string();
        for (group, names) in GROUPS {
            let listed = help.split(&format!("\n{group}:\n")).nth(1).unwrap().split("\n\n").next().unwrap();
            let listed: Vec<_> = listed.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
            assert_eq!(listed, names, "{help}");
        }
        assert!(
            help.contains("\nOptions:\n") && help.contains("--data-dir") && help.contains("Examples:\n  ordo up"),
            "{help}"
        );
        assert!(help.contains("\n  ordo demo "), "{help}");
    }

    #[test]
    fn up_needs_nothing_and_takes_every_address() {
        let cli = parse("ordo up").unwrap();
        assert_eq!(DataDir::of(cli.data_dir).path, Path::new(".ordo"));
        let Command::Up(up) = cli.command else { panic!("not up") };
        assert_eq!((up.listen, up.ephemeral, up.json), (None, false, false));
        assert_eq!(up.sqs_listen.port(), 4566);
        assert_eq!(up.ses_listen.port(), 8005);

        let line = "ordo up --ephemeral --listen 0.0.0.0:0 --sqs-listen 127.0.0.1:0 --ses-listen [::1]:0 --json";
        let Command::Up(up) = parse(line).unwrap().command else { panic!("not up") };
        assert_eq!(up.listen, Some("0.0.0.0:0".parse().unwrap()));
        assert!(up.ephemeral && up.json);
    }

    #[test]
    fn roles_are_a_comma_list_of_known_names() {
        let Command::Serve(serve) = parse("ordo serve --roles sagas,notification").unwrap().command else {
            panic!("not serve")
        };
        assert_eq!(serve.roles, ["sagas", "notification"]);
        assert_eq!(parse("ordo serve --roles saga").unwrap_err().kind(), ErrorKind::InvalidValue);
    }

    #[test]
    fn the_settings_file_can_be_named_behind_the_command() {
        assert_eq!(parse("ordo config check --json --config a.toml").unwrap().config, Some("a.toml".into()));
    }

    #[test]
    fn every_command_takes_a_data_directory() {
        for line in ["up", "saga list", "dlq list", "verify", "demo", "tail", "health", "order show o-1"] {
            let cli = parse(&format!("ordo {line} --data-dir shop")).unwrap();
            assert_eq!(cli.data_dir.as_deref(), Some(Path::new("shop")), "{line}");
        }
    }

    #[test]
    fn wrong_usage_has_an_exit_code_of_its_own() {
        for line in [
            "ordo",
            "ordo fly",
            "ordo up --listen nowhere",
            "ordo replay",
            "ordo demo --timeout soon",
            "ordo verify --head 7:abc",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
        assert_eq!(parse("ordo up --help").unwrap_err().exit_code(), 0);
    }

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }
}
