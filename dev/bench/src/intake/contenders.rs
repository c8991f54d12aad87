//! The contenders.

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::address_of;
use crate::args::Intake;
use crate::contender::Contender;
use crate::databases::{Database, RowBytes};
use crate::orders::{OrderBody, Orders};
use crate::pgbench::Pgbench;
use crate::program::Ordo;
use crate::progress::Progress;
use crate::server::Server;

pub(super) const PLATFORM: &str = "platform";
pub(super) const PRELOADED: &str = "platform, preloaded";
pub(super) const WITH_TOKEN: &str = "platform, with a token";
pub(super) const WITH_API_KEY: &str = "platform, with an API key";
pub(super) const STOCK: &str = "stock postgres-es";
pub(super) const NOTHING: &str = "nothing stored";

/// Those who take part, the platform first, which has the database that all use.
pub(super) struct Contenders {
    pub(super) all: Vec<Contender>,
    pub(super) pgbench: Option<Pgbench>,
}

impl Contenders {
    pub(super) async fn start(args: &Intake, ordo: &Ordo, progress: &Progress) -> anyhow::Result<Self> {
        allow_connections();
        if let Some(api) = &args.api {
            let address = address_of(api)?;
            let platform = Contender {
                name: PLATFORM,
                address,
                server: None,
                credential: args.token.clone(),
                database: None,
                database_parent: None,
            };
            return Ok(Self { all: vec![platform], pgbench: None });
        }
        progress.say("starting a platform and what it is compared with");
        let server = ordo.up(&args.roles).await?;
        let database_parent = Some(server.pid());
        let ours = Database::at(&server.url("database")).await?;
        let take_part = |name: &'static str, server: Server, database: Option<Database>| Contender {
            name,
            address: server.address,
            server: Some(server),
            credential: None,
            database,
            database_parent,
        };
        let mut all = vec![take_part(PLATFORM, server, Some(ours.clone()))];
        if args.credentials {
            let address = all.first().context("there is no platform")?.address;
            for (name, line) in [
                (WITH_TOKEN, ["token", "--role", "shop", "--expires", "1d"].as_slice()),
                (WITH_API_KEY, &["key", "create", "--role", "shop"]),
            ] {
                let credential = Some(ordo.printed(line, &ours.url).await?);
                let database = Some(ours.clone());
                all.push(Contender { name, address, server: None, credential, database, database_parent: None });
            }
        }
        if let Some(events) = args.preload {
            progress.say(&format!("writing {events} events"));
            let preloaded = ours.preloaded(ordo, events).await?;
            let server = ordo.serve(&args.roles, &preloaded.url).await?;
            all.push(take_part(PRELOADED, server, Some(preloaded)));
        }
        let stock = ours.stock("stock").await?;
        all.push(take_part(STOCK, Server::baseline("stock", &stock.url).await?, Some(stock)));
        all.push(take_part(NOTHING, Server::baseline("nothing", "").await?, None));
        let pgbench = Pgbench::find(&ours).await?;
        Ok(Self { all, pgbench })
    }

    /// How long the platform's rows are.
    pub(super) async fn row_bytes(&self) -> anyhow::Result<Option<RowBytes>> {
        match &self.platform()?.database {
            Some(database) => Ok(Some(database.row_bytes().await?)),
            None => Ok(None),
        }
    }

    pub(super) fn platform(&self) -> anyhow::Result<&Contender> {
        self.all.first().context("there is no platform")
    }

    /// What there is no comparison with.
    pub(super) fn left_out(&self) -> Vec<&'static str> {
        match (&self.pgbench, self.all.len()) {
            (Some(_), _) => vec![],
            (None, 1) => vec![STOCK, NOTHING, "pgbench"],
            (None, _) => vec!["pgbench"],
        }
    }

    pub(super) fn order_bytes(&self, payload: OrderBody) -> usize {
        Orders::new("", payload, false).order_bytes()
    }
}

/// A connection is an open file, and many systems allow 1,024 unless asked. The servers inherit it.
fn allow_connections() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where this is refused, too many connections are an error of their own.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
