//! Finds a page of orders.
//!
//! A page has as many orders as the client wants, or fewer if they are large. An index can't check every condition of a
//! filter, so orders are read until the page is full, up to a bound on the orders that one request reads. Beyond that
//! the page has fewer orders, or none, and its cursor goes on from there.

use std::collections::HashMap;

use bounds::{Budget, ByteLimitedBatchSize};
use chrono::Days;
use futures_util::future::try_join_all;
use problem::Problem;
use read_models::{GenerationTable, Index, Item, Key, Query, QueryScope, SortOrder};

use super::collections::OrderPart;
use super::days::{DayCursor, LogDayRange};
use super::filter::{AccessPath, OrderFilter};
use super::listed::{ListedOrder, PartRows};
use super::rows::OrderRow;
use super::view::OrderReader;
use super::{META, of_day};
use crate::keys::{shards, sortable};
use crate::parameters::invalid;
use crate::reads::{page_problem, store_problem};

/// The most orders that one request reads. Where every order matches, it reads one page of them only.
const MOST_EXAMINED: usize = 1_000;
/// The most days that one request reads.
const MOST_DAYS: usize = 31;
/// How many orders are read at once after the first page.
const CHUNK: u16 = 200;
/// Of how many orders the parts are read at the same time. Those of the last ones may be left out again.
const EXPANDED_TOGETHER: usize = 8;

/// A page of the orders that were found.
pub(super) struct OrdersFound {
    pub(super) orders: Vec<ListedOrder>,
    /// `None`: there are no more.
    pub(super) cursor: Option<String>,
}

/// A search under way, with the orders found so far.
pub(super) struct RunningOrderSearch<'a> {
    table: &'a dyn GenerationTable,
    filter: &'a OrderFilter,
    reader: OrderReader,
    /// What comes with each order.
    parts: &'a [OrderPart],
    limit: u16,
    found: Vec<ListedOrder>,
    room: Budget,
    stride: ByteLimitedBatchSize,
    examined: usize,
}

impl<'a> RunningOrderSearch<'a> {
    pub(super) fn new(
        table: &'a dyn GenerationTable,
        filter: &'a OrderFilter,
        reader: OrderReader,
        parts: &'a [OrderPart],
        limit: u16,
    ) -> Self {
        Self {
            table,
            filter,
            reader,
            parts,
            limit,
            found: Vec::new(),
            room: Budget::of(usize::from(limit)),
            stride: ByteLimitedBatchSize::of(usize::from(CHUNK)),
            examined: 0,
        }
    }

    /// The page at the cursor. `days` are the days that there are orders of, for a search by day.
    pub(super) async fn page(
        mut self,
        days: Option<LogDayRange>,
        cursor: Option<&str>,
    ) -> Result<OrdersFound, Problem> {
        let name = self.filter.name();
        let cursor = match self.filter.access_path() {
            AccessPath::Index { index, partitions, lines, from, until } => {
                let query = Query {
                    name: &name,
                    scope: QueryScope::Index(index, &partitions),
                    from: from.as_deref(),
                    until: until.as_deref(),
                    order: SortOrder::Descending,
                    limit: self.limit,
                    cursor,
                };
                self.scan(query, lines).await?
            }
            AccessPath::ByDay => self.by_day(&name, days, cursor).await?,
        };
        Ok(OrdersFound { orders: self.found, cursor })
    }

    /// Scans the latest day first.
    async fn by_day(
        &mut self,
        name: &str,
        days: Option<LogDayRange>,
        cursor: Option<&str>,
    ) -> Result<Option<String>, Problem> {
        let cursor = cursor.map(|text| DayCursor::decode(text, name)).transpose();
        let cursor = cursor.map_err(|error| invalid("cursor", error))?;
        let Some(LogDayRange { first, last }) = days.and_then(|days| days.within(self.filter.from, self.filter.to))
        else {
            return Ok(None);
        };
        let (mut day, mut after) = cursor.map_or((last, None), |cursor| (cursor.day, cursor.after));
        let (from, until) = (self.filter.from.map(sortable), self.filter.to.map(sortable));
        for _ in 0..MOST_DAYS {
            let partitions = shards(&of_day(day));
            let query = Query {
                name,
                scope: QueryScope::Index(Index::Gsi3, &partitions),
                from: from.as_deref(),
                until: until.as_deref(),
                order: SortOrder::Descending,
                limit: self.limit,
                cursor: after.as_deref(),
            };
            if let Some(after) = self.scan(query, false).await? {
                return Ok(Some(DayCursor { day, after: Some(after) }.encode(name)));
            }
            after = None;
            day = match day.checked_sub_days(Days::new(1)) {
                Some(before) if before >= first => before,
                Some(_) | None => return Ok(None),
            };
            if self.is_full() || self.has_read_enough() {
                break;
            }
        }
        Ok(Some(DayCursor { day, after: None }.encode(name)))
    }

