//! Finds a page of orders.
//!
//! A page has as many orders as the client wants, or fewer if they are large. An index can't check every condition of a
//! filter, so orders are read until the page is full, up to a bound on the orders that one request reads. Beyond that
//! the page has fewer orders, or none, and its cursor goes on from there.

use std::collections::{HashMap, HashSet};

use bounds::{Budget, ByteLimitedBatchSize};
use futures_util::future::try_join_all;
use problem::Problem;
use read_models::{GenerationTable, Index, Item, Key, Query, QueryScope, SortOrder, WordMatches, WordQuery, Words};
use sqlx::PgPool;

use super::by_log::{LogCursor, LogStretch};
use super::by_words::{MOST_SORTED, MOST_SORTED_LATER, WordCursor, word_problem};
use super::collections::OrderPart;
use super::cursor;
use super::days::{DayCursor, LogDayRange};
use super::filter::{AccessPath, OrderFilter};
use super::listed::{ListedOrder, PartRows};
use super::rows::{DetailsRow, OrderRow};
use super::view::OrderReader;
use super::{DETAILS, FIRST_LINE, META, collection, of_day};
use crate::keys::{shards, sortable};
use crate::parameters::invalid;
use crate::reads::{page_problem, store_problem, unavailable};

/// The most orders that one request reads. Where every order matches, it reads one page of them only.
const MOST_EXAMINED: usize = 1_000;
/// The most days that one request reads.
const MOST_DAYS: usize = 31;
/// How many orders are read at once after the first page.
const CHUNK: u16 = 200;
/// Of how many orders the parts are read at the same time. Those of the last ones may be left out again.
const EXPANDED_TOGETHER: usize = 8;
/// Of how many orders the details are read together. Those of an order may be some ten kilobytes.
const DETAILS_TOGETHER: usize = 50;

/// How many orders are decoded before other requests have a turn.
const READ_TOGETHER: usize = 16;

/// A page of the orders that were found.
pub(super) struct OrdersFound {
    pub(super) orders: Vec<ListedOrder>,
    /// `None`: there are no more.
    pub(super) cursor: Option<String>,
}

/// Where orders are searched for.
#[derive(Clone, Copy)]
pub(super) struct SearchedOrders<'a> {
    pub(super) table: &'a dyn GenerationTable,
    /// Of the log.
    pub(super) pool: &'a PgPool,
}

/// A search under way, with the orders found so far.
pub(super) struct RunningOrderSearch<'a> {
    orders: SearchedOrders<'a>,
    filter: &'a OrderFilter,
    reader: OrderReader,
    /// What comes with each order.
    parts: &'a [OrderPart],
    limit: u16,
    found: Vec<ListedOrder>,
    room: Budget,
    stride: ByteLimitedBatchSize,
    examined: usize,
    /// Whether the way to the orders leads past those without the words.
    checks_words: bool,
}

/// An order's row as it was read, with its size in bytes.
type SizedRow = (usize, OrderRow);
/// The same with its place among those that were read.
type MatchingRow = (usize, usize, OrderRow);

impl<'a> RunningOrderSearch<'a> {
    pub(super) fn new(
        orders: SearchedOrders<'a>,
        filter: &'a OrderFilter,
        reader: OrderReader,
        parts: &'a [OrderPart],
        limit: u16,
    ) -> Self {
        Self {
            orders,
            filter,
            reader,
            parts,
            limit,
            found: Vec::new(),
            room: Budget::of(usize::from(limit)),
            stride: ByteLimitedBatchSize::of(usize::from(CHUNK)),
            examined: 0,
            checks_words: filter.words.is_some(),
        }
    }

