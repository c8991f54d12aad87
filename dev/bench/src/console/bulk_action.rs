//! All stuck sagas are retried by one bulk action, over a restart of its process; another one is stopped.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use ordo::output;
use serde::Serialize;
use serde_json::{Value, json};

use super::LargeShop;
use crate::args::Console;
use crate::figures::count;
use crate::http_client::ApiClient;
use crate::program::Ordo;
use crate::server::Server;
use crate::table::thousands;

const PATIENCE: Duration = Duration::from_secs(30);
/// Without any progress for so long, something is wrong. An action whose process was killed is taken after a minute.
const STANDSTILL: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BulkActionFigures {
    sagas: u64,
    /// The most in a second.
    rate: u32,
    /// From its beginning to its end, with the time that the process was away.
    seconds: f64,
    /// How many were done when the process was stopped.
    done_before_restart: u64,
    /// Until the process was ready again.
    away_seconds: f64,
    per_second: f64,
    /// How long another one went on after it was to stop, and how many it had done then.
    stopped_after_seconds: f64,
    done_when_stopped: u64,
}

impl BulkActionFigures {
    pub(super) fn lines(&self) -> Vec<String> {
        vec![
            format!(
                "bulk action over {} sagas, at most {}/s: {}/s; {:.1} s, of which its process was away {:.1} s after {} of them",
                thousands(count(self.sagas)),
                self.rate,
                output::rate(self.per_second),
                self.seconds,
                self.away_seconds,
                thousands(count(self.done_before_restart))
            ),
            format!(
                "another one ended {:.2} s after it was stopped, with {} done, and nothing after that",
                self.stopped_after_seconds,
                thousands(count(self.done_when_stopped))
            ),
        ]
    }
}

/// How far an action is.
struct Progress {
    state: String,
    matched: u64,
    done: u64,
    moved_on: u64,
    failed: u64,
}

struct Operator<'a> {
    client: ApiClient,
    ops: String,
    shop: &'a LargeShop,
}

/// Stops the platform at its end.
pub(super) async fn measure(
    args: &Console,
    ordo: &Ordo,
    shop: &LargeShop,
    server: Server,
) -> anyhow::Result<BulkActionFigures> {
    let operator = Operator::at(&server, shop);
    let (id, began) = (operator.begin(args.bulk_rate).await?, Instant::now());
    let before = operator.until(&id, |it| it.done >= args.stuck / 3 || it.has_ended()).await?;
    ensure!(before.done < args.stuck, "it has ended before its process is restarted: give it a lower rate");
    let down = Instant::now();
    tokio::task::spawn_blocking(move || drop(server)).await?;
    let server = ordo.up_on(&shop.database.url, "all").await?;
    let away = down.elapsed();
    let operator = Operator::at(&server, shop);
    let ended = operator.until(&id, Progress::has_ended).await?;
    let took = began.elapsed();
    let Progress { state, matched, done, moved_on, failed } = &ended;
    let is_done = state == "finished" && (*matched, *done, *moved_on, *failed) == (args.stuck, args.stuck, 0, 0);
    ensure!(is_done, "it is {state}: {done} of {matched} done, {moved_on} moved on, {failed} failed");
    let recorded = operator.recorded(&id).await?;
    ensure!(recorded == (args.stuck, args.stuck), "{recorded:?} decisions and orders, not {}", args.stuck);

    shop.until_stuck(args.stuck).await?;
    let id = operator.begin(args.bulk_rate).await?;
    operator.until(&id, |it| it.done > 0 || it.has_ended()).await?;
    let asked = Instant::now();
    operator.post(&format!("/bulk-actions/{id}/stop"), &json!({})).await?;
    let stopped = operator.until(&id, Progress::has_ended).await?;
    let stopped_after = asked.elapsed();
    ensure!(stopped.state == "stopped" && stopped.done < args.stuck, "it is {}", stopped.state);
    // Long enough for ten more batches.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let recorded = operator.recorded(&id).await?.0;
    ensure!(recorded == stopped.done, "{recorded} were retried, {} when it stopped", stopped.done);
    tokio::task::spawn_blocking(move || drop(server)).await?;
    let at_work = took.saturating_sub(away).as_secs_f64();
    Ok(BulkActionFigures {
        sagas: args.stuck,
        rate: args.bulk_rate,
        seconds: took.as_secs_f64(),
        done_before_restart: before.done,
        away_seconds: away.as_secs_f64(),
        per_second: count(args.stuck) / at_work,
        stopped_after_seconds: stopped_after.as_secs_f64(),
        done_when_stopped: stopped.done,
    })
}

impl<'a> Operator<'a> {
    fn at(server: &Server, shop: &'a LargeShop) -> Self {
        Self { client: ApiClient::new(PATIENCE), ops: server.url("ops").trim_end_matches('/').to_owned(), shop }
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, answer) = self.client.post(&format!("{}{path}", self.ops), body).await?;
        ensure!(status.is_success(), "POST {path} is answered {status}: {answer}");
        Ok(answer)
    }

    async fn begin(&self, rate: u32) -> anyhow::Result<String> {
        let asked = json!({ "kind": "retry_sagas", "filter": {}, "reason": "a benchmark", "rate": rate });
        let begun = self.post("/bulk-actions", &asked).await?;
        begun["id"].as_str().map(str::to_owned).with_context(|| format!("a bulk action without an id: {begun}"))
    }

    /// Waits until an action is so far.
    async fn until(&self, id: &str, is_so: impl Fn(&Progress) -> bool) -> anyhow::Result<Progress> {
        let (mut before, mut since) = (0, Instant::now());
        loop {
            let (status, found) = self.client.get(&format!("{}/bulk-actions/{id}", self.ops)).await?;
            ensure!(status.is_success(), "the bulk action is answered {status}: {found}");
            let progress = Progress::of(&found)?;
            if is_so(&progress) {
                return Ok(progress);
            }
            if progress.done > before {
                (before, since) = (progress.done, Instant::now());
            }
            ensure!(since.elapsed() < STANDSTILL, "it stands still: {found}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// How many decisions are in the log because of an action, and about how many orders.
    async fn recorded(&self, id: &str) -> anyhow::Result<(u64, u64)> {
        // There is an index of what people did. Its condition is written so.
        let recorded = r#"select count(*), count(distinct aggregate_id) from events
                          where split_part(metadata::text, ':', 2) in ('"operator', '"support', '"finance', '"warehouse')
                            and event_type = 'OperatorIntervened' and metadata ->> 'causationId' = $1"#;
        let recorded = sqlx::query_as(recorded).bind(id).fetch_one(&self.shop.database.pool).await?;
        let (decisions, orders): (i64, i64) = recorded;
        Ok((u64::try_from(decisions)?, u64::try_from(orders)?))
    }
}

impl Progress {
    fn of(action: &Value) -> anyhow::Result<Self> {
        let number = |name: &str| action[name].as_u64().with_context(|| format!("no {name}: {action}"));
        Ok(Self {
            state: action["state"].as_str().unwrap_or_default().to_owned(),
            matched: number("matched")?,
            done: number("done")?,
            moved_on: number("movedOn")?,
            failed: number("failed")?,
        })
    }

    fn has_ended(&self) -> bool {
        !["running", "stopping"].contains(&self.state.as_str())
    }
}
