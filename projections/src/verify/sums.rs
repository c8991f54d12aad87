//! The tallies, added up from the folds of all streams.

use std::collections::BTreeMap;

use read_models::{Item, Key, TallyAddition};

use super::stream::RefoldedStream;

/// What one tally should be.
#[derive(Debug, Default)]
pub(super) struct ExpectedTally {
    /// From the events up to the checkpoint.
    to_checkpoint: Option<TallyAddition>,
    /// From the events after it.
    after: Option<TallyAddition>,
}

/// How a stored tally compares with its sum.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TallyComparisonResult {
    Equal,
    /// The projection is adding to it right now.
    Changing,
    /// How it differs, in words.
    Different(String),
}

/// All tallies of a read model.
#[derive(Debug, Default)]
pub(super) struct ExpectedTallies(BTreeMap<Key, ExpectedTally>);

impl ExpectedTallies {
    pub(super) fn add(&mut self, stream: &RefoldedStream) {
        for tally in &stream.to_checkpoint.tallies {
            plus(&mut self.0.entry(tally.key.clone()).or_default().to_checkpoint, tally);
        }
        for tally in stream.to_end.iter().flat_map(|folded| &folded.tallies) {
            plus(&mut self.0.entry(tally.key.clone()).or_default().after, tally);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &ExpectedTally)> {
        self.0.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

fn plus(sum: &mut Option<TallyAddition>, tally: &TallyAddition) {
    match sum {
        Some(sum) => sum.add(tally),
        None => *sum = Some(tally.clone()),
    }
}

impl ExpectedTally {
    /// Compares it with the stored tally, to which no event after the end of the log was added.
    pub(super) fn compare(&self, stored: Option<&Item>) -> TallyComparisonResult {
        let Some(stored) = stored else {
            return if self.to_checkpoint.is_some() {
                TallyComparisonResult::Different("it is missing".to_owned())
            } else {
                TallyComparisonResult::Changing
            };
        };
        let Ok(numbers) = stored.read::<BTreeMap<String, i64>>() else {
            return TallyComparisonResult::Different("it is no sum".to_owned());
        };
        let is = |tally: &TallyAddition| {
            tally.version == stored.version && without_zeros(&tally.add) == without_zeros(&numbers)
        };
        match (&self.to_checkpoint, &self.after) {
            (Some(at), _) if is(at) => TallyComparisonResult::Equal,
            // Any of the events after the checkpoint may have been added by now.
            (_, Some(after))
                if stored.version <= after.version.max(self.to_checkpoint.as_ref().map_or(0, |at| at.version)) =>
            {
                TallyComparisonResult::Changing
            }
            (Some(at), _) => {
                let words = |add: &BTreeMap<String, i64>, version: i64| {
                    let numbers: Vec<String> = add.iter().map(|(name, number)| format!("{name} {number}")).collect();
                    format!("{} as of position {version}", numbers.join(", "))
                };
                let (is, should) = (words(&numbers, stored.version), words(&at.add, at.version));
                TallyComparisonResult::Different(format!("it is {is}, and should be {should}"))
            }
            (None, _) => TallyComparisonResult::Different(format!(
                "it is of position {}, where nothing adds to it",
                stored.version
            )),
        }
    }
}

fn without_zeros(numbers: &BTreeMap<String, i64>) -> BTreeMap<&str, i64> {
    numbers.iter().filter(|(_, number)| **number != 0).map(|(name, number)| (name.as_str(), *number)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_json::value::to_raw_value;

    use super::super::stream::ExpectedFoldResult;
    use super::*;

    fn tally(version: i64, orders: i64) -> TallyAddition {
        let add = BTreeMap::from([("orders".to_owned(), orders), ("none".to_owned(), 0)]);
        TallyAddition { key: Key::new("SALES#1", "HOUR#1"), version, add }
    }

    fn stored(version: i64, body: &serde_json::Value) -> Item {
        let body = to_raw_value(body).unwrap();
        Item { key: Key::new("SALES#1", "HOUR#1"), index_keys: [None, None, None], version, body, words: None }
    }

    /// At which position how much is added.
    type Adds<'a> = &'a [(i64, i64)];

    /// Of streams that add so much up to their checkpoint, and behind it.
    fn sum(streams: &[(Adds<'_>, Adds<'_>)]) -> ExpectedTallies {
        let mut sums = ExpectedTallies::default();
        for (at, ahead) in streams {
            let folded = |adds: &[(i64, i64)]| {
                let tallies = adds.iter().map(|(version, orders)| tally(*version, *orders)).collect();
                ExpectedFoldResult { items: Default::default(), tallies }
            };
            let mut stream = RefoldedStream::new("a", 0);
            stream.to_checkpoint = folded(at);
            stream.to_end = (!ahead.is_empty()).then(|| folded(ahead));
            sums.add(&stream);
        }
        sums
    }

    fn compared(sums: &ExpectedTallies, stored: Option<&Item>) -> TallyComparisonResult {
        sums.iter().next().unwrap().1.compare(stored)
    }

    #[test]
    fn a_sum_is_what_all_streams_add_to_it() {
        let sums = sum(&[(&[(3, 1), (7, -1)], &[]), (&[(5, 2)], &[])]);
        assert_eq!(compared(&sums, Some(&stored(7, &json!({ "orders": 2 })))), TallyComparisonResult::Equal);
        let wrong = |what: &str| TallyComparisonResult::Different(what.to_owned());
        assert_eq!(
            compared(&sums, Some(&stored(7, &json!({ "orders": 3 })))),
            wrong("it is orders 3 as of position 7, and should be none 0, orders 2 as of position 7")
        );
        assert!(matches!(
            compared(&sums, Some(&stored(5, &json!({ "orders": 2 })))),
            TallyComparisonResult::Different(_)
        ));
        assert_eq!(compared(&sums, Some(&stored(7, &json!([1])))), wrong("it is no sum"));
        assert_eq!(compared(&sums, None), wrong("it is missing"));
    }

    #[test]
    fn what_is_added_meanwhile_may_be_in_it_or_not() {
        let sums = sum(&[(&[(3, 1)], &[(7, 5)]), (&[], &[(6, 2)])]);
        assert_eq!(compared(&sums, Some(&stored(3, &json!({ "orders": 1 })))), TallyComparisonResult::Equal);
        assert_eq!(compared(&sums, Some(&stored(7, &json!({ "orders": 6 })))), TallyComparisonResult::Changing);
        assert!(matches!(
            compared(&sums, Some(&stored(8, &json!({ "orders": 8 })))),
            TallyComparisonResult::Different(_)
        ));
        assert_eq!(compared(&sum(&[(&[], &[(6, 2)])]), None), TallyComparisonResult::Changing);
    }
}
