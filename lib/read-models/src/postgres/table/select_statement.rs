//! The SQL of a query.

use super::{BEFORE, COLUMNS, within_budget};
use crate::cursor::QueryCursor;
use crate::{Query, QueryScope, SortOrder};

/// The statement of a query. `$1` are the partitions, `$2` is the limit, then come the values.
pub(super) struct SelectStatement<'a> {
    pub(super) statement: String,
    pub(super) values: Vec<&'a str>,
}

impl<'a> SelectStatement<'a> {
    /// Reads up to a page of each partition from the index, from the cursor on, and takes the first items of them all.
    /// So every page costs the same.
    pub(super) fn of(table: &str, query: &Query<'a>, after: Option<&'a QueryCursor>) -> Self {
        let (partition, sort) = match query.scope {
            QueryScope::Collection(_) => ("pk".to_owned(), "sk".to_owned()),
            QueryScope::Index(index, _) => (format!("{}pk", index.name()), format!("{}sk", index.name())),
        };
        let (direction, beyond) = match query.order {
            SortOrder::Ascending => ("asc", ">"),
            SortOrder::Descending => ("desc", "<"),
        };
        let mut conditions = SortKeyConditions::default();
        if let Some(from) = query.from {
            conditions.and(|n| format!("{sort} >= ${n}"), [from]);
        }
        if let Some(until) = query.until {
            conditions.and(|n| format!("{sort} < ${n}"), [until]);
        }
        if let Some(after) = after {
            let text = |n| format!("({sort}, pk, sk) {beyond} (${n}, ${}, ${})", n + 1, n + 2);
            conditions.and(text, [after.sort.as_str(), &after.pk, &after.sk]);
        }
        let SortKeyConditions { text: conditions, values } = conditions;
        let order = |of: &str| format!("order by {of}{sort} {direction}, {of}pk {direction}, {of}sk {direction}");
        let (inner, outer) = (order(""), order("t."));
        let statement = format!(
            "select {COLUMNS} from (
                select t.*, {BEFORE} ({outer} rows between unbounded preceding and 1 preceding) as before
                  from unnest($1::text[]) as p(name) cross join lateral (
                    select * from {table} where {partition} = p.name {conditions} {inner} limit $2
                  ) as t {outer} limit $2
             ) as t where {} {outer}",
            within_budget()
        );
        Self { statement, values }
    }
}

/// The conditions on the sort key, and their values.
#[derive(Default)]
struct SortKeyConditions<'a> {
    text: String,
    values: Vec<&'a str>,
}

impl<'a> SortKeyConditions<'a> {
    /// `text` gets the parameter number of its first value.
    fn and<const N: usize>(&mut self, text: impl FnOnce(usize) -> String, values: [&'a str; N]) {
        // `$1` and `$2` are the partitions and the limit.
        self.text.push_str(" and ");
        self.text.push_str(&text(self.values.len() + 3));
        self.values.extend(values);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{Index, InvalidCursor, Key};

    const ITEMS: i32 = 20_000;

    #[tokio::test]
    async fn a_deep_page_reads_as_few_rows_as_the_first() {
        let database = testkit::database().await;
        let fill = "insert into read_model_things
                    select 'THING#' || n, '#META', 'ALL', lpad((n / 2)::text, 9, '0'), null, null, null, null, n, '{}'
                      from generate_series(1, $1) as n";
        sqlx::query("select create_read_model('read_model_things')").execute(database.pool()).await.unwrap();
        sqlx::query(fill).bind(ITEMS).execute(database.pool()).await.unwrap();
        sqlx::query("analyze read_model_things").execute(database.pool()).await.unwrap();
        for order in [SortOrder::Ascending, SortOrder::Descending] {
            let at = |n: i32| QueryCursor::after("", format!("{:09}", n / 2), &Key::new(format!("THING#{n}"), "#META"));
            for after in [None, Some(at(ITEMS / 2)), Some(at(100)), Some(at(ITEMS - 100))] {
                let read = rows_read(database.pool(), order, after.as_ref()).await;
                assert!((51..60).contains(&read), "{order:?} {after:?}: {read} rows");
            }
        }
    }

    #[test]
    fn a_cursor_that_was_made_by_hand_holds_nothing_that_is_no_key() {
        for part in ["", "a\0", "a\u{1}", &"a".repeat(1_001)] {
            let cursor = QueryCursor::after("q", part.to_owned(), &Key::new("a", "b")).encode();
            assert_eq!(QueryCursor::decode(&cursor, "q").unwrap_err(), InvalidCursor);
            let cursor = QueryCursor::after("q", "a".to_owned(), &Key::new("a", part)).encode();
            assert_eq!(QueryCursor::decode(&cursor, "q").unwrap_err(), InvalidCursor);
        }
    }

    /// How many rows a page of 50 takes out of the table.
    async fn rows_read(pool: &sqlx::PgPool, order: SortOrder, after: Option<&QueryCursor>) -> u64 {
        let partitions = ["ALL".to_owned()];
        let scope = QueryScope::Index(Index::Gsi1, &partitions);
        let query = Query { name: "", scope, from: None, until: None, order, limit: 50, cursor: None };
        let selection = SelectStatement::of("read_model_things", &query, after);
        let explain = format!("explain (analyze, costs off, timing off, format json) {}", selection.statement);
        let mut explained = sqlx::query_scalar(&explain).bind(query.partitions()).bind(51_i64);
        for value in selection.values {
            explained = explained.bind(value);
        }
        let plan: Value = explained.fetch_one(pool).await.unwrap();
        read_below(&plan[0]["Plan"])
    }

    fn read_below(node: &Value) -> u64 {
        let below = node["Plans"].as_array().into_iter().flatten().map(read_below).sum();
        if node["Relation Name"] != "read_model_things" {
            return below;
        }
        let number = |name: &str| node[name].as_f64().unwrap_or(0.0) as u64;
        below + (number("Actual Rows") + number("Rows Removed by Filter")) * number("Actual Loops")
    }
}
