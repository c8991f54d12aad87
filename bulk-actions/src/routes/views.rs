//! What operators see of bulk actions.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::AnyFilter;
use crate::BulkActionKind;
use crate::table::{BulkActionRow, BulkActionState};
use crate::targets::{BulkActionItem, ItemError};

/// What a bulk action would act on.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct BulkActionPreview {
    pub(super) kind: BulkActionKind,
    /// How many there are. `null`: too many to count.
    pub(super) matched: Option<i64>,
    /// The first 20.
    pub(super) items: Vec<BulkActionItem>,
}

/// A bulk action, and how far it is.
#[derive(Serialize, ToSchema)]
#[schema(as = BulkAction)]
#[serde(rename_all = "camelCase")]
pub(super) struct BulkActionView {
    id: Uuid,
    kind: BulkActionKind,
    #[schema(value_type = AnyFilter)]
    filter: Value,
    reason: String,
    /// The operator who began it.
    actor: String,
    /// The most items in a second.
    rate: u32,
    state: BulkActionState,
    /// Whether a process works on it right now.
    running: bool,
    /// How many there were at its start. `null`: too many to count.
    matched: Option<i64>,
    done: i64,
    /// Those for which there was nothing to do any more.
    moved_on: i64,
    failed: i64,
    /// The first 20 of these.
    errors: Vec<ItemError>,
    /// Why it failed, or what it did not get to.
    note: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
}

/// A page of bulk actions, the latest first.
#[derive(Serialize, ToSchema)]
pub(super) struct BulkActionPage {
    items: Vec<BulkActionView>,
    /// The cursor of the next page. `null`: this is the last page.
    cursor: Option<String>,
}

impl BulkActionPage {
    /// `rows` has one more than the page if there is another page.
    pub(super) fn of(mut rows: Vec<BulkActionRow>, limit: usize) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let cursor = rows.last().filter(|_| more).map(|last| last.id.to_string());
        Self { items: rows.into_iter().map(BulkActionView::of).collect(), cursor }
    }
}

impl BulkActionView {
    pub(super) fn of(row: BulkActionRow) -> Self {
        Self {
            running: row.is_held && !row.state.has_ended(),
            id: row.id,
            kind: row.kind,
            filter: row.filter,
            reason: row.reason,
            actor: row.actor,
            rate: row.rate,
            state: row.state,
            matched: row.matched,
            done: row.done,
            moved_on: row.moved_on,
            failed: row.failed,
            errors: row.errors,
            note: row.note,
            created_at: row.created_at,
            updated_at: row.updated_at,
            ended_at: row.ended_at,
        }
    }
}
