//! Every read model equals the fold of the events.

use projections::VerificationReport;
use serde_json::{Value, json};

use super::findings::Findings;

/// Notes the items that differ.
pub(super) fn report(views: &VerificationReport, findings: &mut Findings) {
    for it in &views.discrepancies {
        findings.add(format!("read model {}, {} {}", it.projection, it.key.pk, it.key.sk), it.what.clone());
    }
    findings.add_unseen(
        views.discrepancy_count.saturating_sub(u64::try_from(views.discrepancies.len()).unwrap_or(u64::MAX)),
    );
}

pub(super) fn as_text(views: &VerificationReport) -> String {
    let VerificationReport { matching, skipped, .. } = views;
    format!("read models: {matching} items are what the events make of them, {skipped} on the move or parked")
}

pub(super) fn as_json(views: &VerificationReport) -> Value {
    json!({ "alike": views.matching, "leftOut": views.skipped, "wrong": views.discrepancy_count })
}
