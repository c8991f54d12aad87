//! The server of the database: what it is, how it is set up, and what goes on in it.

use error_chain::error_chain;
use event_store::database_checks::{check_durability, check_sessions};
use sqlx::PgPool;

use super::report::Findings;
use super::{PATIENCE, found, scalar};
use crate::database_rights;
use crate::settings::Settings;

/// What is checked here.
pub(super) const CHECKS: [&str; 12] = [
    "version",
    "sessions",
    "durability",
    "rights",
    "connections",
    "time-limits",
    "replication",
    "wal",
    "transactions",
    "clock",
    "indexes",
    "vacuum",
];

/// The oldest server that the platform is tested on.
const OLDEST: i32 = 14;
/// How many transaction ids may be used before the server must have frozen old rows; it stops at two thousand million.
const OLD_TRANSACTIONS: i64 = 1_000_000_000;
/// WAL that a replication slot may hold back before it is worth a look.
const WAL_HELD: i64 = 10 * 1024 * 1024 * 1024;

pub(super) async fn check(settings: &Settings, pool: &PgPool, findings: &mut Findings) {
    version(pool, findings).await;
    sessions(pool, findings).await;
    rights(settings, pool, findings).await;
    connections(settings, pool, findings).await;
    time_limits(pool, findings).await;
    replication(pool, findings).await;
    wal(pool, findings).await;
    transactions(pool, findings).await;
    clock(pool, findings).await;
    indexes(pool, findings).await;
    vacuum(pool, findings).await;
}

async fn version(pool: &PgPool, findings: &mut Findings) {
    let query = "select current_setting('server_version_num')::int / 10000";
    let Some(version) = found(findings, "version", scalar::<i32>(pool, query)).await else { return };
    let seen = format!("Postgres {version}");
    if version < OLDEST {
        findings.problem("version", &seen, &format!("go to Postgres {OLDEST} or later"));
    } else {
        findings.ok("version", seen);
    }
}

/// What `serve` checks at its start.
async fn sessions(pool: &PgPool, findings: &mut Findings) {
    match tokio::time::timeout(PATIENCE, check_sessions(pool)).await {
        Ok(Ok(())) => findings.ok("sessions", "they are kept, locks exclude others, and a NOTIFY arrives"),
        Ok(Err(error)) => findings.problem("sessions", &error_chain(&error), "`serve` does not start on this database"),
        Err(_) => findings.problem("sessions", "there was no answer in time", "see what the database is busy with"),
    }
    match tokio::time::timeout(PATIENCE, check_durability(pool)).await {
        Ok(Ok(())) => findings.ok("durability", "what is acknowledged survives a crash"),
        Ok(Err(error)) => findings.problem("durability", &error_chain(&error), "orders could be lost"),
        Err(_) => findings.problem("durability", "there was no answer in time", "see what the database is busy with"),
    }
}

async fn rights(settings: &Settings, pool: &PgPool, findings: &mut Findings) {
    let excess = database_rights::excess(pool, &settings.roles);
    let Some(excess) = found(findings, "rights", excess).await else { return };
    if excess.is_empty() {
        findings.ok("rights", "the database's user may do no more than its roles need");
    } else {
        let advice = "make a user for each role: `ordo migrate --roles` makes the roles to grant";
        findings.warning("rights", &format!("the database's user {}", excess.join(", ")), advice);
    }
}

async fn connections(settings: &Settings, pool: &PgPool, findings: &mut Findings) {
    let query = "select (current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int)::int8,
                        (select count(*) from pg_stat_activity where backend_type = 'client backend')";
    let read = sqlx::query_as::<_, (i64, i64)>(query).fetch_one(pool);
    let Some((most, used)) = found(findings, "connections", read).await else { return };
    // Beside the pools each process has one to listen on.
    let of_a_copy = i64::from(settings.database_connections) + i64::from(settings.read_connections) + 1;
    let seen = format!("{used} of {most} are taken; a process with these settings takes up to {of_a_copy}");
    if of_a_copy > most {
        findings.problem("connections", &seen, "raise max_connections, or lower ORDO_DATABASE_CONNECTIONS");
    } else if used * 10 > most * 9 || 2 * of_a_copy > most {
        let advice =
            "during a rollout there is one process more: raise max_connections, or lower ORDO_DATABASE_CONNECTIONS";
        findings.warning("connections", &seen, advice);
    } else {
        findings.ok("connections", seen);
    }
}

/// Time-outs that the server gives to every session. The platform sets those that it needs.
async fn time_limits(pool: &PgPool, findings: &mut Findings) {
    let query = "select coalesce(string_agg(name || ' = ' || reset_val || unit, ', ' order by name), '') from pg_settings
                  where name in ('statement_timeout', 'idle_session_timeout', 'transaction_timeout') and reset_val <> '0'";
    let Some(limits) = found(findings, "time-limits", scalar::<String>(pool, query)).await else { return };
    if limits.is_empty() {
        findings.ok("time-limits", "the server ends no statement and no session by itself");
    } else {
        let advice =
            "long statements (`replay`, `verify`, `migrate`) and idle sessions need them off for the platform's users";
        findings.warning("time-limits", &limits, advice);
    }
}

