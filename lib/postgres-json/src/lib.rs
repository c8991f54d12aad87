//! JSON text as a parameter of a statement.

use sqlx::Postgres;
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo};

/// JSON text, sent as it is, as Postgres's type `json`. sqlx's own type is sent as `jsonb`: the server would parse it, reorder its
/// members and write it anew.
pub struct RawJson<'a>(pub &'a str);

impl sqlx::Type<Postgres> for RawJson<'_> {
    fn type_info() -> PgTypeInfo {
        // json
        PgTypeInfo::with_oid(Oid(114))
    }
}

impl PgHasArrayType for RawJson<'_> {
    fn array_type_info() -> PgTypeInfo {
        // json[]
        PgTypeInfo::with_oid(Oid(199))
    }
}

impl Encode<'_, Postgres> for RawJson<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}
