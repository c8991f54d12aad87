//! What can be asked of `ordo bench`, and within which bounds.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::settings::Role;

/// See `ordo bench --help`.
#[derive(Debug, Clone, Subcommand)]
pub enum Bench {
    /// How many orders a second can be posted, how long each waits for its answer, and what it costs; beside stock postgres-es, a
    /// server that stores nothing, and pgbench
    Intake(Intake),
    /// How long after its answer an order can be read
    Visible(Visible),
    /// How long it takes from the POST to the mail
    EndToEnd(EndToEnd),
    /// How many events a second the event store appends, without HTTP; beside stock postgres-es and pgbench
    Append(Append),
    /// What sealing the log costs those who append to it, without HTTP
    Sealing(Sealing),
    /// How many orders a second for one SKU reach their confirmation; fails if more is sold than there is
    FlashSale(FlashSale),
    /// How many events a second read models are rebuilt from, in how much memory, and what that costs orders that are posted
    /// meanwhile
    Replay(Replay),
    /// How many orders a second can be read, and what a page of a customer's orders costs far behind the first
    Reads(Reads),
    /// What others notice while some clients take all they can get, and how much memory the process takes; fails if they are not
    /// served
    GreedyClients(GreedyClients),
    /// A server that the platform is compared with
    #[command(hide = true)]
    Baseline(Baseline),
}

/// What all benchmarks take.
#[derive(Debug, Clone, Args)]
pub struct Measuring {
    /// How long to run before anything is measured
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = warm_up)]
    pub warm_up: Duration,
    /// How many times to measure; the median is shown, with the least and the most
    #[arg(long, value_name = "N", default_value = "3", value_parser = between::<usize, 1, 100>)]
    pub runs: usize,
    /// The size of an order: longer notes, and more lines where those do not suffice [default: the demo order]
    #[arg(long, value_name = "BYTES", value_parser = between::<usize, 512, 262_144>)]
    pub payload: Option<usize>,
    /// Say it as JSON
    #[arg(long)]
    pub json: bool,
}

/// See `ordo bench intake --help`.
#[derive(Debug, Clone, Args)]
pub struct Intake {
    #[command(flatten)]
    pub measuring: Measuring,
    /// How long each run measures
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = duration)]
    pub duration: Duration,
    /// How many connections post at once; one row each
    #[arg(long, value_name = "N,…", default_value = "16,64,256", value_delimiter = ',', value_parser = between::<usize, 1, 10_000>)]
    pub connections: Vec<usize>,
    /// Post so many orders a second, whether or not a connection is free; an order's latency counts from when it was due
    /// [default: each connection posts its next order after the answer]
    #[arg(long, value_name = "N", value_parser = rate)]
    pub rate: Option<f64>,
    /// Send a fresh Idempotency-Key with every order
    #[arg(long)]
    pub idempotency_keys: bool,
    /// A platform that runs already; nothing is compared with it [default: one of its own]
    #[arg(long, value_name = "URL")]
    pub api: Option<String>,
    /// The roles of its own platform, or all
    #[arg(long, value_name = "ROLES", default_value = "command-api", conflicts_with = "api", value_parser = intake_roles)]
    pub roles: String,
    /// Compare with a platform whose log has so many events already
    #[arg(long, value_name = "EVENTS", conflicts_with_all = ["api", "roles"], value_parser = between::<u64, 1, 1_000_000_000>)]
    pub preload: Option<u64>,
    /// Afterwards post so many times what the platform can take, and see what becomes of it
    #[arg(long, value_name = "FACTOR", conflicts_with_all = ["api", "rate"], value_parser = factor)]
    pub overload: Option<f64>,
    /// How many connections the overload comes from
    #[arg(long, value_name = "N", default_value = "2000", requires = "overload", value_parser = between::<usize, 1, 10_000>)]
    pub overload_connections: usize,
    /// Afterwards measure latency from little load to more than the platform can take, and draw it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["api", "rate"])]
    pub svg: Option<PathBuf>,
}

/// See `ordo bench visible --help`.
#[derive(Debug, Clone, Args)]
pub struct Visible {
    #[command(flatten)]
    pub measuring: Measuring,
    /// How long each run measures
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = duration)]
    pub duration: Duration,
    /// How many orders a second
    #[arg(long, value_name = "N", default_value = "500", value_parser = rate)]
    pub rate: f64,
    /// How many pairs of connections, one to post and one to read
    #[arg(long, value_name = "N", default_value = "32", value_parser = between::<usize, 1, 5_000>)]
    pub connections: usize,
    /// A platform that runs already [default: one of its own]
    #[arg(long, value_name = "URL")]
    pub api: Option<String>,
    /// The roles of its own platform, or all
    #[arg(long, value_name = "ROLES", default_value = "command-api,projections", conflicts_with = "api", value_parser = visible_roles)]
    pub roles: String,
}

