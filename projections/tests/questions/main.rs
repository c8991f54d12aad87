//! Questions about many orders: pages, filters, sales; and what becomes of those that make no sense.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

mod along_the_log;
mod combined;
mod export;
mod items;
mod log;
mod pages;
mod sales;
mod shop;
mod words;
mod wrong;
