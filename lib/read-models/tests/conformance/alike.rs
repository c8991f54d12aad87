//! The same items in both stores, the same questions to both.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use read_models::{Index, Item, Key, Query, QueryScope, SortOrder, StreamItemChanges};

use crate::world::{World, change, json, tally};

const STREAMS: usize = 30;
const SEED: u64 = 1;
const QUESTIONS: usize = 250;

/// How a page looks to whoever asked for it.
type Seen = Vec<(Key, [Option<Key>; 3], i64, String)>;

#[tokio::test]
async fn both_stores_answer_every_question_alike_page_by_page() {
    let (postgres, dynamodb) = tokio::join!(World::postgres(), World::dynamodb());
    let mut random = StdRng::seed_from_u64(SEED);
    for changes in history(&mut random) {
        postgres.write(&changes).await.unwrap();
        dynamodb.write(&changes).await.unwrap();
    }
    let mut items = 0;
    for nth in 0..QUESTIONS {
        let question = Question::any(&mut random);
        let (mut ours, mut theirs) = (None::<String>, None::<String>);
        loop {
            let page = postgres.live().query(&question.after(ours.as_deref())).await.unwrap();
            let other = dynamodb.live().query(&question.after(theirs.as_deref())).await.unwrap();
            assert_eq!(seen(&page.items), seen(&other.items), "question {nth}: {question:?}");
            items += page.items.len();
            assert_eq!(page.cursor.is_some(), other.cursor.is_some(), "question {nth}: {question:?}");
            // A cursor of one is good for the other.
            (ours, theirs) = (other.cursor, page.cursor);
            if ours.is_none() {
                break;
            }
        }
    }
    assert!(items > 2 * QUESTIONS, "the questions find too little: {items}");
    for id in 0..STREAMS {
        let pk = format!("T#{id}");
        let ours = postgres.live().collection(&pk).await.unwrap();
        let theirs = dynamodb.live().collection(&pk).await.unwrap();
        assert_eq!(seen(&ours), seen(&theirs));
    }
}

fn seen(items: &[Item]) -> Seen {
    let body = |item: &Item| item.read::<serde_json::Value>().unwrap().to_string();
    items.iter().map(|item| (item.key.clone(), item.index_keys.clone(), item.version, body(item))).collect()
}

/// Batches of changes, some of which come twice.
fn history(random: &mut StdRng) -> Vec<Vec<StreamItemChanges>> {
    let mut heads: Vec<Option<i64>> = vec![None; STREAMS];
    let mut position = 0;
    let mut batches = Vec::new();
    for _ in 0..8 {
        let mut batch = Vec::new();
        for (id, head) in heads.iter_mut().enumerate() {
            if random.random_bool(0.5) {
                continue;
            }
            position += 1;
            let others = (0..random.random_range(0..4)).map(|_| {
                let sk = format!("P#{}", sort(random));
                Item { key: Key::new(format!("T#{id}"), sk), ..any_item(random, id, position) }
            });
            let mut others: Vec<Item> = others.collect();
            others.sort_by(|one, other| one.key.cmp(&other.key));
            others.dedup_by(|one, other| one.key == other.key);
            let tallies: Vec<_> = (0..random.random_range(0..2))
                .map(|_| tally(&sort(random), position, &[("n", random.random_range(-5..5)), ("m", 1)]))
                .collect();
            let made = StreamItemChanges { others, tallies, ..change(any_item(random, id, position), *head) };
            *head = Some(position);
            batch.push(made);
        }
        batches.push(batch);
    }
    batches
}

fn any_item(random: &mut StdRng, id: usize, version: i64) -> Item {
    let mut at = |index: usize| {
        let partition = format!("G{index}#{}", random.random_range(0..3));
        random.random_bool(0.7).then(|| Key::new(partition, sort(random)))
    };
    let index_keys = [at(1), at(2), at(3)];
    Item {
        key: Key::new(format!("T#{id}"), "#META"),
        index_keys,
        version,
        body: json(&format!("{id} {version}")),
        words: None,
    }
}

/// Few of them, so that many are the same, and some begin others.
fn sort(random: &mut StdRng) -> String {
    let letters = ["a", "b", "ü", "#", "\u{2}", "~", "\u{10ffff}", "2"];
    (0..random.random_range(1..4)).map(|_| *letters.choose(random).unwrap()).collect()
}

#[derive(Debug)]
struct Question {
    index: Option<Index>,
    partitions: Vec<String>,
    from: Option<String>,
    until: Option<String>,
    order: SortOrder,
    limit: u16,
}

impl Question {
    fn any(random: &mut StdRng) -> Self {
        let index = *[None, Some(Index::Gsi1), Some(Index::Gsi2), Some(Index::Gsi3)].choose(random).unwrap();
        let partitions = match index {
            None if random.random_bool(0.3) => vec!["SUMS".to_owned()],
            None => vec![format!("T#{}", random.random_range(0..STREAMS))],
            Some(index) => {
                let partition = |n: u32| format!("G{}#{n}", index as usize + 1);
                (0..random.random_range(1..4)).map(|_| partition(random.random_range(0..4))).collect()
            }
        };
        Self {
            index,
            partitions,
            from: random.random_bool(0.4).then(|| sort(random)),
            until: random.random_bool(0.4).then(|| sort(random)),
            order: *[SortOrder::Ascending, SortOrder::Descending].choose(random).unwrap(),
            limit: random.random_range(1..40),
        }
    }

    fn after<'a>(&'a self, cursor: Option<&'a str>) -> Query<'a> {
        Query {
            name: "any",
            scope: match self.index {
                None => QueryScope::Collection(&self.partitions[0]),
                Some(index) => QueryScope::Index(index, &self.partitions),
            },
            from: self.from.as_deref(),
            until: self.until.as_deref(),
            order: self.order,
            limit: self.limit,
            cursor,
        }
    }
}
