//! The registry of problem types. A problem whose type is not in it can't be made.

use http::StatusCode;

/// Declares the types: name, code, status, title, what it means, and what a client can do about it.
macro_rules! problem_types {
    ($($name:ident = $code:literal, $status:ident, $title:literal, $meaning:literal, $remedy:literal;)+) => {
        /// What kind of problem it is. Its code is stable: programs tell problems apart by it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ProblemType { $(#[doc = $meaning] $name),+ }

        impl ProblemType {
            /// All of them, by status.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// For programs.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// The member `type`: a reference to the page of the server that says what it means.
            #[must_use]
            pub const fn uri(self) -> &'static str {
                match self { $(Self::$name => concat!("/problems/", $code)),+ }
            }

            /// The status of its answers.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status),+ }
            }

            /// In a few words, for people.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title),+ }
            }

            /// When a request is answered with it.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning),+ }
            }

            /// What the client can do about it.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy),+ }
            }
        }
    };
}

problem_types! {
    Malformed = "malformed", BAD_REQUEST, "The request cannot be read",
        "The body is not JSON as it has to be, or a header or a position can't be read.",
        "Correct what `detail` names.";
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "It is not known who calls",
        "The request has no credential, and the route is not for everyone.",
        "Send a token or an API key: `Authorization: Bearer` and the credential.";
    InvalidCredential = "invalid-credential", UNAUTHORIZED, "The credential is not valid",
        "The credential is expired, revoked, forged, or not one at all. The server's log says which.",
        "Get a new one.";
    CrossSite = "cross-site", FORBIDDEN, "It comes from another site",
        "A browser sent it for a page of another site.",
        "Send it from a program, or from a page of one of `ORDO_CORS_ORIGINS` or `ORDO_ALLOWED_HOSTS`.";
    Forbidden = "forbidden", FORBIDDEN, "The caller may not do this",
        "The role of the caller may not call this route.",
        "Call with a credential of a role that may.";
    RefundLimit = "refund-limit", FORBIDDEN, "The caller may not refund so much",
        "The refunds of the order that the caller's role asked for would come to more than its `limit`: `left` may still be asked for.",
        "Refund what is left, or let somebody refund who has no limit.";
    NotFound = "not-found", NOT_FOUND, "There is no such thing",
        "Nothing has this path or id, or a read model has not seen it yet.",
        "Check the id. Just after a change, ask with `minPosition`.";
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "The method is not allowed here",
        "The path is there, but not for this method.",
        "Use a method that the header `Allow` names.";
    NotAcceptable = "not-acceptable", NOT_ACCEPTABLE, "The answer has no form that is accepted",
        "The header `Accept` refuses the media type of the answer. A request that would change something did nothing.",
        "Accept `application/json`, or send no `Accept`.";
    RequestTimeout = "request-timeout", REQUEST_TIMEOUT, "The request took too long to arrive",
        "The head or the body did not arrive in time.",
        "Send it again.";
    OrderExists = "order-exists", CONFLICT, "The id is taken by another order",
        "There is an order with this id and other content.",
        "Use another `orderId`.";
    NotAllowed = "not-allowed", CONFLICT, "The order does not allow it now",
        "It can't be asked of an order at this stage: see `stage`, and `allowed` for what can.",
        "Read the order, then decide anew.";
    OnHold = "on-hold", CONFLICT, "The order is on hold",
        "Nothing of the order is shipped until its holds are released: `holds` of the order says why.",
        "Release the order, then ship.";
    BeingEdited = "being-edited", CONFLICT, "An edit of the order is in work",
        "Nothing of the order is shipped, and no other edit is taken, until the edit in work is applied or rejected: see `edits` of the order.",
        "Send it again once the edit is through, or cancel what the edit is about.";
    IdTaken = "id-taken", CONFLICT, "The id is taken",
        "Another shipment, cancellation, edit, hold, return, receipt, refund or note of the order has this id.",
        "Use another id, or none.";
    ReturnClosed = "return-closed", CONFLICT, "Nothing of the return is to come",
        "All of the return was received, or what was left of it was cancelled.",
        "Read the order. Announce another return for what is to come.";
    MailWithdrawn = "mail-withdrawn", CONFLICT, "The mail is not true any more",
        "The mail confirms an order that was cancelled since.",
        "None: it would not be true.";
    LimitReached = "limit-reached", CONFLICT, "There can be no more of these",
        "The order, or the platform, has as many of these as it may: see `of` and `limit`.",
        "None for an order. Delete a webhook, or wait for its replays.";
    IdempotencyKeyInUse = "idempotency-key-in-use", CONFLICT, "A request with this key is under way",
        "The first request with this `Idempotency-Key` is still being carried out.",
        "Send it again in a moment: it is then answered as the first was.";
    Conflict = "conflict", CONFLICT, "Others changed it at the same time",
        "Others changed it each time it was tried: `currentVersion` says where it is now.",
        "Read it, then decide anew.";
    NotTracked = "not-tracked", CONFLICT, "The SKU is not tracked",
        "Units of the SKU were never received, so that there is no count to adjust.",
        "Receive units of it first.";
    TooMany = "too-many", CONFLICT, "There would be too many units",
        "The count would be larger than a SKU can have, or the SKU would be at more locations than it can. Of goods that come back, `sku` and `pointer` say which.",
        "Check the quantity, and the location's name.";
    OtherUnit = "other-unit", CONFLICT, "The SKU is counted in another unit",
        "The quantity is in another unit of measure than the SKU, or in pieces where the SKU has a unit. `sku` and `pointer` say which.",
        "Give the quantity in the SKU's unit, and name it as `unit`. Of goods that come back, leave out `restock` for the line.";
    Backordered = "backordered", CONFLICT, "Units are still to come",
        "Of the `sku`, only `onHand` units for this order are there. The others are expected at `availableAt`, if that is known.",
        "Ship the other lines, or fewer units, or receive the units first.";
    BelowReserved = "below-reserved", CONFLICT, "More units are reserved",
        "The count can't be lower than what is `reserved` for orders.",
        "`GET /stock/{sku}/reservations` lists these orders: cancel some, wait until they have shipped, or adjust by less.";
    NotEnough = "not-enough", CONFLICT, "There are not enough units",
        "Fewer units are `available` at the location than are to be moved.",
        "Move fewer, or cancel orders first.";
    ReplayRunning = "replay-running", CONFLICT, "A replay is running",
        "Another replay rebuilds the same read model.",
        "Wait for it, or cancel it.";
    ReplayUnfinished = "replay-unfinished", CONFLICT, "A replay was not finished",
        "An earlier replay of the read model stopped before its end.",
        "Resume it, or cancel it.";
    ReplayOver = "replay-over", CONFLICT, "The replay is over",
        "What was built is live already, so that it is too late to cancel.",
        "Roll it back.";
    NothingToCancel = "nothing-to-cancel", CONFLICT, "There is nothing to cancel",
        "The replay is not running.",
        "None is needed.";
    NoPreviousGeneration = "no-previous-generation", CONFLICT, "There is no previous generation",
        "The read model has no generation to which it could be rolled back.",
        "Rebuild it by a replay.";
    PreconditionFailed = "precondition-failed", PRECONDITION_FAILED, "It has changed",
        "It is not at the version that `If-Match` names, or at one that `If-None-Match` names: see `currentVersion`.",
        "Read it, then decide anew.";
    PayloadTooLarge = "payload-too-large", PAYLOAD_TOO_LARGE, "The body is too large",
        "The body has more bytes than are taken.",
        "Send less at once.";
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The media type is not understood",
        "The body is not said to be `application/json`, or it has a `Content-Encoding`.",
        "Send plain JSON with `Content-Type: application/json`.";
    UnknownHost = "unknown-host", MISDIRECTED_REQUEST, "It is addressed to another server",
        "The server does not answer under the name that `Host` has.",
        "Ask under a name that it has, or add the name to `ORDO_ALLOWED_HOSTS`.";
    Invalid = "invalid", UNPROCESSABLE_ENTITY, "The request breaks a rule",
        "The body or a parameter breaks rules: `errors` has those of a body, or the first of a parameter, each with its place.",
        "Correct what `errors` names.";
    IdempotencyKeyReused = "idempotency-key-reused", UNPROCESSABLE_ENTITY, "The key has been used",
        "The `Idempotency-Key` was used for a request with another body.",
        "Use a new key for a new request.";
    PreconditionRequired = "precondition-required", PRECONDITION_REQUIRED, "It has to say which version it is meant for",
        "The request has no `If-Match`, and what it asks for was decided on one version of the order.",
        "Send the `ETag` of what it was decided on as `If-Match`.";
    RateLimited = "rate-limited", TOO_MANY_REQUESTS, "There are too many requests",
        "The principal, or without a credential the address, has made as many requests as `RateLimit-Policy` says.",
        "Send it again after `Retry-After`; `RateLimit` says how many requests are left.";
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something failed on our side",
        "A failure that is not the client's. The server's log has the cause under the `traceId`.",
        "Tell whoever runs the server the `traceId`.";
    Failed = "failed", INTERNAL_SERVER_ERROR, "The request failed",
        "The status says what there is to know. It need not be 500.",
        "See the status.";
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "Too much is under way",
        "There is no room for the request now. Nothing was stored.",
        "Send it again after `Retry-After`, under the same id or `Idempotency-Key`.";
    DatabaseUnavailable = "database-unavailable", SERVICE_UNAVAILABLE, "The database does not answer",
        "The database failed. Nothing was stored.",
        "Send it again after `Retry-After`, under the same id or `Idempotency-Key`.";
    ReadModelsUnavailable = "read-models-unavailable", SERVICE_UNAVAILABLE, "The read models do not answer",
        "The store of the read models failed.",
        "Send it again after `Retry-After`.";
    OutcomeUnknown = "outcome-unknown", SERVICE_UNAVAILABLE, "It may be stored or not",
        "The database failed while the request was stored.",
        "Send it again after `Retry-After`, under the same id or `Idempotency-Key`: it is stored once.";
    ProjectionLagging = "projection-lagging", SERVICE_UNAVAILABLE, "The read model is behind",
        "The read model did not reach the position that was asked for in time.",
        "Send it again after `Retry-After`.";
    Stopping = "stopping", SERVICE_UNAVAILABLE, "The server is stopping",
        "The server stops. Nothing was stored.",
        "Send it again after `Retry-After`, under the same id or `Idempotency-Key`.";
    TooManyConnections = "too-many-connections", SERVICE_UNAVAILABLE, "There is no room for more clients",
        "The server has as many connections as it takes, or the principal as many requests under way as it may have.",
        "Connect again after `Retry-After`.";
    TooManyStreams = "too-many-streams", SERVICE_UNAVAILABLE, "There is no room for more live streams",
        "As many clients follow the live stream as the server takes, in all, from one address or as one principal.",
        "Close streams that are not needed, or come back after `Retry-After`.";
    AuthenticationUnavailable = "authentication-unavailable", SERVICE_UNAVAILABLE, "Credentials can't be checked",
        "Whether the credential is valid can't be found out at the moment.",
        "Send it again after `Retry-After`.";
    ReplayEnded = "replay-ended", SERVICE_UNAVAILABLE, "The replay was ended",
        "The replay was cancelled, or another process has taken it over.",
        "Ask for the replay, then decide anew.";
}

