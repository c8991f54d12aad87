//! Which endpoints get the places that are free for deliveries.

/// The deliveries to an endpoint at the same time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlacesOfEndpoint {
    /// How many are in work.
    pub(crate) taken: usize,
    /// How many there may be.
    pub(crate) most: usize,
}

/// Divides free places among endpoints that have something to deliver, one at a time: whoever has the fewest is next, and of several
/// the first. Returns how many each gets.
pub(crate) fn share(endpoints: &[PlacesOfEndpoint], free: usize) -> Vec<usize> {
    let mut shares = vec![0; endpoints.len()];
    for _ in 0..free {
        let taken = endpoints.iter().zip(&mut shares).map(|(of, share)| (of.taken + *share, of.most, share));
        let next = taken.filter(|(taken, most, _)| taken < most).min_by_key(|(taken, ..)| *taken);
        let Some((_, _, share)) = next else { break };
        *share += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(endpoints: &[(usize, usize)], free: usize) -> Vec<usize> {
        let places: Vec<_> = endpoints.iter().map(|&(taken, most)| PlacesOfEndpoint { taken, most }).collect();
        share(&places, free)
    }

    #[test]
    fn whoever_has_the_fewest_places_is_next() {
        assert_eq!(shares(&[(8, 64), (0, 64)], 1), [0, 1], "a busy one does not come first");
        assert_eq!(shares(&[(0, 8), (0, 8), (0, 8)], 4), [2, 1, 1]);
        assert_eq!(shares(&[(3, 8), (0, 8), (1, 8)], 5), [0, 3, 2]);
        assert_eq!(shares(&[(0, 1), (0, 8)], 64), [1, 8], "no more than it may have");
        assert_eq!(shares(&[(2, 1), (0, 8)], 0), [0, 0]);
    }
}
