//! `ordo verify`: whether the log is what it was, and events, stock, money, sagas and mails agree with each other, over the whole
//! database.
//!
//! It only reads, unless it is to seal, and reads one snapshot, so it can run beside a running platform. Streams are read one after
//! the other, each folded, checked and forgotten; only the units of each order and SKU are kept until the end. Work that is still
//! under way is no finding: the provider may know of a payment a moment before the order does.
//!
//! - `chain`: no event was changed since it was sealed, or since a head was written down.
//! - `streams`: every event in order, every stream without gaps.
//! - `order`: an order by itself: quantities, amounts, mails.
//! - `units`: what SKUs hold for orders, and what orders say they hold.
//! - `documents`: invoices and credit notes, without a gap, each named by its order. `order_numbers`: likewise.
//! - `sandbox_ledger`: the sandbox's payments, and what orders say was paid.
//! - `progress`: every saga has ended or waits for something.
//! - `snapshots`: every snapshot of a SKU equals the fold of its events.
//! - `views`: every read model equals the fold of the events.
//! - `mails`: each mail was sent once, and for something that happened.

mod chain;
mod documents;
mod findings;
mod mails;
mod order;
mod order_numbers;
mod progress;
mod sandbox_ledger;
mod snapshots;
mod streams;
mod units;
mod views;

use std::process::ExitCode;

use anyhow::Context;
use domain::money::{Currency, Money};
use event_store::hash_chain::{ChainHead, HashChainReport, seal_all};
use projections::{ReadModelVerifier, VerificationReport};
use read_models::GenerationStore;
use serde_json::json;
use sqlx::PgPool;

use self::findings::Findings;
use self::order::CurrencyPaymentTotals;
use self::streams::LogTotals;
use crate::settings::Settings;
use crate::{connections, migrate, output};