impl ProblemType {
    /// The type with this code.
    pub(crate) fn by_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.code() == code)
    }

    /// The general type of a status, for answers that are no problem yet.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::BAD_REQUEST => Self::Malformed,
            StatusCode::UNAUTHORIZED => Self::Unauthenticated,
            StatusCode::FORBIDDEN => Self::Forbidden,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::REQUEST_TIMEOUT => Self::RequestTimeout,
            StatusCode::PAYLOAD_TOO_LARGE => Self::PayloadTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::UNPROCESSABLE_ENTITY => Self::Invalid,
            StatusCode::INTERNAL_SERVER_ERROR => Self::Internal,
            _ => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_code_is_one_types_and_can_stand_in_a_path() {
        let codes: HashSet<&str> = ProblemType::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes.len(), ProblemType::ALL.len());
        for code in codes {
            assert!(code.chars().all(|char| char.is_ascii_lowercase() || char == '-'), "{code}");
            assert_eq!(ProblemType::by_code(code).unwrap().code(), code);
        }
    }

    #[test]
    fn types_are_in_the_order_of_their_statuses() {
        assert!(ProblemType::ALL.is_sorted_by_key(|kind| kind.status()));
    }

    #[test]
    fn texts_are_sentences_without_markup_of_pages() {
        for kind in ProblemType::ALL {
            for text in [kind.meaning(), kind.remedy()] {
                assert!(text.ends_with('.') && !text.contains(['<', '>', '&', '|']), "{text}");
                assert_eq!(text.matches('`').count() % 2, 0, "{text}");
            }
            assert!(!kind.title().ends_with('.') && !kind.title().contains(['<', '>', '&', '|', '`']), "{kind:?}");
        }
    }
}