/// See `ordo bench end-to-end --help`.
#[derive(Debug, Clone, Args)]
pub struct EndToEnd {
    #[command(flatten)]
    pub measuring: Measuring,
    /// How many orders in each run [default: 100]
    #[arg(long, value_name = "N", value_parser = orders, conflicts_with = "duration")]
    pub orders: Option<usize>,
    /// How long to post in each run, instead of a number of orders
    #[arg(long, value_name = "SECONDS", value_parser = duration)]
    pub duration: Option<Duration>,
    /// How many orders a second
    #[arg(long, alias = "per-second", value_name = "N", default_value = "20", value_parser = rate)]
    pub rate: f64,
    /// A platform that runs already, on this machine [default: one of its own]
    #[arg(long, value_name = "URL", requires = "inbox")]
    pub api: Option<String>,
    /// The inbox its mails arrive in
    #[arg(long, value_name = "URL", requires = "api")]
    pub inbox: Option<String>,
    /// How long to wait for the last mail
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = duration)]
    pub timeout: Duration,
}

/// See `ordo bench append --help`.
#[derive(Debug, Clone, Args)]
pub struct Append {
    #[command(flatten)]
    pub measuring: Measuring,
    /// How long each run measures
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = duration)]
    pub duration: Duration,
    /// How many tasks append at once; one row each
    #[arg(long, value_name = "N,…", default_value = "1,16,64,256", value_delimiter = ',', value_parser = between::<usize, 1, 4_096>)]
    pub tasks: Vec<usize>,
}

/// See `ordo bench sealing --help`.
#[derive(Debug, Clone, Args)]
pub struct Sealing {
    #[command(flatten)]
    pub measuring: Measuring,
    /// How long each run measures
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = duration)]
    pub duration: Duration,
    /// How many tasks append at once; two rows each
    #[arg(long, value_name = "N,…", default_value = "16,256", value_delimiter = ',', value_parser = between::<usize, 1, 4_096>)]
    pub tasks: Vec<usize>,
    /// How much of the time goes to sealing, as ORDO_SEALING_PERCENT says it
    #[arg(long, value_name = "PERCENT", default_value = "1", value_parser = between::<u32, 1, 100>)]
    pub percent: u32,
}

/// See `ordo bench flash-sale --help`.
#[derive(Debug, Clone, Args)]
pub struct FlashSale {
    /// How many orders in each run, of one unit each
    #[arg(long, value_name = "N", default_value = "10000", value_parser = between::<u64, 1, 1_000_000>)]
    pub orders: u64,
    /// How many units there are
    #[arg(long, value_name = "N", default_value = "1000000", value_parser = between::<u64, 1, 1_000_000_000>)]
    pub units: u64,
    /// How many connections post at once
    #[arg(long, value_name = "N", default_value = "64", value_parser = between::<usize, 1, 5_000>)]
    pub connections: usize,
    /// How many times to sell, each time another SKU; the median is shown, with the least and the most
    #[arg(long, value_name = "N", default_value = "3", value_parser = between::<usize, 1, 100>)]
    pub runs: usize,
    /// The roles of its own platform, or all
    #[arg(long, value_name = "ROLES", default_value = "all", value_parser = selling_roles)]
    pub roles: String,
    /// How long to wait for the last order to be decided, and then for the last mail
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = duration)]
    pub timeout: Duration,
    /// Say it as JSON
    #[arg(long)]
    pub json: bool,
}

/// See `ordo bench replay --help`.
#[derive(Debug, Clone, Args)]
pub struct Replay {
    /// How many events the log has
    #[arg(long, value_name = "N", default_value = "1000000", value_parser = between::<u64, 1_000, 1_000_000_000>)]
    pub events: u64,
    /// The size of an order as it was posted, of which the first of its five events takes the most
    #[arg(long, value_name = "BYTES", default_value = "1500", value_parser = between::<usize, 512, 262_144>)]
    pub order_bytes: usize,
    /// Orders have ids at random, so that what happened to one lies somewhere in the log [default: ids that ascend, as the platform
    /// makes them]
    #[arg(long)]
    pub scattered: bool,
    /// Which read models are rebuilt, each alone; then all of them in one pass
    #[arg(long, value_name = "NAME,…", default_value = "orders", value_delimiter = ',')]
    pub projections: Vec<String>,
    /// How many times to measure; the median is shown, with the least and the most
    #[arg(long, value_name = "N", default_value = "3", value_parser = between::<usize, 1, 100>)]
    pub runs: usize,
    /// Afterwards post so many orders a second, without and with replays
    #[arg(long, value_name = "N", value_parser = rate)]
    pub rate: Option<f64>,
    /// How long to post, each time
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = duration, requires = "rate")]
    pub duration: Duration,
    /// The roles that take the orders, or all
    #[arg(long, value_name = "ROLES", default_value = "command-api,projections", requires = "rate", value_parser = visible_roles)]
    pub roles: String,
    /// Say it as JSON
    #[arg(long)]
    pub json: bool,
}

