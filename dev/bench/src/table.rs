//! Figures as text.

use ordo::output::{grouped, rate};

use crate::figures::Spread;

/// A table: the first line is its head; the first two columns are text, the others numbers.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Vec<String>>);

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self(vec![head.iter().map(|cell| (*cell).to_owned()).collect()])
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.0.push(cells);
    }

    /// Its lines.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or(0);
        let width = |nth: usize| self.0.iter().filter_map(|row| row.get(nth)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|nth| width(nth).unwrap_or(0)).collect();
        self.0.iter().map(move |row| {
            let cells = row.iter().zip(&widths).enumerate().map(|(nth, (cell, width))| match nth {
                1 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
    }
}

/// `21,034`.
pub(crate) fn thousands(number: f64) -> String {
    grouped(&format!("{number:.0}"))
}

/// Rates: `21,034.5 [20,000.0..22,000.0]`.
pub(crate) fn spread(of: Option<Spread>) -> String {
    of.map_or_else(nothing, |of| format!("{} [{}..{}]", rate(of.median), rate(of.min), rate(of.max)))
}

/// `4.41 x [4.2..4.6]`.
pub(crate) fn ratio(of: Spread) -> String {
    format!("{:.2} x [{:.2}..{:.2}]", of.median, of.min, of.max)
}

/// Milliseconds, to three digits.
pub(crate) fn millis(ms: f64) -> String {
    match ms {
        ..10.0 => format!("{ms:.2}"),
        ..100.0 => format!("{ms:.1}"),
        _ => format!("{ms:.0}"),
    }
}

/// A number that may not be known.
pub(crate) fn known(number: Option<f64>) -> String {
    number.map_or_else(nothing, |number| format!("{number:.1}"))
}

fn nothing() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["n", "what", "orders/s"]);
        table.row(vec!["16".into(), "platform".into(), "21,034".into()]);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines, [" n  what      orders/s", "16  platform    21,034"]);
    }

    #[test]
    fn numbers_are_as_long_as_they_need_to_be() {
        assert_eq!([0.4, 999.0, 1_000.0, 1_234_567.0].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.123, 1.0, 12.34, 123.4].map(millis), ["0.12", "1.00", "12.3", "123"]);
        let of = Spread { median: 4.414, min: 4.2, max: 4.6 };
        assert_eq!(ratio(of), "4.41 x [4.20..4.60]");
        assert_eq!(spread(Some(of)), "4.4 [4.2..4.6]");
        assert_eq!(spread(None), "-");
    }
}