    /// Collects the matching orders of a query until the page is full or enough orders are read. Returns the cursor to
    /// go on from; `None`: nothing is left.
    async fn scan(&mut self, first: Query<'_>, lines: bool) -> Result<Option<String>, Problem> {
        let mut limit = first.limit;
        let mut cursor: Option<String> = first.cursor.map(str::to_owned);
        loop {
            if lines {
                // A line is small, but its order may be large.
                limit = limit.min(u16::try_from(self.stride.pieces()).unwrap_or(limit));
            }
            let query = Query { limit, cursor: cursor.as_deref(), ..first.clone() };
            let page = self.table.query(&query).await.map_err(page_problem)?;
            let orders = if lines { self.orders_of(&page.items).await? } else { read(&page.items)? };
            let of = page.items.len();
            let found = page.items.iter().zip(orders).enumerate().filter_map(|(nth, (item, order))| {
                let (size, order) = order.filter(|(_, order)| self.filter.matches(order))?;
                Some((nth, item, size, order))
            });
            let mut found = found.collect::<Vec<_>>().into_iter();
            while found.len() > 0 {
                let rows = self.parts_of(found.as_slice().iter().map(|(_, item, ..)| *item)).await?;
                // The rows come first, so that no order is taken without its own.
                for (rows, (nth, item, size, order)) in rows.into_iter().zip(found.by_ref()) {
                    self.room.spend(size + rows.bytes());
                    self.found.push(ListedOrder::new(order, &rows, self.reader)?);
                    if self.is_full() {
                        let more = nth + 1 < of || page.cursor.is_some();
                        return Ok(more.then(|| query.cursor_at(item)));
                    }
                }
            }
            self.examined += of;
            if page.cursor.is_none() || self.has_read_enough() {
                return Ok(page.cursor);
            }
            cursor = page.cursor;
            limit = CHUNK;
        }
    }

    /// The parts of the first of these orders: of some, unless no parts are asked for.
    async fn parts_of(&self, orders: impl Iterator<Item = &Item>) -> Result<Vec<PartRows>, Problem> {
        if self.parts.is_empty() {
            return Ok(orders.map(|_| PartRows::default()).collect());
        }
        let orders = orders.take(EXPANDED_TOGETHER);
        try_join_all(orders.map(|item| PartRows::read(self.table, &item.key.pk, self.parts))).await
    }

    /// The orders of these lines, with their sizes.
    async fn orders_of(&mut self, lines: &[Item]) -> Result<Vec<Option<(usize, OrderRow)>>, Problem> {
        let key = |line: &Item| Key::new(line.key.pk.clone(), META);
        let found = self.table.find(&lines.iter().map(key).collect::<Vec<_>>()).await.map_err(store_problem)?;
        self.stride.observe(found.len(), found.iter().map(Item::size).sum());
        let mut orders: HashMap<&str, (usize, OrderRow)> = HashMap::new();
        for (item, order) in found.iter().zip(read(&found)?) {
            orders.extend(order.map(|order| (item.key.pk.as_str(), order)));
        }
        Ok(lines.iter().map(|line| orders.remove(line.key.pk.as_str())).collect())
    }

    fn is_full(&self) -> bool {
        self.room.is_used_up()
    }

    fn has_read_enough(&self) -> bool {
        self.examined >= MOST_EXAMINED
    }
}

fn read(items: &[Item]) -> Result<Vec<Option<(usize, OrderRow)>>, Problem> {
    let sized = |item: &Item| item.read().map(|order| Some((item.size(), order))).map_err(Problem::internal);
    items.iter().map(sized).collect()
}
