//! Which partitions a copy should hold, given the leases of all copies.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

/// A lease on a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartitionLeaseRow {
    pub(super) partition: usize,
    pub(super) owner: Option<Uuid>,
    pub(super) fence: i64,
    pub(super) exclusive: bool,
    /// The time left; `None`: it has run out.
    pub(super) left: Option<Duration>,
}

impl PartitionLeaseRow {
    /// Its holder, if that is another copy and the lease still runs.
    fn holder(&self, me: Uuid) -> Option<Uuid> {
        self.owner.filter(|owner| *owner != me && self.left.is_some())
    }
}

/// The partitions that this copy should hold: those that it holds, free ones up to its fair share rounded up, and then others' up to
/// its share rounded down, from the copy that holds the most. No copy gives partitions up by itself.
pub(super) fn share(leases: &[PartitionLeaseRow], me: Uuid) -> Vec<&PartitionLeaseRow> {
    let (mut mine, mut free) = (Vec::new(), Vec::new());
    let mut others: BTreeMap<Uuid, Vec<&PartitionLeaseRow>> = BTreeMap::new();
    for lease in leases {
        match lease.holder(me) {
            // A rebuild holds everything, and not for long.
            Some(_) if lease.exclusive => continue,
            Some(holder) => others.entry(holder).or_default().push(lease),
            None if lease.owner == Some(me) => mine.push(lease),
            None => free.push(lease),
        }
    }
    let available = mine.len() + free.len() + others.values().map(Vec::len).sum::<usize>();
    let members = others.len() + 1;
    let (at_least, at_most) = (available / members, available.div_ceil(members));
    while mine.len() < at_most
        && let Some(lease) = free.pop()
    {
        mine.push(lease);
    }
    while mine.len() < at_least
        && let Some(lease) = others.values_mut().max_by_key(|theirs| theirs.len()).and_then(Vec::pop)
    {
        mine.push(lease);
    }
    mine
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEFT: Option<Duration> = Some(Duration::from_secs(1));

    fn copy(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn shared(leases: &[PartitionLeaseRow], me: Uuid) -> Vec<usize> {
        let mut mine: Vec<usize> = share(leases, me).iter().map(|lease| lease.partition).collect();
        mine.sort_unstable();
        mine
    }

    /// A partition for each owner; 0: nobody's.
    fn held_by(owners: &[u128]) -> Vec<PartitionLeaseRow> {
        let lease = |(partition, owner): (usize, &u128)| PartitionLeaseRow {
            partition,
            owner: (*owner != 0).then(|| copy(*owner)),
            fence: 0,
            exclusive: false,
            left: LEFT.filter(|_| *owner != 0),
        };
        owners.iter().enumerate().map(lease).collect()
    }

    #[test]
    fn a_copy_that_is_alone_takes_everything() {
        assert_eq!(shared(&held_by(&[0, 0, 0, 0]), copy(1)), [0, 1, 2, 3]);
    }

    #[test]
    fn the_second_copy_takes_half_from_the_first_which_does_not_take_it_back() {
        let mut leases = held_by(&[1, 1, 1, 1, 1]);
        let taken = shared(&leases, copy(2));
        assert_eq!(taken.len(), 2);
        taken.iter().for_each(|partition| leases[*partition].owner = Some(copy(2)));
        assert_eq!(shared(&leases, copy(1)).len(), 3);
        assert_eq!(shared(&leases, copy(2)), taken);
    }

    #[test]
    fn any_number_of_copies_come_to_rest_with_shares_that_differ_by_one_from_the_fair_one() {
        for copies in 1..=20 {
            let mut leases = held_by(&[0; 16]);
            for _ in 0..4 {
                for me in 1..=copies {
                    for partition in shared(&leases, copy(me)) {
                        (leases[partition].owner, leases[partition].left) = (Some(copy(me)), LEFT);
                    }
                }
            }
            let before = leases.clone();
            let fair = 16 / usize::try_from(copies).unwrap();
            for me in 1..=copies {
                let mine = shared(&leases, copy(me));
                assert!(mine.len() >= fair, "{copies} copies: {mine:?}");
                mine.iter().for_each(|partition| leases[*partition].owner = Some(copy(me)));
            }
            assert_eq!(leases, before, "{copies} copies still take from each other");
        }
    }

    #[test]
    fn what_a_dead_copy_held_is_taken_once_its_lease_has_run_out() {
        let mut leases = held_by(&[1, 1, 2, 2]);
        assert_eq!(shared(&leases, copy(1)), [0, 1]);
        leases[2].left = None;
        leases[3].left = None;
        assert_eq!(shared(&leases, copy(1)), [0, 1, 2, 3]);
    }

    #[test]
    fn a_copy_whose_own_lease_has_run_out_keeps_what_nobody_took() {
        let mut leases = held_by(&[1, 1]);
        leases[0].left = None;
        assert_eq!(shared(&leases, copy(1)), [0, 1]);
    }

    #[test]
    fn nobody_takes_from_a_rebuild_until_its_lease_has_run_out() {
        let mut leases = held_by(&[9, 9, 9]);
        leases.iter_mut().for_each(|lease| lease.exclusive = true);
        assert!(shared(&leases, copy(1)).is_empty());
        leases.iter_mut().for_each(|lease| lease.left = None);
        assert_eq!(shared(&leases, copy(1)), [0, 1, 2]);
    }
}
