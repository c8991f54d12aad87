//! Every read model equals the fold of the events.

use projections::Verified;
use serde_json::{Value, json};

use super::findings::Findings;

/// Notes the items that differ.
pub(super) fn report(views: &Verified, findings: &mut Findings) {
    for it in &views.discrepancies {
        findings.add(format!("read model {}, {} {}", it.projection, it.key.pk, it.key.sk), it.what.clone());
    }
    findings.add_unseen(views.in_all.saturating_sub(u64::try_from(views.discrepancies.len()).unwrap_or(u64::MAX)));
}

pub(super) fn as_text(views: &Verified) -> String {
    let Verified { alike, left_out, .. } = views;
    format!("read models: {alike} items are what the events make of them, {left_out} on the move or parked")
}

pub(super) fn as_json(views: &Verified) -> Value {
    json!({ "alike": views.alike, "leftOut": views.left_out, "wrong": views.in_all })
}
