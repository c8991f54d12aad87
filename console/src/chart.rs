//! Bar charts as SVG. Their figures are in a table beside them, for those who do not see them.

/// A bar chart: places and lengths are in units of its view box.
pub(crate) struct BarChart {
    pub(crate) title: String,
    /// What the highest bar stands for.
    pub(crate) highest: String,
    pub(crate) bars: Vec<Bar>,
}

pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) x: usize,
    pub(crate) parts: Vec<BarPart>,
}

/// A part of a bar, of the colour of its class.
pub(crate) struct BarPart {
    pub(crate) class: &'static str,
    pub(crate) y: i64,
    pub(crate) height: i64,
}

/// The width of a bar, and how much of it is not between it and the next.
const BAR: usize = 10;
/// The height of the highest bar.
const HEIGHT: i64 = 1_000;

impl BarChart {
    /// A chart of bars with these labels and parts. `shown`: an amount as people read it.
    pub(crate) fn of(
        title: impl Into<String>,
        bars: Vec<(String, Vec<(&'static str, i128)>)>,
        shown: impl Fn(i128) -> String,
    ) -> Self {
        let sum = |parts: &[(&str, i128)]| parts.iter().map(|(_, amount)| (*amount).max(0)).sum::<i128>();
        let highest = bars.iter().map(|(_, parts)| sum(parts)).max().unwrap_or(0);
        let mut drawn = Vec::with_capacity(bars.len());
        for (nth, (label, parts)) in bars.into_iter().enumerate() {
            let label = format!("{label}: {}", shown(sum(&parts)));
            let mut top = HEIGHT;
            let part = |(class, amount): (&'static str, i128)| {
                let height = i64::try_from(amount.max(0) * i128::from(HEIGHT) / highest.max(1)).unwrap_or(0);
                top -= height;
                BarPart { class, y: top, height }
            };
            drawn.push(Bar { label, x: nth * BAR, parts: parts.into_iter().map(part).collect() });
        }
        Self { title: title.into(), highest: shown(highest), bars: drawn }
    }

    pub(crate) fn width(&self) -> usize {
        self.bars.len().max(1) * BAR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bar_has_the_whole_height_and_parts_stand_on_each_other() {
        let bars = vec![
            ("a".to_owned(), vec![("good", 3), ("bad", 1)]),
            ("b".to_owned(), vec![]),
            ("c".to_owned(), vec![("good", 2)]),
        ];
        let chart = BarChart::of("t", bars, |amount| format!("{amount} orders"));
        let parts: Vec<Vec<_>> =
            chart.bars.iter().map(|bar| bar.parts.iter().map(|part| (part.y, part.height)).collect()).collect();
        assert_eq!(parts, [vec![(250, 750), (0, 250)], vec![], vec![(500, 500)]]);
        assert_eq!(
            (chart.highest.as_str(), chart.bars[2].label.as_str(), chart.width()),
            ("4 orders", "c: 2 orders", 30)
        );
    }

    #[test]
    fn nothing_is_a_chart_without_height() {
        let chart = BarChart::of("t", vec![("a".to_owned(), vec![("good", 0)])], |amount| amount.to_string());
        assert_eq!((chart.highest.as_str(), chart.bars[0].parts[0].height), ("0", 0));
        assert_eq!(BarChart::of("t", vec![], |amount| amount.to_string()).width(), 10);
    }
}
