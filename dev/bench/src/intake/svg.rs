//! The picture of latency against load.
//!
//! Written by hand: two axes and four lines are less than what a drawing library would bring along.

use std::fmt::Write;

use super::sweep::Step;
use crate::table::thousands;

const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 480.0;
/// The plot within it: left, right, top, bottom.
const PLOT: (f64, f64, f64, f64) = (84.0, 800.0, 60.0, 410.0);
/// Each contender's colour, and how far to the right its part of the legend begins.
const COLOURS: [(&str, f64); 2] = [("#0b6e99", 0.0), ("#c2571a", 360.0)];
/// A line of each contender: what it shows, and how.
struct Curve {
    label: &'static str,
    of: fn(&Step) -> f64,
    dash: &'static str,
    /// How far to the right it is in the contender's part of the legend.
    right: f64,
}

const CURVES: [Curve; 2] = [
    Curve { label: "p99", of: |step| step.p99_ms, dash: "", right: 0.0 },
    Curve { label: "p50", of: |step| step.p50_ms, dash: "6 4", right: 180.0 },
];

/// p50 and p99 of each contender, on a logarithmic scale, against what was asked of it.
pub(super) fn draw(steps: &[Step]) -> String {
    let scale = Scale::of(steps);
    let mut svg = String::new();
    let mut add = |text: &str| {
        svg.push_str(text);
        svg.push('\n');
    };
    add(&format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">"#
    ));
    add(&format!(r##"<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>"##));
    add(&text((WIDTH / 2.0, 24.0), "middle", r#" font-size="16""#, "Latency of POST /orders against load"));
    axes(&scale, &mut add);
    let mut names: Vec<&str> = steps.iter().map(|step| step.contender).collect();
    names.dedup();
    for (name, (colour, legend)) in names.iter().zip(COLOURS) {
        let own: Vec<&Step> = steps.iter().filter(|step| step.contender == *name).collect();
        for Curve { label, of, dash, right } in CURVES {
            let points = own.iter().map(|step| scale.point(step.offered_per_second, of(step)));
            add(&line(points.clone(), colour, dash));
            for (x, y) in points {
                add(&format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}"/>"#));
            }
            let (x, y) = (PLOT.0 + legend + right, PLOT.2 - 14.0);
            add(&line([(x, y - 4.0), (x + 30.0, y - 4.0)], colour, dash));
            add(&text((x + 36.0, y), "start", "", &format!("{name}, {label}")));
        }
    }
    add("</svg>");
    svg
}

fn axes(scale: &Scale, add: &mut impl FnMut(&str)) {
    let (left, right, top, bottom) = PLOT;
    for ms in scale.decades() {
        let (_, y) = scale.point(0.0, ms);
        add(&line([(left, y), (right, y)], "#dddddd", ""));
        let label = if ms < 1.0 { ms.to_string() } else { thousands(ms) };
        add(&text((left - 8.0, y + 4.0), "end", "", &format!("{label} ms")));
    }
    for tick in 0..=5 {
        let rate = scale.rate * f64::from(tick) / 5.0;
        let (x, _) = scale.point(rate, scale.least);
        add(&line([(x, bottom), (x, bottom + 5.0)], "#333333", ""));
        add(&text((x, bottom + 20.0), "middle", "", &thousands(rate)));
    }
    add(&line([(left, top), (left, bottom), (right, bottom)], "#333333", ""));
    let what = "orders due a second; 10, 25, 50, 75, 90, 100 and 110 % of what each takes at most";
    add(&text(((left + right) / 2.0, bottom + 42.0), "middle", "", what));
    let from = "latency counts from when an order was due";
    add(&text(((left + right) / 2.0, bottom + 60.0), "middle", r##" fill="#666666""##, from));
}

/// From figures to places in the plot.
struct Scale {
    /// The most orders a second.
    rate: f64,
    /// Milliseconds: powers of ten below and above all.
    least: f64,
    most: f64,
}

impl Scale {
    fn of(steps: &[Step]) -> Self {
        let rates = steps.iter().map(|step| step.offered_per_second);
        let least = steps.iter().map(|step| step.p50_ms).fold(f64::INFINITY, f64::min);
        let most = steps.iter().map(|step| step.p99_ms).fold(0.0, f64::max);
        let power = |of: f64| 10_f64.powf(of);
        // No latency is below a microsecond; of nothing, some scale will do.
        let least = if least.is_finite() { power(least.max(0.001).log10().floor()) } else { 0.1 };
        let most = power(most.max(least * 1.001).log10().ceil());
        Self { rate: round_up(rates.fold(0.0, f64::max)), least, most }
    }

    fn decades(&self) -> impl Iterator<Item = f64> {
        let (least, most) = (self.least, self.most);
        std::iter::successors(Some(least), |ms| Some(ms * 10.0)).take_while(move |ms| *ms <= most * 1.001)
    }

    fn point(&self, rate: f64, ms: f64) -> (f64, f64) {
        let (left, right, top, bottom) = PLOT;
        let height = (ms.max(self.least) / self.least).log10() / (self.most / self.least).log10();
        (left + (right - left) * rate / self.rate, bottom - (bottom - top) * height)
    }
}

/// To a number whose fifths are short: 1, 2, 2.5 or 5 times a power of ten.
fn round_up(number: f64) -> f64 {
    let power = 10_f64.powf(number.max(1.0).log10().floor());
    let steps = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0];
    steps.into_iter().map(|step| step * power).find(|round| *round >= number).unwrap_or(10.0 * power)
}

fn line(points: impl IntoIterator<Item = (f64, f64)>, colour: &str, dash: &str) -> String {
    let mut places = String::new();
    for (x, y) in points {
        // Writing to a string cannot fail.
        let _ = write!(places, "{x:.1},{y:.1} ");
    }
    let places = places.trim_end();
    let dash = if dash.is_empty() { String::new() } else { format!(r#" stroke-dasharray="{dash}""#) };
    format!(r#"<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>"#)
}

fn text((x, y): (f64, f64), anchor: &str, more: &str, text: &str) -> String {
    format!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}"{more}>{text}</text>"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(contender: &'static str, rate: f64, p50_ms: f64, p99_ms: f64) -> Step {
        Step {
            contender,
            percent: 10.0,
            offered_per_second: rate,
            accepted_per_second: rate,
            p50_ms,
            p99_ms,
            refused: 0,
            errors: 0,
        }
    }

    #[test]
    fn every_figure_is_a_point_within_the_plot() {
        let steps = [step("a", 2_000.0, 0.3, 1.2), step("a", 22_000.0, 40.0, 900.0), step("b", 500.0, 0.8, 3.0)];
        let svg = draw(&steps);
        assert_eq!(svg.matches("<circle").count(), 6);
        assert!(svg.contains(">0.1 ms<") && svg.contains(">1,000 ms<"), "{svg}");
        assert!(svg.contains(">25,000<"));
        let number = |text: &str, name: &str| -> f64 {
            text.split_once(&format!("{name}=\"")).unwrap().1.split('"').next().unwrap().parse().unwrap()
        };
        for circle in svg.lines().filter(|line| line.starts_with("<circle")) {
            assert!((PLOT.0..=PLOT.1).contains(&number(circle, "cx")), "{circle}");
            assert!((PLOT.2..=PLOT.3).contains(&number(circle, "cy")), "{circle}");
        }
    }

    #[test]
    fn a_plot_without_measurements_is_a_valid_picture() {
        assert!(draw(&[]).ends_with("</svg>\n"));
        assert!(!draw(&[step("a", 10.0, 0.0, 0.0)]).contains("NaN"));
    }

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!([7.0, 100.0, 2_100.0, 33_000.0, 99_000.0].map(round_up), [8.0, 100.0, 2_500.0, 40_000.0, 100_000.0]);
    }
}
