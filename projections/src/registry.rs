use crate::projection::Projection;
use crate::{orders, sales, stock};

/// Every projection there is.
pub static REGISTRY: &[Projection] = &[orders::PROJECTION, sales::PROJECTION, stock::PROJECTION];
