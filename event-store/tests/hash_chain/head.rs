//! What a head is worth: what it says of a log whose seals can't be trusted, or do not reach so far.

use event_store::hash_chain::{ChainHead, HashChainFault, SealHeadAgreement, seal_all};
use sqlx::Executor;

use crate::support::{STEP, after, attack, check, sealed, write};

#[tokio::test]
async fn anybody_can_compute_the_head_by_the_columns_alone() {
    // More than one seal has.
    let (database, head) = sealed(2_000).await;
    database.pool().execute(BY_HAND).await.unwrap();
    let by_hand: String = sqlx::query_scalar("select chain_by_hand()").fetch_one(database.pool()).await.unwrap();
    assert_eq!(by_hand, head.to_string());
}

#[tokio::test]
async fn a_head_holds_for_ever_whatever_comes_after_it() {
    let (database, head) = sealed(10).await;
    write(database.pool(), 10).await;
    let mut connection = database.pool().acquire().await.unwrap();
    let unsealed = check(&mut connection, Some(head)).await;
    assert_eq!((&unsealed.faults, unsealed.not_sealed, unsealed.sealed_up_to), (&vec![], 10, 10 * STEP));
    seal_all(&mut connection).await.unwrap();
    let sealed = check(&mut connection, Some(head)).await;
    assert_eq!((&sealed.faults, sealed.not_sealed, sealed.head), (&vec![], 0, unsealed.head));
    // What is changed behind it is found by the seals, and is no matter of this head.
    let edited = format!("update events set event_type = 'Other' where global_position = {}", 15 * STEP);
    let checked = after(&database, &[edited], Some(head)).await;
    let fault = HashChainFault::Edited { position: 15 * STEP, columns: vec!["event_type"] };
    assert_eq!((checked.faults, checked.fault_count), (vec![fault], 1));
}

#[tokio::test]
async fn an_empty_log_has_a_head_too() {
    let database = testkit::database().await;
    let mut connection = database.pool().acquire().await.unwrap();
    let empty = check(&mut connection, None).await;
    assert_eq!(empty.head.to_string(), format!("0:{}", "0".repeat(64)));
    write(database.pool(), 3).await;
    assert_eq!(check(&mut connection, Some(empty.head)).await.faults, []);
    let other: ChainHead = format!("0:{}", "1".repeat(64)).parse().unwrap();
    assert_ne!(check(&mut connection, Some(other)).await.faults, []);
}

#[tokio::test]
async fn seals_that_were_rewritten_with_the_log_do_not_lead_to_the_head() {
    let (database, head) = sealed(2_000).await;
    let mut transaction = attack(&database).await;
    transaction.execute("update events set payload = '{}' where global_position = 3000").await.unwrap();
    transaction.execute("delete from event_seals").await.unwrap();
    seal_all(&mut transaction).await.unwrap();

    // They agree with each other.
    assert_eq!(check(&mut transaction, None).await.faults, []);
    let against = check(&mut transaction, Some(head)).await;
    let fault = HashChainFault::NotTheHead { position: head.position(), seals: SealHeadAgreement::LeadElsewhere };
    assert_eq!((against.faults, against.fault_count), (vec![fault], 1));
}

#[tokio::test]
async fn seals_that_were_changed_are_not_held_against_a_log_that_leads_to_the_head() {
    let (database, head) = sealed(2_000).await;
    let changed = "update event_seals set entries = overlay(entries placing '\\x00' from 60 * 7 + 11) where after = 0";
    let found = after(&database, &[changed.to_owned()], None).await.faults;
    let expected = [
        HashChainFault::Edited { position: 8 * STEP, columns: vec![] },
        HashChainFault::SealChanged { up_to: 1_024 * STEP },
    ];
    assert_eq!(found, expected);
    let found = after(&database, &[changed.to_owned()], Some(head)).await;
    let seals = vec![expected[1].clone(), HashChainFault::SealsAgainstHead { position: head.position() }];
    assert_eq!((found.faults, found.fault_count), (seals, 2));
}

#[tokio::test]
async fn seals_that_are_missing_or_make_no_sense_are_told_and_say_nothing_of_the_events() {
    let (database, head) = sealed(3_000).await;
    let [first, second] = [1_024 * STEP, 2_048 * STEP];
    let gap = HashChainFault::SealsMissing { after: first, up_to: second };
    for (statement, fault) in [
        (format!("delete from event_seals where up_to = {second}"), gap),
        (
            format!("update event_seals set entries = '\\x00' where up_to = {second}"),
            HashChainFault::SealChanged { up_to: second },
        ),
        (
            format!("update event_seals set events = 7 where up_to = {second}"),
            HashChainFault::SealChanged { up_to: second },
        ),
        (
            format!("update event_seals set hash = '\\x00' where up_to = {second}"),
            HashChainFault::SealChanged { up_to: second },
        ),
    ] {
        let checked = after(&database, std::slice::from_ref(&statement), Some(head)).await;
        assert_eq!(checked.faults.first(), Some(&fault), "{statement}");
        assert_eq!(checked.head, head, "{statement}");
    }
    // The last ones may not have been made yet.
    let deleted = format!("delete from event_seals where after >= {second}");
    let checked = after(&database, &[deleted], Some(head)).await;
    assert_eq!((checked.faults, checked.not_sealed, checked.sealed_up_to), (vec![], 3_000 - 2_048, second));
}

