//! What people add to an order: notes, and the decisions of operators.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::NoteId;
use crate::order::saga::{OperatorDecision, SagaStep};

/// Somebody wrote something down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NoteAdded {
    /// Names the note.
    pub note_id: NoteId,
    /// What.
    pub text: String,
    /// Who, if they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
}

/// An operator decided what the order's saga could not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorIntervened {
    /// What is to be done.
    #[serde(rename = "verb")]
    pub decision: OperatorDecision,
    /// The step that was stuck.
    pub step: SagaStep,
    /// Who decided.
    pub actor: String,
    /// Why, for those who look after orders: the customer does not read it.
    pub reason: String,
    /// What the customer is told of why the order is undone, if it is because of this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_message: Option<String>,
    /// The mail that is skipped, if it is one. Builds that did not note it left its answer without an owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification_id: Option<Uuid>,
}