    /// The page at the cursor.
    pub(super) async fn page(mut self, cursor: Option<&str>) -> Result<OrdersFound, Problem> {
        let name = self.filter.name();
        let mut path = self.filter.access_path();
        if let (AccessPath::ByWords(direction), Some(words)) = (&path, &self.filter.words) {
            if let Some(cursor) = self.by_words(&name, words, *direction, cursor).await? {
                return Ok(OrdersFound { orders: self.found, cursor });
            }
            path = self.filter.access_path_beside_words();
        }
        let cursor = match path {
            AccessPath::Index { index, partitions, parts, from, until, direction } => {
                let query = Query {
                    name: &name,
                    scope: QueryScope::Index(index, &partitions),
                    from: from.as_deref(),
                    until: until.as_deref(),
                    order: direction,
                    limit: self.limit,
                    cursor,
                };
                self.scan(query, parts).await?
            }
            AccessPath::ByDay(direction) | AccessPath::ByWords(direction) => {
                self.by_day(&name, direction, cursor).await?
            }
            AccessPath::ByLog(direction) => self.by_log(&name, direction, cursor).await?,
        };
        Ok(OrdersFound { orders: self.found, cursor })
    }

    /// Takes the orders that have the words, and returns the cursor to go on from. `None`: too many have them, or the cursor is of
    /// another way to the orders.
    async fn by_words(
        &mut self,
        name: &str,
        words: &Words,
        direction: SortOrder,
        cursor: Option<&str>,
    ) -> Result<Option<Option<String>>, Problem> {
        let after = cursor.map(|text| cursor::decode::<WordCursor>(text, name)).transpose();
        let Ok(after) = after else { return Ok(None) };
        let after = after.map(|cursor| cursor.with_words_up_to);
        let (from, until) = (self.filter.from.map(sortable), self.filter.to.map(sortable));
        let limit = u16::try_from(MOST_EXAMINED).unwrap_or(u16::MAX);
        let query = WordQuery {
            words,
            index: Index::Gsi1,
            from: from.as_deref(),
            until: until.as_deref(),
            after: after.as_deref(),
            order: direction,
            limit,
            most: if after.is_none() { MOST_SORTED } else { MOST_SORTED_LATER },
        };
        let matches = match self.orders.table.find_by_words(&query).await.map_err(word_problem)? {
            WordMatches::Found(matches) => matches,
            WordMatches::TooMany if after.is_none() => return Ok(None),
            WordMatches::TooMany => return Err(invalid("cursor", "is of a search that finds too much by now")),
        };
        self.checks_words = false;
        let is_last = matches.len() < usize::from(limit);
        let cursor_at = |place: &String| cursor::encode(name, &WordCursor { with_words_up_to: place.clone() });
        let (mut rest, mut most) = (matches.as_slice(), self.limit);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(self.stride.pieces()).min(usize::from(most)));
            let pks: Vec<&str> = now.iter().map(|(key, _)| key.pk.as_str()).collect();
            let orders = self.orders_of(&pks).await?;
            if let Some(nth) = self.collect(orders).await? {
                let more = nth + 1 < now.len() || !later.is_empty() || !is_last;
                return Ok(Some(now.get(nth).filter(|_| more).map(|(_, place)| cursor_at(place))));
            }
            (rest, most) = (later, CHUNK);
        }
        Ok(Some(matches.last().filter(|_| !is_last).map(|(_, place)| cursor_at(place))))
    }

    /// Scans one day after the other.
    async fn by_day(
        &mut self,
        name: &str,
        direction: SortOrder,
        cursor: Option<&str>,
    ) -> Result<Option<String>, Problem> {
        let cursor = cursor.map(|text| cursor::decode::<DayCursor>(text, name)).transpose();
        let cursor = cursor.map_err(|error| invalid("cursor", error))?;
        let days = LogDayRange::read(self.orders.pool).await.map_err(unavailable)?;
        let Some(LogDayRange { first, last }) = days.and_then(|days| days.within(self.filter.from, self.filter.to))
        else {
            return Ok(None);
        };
        let newest_first = direction == SortOrder::Descending;
        let (mut day, mut after) =
            cursor.map_or((if newest_first { last } else { first }, None), |cursor| (cursor.day, cursor.after));
        let (from, until) = (self.filter.from.map(sortable), self.filter.to.map(sortable));
        for _ in 0..MOST_DAYS {
            let partitions = shards(&of_day(day));
            let query = Query {
                name,
                scope: QueryScope::Index(Index::Gsi3, &partitions),
                from: from.as_deref(),
                until: until.as_deref(),
                order: direction,
                limit: self.limit,
                cursor: after.as_deref(),
            };
            if let Some(after) = self.scan(query, false).await? {
                return Ok(Some(cursor::encode(name, &DayCursor { day, after: Some(after) })));
            }
            after = None;
            let next = if newest_first { day.pred_opt() } else { day.succ_opt() };
            day = match next {
                Some(next) if (first..=last).contains(&next) => next,
                Some(_) | None => return Ok(None),
            };
            if self.is_full() || self.has_read_enough() {
                break;
            }
        }
        Ok(Some(cursor::encode(name, &DayCursor { day, after: None })))
    }

    /// Goes along the log and takes each order where its last event is.
    async fn by_log(
        &mut self,
        name: &str,
        direction: SortOrder,
        cursor: Option<&str>,
    ) -> Result<Option<String>, Problem> {
        let after = cursor.map(|text| cursor::decode::<LogCursor>(text, name)).transpose();
        let after = after.map_err(|error| invalid("cursor", error))?;
        let LogStretch { mut orders, next, began_at } =
            LogStretch::read(self.orders.pool, after, direction).await.map_err(unavailable)?;
        while !orders.is_empty() {
            let rest = orders.split_off(orders.len().min(self.stride.pieces().min(usize::from(CHUNK))));
            let keys: Vec<Key> = orders.iter().map(|(_, order)| Key::new(collection(order), META)).collect();
            let items = self.orders.table.find(&keys).await.map_err(store_problem)?;
            self.stride.observe(items.len(), items.iter().map(Item::size).sum());
            let items: HashMap<&Key, &Item> = items.iter().map(|item| (&item.key, item)).collect();
            let rows = keys.iter().map(|key| items.get(key).copied().map(sized).transpose());
            let filled = self.collect(rows.collect::<Result<_, _>>()?).await?;
            self.examined += orders.len();
            let stopped = filled.or((self.has_read_enough() && !rest.is_empty()).then(|| orders.len() - 1));
            if let Some((position, _)) = stopped.and_then(|nth| orders.get(nth)) {
                return Ok(Some(cursor::encode(name, &LogCursor { position: *position, began_at })));
            }
            orders = rest;
        }
        Ok(next.map(|next| cursor::encode(name, &next)))
    }

    /// Collects the matching orders of a query until the page is full or enough orders are read. Returns the cursor to
    /// go on from; `None`: nothing is left.
    async fn scan(&mut self, first: Query<'_>, parts: bool) -> Result<Option<String>, Problem> {
        let mut limit = first.limit;
        let mut cursor: Option<String> = first.cursor.map(str::to_owned);
        loop {
            if parts {
                // A line is small, but its order may be large.
                limit = limit.min(u16::try_from(self.stride.pieces()).unwrap_or(limit));
            }
            let query = Query { limit, cursor: cursor.as_deref(), ..first.clone() };
            let page = self.orders.table.query(&query).await.map_err(page_problem)?;
            let of = page.items.len();
            let orders = if parts {
                self.orders_of(&page.items.iter().map(|item| item.key.pk.as_str()).collect::<Vec<_>>()).await?
            } else {
                all_sized(&page.items).await?.into_iter().map(Some).collect()
            };
            if let Some(nth) = self.collect(orders).await? {
                let more = nth + 1 < of || page.cursor.is_some();
                return Ok(page.items.get(nth).filter(|_| more).map(|item| query.cursor_at(item)));
            }
            self.examined += of;
            if page.cursor.is_none() || self.has_read_enough() {
                return Ok(page.cursor);
            }
            cursor = page.cursor;
            limit = CHUNK;
        }
    }

    /// Takes the matching ones of these orders until the page is full. Returns the place of the one that filled it; `None`: there is
    /// room left.
    async fn collect(&mut self, orders: Vec<Option<SizedRow>>) -> Result<Option<usize>, Problem> {
        let matching = orders.into_iter().enumerate().filter_map(|(nth, order)| {
            let (size, order) = order.filter(|(_, order)| self.filter.matches(order))?;
            Some((nth, size, order))
        });
        let mut matching = self.with_matching_words(matching.collect()).await?;
        while !matching.is_empty() {
            let rest = match self.filter.asks_for_details() {
                true => matching.split_off(matching.len().min(DETAILS_TOGETHER)),
                false => Vec::new(),
            };
            let mut found = self.with_matching_details(matching).await?.into_iter();
            while found.len() > 0 {
                let rows = self.parts_of(found.as_slice().iter().map(|(.., order)| order)).await?;
                // The rows come first, so that no order is taken without its own.
                for (rows, (nth, size, order)) in rows.into_iter().zip(found.by_ref()) {
                    self.room.spend(size + rows.bytes());
                    self.found.push(ListedOrder::new(order, &rows, self.reader)?);
                    if nth % READ_TOGETHER == 0 {
                        tokio::task::yield_now().await;
                    }
                    if self.is_full() {
                        return Ok(Some(nth));
                    }
                }
            }
            matching = rest;
        }
        Ok(None)
    }

    /// Those of these orders that have the words.
    async fn with_matching_words(&self, mut orders: Vec<MatchingRow>) -> Result<Vec<MatchingRow>, Problem> {
        let Some(words) = self.filter.words.as_ref().filter(|_| self.checks_words) else { return Ok(orders) };
        let key = |(_, _, order): &MatchingRow| Key::new(collection(&order.order_id), FIRST_LINE);
        let keys: Vec<Key> = orders.iter().map(key).collect();
        let matching = self.orders.table.with_words(&keys, words).await.map_err(word_problem)?;
        orders.retain(|order| matching.contains(&key(order)));
        Ok(orders)
    }

    /// Those of these orders whose details match.
    async fn with_matching_details(&self, mut orders: Vec<MatchingRow>) -> Result<Vec<MatchingRow>, Problem> {
        if !self.filter.asks_for_details() {
            return Ok(orders);
        }
        let key = |(_, _, order): &MatchingRow| Key::new(collection(&order.order_id), DETAILS);
        let items = self.orders.table.find(&orders.iter().map(key).collect::<Vec<_>>()).await.map_err(store_problem)?;
        let mut matching = HashSet::with_capacity(items.len());
        for item in &items {
            let details: DetailsRow = item.read().map_err(Problem::internal)?;
            if self.filter.matches_details(Some(&details)) {
                matching.insert(&item.key);
            }
        }
        orders.retain(|order| matching.contains(&key(order)));
        Ok(orders)
    }

    /// The parts of the first of these orders: of some, unless no parts are asked for.
    async fn parts_of(&self, orders: impl Iterator<Item = &OrderRow>) -> Result<Vec<PartRows>, Problem> {
        if self.parts.is_empty() {
            return Ok(orders.map(|_| PartRows::default()).collect());
        }
        let pks: Vec<String> = orders.take(EXPANDED_TOGETHER).map(|order| collection(&order.order_id)).collect();
        try_join_all(pks.iter().map(|pk| PartRows::read(self.orders.table, pk, self.parts))).await
    }

    /// The orders with these partition keys, with their sizes.
    async fn orders_of(&mut self, pks: &[&str]) -> Result<Vec<Option<SizedRow>>, Problem> {
        let keys: Vec<Key> = pks.iter().map(|pk| Key::new(*pk, META)).collect();
        let found = self.orders.table.find(&keys).await.map_err(store_problem)?;
        self.stride.observe(found.len(), found.iter().map(Item::size).sum());
        let mut orders: HashMap<&str, SizedRow> = HashMap::new();
        for (item, order) in found.iter().zip(all_sized(&found).await?) {
            orders.insert(item.key.pk.as_str(), order);
        }
        Ok(pks.iter().map(|pk| orders.remove(pk)).collect())
    }

    fn is_full(&self) -> bool {
        self.room.is_used_up()
    }

    fn has_read_enough(&self) -> bool {
        self.examined >= MOST_EXAMINED
    }
}

fn sized(item: &Item) -> Result<SizedRow, Problem> {
    Ok((item.size(), item.read().map_err(Problem::internal)?))
}

async fn all_sized(items: &[Item]) -> Result<Vec<SizedRow>, Problem> {
    let mut rows = Vec::with_capacity(items.len());
    for items in items.chunks(READ_TOGETHER) {
        for item in items {
            rows.push(sized(item)?);
        }
        // Other requests are served in between.
        tokio::task::yield_now().await;
    }
    Ok(rows)
}
