//! The platform with each role in a process of its own, and what an order costs in each of its parts.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use sqlx::Row;
use sqlx::postgres::PgRow;
use url::Url;

use crate::databases::Database;
use crate::figures::{count, micros_per_order};
use crate::http_client::ApiClient;
use crate::processes;
use crate::program::Ordo;
use crate::server::Server;
use crate::table::{Table, known};

/// The roles that an order passes, and what each is called here.
const ROLES: [(&str, &str); 5] = [
    ("command-api", "intake"),
    ("projections", "projections"),
    ("sagas", "sagas"),
    ("notification", "notification"),
    ("webhooks", "webhooks"),
];
/// The process with the embedded queues and inbox.
const EMBEDDED: &str = "embedded servers";
/// What the connections of the benchmark itself are called.
const BENCH: &str = "bench";

/// A platform whose roles run apart.
pub(super) struct Parts {
    /// Its role answers nobody here. Beside the embedded servers it costs nothing.
    embedded: Server,
    roles: Vec<(&'static str, Server)>,
    database: Database,
}

/// What the parts have taken since they were started.
#[derive(Debug, Default)]
pub(super) struct Taken {
    processes: BTreeMap<&'static str, Duration>,
    /// Postgres's, by whose connections took it. That of its own processes is missing.
    connections: BTreeMap<String, Duration>,
    postgres: Duration,
    saga_steps: f64,
    wal_bytes: f64,
    syncs: f64,
    tables: BTreeMap<String, TableWrites>,
    /// Postgres's time by table, in milliseconds; empty where `pg_stat_statements` is not loaded.
    statements: BTreeMap<String, f64>,
}

/// How many rows of a table were written.
#[derive(Debug, Default, Clone, Copy)]
struct TableWrites {
    inserted: f64,
    updated: f64,
    /// Updates that changed no index.
    hot: f64,
    deleted: f64,
}

/// What one order took.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CostOfAnOrder {
    parts: Vec<CostOfAPart>,
    tables: Vec<CostOfATable>,
    wal_bytes: f64,
    syncs: f64,
    /// The share of updates that changed no index.
    hot_updates: Option<f64>,
    /// Steps of sagas for each second of one processor, that of their statements included.
    saga_steps_per_core_second: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct CostOfAPart {
    part: String,
    process_micros: Option<f64>,
    postgres_micros: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct CostOfATable {
    table: String,
    inserted: f64,
    updated: f64,
    hot: f64,
    deleted: f64,
    /// Of the statements that name the table first.
    statement_micros: Option<f64>,
}

impl Parts {
    /// Starts `ordo up` for its queues, inbox and, if none is named, database; and a process for each role.
    pub(super) async fn start(ordo: &Ordo, database: Option<&str>) -> anyhow::Result<Self> {
        let embedded = match database {
            Some(database) => ordo.up_on(database, "console").await?,
            None => ordo.up("console").await?,
        };
        let url = database.map_or_else(|| embedded.url("database"), str::to_owned);
        let mut roles = Vec::with_capacity(ROLES.len());
        for (role, part) in ROLES {
            let url = connected_as(&url, part)?;
            let variables = [
                ("AWS_ENDPOINT_URL_SQS", embedded.url("sqs")),
                ("AWS_ENDPOINT_URL_SESV2", embedded.url("inbox")),
                ("ORDO_MESSAGE_KEYS", embedded.url("message_keys")),
            ];
            let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
            roles.push((part, ordo.serve_with(role, &url, &variables).await?));
        }
        Ok(Self { database: Database::at(&connected_as(&url, BENCH)?).await?, embedded, roles })
    }

    /// Where orders are posted, and where mails arrive.
    pub(super) fn addresses(&self) -> (String, String) {
        let api = self.roles.first().map(|(_, intake)| intake.url("api")).unwrap_or_default();
        (api, self.embedded.url("inbox"))
    }

    /// What everything has taken so far.
    pub(super) async fn taken(&self, client: &ApiClient) -> anyhow::Result<Taken> {
        let mut taken = Taken::default();
        let servers = self.roles.iter().map(|(part, server)| (*part, server)).chain([(EMBEDDED, &self.embedded)]);
        for (part, server) in servers {
            taken.processes.insert(part, processes::processor(server.pid()).unwrap_or_default());
        }
        let pool = &self.database.pool;
        let backends = "select pid, application_name from pg_stat_activity where client_port is not null or backend_type = 'client backend'";
        let backends: Vec<(i32, String)> = sqlx::query_as(backends).fetch_all(pool).await?;
        for (pid, part) in backends {
            let time = u32::try_from(pid).ok().and_then(processes::processor).unwrap_or_default();
            *taken.connections.entry(part).or_default() += time;
        }
        let postmaster = "select setting from pg_settings where name = 'data_directory'";
        let folder: String = sqlx::query_scalar(postmaster).fetch_one(pool).await?;
        let postmaster = processes::of_lock_file(&folder);
        taken.postgres = postmaster.and_then(processes::processor_of_descendants).unwrap_or_default();
        (taken.wal_bytes, taken.syncs) =
            sqlx::query_as("select wal_bytes::float8, wal_sync::float8 from pg_stat_wal").fetch_one(pool).await?;
        let tables = "select relname, n_tup_ins::float8, n_tup_upd::float8, n_tup_hot_upd::float8, n_tup_del::float8
                        from pg_stat_user_tables";
        for row in sqlx::query(tables).fetch_all(pool).await? {
            taken.tables.insert(row.try_get(0)?, TableWrites::from_row(&row)?);
        }
        taken.statements = self.statements().await?;
        taken.saga_steps = self.saga_steps(client).await?;
        Ok(taken)
    }

    async fn statements(&self) -> anyhow::Result<BTreeMap<String, f64>> {
        let pool = &self.database.pool;
        let loaded = "select to_regclass('pg_stat_statements') is not null";
        if !sqlx::query_scalar::<_, bool>(loaded).fetch_one(pool).await? {
            return Ok(BTreeMap::new());
        }
        let by_table = r"select coalesce(substring(lower(query) from '(?:into|update|from|join)\s+([a-z_]+)'), 'other'),
                                sum(total_exec_time)::float8
                           from pg_stat_statements where dbid = (select oid from pg_database where datname = current_database())
                          group by 1";
        let rows: Vec<(String, f64)> = sqlx::query_as(by_table).fetch_all(pool).await?;
        Ok(rows.into_iter().collect())
    }

    /// How many steps sagas have come through.
    async fn saga_steps(&self, client: &ApiClient) -> anyhow::Result<f64> {
        let Some((_, sagas)) = self.roles.iter().find(|(part, _)| *part == "sagas") else { return Ok(0.0) };
        let url = format!("{}/metrics", sagas.url("ops").trim_end_matches('/'));
        let (_, metrics) = client.get(&url).await?;
        let metrics = metrics.as_str().with_context(|| format!("{url} answers with no text"))?;
        let steps = metrics.lines().filter(|line| line.contains("saga_steps_total"));
        Ok(steps.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
    }
}

/// The database as a part connects to it: Postgres says whose each connection is.
fn connected_as(url: &str, part: &str) -> anyhow::Result<String> {
    let mut url = Url::parse(url).context("the database has no address")?;
    url.query_pairs_mut().append_pair("application_name", part);
    Ok(url.into())
}

impl TableWrites {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self { inserted: row.try_get(1)?, updated: row.try_get(2)?, hot: row.try_get(3)?, deleted: row.try_get(4)? })
    }
}

impl Taken {
    /// What each of the orders took since.
    pub(super) fn each(&self, before: &Self, orders: u64) -> CostOfAnOrder {
        let micros = |after: Option<&Duration>, before: Option<&Duration>| {
            micros_per_order(after?.saturating_sub(before.copied().unwrap_or_default()), orders)
        };
        let mut parts: Vec<CostOfAPart> = ROLES
            .iter()
            .map(|(_, part)| *part)
            .chain([EMBEDDED])
            .map(|part| CostOfAPart {
                part: part.to_owned(),
                process_micros: micros(self.processes.get(part), before.processes.get(part)),
                postgres_micros: micros(self.connections.get(part), before.connections.get(part)),
            })
            .collect();
        let known: Duration = self.connections.values().sum();
        let known_before: Duration = before.connections.values().sum();
        let own = self.postgres.saturating_sub(known).saturating_sub(before.postgres.saturating_sub(known_before));
        parts.push(CostOfAPart {
            part: "Postgres's own processes".to_owned(),
            process_micros: None,
            postgres_micros: micros_per_order(own, orders),
        });
        let each = |after: f64, before: f64| (after - before) / count(orders.max(1));
        let none = TableWrites::default();
        let tables: Vec<CostOfATable> = self
            .tables
            .iter()
            .map(|(table, after)| {
                let before_it = before.tables.get(table).unwrap_or(&none);
                let spent = |taken: &Self| taken.statements.get(table).copied();
                CostOfATable {
                    table: table.clone(),
                    inserted: each(after.inserted, before_it.inserted),
                    updated: each(after.updated, before_it.updated),
                    hot: each(after.hot, before_it.hot),
                    deleted: each(after.deleted, before_it.deleted),
                    statement_micros: spent(self).map(|after| each(after, spent(before).unwrap_or(0.0)) * 1_000.0),
                }
            })
            .filter(|table| table.inserted + table.updated + table.deleted >= 0.01)
            .collect();
        let updated: f64 = tables.iter().map(|table| table.updated).sum();
        let hot: f64 = tables.iter().map(|table| table.hot).sum();
        let of_sagas = |taken: &Self| {
            let statements = taken.connections.get("sagas").copied().unwrap_or_default();
            taken.processes.get("sagas").copied().unwrap_or_default() + statements
        };
        let seconds = of_sagas(self).saturating_sub(of_sagas(before)).as_secs_f64();
        CostOfAnOrder {
            parts,
            tables,
            wal_bytes: each(self.wal_bytes, before.wal_bytes),
            syncs: each(self.syncs, before.syncs),
            hot_updates: (updated > 0.0).then(|| hot / updated),
            saga_steps_per_core_second: (seconds > 0.0).then(|| (self.saga_steps - before.saga_steps) / seconds),
        }
    }
}

impl CostOfAnOrder {
    pub(super) fn lines(&self) -> Vec<String> {
        let mut parts = Table::new(&["", "an order", "process µs", "Postgres µs"]);
        for CostOfAPart { part, process_micros, postgres_micros } in &self.parts {
            parts.row(vec![String::new(), part.clone(), known(*process_micros), known(*postgres_micros)]);
        }
        let sum = |of: fn(&CostOfAPart) -> Option<f64>| Some(self.parts.iter().filter_map(of).sum::<f64>());
        let (process, postgres) = (sum(|part| part.process_micros), sum(|part| part.postgres_micros));
        parts.row(vec![String::new(), "all".to_owned(), known(process), known(postgres)]);
        let mut tables =
            Table::new(&["", "rows of an order", "inserted", "updated", "of these HOT", "deleted", "statements µs"]);
        for table in &self.tables {
            let rows = [table.inserted, table.updated, table.hot, table.deleted].map(|rows| format!("{rows:.2}"));
            let cells = [String::new(), table.table.clone()].into_iter().chain(rows);
            tables.row(cells.chain([known(table.statement_micros)]).collect());
        }
        let mut lines: Vec<String> = parts.lines().chain(tables.lines()).collect();
        lines.push(format!(
            "an order: {:.1} kB of WAL, {:.2} syncs; {:.0} % of updates HOT; {:.0} saga steps for each second of a processor",
            self.wal_bytes / 1_000.0,
            self.syncs,
            self.hot_updates.unwrap_or(0.0) * 100.0,
            self.saga_steps_per_core_second.unwrap_or(0.0)
        ));
        lines
    }
}
