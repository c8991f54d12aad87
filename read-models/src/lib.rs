//! read-models