/// See `ordo bench reads --help`.
#[derive(Debug, Clone, Args)]
pub struct Reads {
    /// How many orders there are, all of them of one customer
    #[arg(long, value_name = "N", default_value = "100000", value_parser = between::<u64, 50, 10_000_000>)]
    pub orders: u64,
    /// How many connections read at once
    #[arg(long, value_name = "N", default_value = "64", value_parser = between::<usize, 1, 5_000>)]
    pub connections: usize,
    /// Read so many orders a second, whether or not a connection is free; a read's latency counts from when it was due [default:
    /// each connection reads its next order after the answer]
    #[arg(long, value_name = "N", value_parser = rate)]
    pub rate: Option<f64>,
    /// How long to read before anything is measured
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = warm_up)]
    pub warm_up: Duration,
    /// How long each run measures
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = duration)]
    pub duration: Duration,
    /// How many times to measure; the median is shown, with the least and the most
    #[arg(long, value_name = "N", default_value = "3", value_parser = between::<usize, 1, 100>)]
    pub runs: usize,
    /// Which page of 50 of the customer's orders to compare with the first
    #[arg(long, value_name = "N", default_value = "1000", value_parser = between::<usize, 2, 100_000>)]
    pub page: usize,
    /// Say it as JSON
    #[arg(long)]
    pub json: bool,
}

/// See `ordo bench greedy-clients --help`.
#[derive(Debug, Clone, Args)]
pub struct GreedyClients {
    /// How many connections send half a request, and then nothing
    #[arg(long, value_name = "N", default_value = "5000", value_parser = between::<usize, 0, 8_000>)]
    pub silent: usize,
    /// How long each of them waits before it connects again, once the server has closed its connection for another's sake
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = duration)]
    pub reconnect: Duration,
    /// How many clients follow the live stream from its beginning and do not read
    #[arg(long, value_name = "N", default_value = "1000", value_parser = between::<usize, 0, 4_000>)]
    pub streams: usize,
    /// How many large orders are posted
    #[arg(long, value_name = "N", default_value = "500", value_parser = between::<u64, 0, 100_000>)]
    pub large_orders: u64,
    /// The size of a large order
    #[arg(long, value_name = "BYTES", default_value = "250000", value_parser = between::<usize, 512, 262_144>)]
    pub order_bytes: usize,
    /// How many notes are written on one order
    #[arg(long, value_name = "N", default_value = "10000", value_parser = between::<u64, 0, 1_000_000>)]
    pub notes: u64,
    /// How long it goes on at the least
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = duration)]
    pub duration: Duration,
    /// How many times to measure, each on a platform of its own
    #[arg(long, value_name = "N", default_value = "1", value_parser = between::<usize, 1, 100>)]
    pub runs: usize,
    /// Say it as JSON
    #[arg(long)]
    pub json: bool,
}

/// What a [`Bench::Baseline`] does with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Stores {
    /// Nothing.
    Nothing,
    /// Stores it with stock postgres-es, at DATABASE_URL.
    Stock,
}

/// A server in a process of its own, as the platform is.
#[derive(Debug, Clone, Args)]
pub struct Baseline {
    /// What becomes of an order
    pub stores: Stores,
}

fn warm_up(text: &str) -> Result<Duration, String> {
    seconds(text, 0.0, 3_600.0)
}

fn duration(text: &str) -> Result<Duration, String> {
    seconds(text, 0.1, 86_400.0)
}

fn seconds(text: &str, least: f64, most: f64) -> Result<Duration, String> {
    Ok(Duration::from_secs_f64(number(text, "a number of seconds", least, most)?))
}

fn rate(text: &str) -> Result<f64, String> {
    number(text, "a number", 0.1, 1_000_000.0)
}

fn factor(text: &str) -> Result<f64, String> {
    number(text, "a number", 1.0, 100.0)
}

fn number(text: &str, what: &str, least: f64, most: f64) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("must be {what} from {least} to {most}"))
}

fn intake_roles(text: &str) -> Result<String, String> {
    roles(text, &[Role::CommandApi])
}

fn visible_roles(text: &str) -> Result<String, String> {
    roles(text, &[Role::CommandApi, Role::Projections])
}

fn selling_roles(text: &str) -> Result<String, String> {
    roles(text, &[Role::CommandApi, Role::Sagas])
}

