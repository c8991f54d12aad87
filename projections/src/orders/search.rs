//! A page of the answer to a question.
//!
//! It has as many orders as were asked for, or fewer if they are large.
//!
//! What an index does not tell is told by the orders found along it. A page is filled by as many reads as that takes, up to a
//! bound on the orders that one request looks at: beyond it fewer are answered, or none, and the cursor goes on from there.

use std::collections::HashMap;

use bounds::{BatchSize, Budget};
use chrono::Days;
use problem::Problem;
use read_models::{Index, Item, Key, Order, Query, Table, Within};

use super::days::{DayCursor, LogDays};
use super::items::OrderItem;
use super::question::{Question, Way};
use super::{META, of_day};
use crate::keys::{shards, sortable};
use crate::parameters::invalid;
use crate::reads::{page_problem, store_problem};

/// The most orders that one request looks at. A question that finds what it looks for gets by with one page of them.
const MOST_EXAMINED: usize = 1_000;
/// The most days that one request looks at.
const MOST_DAYS: usize = 31;
/// How many are read at once where most are passed over.
const CHUNK: u16 = 200;

/// Some orders, and how to go on.
pub(super) struct Found {
    pub(super) orders: Vec<OrderItem>,
    /// `None`: these were the last.
    pub(super) cursor: Option<String>,
}

/// A question that is being answered.
pub(super) struct Search<'a> {
    table: &'a dyn Table,
    question: &'a Question,
    limit: u16,
    found: Vec<OrderItem>,
    room: Budget,
    stride: BatchSize,
    examined: usize,
}

impl<'a> Search<'a> {
    pub(super) fn new(table: &'a dyn Table, question: &'a Question, limit: u16) -> Self {
        Self {
            table,
            question,
            limit,
            found: Vec::new(),
            room: Budget::of(usize::from(limit)),
            stride: BatchSize::of(usize::from(CHUNK)),
            examined: 0,
        }
    }

    /// The page that begins where the cursor says. `days` are those that there are orders of, if it is known.
    pub(super) async fn page(mut self, days: Option<LogDays>, cursor: Option<&str>) -> Result<Found, Problem> {
        let name = self.question.name();
        let cursor = match self.question.way() {
            Way::Along { index, partitions, lines, from, until } => {
                let query = Query {
                    name: &name,
                    within: Within::Index(index, &partitions),
                    from: from.as_deref(),
                    until: until.as_deref(),
                    order: Order::Descending,
                    limit: self.limit,
                    cursor,
                };
                self.along(query, lines).await?
            }
            Way::ByDay => self.by_day(&name, days, cursor).await?,
        };
        Ok(Found { orders: self.found, cursor })
    }

    /// The latest day first.
    async fn by_day(
        &mut self,
        name: &str,
        days: Option<LogDays>,
        cursor: Option<&str>,
    ) -> Result<Option<String>, Problem> {
        let cursor = cursor.map(|text| DayCursor::decode(text, name)).transpose();
        let cursor = cursor.map_err(|error| invalid("cursor", error))?;
        let Some(LogDays { first, last }) = days.and_then(|days| days.within(self.question.from, self.question.to))
        else {
            return Ok(None);
        };
        let (mut day, mut after) = cursor.map_or((last, None), |cursor| (cursor.day, cursor.after));
        let (from, until) = (self.question.from.map(sortable), self.question.to.map(sortable));
        for _ in 0..MOST_DAYS {
            let partitions = shards(&of_day(day));
            let query = Query {
                name,
                within: Within::Index(Index::Gsi3, &partitions),
                from: from.as_deref(),
                until: until.as_deref(),
                order: Order::Descending,
                limit: self.limit,
                cursor: after.as_deref(),
            };
            if let Some(after) = self.along(query, false).await? {
                return Ok(Some(DayCursor { day, after: Some(after) }.encode(name)));
            }
            after = None;
            day = match day.checked_sub_days(Days::new(1)) {
                Some(before) if before >= first => before,
                Some(_) | None => return Ok(None),
            };
            if self.is_full() || self.is_enough() {
                break;
            }
        }
        Ok(Some(DayCursor { day, after: None }.encode(name)))
    }

    /// Takes what is wanted along a query until the page is full or enough was looked at. Returns where to go on; `None`: nothing
    /// is left.
    async fn along(&mut self, first: Query<'_>, lines: bool) -> Result<Option<String>, Problem> {
        let mut limit = first.limit;
        let mut cursor: Option<String> = first.cursor.map(str::to_owned);
        loop {
            if lines {
                // A line is small, but its order may not be.
                limit = limit.min(u16::try_from(self.stride.pieces()).unwrap_or(limit));
            }
            let query = Query { limit, cursor: cursor.as_deref(), ..first.clone() };
            let page = self.table.query(&query).await.map_err(page_problem)?;
            let orders = if lines { self.orders_of(&page.items).await? } else { read(&page.items)? };
            let of = page.items.len();
            for (nth, (item, order)) in page.items.iter().zip(orders).enumerate() {
                let Some((size, order)) = order.filter(|(_, order)| self.question.matches(order)) else { continue };
                self.room.spend(size);
                self.found.push(shown(order));
                if self.is_full() {
                    let more = nth + 1 < of || page.cursor.is_some();
                    return Ok(more.then(|| query.cursor_at(item)));
                }
            }
            self.examined += of;
            if page.cursor.is_none() || self.is_enough() {
                return Ok(page.cursor);
            }
            cursor = page.cursor;
            limit = CHUNK;
        }
    }

    /// The orders that lines belong to, and their sizes.
    async fn orders_of(&mut self, lines: &[Item]) -> Result<Vec<Option<(usize, OrderItem)>>, Problem> {
        let key = |line: &Item| Key::new(line.key.pk.clone(), META);
        let found = self.table.find(&lines.iter().map(key).collect::<Vec<_>>()).await.map_err(store_problem)?;
        self.stride.observe(found.len(), found.iter().map(Item::size).sum());
        let mut orders: HashMap<&str, (usize, OrderItem)> = HashMap::new();
        for (item, order) in found.iter().zip(read(&found)?) {
            orders.extend(order.map(|order| (item.key.pk.as_str(), order)));
        }
        Ok(lines.iter().map(|line| orders.remove(line.key.pk.as_str())).collect())
    }

    fn is_full(&self) -> bool {
        self.room.is_used_up()
    }

    fn is_enough(&self) -> bool {
        self.examined >= MOST_EXAMINED
    }
}

fn read(items: &[Item]) -> Result<Vec<Option<(usize, OrderItem)>>, Problem> {
    let sized = |item: &Item| item.read().map(|order| Some((item.size(), order))).map_err(Problem::internal);
    items.iter().map(sized).collect()
}

/// Without what is not shown.
fn shown(mut order: OrderItem) -> OrderItem {
    order.folded = None;
    order
}
