//! Sums over many streams, as fresh folds add them up.

use std::collections::BTreeMap;

use read_models::{Item, Key, Tally};

use super::stream::Stream;

/// What one sum comes to.
#[derive(Debug, Default)]
pub(super) struct Sum {
    /// Of what its projection has come to.
    at: Option<Tally>,
    /// Of what it has not come to yet.
    ahead: Option<Tally>,
}

/// How a stored sum compares.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// It is what it should be.
    Alike,
    /// It is being added to.
    OnTheMove,
    /// It is not.
    Different(String),
}

/// All sums of a read model.
#[derive(Debug, Default)]
pub(super) struct Sums(BTreeMap<Key, Sum>);

impl Sums {
    /// What a stream adds.
    pub(super) fn add(&mut self, stream: &Stream) {
        for tally in &stream.at.tallies {
            plus(&mut self.0.entry(tally.key.clone()).or_default().at, tally);
        }
        for tally in stream.all.iter().flat_map(|all| &all.tallies) {
            plus(&mut self.0.entry(tally.key.clone()).or_default().ahead, tally);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Sum)> {
        self.0.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

fn plus(sum: &mut Option<Tally>, tally: &Tally) {
    match sum {
        Some(sum) => sum.add(tally),
        None => *sum = Some(tally.clone()),
    }
}

impl Sum {
    /// Compares it with what is stored, which nothing behind the log's end has been added to.
    pub(super) fn compare(&self, stored: Option<&Item>) -> Compared {
        let Some(stored) = stored else {
            return if self.at.is_some() {
                Compared::Different("it is missing".to_owned())
            } else {
                Compared::OnTheMove
            };
        };
        let Ok(numbers) = stored.read::<BTreeMap<String, i64>>() else {
            return Compared::Different("it is no sum".to_owned());
        };
        let is =
            |tally: &Tally| tally.version == stored.version && without_zeros(&tally.add) == without_zeros(&numbers);
        match (&self.at, &self.ahead) {
            (Some(at), _) if is(at) => Compared::Alike,
            // Any part of what is ahead may have been added by now.
            (_, Some(ahead)) if stored.version <= ahead.version.max(self.at.as_ref().map_or(0, |at| at.version)) => {
                Compared::OnTheMove
            }
            (Some(at), _) => {
                let words = |add: &BTreeMap<String, i64>, version: i64| {
                    let numbers: Vec<String> = add.iter().map(|(name, number)| format!("{name} {number}")).collect();
                    format!("{} as of position {version}", numbers.join(", "))
                };
                let (is, should) = (words(&numbers, stored.version), words(&at.add, at.version));
                Compared::Different(format!("it is {is}, and should be {should}"))
            }
            (None, _) => Compared::Different(format!("it is of position {}, where nothing adds to it", stored.version)),
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

    use super::super::stream::Folded;
    use super::*;

    fn tally(version: i64, orders: i64) -> Tally {
        let add = BTreeMap::from([("orders".to_owned(), orders), ("none".to_owned(), 0)]);
        Tally { key: Key::new("SALES#1", "HOUR#1"), version, add }
    }

    fn stored(version: i64, body: &serde_json::Value) -> Item {
        let body = to_raw_value(body).unwrap();
        Item { key: Key::new("SALES#1", "HOUR#1"), index_keys: [None, None, None], version, body }
    }

    /// At which position how much is added.
    type Adds<'a> = &'a [(i64, i64)];

    /// Of streams that add so much up to their checkpoint, and behind it.
    fn sum(streams: &[(Adds<'_>, Adds<'_>)]) -> Sums {
        let mut sums = Sums::default();
        for (at, ahead) in streams {
            let folded = |adds: &[(i64, i64)]| {
                let tallies = adds.iter().map(|(version, orders)| tally(*version, *orders)).collect();
                Folded { items: Default::default(), tallies }
            };
            let mut stream = Stream::new("a", 0);
            stream.at = folded(at);
            stream.all = (!ahead.is_empty()).then(|| folded(ahead));
            sums.add(&stream);
        }
        sums
    }

    fn compared(sums: &Sums, stored: Option<&Item>) -> Compared {
        sums.iter().next().unwrap().1.compare(stored)
    }

    #[test]
    fn a_sum_is_what_all_streams_add_to_it() {
        let sums = sum(&[(&[(3, 1), (7, -1)], &[]), (&[(5, 2)], &[])]);
        assert_eq!(compared(&sums, Some(&stored(7, &json!({ "orders": 2 })))), Compared::Alike);
        let wrong = |what: &str| Compared::Different(what.to_owned());
        assert_eq!(
            compared(&sums, Some(&stored(7, &json!({ "orders": 3 })))),
            wrong("it is orders 3 as of position 7, and should be none 0, orders 2 as of position 7")
        );
        assert!(matches!(compared(&sums, Some(&stored(5, &json!({ "orders": 2 })))), Compared::Different(_)));
        assert_eq!(compared(&sums, Some(&stored(7, &json!([1])))), wrong("it is no sum"));
        assert_eq!(compared(&sums, None), wrong("it is missing"));
    }

    #[test]
    fn what_is_added_meanwhile_may_be_in_it_or_not() {
        let sums = sum(&[(&[(3, 1)], &[(7, 5)]), (&[], &[(6, 2)])]);
        assert_eq!(compared(&sums, Some(&stored(3, &json!({ "orders": 1 })))), Compared::Alike);
        assert_eq!(compared(&sums, Some(&stored(7, &json!({ "orders": 6 })))), Compared::OnTheMove);
        assert!(matches!(compared(&sums, Some(&stored(8, &json!({ "orders": 8 })))), Compared::Different(_)));
        assert_eq!(compared(&sum(&[(&[], &[(6, 2)])]), None), Compared::OnTheMove);
    }
}
