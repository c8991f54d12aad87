//! The calls of the sandbox, and the ids that it makes.

use uuid::{Uuid, uuid};

use crate::{AuthorizationRequest, CaptureRequest, PaymentError, RefundRequest, VoidRequest};

/// Ids are derived from keys, so that a key gets the same id in every process.
const IDS: Uuid = uuid!("5a0cf1b5-6f0a-4d2e-9a54-0d5f4a1c7e11");

/// The prefix of the ids of payments.
pub(in crate::sandbox) const PAYMENT_PREFIX: &str = "sbx_pay_";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sandbox) enum Operation {
    Authorize(AuthorizationRequest),
    Find(AuthorizationRequest),
    Abandon(AuthorizationRequest),
    Capture(CaptureRequest),
    Void(VoidRequest),
    Refund(RefundRequest),
}

impl Operation {
    pub(in crate::sandbox) fn payment(&self) -> String {
        match self {
            Self::Authorize(request) | Self::Find(request) | Self::Abandon(request) => payment_reference(&request.key),
            Self::Capture(request) => request.reference.clone(),
            Self::Void(request) => request.reference.clone(),
            Self::Refund(request) => request.reference.clone(),
        }
    }

    pub(in crate::sandbox) fn movement(&self) -> Option<String> {
        match self {
            Self::Capture(request) => Some(movement_reference(&request.key)),
            Self::Refund(request) => Some(movement_reference(&request.key)),
            Self::Authorize(_) | Self::Find(_) | Self::Abandon(_) | Self::Void(_) => None,
        }
    }

    pub(in crate::sandbox) fn key(&self) -> &str {
        match self {
            Self::Authorize(request) | Self::Find(request) | Self::Abandon(request) => &request.key,
            Self::Capture(request) => &request.key,
            Self::Void(request) => &request.key,
            Self::Refund(request) => &request.key,
        }
    }

    /// Refuses texts that Postgres would refuse, because they would fail the whole batch.
    pub(in crate::sandbox) fn check(&self) -> Result<(), PaymentError> {
        let texts = match self {
            Self::Authorize(request) | Self::Find(request) | Self::Abandon(request) => {
                let token = request.token.as_deref().unwrap_or_default();
                [&request.key, &request.order_id, &request.currency, token]
            }
            Self::Capture(request) => [&request.key, &request.reference, &request.currency, ""],
            Self::Void(request) => [&request.key, &request.reference, "", ""],
            Self::Refund(request) => [&request.key, &request.reference, &request.currency, ""],
        };
        let plain = texts.iter().all(|text| !text.contains('\0'));
        if plain { Ok(()) } else { Err(PaymentError::refused("the request contains a NUL")) }
    }
}

/// The id of the payment that is authorized under this key.
pub(in crate::sandbox) fn payment_reference(key: &str) -> String {
    format!("{PAYMENT_PREFIX}{}", Uuid::new_v5(&IDS, key.as_bytes()).simple())
}

/// The id of the capture or refund that is made under this key.
pub(in crate::sandbox) fn movement_reference(key: &str) -> String {
    format!("sbx_mov_{}", Uuid::new_v5(&IDS, key.as_bytes()).simple())
}
