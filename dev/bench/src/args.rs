//! What can be asked of `bench`, and within which bounds.

mod bounds;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use self::bounds::{
    between, duration, factor, intake_roles, orders, payload, rate, selling_roles, token, visible_roles, warm_up,
};
use crate::orders::OrderBody;

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Bench {
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
    /// How long the console's pages take on a large platform, and what open consoles cost those who order; fails if a page is not shown
    Console(Console),
    /// What others notice while some clients take all they can get, and how much memory the process takes; fails if they are not
    /// served
    GreedyClients(GreedyClients),
    /// A server that the platform is compared with
    #[command(hide = true)]
    Baseline(Baseline),
}

/// What all benchmarks take.
#[derive(Debug, Clone, Args)]
pub(crate) struct Measuring {
    /// How long to run before anything is measured
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = warm_up)]
    pub(crate) warm_up: Duration,
    /// How many times to measure; the median is shown, with the least and the most
    #[arg(long, value_name = "N", default_value = "3", value_parser = between::<usize, 1, 100>)]
    pub(crate) runs: usize,
    /// What an order says: the demo order; `full`: two addresses, taxes, discounts, postage; a number: the demo order in so many
    /// bytes, by longer notes, and more lines where those do not suffice
    #[arg(long, value_name = "demo|full|BYTES", default_value = "demo", value_parser = payload)]
    pub(crate) payload: OrderBody,
    /// Say it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Intake {
    #[command(flatten)]
    pub(crate) measuring: Measuring,
    /// How long each run measures
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = duration)]
    pub(crate) duration: Duration,
    /// How many connections post at once; one row each
    #[arg(long, value_name = "N,…", default_value = "16,64,256", value_delimiter = ',', value_parser = between::<usize, 1, 10_000>)]
    pub(crate) connections: Vec<usize>,
    /// Post so many orders a second, whether or not a connection is free; an order's latency counts from when it was due
    /// [default: each connection posts its next order after the answer]
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Send a fresh Idempotency-Key with every order
    #[arg(long)]
    pub(crate) idempotency_keys: bool,
    /// Compare with the same platform when each order comes with a token, and with an API key
    #[arg(long, conflicts_with = "api")]
    pub(crate) credentials: bool,
    /// A platform that runs already; nothing is compared with it [default: one of its own]
    #[arg(long, value_name = "URL")]
    pub(crate) api: Option<String>,
    /// A token for that platform, as `ordo token` or `ordo key create` gives it
    #[arg(long, value_name = "TOKEN", requires = "api", value_parser = token)]
    pub(crate) token: Option<String>,
    /// The roles of its own platform, or all
    #[arg(long, value_name = "ROLES", default_value = "command-api", conflicts_with = "api", value_parser = intake_roles)]
    pub(crate) roles: String,
    /// Compare with a platform whose log has so many events already
    #[arg(long, value_name = "EVENTS", conflicts_with_all = ["api", "roles"], value_parser = between::<u64, 1, 1_000_000_000>)]
    pub(crate) preload: Option<u64>,
    /// Afterwards post so many times what the platform can take, and see what becomes of it
    #[arg(long, value_name = "FACTOR", conflicts_with_all = ["api", "rate"], value_parser = factor)]
    pub(crate) overload: Option<f64>,
    /// How many connections the overload comes from
    #[arg(long, value_name = "N", default_value = "2000", requires = "overload", value_parser = between::<usize, 1, 10_000>)]
    pub(crate) overload_connections: usize,
    /// Afterwards measure latency from little load to more than the platform can take, and draw it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["api", "rate"])]
    pub(crate) svg: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Visible {
    #[command(flatten)]
    pub(crate) measuring: Measuring,
    /// How long each run measures
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = duration)]
    pub(crate) duration: Duration,
    /// How many orders a second
    #[arg(long, value_name = "N", default_value = "500", value_parser = rate)]
    pub(crate) rate: f64,
    /// How many pairs of connections, one to post and one to read
    #[arg(long, value_name = "N", default_value = "32", value_parser = between::<usize, 1, 5_000>)]
    pub(crate) connections: usize,
    /// A platform that runs already [default: one of its own]
    #[arg(long, value_name = "URL")]
    pub(crate) api: Option<String>,
    /// The roles of its own platform, or all
    #[arg(long, value_name = "ROLES", default_value = "command-api,projections", conflicts_with = "api", value_parser = visible_roles)]
    pub(crate) roles: String,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct EndToEnd {
    #[command(flatten)]
    pub(crate) measuring: Measuring,
    /// How many orders in each run [default: 100]
    #[arg(long, value_name = "N", value_parser = orders, conflicts_with = "duration")]
    pub(crate) orders: Option<usize>,
    /// How long to post in each run, instead of a number of orders
    #[arg(long, value_name = "SECONDS", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// How many orders a second
    #[arg(long, alias = "per-second", value_name = "N", default_value = "20", value_parser = rate)]
    pub(crate) rate: f64,
    /// A platform that runs already, on this machine [default: one of its own]
    #[arg(long, value_name = "URL", requires = "inbox")]
    pub(crate) api: Option<String>,
    /// The inbox its mails arrive in
    #[arg(long, value_name = "URL", requires = "api")]
    pub(crate) inbox: Option<String>,
    /// How long to wait for the last mail
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Run each role in a process of its own, and say what an order costs in each of them
    #[arg(long, conflicts_with = "api")]
    pub(crate) apart: bool,
    /// An empty database to run on [default: one of its own]. Where pg_stat_statements is loaded, `--apart` says how long
    /// Postgres takes for each table
    #[arg(long, value_name = "URL", conflicts_with = "api")]
    pub(crate) database: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Append {
    #[command(flatten)]
    pub(crate) measuring: Measuring,
    /// How long each run measures
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = duration)]
    pub(crate) duration: Duration,
    /// How many tasks append at once; one row each
    #[arg(long, value_name = "N,…", default_value = "1,16,64,256", value_delimiter = ',', value_parser = between::<usize, 1, 4_096>)]
    pub(crate) tasks: Vec<usize>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Sealing {
    #[command(flatten)]
    pub(crate) measuring: Measuring,
    /// How long each run measures
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = duration)]
    pub(crate) duration: Duration,
    /// How many tasks append at once; two rows each
    #[arg(long, value_name = "N,…", default_value = "16,256", value_delimiter = ',', value_parser = between::<usize, 1, 4_096>)]
    pub(crate) tasks: Vec<usize>,
    /// How much of the time goes to sealing, as ORDO_SEALING_PERCENT says it
    #[arg(long, value_name = "PERCENT", default_value = "1", value_parser = between::<u32, 1, 100>)]
    pub(crate) percent: u32,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct FlashSale {
    /// How many orders in each run, of one unit each
    #[arg(long, value_name = "N", default_value = "10000", value_parser = between::<u64, 1, 1_000_000>)]
    pub(crate) orders: u64,
    /// How many units there are
    #[arg(long, value_name = "N", default_value = "1000000", value_parser = between::<u64, 1, 1_000_000_000>)]
    pub(crate) units: u64,
    /// The SKU is low while fewer units than this are available [default: nobody wants to know]
    #[arg(long, value_name = "N", value_parser = between::<u64, 1, 1_000_000_000>)]
    pub(crate) low_stock: Option<u64>,
    /// How many connections post at once
    #[arg(long, value_name = "N", default_value = "64", value_parser = between::<usize, 1, 5_000>)]
    pub(crate) connections: usize,
    /// How many times to sell, each time another SKU; the median is shown, with the least and the most
    #[arg(long, value_name = "N", default_value = "3", value_parser = between::<usize, 1, 100>)]
    pub(crate) runs: usize,
    /// The roles of its own platform, or all
    #[arg(long, value_name = "ROLES", default_value = "all", value_parser = selling_roles)]
    pub(crate) roles: String,
    /// How long to wait for the last order to be decided, and then for the last mail
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Say it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Replay {
    /// How many events the log has
    #[arg(long, value_name = "N", default_value = "1000000", value_parser = between::<u64, 1_000, 1_000_000_000>)]
    pub(crate) events: u64,
    /// The size of an order as it was posted, of which the first of its five events takes the most
    #[arg(long, value_name = "BYTES", default_value = "1500", value_parser = between::<usize, 512, 262_144>)]
    pub(crate) order_bytes: usize,
    /// Orders have ids at random, so that what happened to one lies somewhere in the log [default: ids that ascend, as the platform
    /// makes them]
    #[arg(long)]
    pub(crate) scattered: bool,
    /// Which read models are rebuilt, each alone; then all of them in one pass
    #[arg(long, value_name = "NAME,…", default_value = "orders", value_delimiter = ',')]
    pub(crate) projections: Vec<String>,
    /// How many times to measure; the median is shown, with the least and the most
    #[arg(long, value_name = "N", default_value = "3", value_parser = between::<usize, 1, 100>)]
    pub(crate) runs: usize,
    /// Afterwards post so many orders a second, without and with replays
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// How long to post, each time
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = duration, requires = "rate")]
    pub(crate) duration: Duration,
    /// The roles that take the orders, or all
    #[arg(long, value_name = "ROLES", default_value = "command-api,projections", requires = "rate", value_parser = visible_roles)]
    pub(crate) roles: String,
    /// Say it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Console {
    /// How many orders there are
    #[arg(long, value_name = "N", default_value = "1000000", value_parser = between::<u64, 50, 10_000_000>)]
    pub(crate) orders: u64,
    /// The sagas of how many of them are stuck
    #[arg(long, value_name = "N", default_value = "10000", value_parser = between::<u64, 0, 1_000_000>)]
    pub(crate) stuck: u64,
    /// How many dead letters there are
    #[arg(long, value_name = "N", default_value = "100000", value_parser = between::<u64, 0, 1_000_000>)]
    pub(crate) dead_letters: u64,
    /// How many consoles are open and follow what happens
    #[arg(long, value_name = "N", default_value = "10", value_parser = between::<usize, 0, 20>)]
    pub(crate) consoles: usize,
    /// How many orders a second are posted
    #[arg(long, value_name = "N", default_value = "500", value_parser = rate)]
    pub(crate) rate: f64,
    /// How long to post before anything is measured
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = warm_up)]
    pub(crate) warm_up: Duration,
    /// How long each run measures: without consoles, with them, and while pages are visited
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = duration)]
    pub(crate) duration: Duration,
    /// How many times to measure
    #[arg(long, value_name = "N", default_value = "3", value_parser = between::<usize, 1, 100>)]
    pub(crate) runs: usize,
    /// How many sagas a second the bulk action retries at the most
    #[arg(long, value_name = "N", default_value = "100", value_parser = between::<u32, 1, 100>)]
    pub(crate) bulk_rate: u32,
    /// Say it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Reads {
    /// How many orders there are, all of them of one customer
    #[arg(long, value_name = "N", default_value = "100000", value_parser = between::<u64, 50, 10_000_000>)]
    pub(crate) orders: u64,
    /// How many connections read at once
    #[arg(long, value_name = "N", default_value = "64", value_parser = between::<usize, 1, 5_000>)]
    pub(crate) connections: usize,
    /// Read so many orders a second, whether or not a connection is free; a read's latency counts from when it was due [default:
    /// each connection reads its next order after the answer]
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// How long to read before anything is measured
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = warm_up)]
    pub(crate) warm_up: Duration,
    /// How long each run measures
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = duration)]
    pub(crate) duration: Duration,
    /// How many times to measure; the median is shown, with the least and the most
    #[arg(long, value_name = "N", default_value = "3", value_parser = between::<usize, 1, 100>)]
    pub(crate) runs: usize,
    /// Which page of 50 of the customer's orders to compare with the first
    #[arg(long, value_name = "N", default_value = "1000", value_parser = between::<usize, 2, 100_000>)]
    pub(crate) page: usize,
    /// Say it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct GreedyClients {
    /// How many connections send nothing, or half a request and then nothing
    #[arg(long, value_name = "N", default_value = "5000", value_parser = between::<usize, 0, 8_000>)]
    pub(crate) silent: usize,
    /// How long each of them waits before it connects again, once the server has closed its connection for another's sake
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = duration)]
    pub(crate) reconnect: Duration,
    /// How many clients send a head a byte at a time, and how many a body
    #[arg(long, value_name = "N", default_value = "500", value_parser = between::<usize, 0, 4_000>)]
    pub(crate) slow: usize,
    /// How many clients ask for lists of orders again and again and read no answer
    #[arg(long, value_name = "N", default_value = "500", value_parser = between::<usize, 0, 4_000>)]
    pub(crate) unread: usize,
    /// How many clients follow the live stream from its beginning and do not read
    #[arg(long, value_name = "N", default_value = "1000", value_parser = between::<usize, 0, 4_000>)]
    pub(crate) streams: usize,
    /// How many large orders are posted
    #[arg(long, value_name = "N", default_value = "500", value_parser = between::<u64, 0, 100_000>)]
    pub(crate) large_orders: u64,
    /// The size of a large order
    #[arg(long, value_name = "BYTES", default_value = "250000", value_parser = between::<usize, 512, 262_144>)]
    pub(crate) order_bytes: usize,
    /// How many notes are written on one order
    #[arg(long, value_name = "N", default_value = "10000", value_parser = between::<u64, 0, 1_000_000>)]
    pub(crate) notes: u64,
    /// How long the customer is alone before, for comparison
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = duration)]
    pub(crate) calm: Duration,
    /// How long it goes on at the least
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = duration)]
    pub(crate) duration: Duration,
    /// How many times to measure, each on a platform of its own
    #[arg(long, value_name = "N", default_value = "1", value_parser = between::<usize, 1, 100>)]
    pub(crate) runs: usize,
    /// Say it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What the server that the platform is compared with does with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Stores {
    /// Nothing.
    Nothing,
    /// Stores it with stock postgres-es, at DATABASE_URL.
    Stock,
}

/// A server in a process of its own, as the platform is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Baseline {
    /// What becomes of an order
    pub(crate) stores: Stores,
}
