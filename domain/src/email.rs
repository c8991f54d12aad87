//! A customer's e-mail address.

pub use mail_address::EmailAddress;
