//! The partitions of the log, and the partition of a stream.

/// The number of partitions. So many copies of a subscription can share the work; three to five copies still get shares of about the
/// same size. Each partition costs a row in every update of a checkpoint. The number never changes: otherwise streams would move to
/// partitions that have, or have not yet, passed their events.
pub const PARTITIONS: usize = 16;

/// The partition of a stream, by its id alone. It never changes, on no machine and in no build.
///
/// FNV-1a with 64 bits, whose well mixed bits are then gathered at the top (by 2^64 divided by the golden ratio): the lowest
/// bits of FNV-1a depend on nothing but the lowest bits of each byte.
pub fn partition_of(stream_id: &str) -> usize {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let hash = stream_id.bytes().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    (hash.wrapping_mul(GOLDEN) >> (u64::BITS - PARTITIONS.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_in_the_same_partition_for_ever() {
        let streams = ["", "a", "demo-1759035874968", "01975b3e-6f3c-7c11-9a55-0e8f3f3a2b10", "order:4711", "äöü"];
        assert_eq!(streams.map(partition_of), [15, 6, 2, 13, 11, 8]);
    }

    #[test]
    fn ids_that_are_alike_spread_evenly() {
        for name in [|n: usize| format!("order-{n}"), |n| format!("{n:032x}"), |n| format!("demo-17590358{n:05}")] {
            let mut counts = [0_usize; PARTITIONS];
            (0..16_000).map(name).for_each(|id| counts[partition_of(&id)] += 1);
            assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
        }
    }
}
