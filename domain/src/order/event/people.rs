//! What people add to an order: notes, and the decisions of operators.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::NoteId;
use crate::order::saga::{OperatorDecision, SagaStep};

/// Somebody added a note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NoteAdded {
    pub note_id: NoteId,
    pub text: String,
    /// Who wrote it, if they say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
}

/// An operator decided about a step of the order's sagas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OperatorIntervened {
    #[serde(rename = "verb")]
    pub decision: OperatorDecision,
    /// The step that the decision is about.
    pub step: SagaStep,
    /// Who decided.
    pub actor: String,
    /// Why, for other operators. The customer does not read it.
    pub reason: String,
    /// Why the order is undone, for the customer, if this decision undoes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_message: Option<String>,
    /// The id of the mail that is skipped, if one is. Events of earlier builds do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification_id: Option<Uuid>,
    /// Which of the order's payments the decision is about; `None`: it has one, or the step is about none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_number: Option<u32>,
}