/// A list of roles with these among them.
fn roles(text: &str, needed: &[Role]) -> Result<String, String> {
    let given: Vec<&str> = text.split(',').collect();
    let known = given.iter().all(|name| Role::ALL.iter().any(|role| role.as_str() == *name));
    let enough = needed.iter().all(|role| given.contains(&role.as_str()));
    if text == "all" || (known && enough) {
        return Ok(text.to_owned());
    }
    let needed = needed.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" and ");
    Err(format!("must be all, or a comma list of roles with {needed}"))
}

/// The inbox keeps no more mails, and all of them must be seen.
fn orders(text: &str) -> Result<usize, String> {
    whole(text, 1, embedded::inbox::MESSAGES_KEPT)
}

fn between<N, const LEAST: u64, const MOST: u64>(text: &str) -> Result<N, String>
where
    N: FromStr + TryInto<u64> + Copy,
{
    let number = text.parse::<N>().ok();
    let within = |number: &N| (*number).try_into().is_ok_and(|number| (LEAST..=MOST).contains(&number));
    number.filter(within).ok_or_else(|| format!("must be a whole number from {LEAST} to {MOST}"))
}

fn whole(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("must be a whole number from {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        bench: Bench,
    }

    fn parse(line: &str) -> Result<Bench, clap::Error> {
        Line::try_parse_from(["bench"].into_iter().chain(line.split(' '))).map(|line| line.bench)
    }

    #[test]
    fn intake_needs_nothing_and_takes_a_list_of_connections() {
        let Bench::Intake(intake) = parse("intake").unwrap() else { panic!("not intake") };
        assert_eq!(intake.connections, [16, 64, 256]);
        assert_eq!((intake.measuring.runs, intake.duration), (3, Duration::from_secs(5)));
        assert_eq!((intake.rate, intake.overload, intake.measuring.payload), (None, None, None));
        let Bench::Intake(intake) = parse("intake --connections 1,10000 --warm-up 0 --duration 0.5").unwrap() else {
            panic!("not intake")
        };
        assert_eq!(intake.connections, [1, 10_000]);
        assert_eq!((intake.measuring.warm_up, intake.duration), (Duration::ZERO, Duration::from_millis(500)));
    }

    #[test]
    fn what_is_out_of_bounds_is_wrong_usage_and_says_what_is_in() {
        for (line, bounds) in [
            ("intake --connections 0", "a whole number from 1 to 10000"),
            ("intake --connections 16,,64", "a whole number from 1 to 10000"),
            ("intake --connections 10001", "a whole number from 1 to 10000"),
            ("intake --duration 0", "a number of seconds from 0.1 to 86400"),
            ("intake --duration nan", "a number of seconds from 0.1 to 86400"),
            ("intake --warm-up -1", "unexpected argument"),
            ("intake --warm-up=-1", "a number of seconds from 0 to 3600"),
            ("intake --runs 0", "a whole number from 1 to 100"),
            ("intake --payload 511", "a whole number from 512 to 262144"),
            ("intake --payload 262145", "a whole number from 512 to 262144"),
            ("intake --rate 0", "a number from 0.1 to 1000000"),
            ("intake --rate inf", "a number from 0.1 to 1000000"),
            ("intake --overload 0.5", "a number from 1 to 100"),
            ("intake --preload 0", "a whole number from 1 to 1000000000"),
            ("intake --overload-connections 10", "--overload <FACTOR>"),
            ("intake --api http://127.0.0.1:1 --preload 10", "cannot be used with"),
            ("intake --roles all --preload 10", "cannot be used with"),
            ("intake --rate 10 --svg a.svg", "cannot be used with"),
            ("intake --roles sagas", "roles with command-api"),
            ("intake --roles command-api,saga", "roles with command-api"),
            ("visible --roles command-api", "roles with command-api and projections"),
            ("visible --rate many", "a number from 0.1 to 1000000"),
            ("visible --connections 5001", "a whole number from 1 to 5000"),
            ("end-to-end --orders 0", "a whole number from 1 to"),
            ("end-to-end --orders 5 --duration 5", "cannot be used with"),
            ("end-to-end --api http://127.0.0.1:1", "--inbox <URL>"),
            ("flash-sale --roles command-api", "roles with command-api and sagas"),
            ("flash-sale --units 0", "a whole number from 1 to 1000000000"),
            ("append --tasks 4097", "a whole number from 1 to 4096"),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(bounds), "{line}: {error}");
        }
    }

    #[test]
    fn end_to_end_knows_its_rate_by_its_old_name_too() {
        let Bench::EndToEnd(args) = parse("end-to-end --orders 5 --per-second 7").unwrap() else {
            panic!("not end-to-end")
        };
        assert_eq!((args.orders, args.rate), (Some(5), 7.0));
    }
}