async fn replication(pool: &PgPool, findings: &mut Findings) {
    let query = "select (select count(*) from pg_stat_replication), current_setting('synchronous_standby_names')";
    let read = sqlx::query_as::<_, (i64, String)>(query).fetch_one(pool);
    let Some((standbys, names)) = found(findings, "replication", read).await else { return };
    match (standbys, names.is_empty()) {
        (0, true) => findings.warning(
            "replication",
            "there is no standby",
            "what is lost with this server is lost: see the how-to about high availability, or keep a backup that is shipped all the time",
        ),
        (0, false) => findings.problem(
            "replication",
            &format!("synchronous_standby_names is {names}, and no standby is connected"),
            "each commit waits for one: bring a standby back",
        ),
        (_, true) => findings.warning(
            "replication",
            &format!("{standbys} standbys, none of them synchronous"),
            "a failover loses what was acknowledged last: set synchronous_standby_names, or have Patroni do it",
        ),
        (_, false) => findings.ok("replication", format!("{standbys} standbys; synchronous: {names}")),
    }
}

async fn wal(pool: &PgPool, findings: &mut Findings) {
    let query = "select coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), 0)::int8,
                        coalesce(string_agg(slot_name::text, ', ') filter (where not active), '')
                   from pg_replication_slots";
    let read = sqlx::query_as::<_, (i64, String)>(query).fetch_one(pool);
    let Some((held, idle)) = found(findings, "wal", read).await else { return };
    if held > WAL_HELD {
        let seen = format!("replication slots hold back {} MB of WAL; without a reader: {idle}", held / 1_000_000);
        findings.problem("wal", &seen, "the disk fills: bring the reader back, or drop the slot");
    } else if idle.is_empty() {
        findings.ok("wal", "no replication slot holds much back");
    } else {
        findings.warning(
            "wal",
            &format!("replication slots without a reader: {idle}"),
            "the disk fills while they have none",
        );
    }
}

async fn transactions(pool: &PgPool, findings: &mut Findings) {
    let query = "select count(*) filter (where state like 'idle in transaction%' and state_change < now() - interval '1 minute'),
                        count(*) filter (where wait_event_type = 'Lock' and query_start < now() - interval '10 seconds'),
                        (select count(*) from pg_prepared_xacts where prepared < now() - interval '1 minute')
                   from pg_stat_activity where datname = current_database()";
    let read = sqlx::query_as::<_, (i64, i64, i64)>(query).fetch_one(pool);
    let Some((idle, waiting, prepared)) = found(findings, "transactions", read).await else { return };
    let seen = format!(
        "{idle} sessions idle in a transaction for a minute, {waiting} waiting for a lock for 10 s, {prepared} prepared transactions"
    );
    if idle + waiting + prepared == 0 {
        findings.ok("transactions", "none is left open, and nobody waits long for a lock");
    } else {
        findings.problem(
            "transactions",
            &seen,
            "they hold up others: `select * from pg_stat_activity` says whose they are",
        );
    }
}

/// How far the clock of the database is from that of this machine.
async fn clock(pool: &PgPool, findings: &mut Findings) {
    let before = chrono::Utc::now();
    let query = "select clock_timestamp()";
    let Some(theirs) = found(findings, "clock", scalar::<chrono::DateTime<chrono::Utc>>(pool, query)).await else {
        return;
    };
    let after = chrono::Utc::now();
    // An answer takes some time; the clock is only known to be between.
    let off = (before - theirs).max(theirs - after).max(chrono::TimeDelta::zero());
    let seen = format!("the database's clock is {} ms off this machine's at the least", off.num_milliseconds());
    if off > chrono::TimeDelta::seconds(2) {
        findings.problem("clock", &seen, "have both machines follow the same time (NTP)");
    } else {
        findings.ok("clock", "the database's clock agrees with this machine's");
    }
}

async fn indexes(pool: &PgPool, findings: &mut Findings) {
    let query = "select coalesce(string_agg(c.relname, ', ' order by c.relname), '')
                   from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
                  where not i.indisvalid and n.nspname = current_schema()";
    let Some(invalid) = found(findings, "indexes", scalar::<String>(pool, query)).await else { return };
    if invalid.is_empty() {
        findings.ok("indexes", "all are valid");
    } else {
        findings.problem("indexes", &format!("not valid: {invalid}"), "run `ordo migrate`, which builds them again");
    }
}

async fn vacuum(pool: &PgPool, findings: &mut Findings) {
    let query = "select current_setting('autovacuum'), (select age(datfrozenxid)::int8 from pg_database where datname = current_database()),
                        (select pg_size_pretty(pg_database_size(current_database())))";
    let read = sqlx::query_as::<_, (String, i64, String)>(query).fetch_one(pool);
    let Some((autovacuum, age, size)) = found(findings, "vacuum", read).await else { return };
    if autovacuum != "on" {
        findings.problem(
            "vacuum",
            "autovacuum is off",
            "turn it on: tables grow without end, and the server stops in the end",
        );
    } else if age > OLD_TRANSACTIONS {
        let seen = format!("the oldest transaction id is {age} old");
        findings.problem("vacuum", &seen, "run VACUUM FREEZE, and see what holds autovacuum up");
    } else {
        findings.ok("vacuum", format!("autovacuum is on; the database has {size}. Free disk can't be seen from here"));
    }
}
