//! The tallies of a generation that is being bulk-written. They are kept in Postgres, for every store, and are added up
//! at the end.

use std::collections::BTreeMap;

use sqlx::types::Json;
use sqlx::{PgConnection, Row};

use crate::{Key, ReadModelStoreError, TallyAddition};
use postgres_json::RawJson;

/// Keeps the tallies of a batch, in the transaction that records the batch as folded.
pub(crate) async fn keep_tallies(
    read_model: &str,
    transaction: &mut PgConnection,
    tallies: &[TallyAddition],
) -> Result<(), ReadModelStoreError> {
    if tallies.is_empty() {
        return Ok(());
    }
    let bodies = bodies(tallies)?;
    sqlx::query(
        "insert into read_model_tallies (read_model, pk, sk, version, add)
         select $1, * from unnest($2::text[], $3::text[], $4::bigint[], $5::json[])",
    )
    .bind(read_model)
    .bind(tallies.iter().map(|tally| tally.key.pk.as_str()).collect::<Vec<_>>())
    .bind(tallies.iter().map(|tally| tally.key.sk.as_str()).collect::<Vec<_>>())
    .bind(tallies.iter().map(|tally| tally.version).collect::<Vec<_>>())
    .bind(bodies.iter().map(|body| RawJson(body)).collect::<Vec<_>>())
    .execute(transaction)
    .await?;
    Ok(())
}

/// The tallies' numbers as the JSON of items in Postgres.
pub(super) fn bodies<'a>(tallies: impl IntoIterator<Item = &'a TallyAddition>) -> Result<Vec<String>, sqlx::Error> {
    let body = |tally: &TallyAddition| serde_json::to_string(&tally.add);
    let bodies = tallies.into_iter().map(body).collect::<Result<_, _>>();
    bodies.map_err(|error| sqlx::Error::Encode(error.into()))
}

/// All kept tallies of a read model, added up.
pub(crate) async fn summed_tallies(
    read_model: &str,
    connection: &mut PgConnection,
) -> Result<Vec<TallyAddition>, ReadModelStoreError> {
    let rows = sqlx::query(
        "select pk, sk, max(version), json_object_agg(name, total) from (
            select pk, sk, max(version) as version, a.key as name, sum(a.value::bigint)::bigint as total
              from read_model_tallies, json_each_text(add) as a where read_model = $1 group by pk, sk, a.key) as summed
          group by pk, sk",
    )
    .bind(read_model)
    .fetch_all(connection)
    .await?;
    let tally = |row: &sqlx::postgres::PgRow| {
        let Json(add) = row.try_get(3)?;
        Ok(TallyAddition { key: Key { pk: row.try_get(0)?, sk: row.try_get(1)? }, version: row.try_get(2)?, add })
    };
    rows.iter().map(tally).collect::<Result<_, sqlx::Error>>().map_err(ReadModelStoreError::from)
}

pub(crate) async fn forget_tallies(read_model: &str, connection: &mut PgConnection) -> Result<(), ReadModelStoreError> {
    sqlx::query("delete from read_model_tallies where read_model = $1").bind(read_model).execute(connection).await?;
    Ok(())
}

impl TallyAddition {
    /// Adds tallies up by key. The result is ordered by key.
    pub fn summed<'a>(tallies: impl IntoIterator<Item = &'a Self>) -> Vec<Self> {
        let mut sums: BTreeMap<&Key, Self> = BTreeMap::new();
        for tally in tallies {
            match sums.get_mut(&tally.key) {
                Some(sum) => sum.add(tally),
                None => {
                    sums.insert(&tally.key, tally.clone());
                }
            }
        }
        sums.into_values().collect()
    }

    /// Adds another tally of the same key.
    pub fn add(&mut self, other: &Self) {
        self.version = self.version.max(other.version);
        for (name, number) in &other.add {
            *self.add.entry(name.clone()).or_default() += number;
        }
    }
}
