use crate::projection::ProjectionDefinition;
use crate::{orders, sales, stock};

/// Every projection there is.
pub static REGISTRY: &[ProjectionDefinition] = &[orders::PROJECTION, sales::PROJECTION, stock::PROJECTION];
