//! No event was changed since it was sealed, or since a given head.

use event_store::hash_chain::{ChainHead, HashChainFault, HashChainReport, check_chain};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::findings::Findings;

/// Compares the log with its seals, and with a head if one is given.
pub(super) async fn check(
    connection: &mut PgConnection,
    head: Option<ChainHead>,
    findings: &mut Findings,
) -> Result<HashChainReport, sqlx::Error> {
    let log = check_chain(connection, head).await?;
    for fault in &log.faults {
        findings.add(fault.about(), fault.to_string());
    }
    findings.add_unseen(log.fault_count.saturating_sub(u64::try_from(log.faults.len()).unwrap_or(u64::MAX)));
    Ok(log)
}

pub(super) fn as_text(log: &HashChainReport) -> Vec<String> {
    let sealed = format!("log: sealed up to position {}, {} events not sealed yet", log.sealed_up_to, log.not_sealed);
    let mut lines = vec![sealed, format!("head: {}", log.head)];
    lines.extend(log.matches_head.filter(|matches| *matches).map(|_| "log: as the given head says".to_owned()));
    lines
}

pub(super) fn as_json(log: &HashChainReport) -> Value {
    json!({
        "head": log.head.to_string(),
        "sealedUpTo": log.sealed_up_to,
        "notSealed": log.not_sealed,
        "asHeadSays": log.matches_head,
        "firstBadPosition": log.faults.iter().find_map(HashChainFault::position),
    })
}