#[tokio::test]
async fn a_change_to_unsealed_events_is_found_but_not_located() {
    let (database, _) = sealed(10).await;
    write(database.pool(), 10).await;
    let mut connection = database.pool().acquire().await.unwrap();
    let head = check(&mut connection, None).await.head;
    drop(connection);
    let edited = format!("update events set payload = '{{}}' where global_position = {}", 15 * STEP);
    let fault = HashChainFault::NotTheHead { position: 20 * STEP, seals: SealHeadAgreement::EndBefore(10 * STEP) };
    assert_eq!(after(&database, &[edited], Some(head)).await.faults, [fault]);
    let deleted = format!("delete from events where global_position = {}", 20 * STEP);
    let fault = HashChainFault::BeyondTheLog { position: 20 * STEP, last: 19 * STEP };
    assert_eq!(after(&database, &[deleted], Some(head)).await.faults, [fault]);
}

#[tokio::test]
async fn a_truncated_log_is_found() {
    let (database, head) = sealed(10).await;
    let deleted = format!("delete from events where global_position > {}", 8 * STEP);
    let found = after(&database, &[deleted], Some(head)).await.faults;
    let [one, two] = [9, 10].map(|nth| HashChainFault::Missing { position: nth * STEP });
    assert_eq!(
        found,
        [one, two, HashChainFault::NotTheHead { position: 10 * STEP, seals: SealHeadAgreement::LeadToHead }]
    );
}

#[tokio::test]
async fn a_head_of_another_log_is_told_from_a_changed_one() {
    let (database, head) = sealed(10).await;
    let hash = head.to_string().split_once(':').unwrap().1.to_owned();
    let mut connection = database.pool().acquire().await.unwrap();
    for (position, fault) in [
        (10 * STEP + 1, HashChainFault::BeyondTheLog { position: 10 * STEP + 1, last: 10 * STEP }),
        (9 * STEP + 1, HashChainFault::NoSuchHead { position: 9 * STEP + 1 }),
        (9 * STEP, HashChainFault::NotTheHead { position: 9 * STEP, seals: SealHeadAgreement::LeadElsewhere }),
    ] {
        let other: ChainHead = format!("{position}:{hash}").parse().unwrap();
        assert_eq!(check(&mut connection, Some(other)).await.faults, [fault]);
    }
}

#[tokio::test]
async fn of_many_changes_the_first_are_listed_and_all_are_counted() {
    let (database, head) = sealed(1_000).await;
    let edited = "update events set metadata = '{}' where global_position > 300".to_owned();
    let checked = after(&database, &[edited], Some(head)).await;
    assert_eq!((checked.faults.len(), checked.fault_count), (101, 901));
    assert_eq!(checked.faults[0], HashChainFault::Edited { position: 303, columns: vec!["metadata"] });
}

/// The chain by what the table's columns hold, and nothing of this program.
const BY_HAND: &str = "
create function column_by_hand(content bytea) returns bytea language sql as $$
    select int4send(octet_length(content)) || content
$$;
create function chain_by_hand() returns text language plpgsql as $$
declare
    e record;
    last bigint = 0;
    hash bytea = decode(repeat('00', 32), 'hex');
begin
    for e in select * from events order by global_position loop
        hash = sha256(hash || sha256(int2send(10::int2)
            || column_by_hand(int8send(e.global_position))
            || column_by_hand(convert_to(e.aggregate_type, 'UTF8'))
            || column_by_hand(convert_to(e.aggregate_id, 'UTF8'))
            || column_by_hand(int8send(e.sequence))
            || column_by_hand(convert_to(e.event_type, 'UTF8'))
            || column_by_hand(convert_to(e.event_version, 'UTF8'))
            || column_by_hand(convert_to(e.payload::text, 'UTF8'))
            || column_by_hand(convert_to(e.metadata::text, 'UTF8'))
            || column_by_hand(uuid_send(e.event_id))
            || column_by_hand(int8send((extract(epoch from e.recorded_at - '2000-01-01 00:00:00Z') * 1000000)::bigint))));
        last = e.global_position;
    end loop;
    return last || ':' || encode(hash, 'hex');
end $$";
