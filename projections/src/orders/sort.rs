//! In which order a list has its orders.

use read_models::SortOrder;

/// What a list is sorted by, and in which direction. Where two orders are alike, their ids decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OrderSort {
    pub(super) by: SortedBy,
    pub(super) direction: SortOrder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SortedBy {
    Created,
    /// The last event of each order, by its place in the log.
    Updated,
    /// The total, of orders in one currency.
    Total,
}

impl OrderSort {
    /// A name; a `-` before it is for the descending order.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (name, direction) = match text.strip_prefix('-') {
            Some(name) => (name, SortOrder::Descending),
            None => (text, SortOrder::Ascending),
        };
        let by = match name {
            "created" => SortedBy::Created,
            "updated" => SortedBy::Updated,
            "total" => SortedBy::Total,
            _ => return Err("must be one of created, -created, updated, -updated, total, -total"),
        };
        Ok(Self { by, direction })
    }

    pub(super) fn name(self) -> &'static str {
        match (self.by, self.direction) {
            (SortedBy::Created, SortOrder::Ascending) => "created",
            (SortedBy::Created, SortOrder::Descending) => "-created",
            (SortedBy::Updated, SortOrder::Ascending) => "updated",
            (SortedBy::Updated, SortOrder::Descending) => "-updated",
            (SortedBy::Total, SortOrder::Ascending) => "total",
            (SortedBy::Total, SortOrder::Descending) => "-total",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sort_is_read_from_its_name_and_nothing_else() {
        for name in ["created", "-created", "updated", "-updated", "total", "-total"] {
            assert_eq!(OrderSort::parse(name).map(OrderSort::name), Ok(name));
        }
        for text in ["", "-", "--total", "+total", "Total", "total,created", "createdAt"] {
            assert!(OrderSort::parse(text).is_err(), "{text}");
        }
    }
}