/// How many findings are shown.
const SHOWN: usize = 100;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct VerifyArgs {
    /// Check the log against this, which an earlier `ordo verify` printed: whatever was changed up to there is found
    #[arg(long, value_name = "POSITION:HASH")]
    pub(crate) head: Option<ChainHead>,
    /// First seal what is not sealed yet, so that a later change to it can be told by its position
    #[arg(long)]
    pub(crate) seal: bool,
    /// Say it as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Checks the database and prints the findings. The exit code is 1 if there are any.
pub(crate) async fn run(settings: &Settings, args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let pool = connections::database(settings).await?;
    migrate::check(&pool).await?;
    if args.seal {
        seal_all(&mut *pool.acquire().await?).await.context("the log could not be sealed")?;
    }
    let read_models = connections::read_models(settings, &pool).await?;
    let (found, findings) =
        verify(&pool, &*read_models, args.head).await.context("the database could not be checked")?;
    if args.json {
        output::line(&as_json(&found, &findings).to_string())?;
    } else {
        for line in as_text(&found, &findings) {
            output::line(&line)?;
        }
    }
    Ok(if findings.count() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The result of all checks.
struct VerifyResult {
    log: HashChainReport,
    totals: LogTotals,
    views: VerificationReport,
}

async fn verify(
    pool: &PgPool,
    read_models: &dyn GenerationStore,
    head: Option<ChainHead>,
) -> anyhow::Result<(VerifyResult, Findings)> {
    let mut transaction = pool.begin().await?;
    sqlx::query("set transaction isolation level repeatable read, read only").execute(&mut *transaction).await?;
    let mut findings = Findings::new(SHOWN);
    let log = chain::check(&mut transaction, head, &mut findings).await?;
    let mut views = ReadModelVerifier::begin(&mut transaction, read_models).await?;
    let totals = streams::check(&mut transaction, &mut views, &mut findings).await?;
    let views = views.end(&mut transaction).await?;
    views::report(&views, &mut findings);
    sandbox_ledger::check_strays(&mut transaction, &mut findings).await?;
    progress::check_strays(&mut transaction, &mut findings).await?;
    mails::check_strays(&mut transaction, &mut findings).await?;
    transaction.rollback().await?;
    Ok((VerifyResult { log, totals, views }, findings))
}

fn as_text(found: &VerifyResult, findings: &Findings) -> Vec<String> {
    let LogTotals {
        events,
        orders,
        skus,
        documents,
        order_numbers,
        position,
        sagas,
        mails,
        money,
        foreign_events,
        foreign_streams,
    } = &found.totals;
    let mut lines = vec![
        format!("{events} events of {orders} orders and {skus} SKUs, up to position {position}"),
        format!(
            "sagas: {} completed, {} compensated, {} waiting, {} stuck, {} just beginning",
            sagas.completed,
            sagas.compensated,
            sagas.waiting,
            sagas.stuck(),
            sagas.in_flight
        ),
        format!("mails: {} sent, {} given up", mails.sent, mails.given_up),
    ];
    let numbered = format!("{documents} invoices and credit notes");
    lines.extend((*documents > 0).then_some(numbered));
    let numbered = format!("{order_numbers} order numbers");
    lines.extend((*order_numbers > 0).then_some(numbered));
    lines.splice(1..1, chain::as_text(&found.log));
    let foreign = format!("{foreign_events} events of {foreign_streams} foreign streams, which are not looked into");
    lines.splice(1..1, (*foreign_events > 0).then_some(foreign));
    lines.push(views::as_text(&found.views));
    let stuck = sagas.reasons.iter().map(|((step, why), orders)| format!("  stuck: {orders} × {step}: {why}"));
    lines.extend(stuck);
    lines.extend(money.iter().map(|(code, (currency, sums))| {
        let [held, captured, refunded] =
            [sums.held, sums.captured, sums.refunded].map(|minor| Money::from_minor(minor, *currency));
        format!("{code}: {held} held, {captured} captured, {refunded} refunded")
    }));
    lines.extend(findings.shown().map(|finding| format!("{}: {}", finding.about, finding.what)));
    let hidden = findings.count() - findings.shown().count();
    lines.extend((hidden > 0).then(|| format!("and {hidden} more")));
    lines.push(match findings.count() {
        0 => "ok: everything agrees".to_owned(),
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    });
    lines
}

fn as_json(found: &VerifyResult, findings: &Findings) -> serde_json::Value {
    let LogTotals {
        events,
        orders,
        skus,
        documents,
        order_numbers,
        position,
        sagas,
        mails,
        money,
        foreign_events,
        foreign_streams,
    } = &found.totals;
    let reasons = sagas.reasons.iter();
    let sums = |(code, (_, sums)): (&String, &(Currency, CurrencyPaymentTotals))| {
        let sums = json!({ "heldMinor": sums.held, "capturedMinor": sums.captured, "refundedMinor": sums.refunded });
        (code.clone(), sums)
    };
    json!({
        "ok": findings.count() == 0,
        "events": events,
        "orders": orders,
        "skus": skus,
        "documents": documents,
        "orderNumbers": order_numbers,
        "foreign": { "events": foreign_events, "streams": foreign_streams },
        "position": position,
        "log": chain::as_json(&found.log),
        "readModels": views::as_json(&found.views),
        "sagas": {
            "completed": sagas.completed,
            "compensated": sagas.compensated,
            "waiting": sagas.waiting,
            "stuck": sagas.stuck(),
            "justBeginning": sagas.in_flight,
        },
        "mails": { "sent": mails.sent, "givenUp": mails.given_up },
        "stuck": reasons
            .map(|((step, why), orders)| json!({ "step": step, "reason": why, "orders": orders }))
            .collect::<Vec<_>>(),
        "money": money.iter().map(sums).collect::<serde_json::Map<_, _>>(),
        "findings": findings.shown().map(|it| json!({ "about": it.about, "what": it.what })).collect::<Vec<_>>(),
        "findingsInAll": findings.count(),
    })
}
