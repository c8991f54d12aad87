//! Where a search by words ended, and what is said if there can be none.

use std::time::Duration;

use problem::{Problem, ProblemType};
use read_models::WordSearchError;
use serde::{Deserialize, Serialize};

use crate::parameters::invalid;
use crate::reads::store_problem;

/// How many orders may have the words for them to be sorted. Where more have them, orders are looked at one after the other.
pub(super) const MOST_SORTED: u32 = 10_000;
/// The same for a search that goes on: orders may have come in meanwhile.
pub(super) const MOST_SORTED_LATER: u32 = 20_000;

/// Where a page ended among the orders that have the words.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WordCursor {
    /// The sort key of the last one.
    pub(super) with_words_up_to: String,
}

pub(super) fn word_problem(error: WordSearchError) -> Problem {
    match error {
        WordSearchError::Unsupported => invalid("q", "can't be asked where read models are kept in DynamoDB"),
        WordSearchError::NotBuilt => {
            let detail = "an earlier build made the read model `orders`; q can be asked once it is rebuilt: \
                          ordo replay --projection orders";
            Problem::new(ProblemType::ReadModelsUnavailable, detail).retry_after(Duration::from_mins(1))
        }
        WordSearchError::Store(error) => store_problem(error),
    }
}
