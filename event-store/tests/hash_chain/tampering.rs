//! A thousand changes to the log, each of one row or two, by somebody whom no trigger stops: each is found where it is.

use event_store::hash_chain::HashChainFault;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{Rng, SeedableRng};

use crate::support::{STEP, after, sealed};

const EVENTS: i64 = 300;
const CHANGES: usize = 1_000;

/// Columns, and how to make something else of them.
const EDITS: &[(&str, &str)] = &[
    ("aggregate_type", "aggregate_type || 's'"),
    ("aggregate_id", "'another-' || aggregate_id"),
    ("sequence", "sequence + 1000"),
    ("event_type", "'OrderCancelled'"),
    ("event_version", "event_version || '0'"),
    // The same to every program that reads it, and yet not the same.
    ("payload", "(payload::text || ' ')::json"),
    ("payload", "replace(payload::text, 'event', 'Event')::json"),
    ("metadata", "replace(metadata::text, 'shop', 'shoq')::json"),
    ("event_id", "gen_random_uuid()"),
    ("recorded_at", "recorded_at + interval '1 microsecond'"),
];

/// Whole columns that change places; those of events are never alike.
const SWAPS: &[&str] = &["payload", "event_id", "recorded_at"];

/// What is done, and what is to be found first.
struct Change {
    statements: Vec<String>,
    expected: HashChainFault,
}

#[tokio::test]
async fn a_thousand_changes_are_each_found_where_they_are() {
    let (database, head) = sealed(EVENTS).await;
    let mut rng = StdRng::seed_from_u64(7311);
    for nth in 0..CHANGES {
        let Change { statements, expected } = change(&mut rng);
        let checked = after(&database, &statements, Some(head)).await;
        assert_eq!(checked.faults.first(), Some(&expected), "change {nth}: {statements:#?}\n{:#?}", checked.faults);
        let last = checked.faults.last().unwrap();
        let told = format!("the log up to position {} is not what it was", head.position());
        assert_eq!((last.about(), last.to_string()), ("the head".to_owned(), told), "change {nth}: {statements:#?}");
        // Without the head, the seals show it as well.
        if nth % 10 == 0 {
            let checked = after(&database, &statements, None).await;
            assert_eq!(checked.faults.first(), Some(&expected), "change {nth} without a head: {statements:#?}");
        }
    }
}

fn change(rng: &mut StdRng) -> Change {
    let (one, other) = (at(rng), at(rng));
    match rng.random_range(0..6) {
        0 | 1 => edit(rng, one),
        2 => Change {
            statements: vec![format!("delete from events where global_position = {one}")],
            expected: HashChainFault::Missing { position: one },
        },
        3 => insert(rng),
        4 => move_away(rng, one),
        _ if one == other => change(rng),
        _ => swap(rng, one.min(other), one.max(other)),
    }
}

/// The position of an event.
fn at(rng: &mut StdRng) -> i64 {
    rng.random_range(1..=EVENTS) * STEP
}

/// A position between events, or before the first.
fn between(rng: &mut StdRng) -> i64 {
    (-2..EVENTS * STEP).filter(|position| *position <= 0 || position % STEP != 0).choose(rng).unwrap()
}

fn edit(rng: &mut StdRng, position: i64) -> Change {
    let (column, value) = EDITS.choose(rng).unwrap();
    Change {
        statements: vec![format!("update events set {column} = {value} where global_position = {position}")],
        expected: HashChainFault::Edited { position, columns: vec![column] },
    }
}

fn insert(rng: &mut StdRng) -> Change {
    let (position, version) = (between(rng), rng.random_range(100..200));
    let statement = format!(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, global_position)
         values ('order', 'stream-1', {version}, 'OrderConfirmed', '1.0', '{{}}', '{{}}', {position})"
    );
    Change { statements: vec![statement], expected: HashChainFault::Inserted { position } }
}

fn move_away(rng: &mut StdRng, from: i64) -> Change {
    let to = between(rng);
    let expected = if from < to {
        HashChainFault::MovedAway { position: from, to }
    } else {
        HashChainFault::MovedHere { position: to, from }
    };
    Change { statements: vec![moved(from, to)], expected }
}

fn swap(rng: &mut StdRng, one: i64, other: i64) -> Change {
    let Some(column) = SWAPS.iter().choose(rng).filter(|_| rng.random_bool(0.7)) else {
        let columns = "aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, event_id, recorded_at";
        let same = |column: &&str| !differs(column, one / STEP, other / STEP);
        let columns = columns.split(", ").filter(|column| !same(column)).collect();
        return Change {
            statements: vec![moved(one, -9), moved(other, one), moved(-9, other)],
            expected: HashChainFault::Exchanged { position: one, with: other, columns },
        };
    };
    let statement = format!(
        "update events e set {column} = o.{column} from events o
          where (e.global_position, o.global_position) in (({one}, {other}), ({other}, {one}))"
    );
    Change {
        statements: vec![statement],
        expected: HashChainFault::Exchanged { position: one, with: other, columns: vec![column] },
    }
}

fn moved(from: i64, to: i64) -> String {
    format!("update events set global_position = {to} where global_position = {from}")
}

/// Whether the nth and the mth event differ in a column.
fn differs(column: &str, n: i64, m: i64) -> bool {
    match column {
        "aggregate_type" => (n % 4 == 0) != (m % 4 == 0),
        "aggregate_id" => n % 50 != m % 50,
        "sequence" => n / 50 != m / 50,
        "event_type" => n % 3 != m % 3,
        "event_version" => n % 2 != m % 2,
        "metadata" => n % 7 != m % 7,
        _ => true,
    }
}
