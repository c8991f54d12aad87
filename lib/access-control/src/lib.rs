//! Who calls, and what they may do.
//!
//! A [`Principal`] is decided once, at the edge of the HTTP interface, and carried from there on: as an extension of the request, in
//! the metadata of events and in logs.

mod principal;
mod role;

pub use principal::Principal;
pub use role::Role;
