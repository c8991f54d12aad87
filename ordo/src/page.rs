//! Pages for people: tables that fit the terminal, relative times, colour. Output that is not for a terminal has no colour and is
//! not cut.

use std::ffi::OsStr;
use std::io::{self, IsTerminal};

use chrono::{DateTime, TimeDelta, Utc};
use clap::builder::styling::{AnsiColor, Style};
use rustix::termios::tcgetwinsize;

use crate::dlq::harmless;

/// A text is not cut shorter than this.
const SHORTEST: usize = 8;
const BETWEEN: &str = "  ";

/// How a page for people is laid out: the width of its lines, whether it is coloured, and the instant that relative
/// times count from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TerminalFormat {
    /// How many characters a line has; `None`: any number.
    width: Option<usize>,
    colour: bool,
    now: DateTime<Utc>,
}

/// The meaning of a text, which chooses its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextTone {
    Plain,
    Heading,
    Good,
    Waits,
    Bad,
    Aside,
}

impl TerminalFormat {
    /// The style of standard output.
    pub(crate) fn of_stdout(now: DateTime<Utc>) -> Self {
        let out = io::stdout();
        let terminal = out.is_terminal();
        let size = terminal.then(|| tcgetwinsize(&out).ok()).flatten();
        let width = size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
        Self { width, colour: has_colour(terminal, std::env::var_os("NO_COLOR").as_deref()), now }
    }

    #[cfg(test)]
    pub(crate) fn plain(width: Option<usize>, now: DateTime<Utc>) -> Self {
        Self { width, colour: false, now }
    }

    pub(crate) fn paint(&self, tone: TextTone, text: &str) -> String {
        let style = match tone {
            TextTone::Plain => Style::new(),
            TextTone::Heading => Style::new().bold(),
            TextTone::Good => AnsiColor::Green.on_default(),
            TextTone::Waits => AnsiColor::Yellow.on_default(),
            TextTone::Bad => AnsiColor::Red.on_default().bold(),
            TextTone::Aside => Style::new().dimmed(),
        };
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// A time relative to now.
    pub(crate) fn ago(&self, at: DateTime<Utc>) -> String {
        let past = self.now - at;
        match how_long(past.abs()) {
            None => "now".to_owned(),
            Some(long) if past < TimeDelta::zero() => format!("in {long}"),
            Some(long) => format!("{long} ago"),
        }
    }
}

/// See <https://no-color.org>: any value but the empty one turns colour off.
fn has_colour(terminal: bool, no_color: Option<&OsStr>) -> bool {
    terminal && no_color.is_none_or(OsStr::is_empty)
}

/// `None`: less than a second.
fn how_long(time: TimeDelta) -> Option<String> {
    Some(match (time.num_seconds(), time.num_minutes(), time.num_hours(), time.num_days()) {
        (..1, ..) => return None,
        (seconds @ ..60, ..) => format!("{seconds} s"),
        (_, minutes @ ..60, ..) => format!("{minutes} min"),
        (_, _, hours @ ..48, _) => format!("{hours} h"),
        (_, _, _, days) => format!("{days} days"),
    })
}

/// A table. Columns of numbers are aligned right. If the table is too wide, the widest column of text is cut.
#[derive(Debug)]
pub(crate) struct TextTable {
    numbers: Vec<bool>,
    rows: Vec<Vec<(TextTone, String)>>,
    indent: usize,
}

impl TextTable {
    /// A table without a head; `columns` says which are of numbers.
    pub(crate) fn of(columns: &[bool]) -> Self {
        Self { numbers: columns.to_vec(), rows: Vec::new(), indent: 2 }
    }

    /// The same without indentation.
    pub(crate) fn flush_left(self) -> Self {
        Self { indent: 0, ..self }
    }

    /// Adds a row. Control characters are replaced, because texts may come from anybody.
    pub(crate) fn row<const N: usize>(&mut self, cells: [(TextTone, String); N]) {
        self.rows.push(cells.into_iter().map(|(tone, text)| (tone, harmless(&text))).collect());
    }

    /// The same without columns whose cells below the head are all one of these texts.
    pub(crate) fn without_columns_of(mut self, nothing: &[&str]) -> Self {
        for column in (0..self.numbers.len()).rev() {
            let cells = self.rows.iter().skip(1).filter_map(|row| row.get(column));
            if cells.clone().count() > 0 && cells.clone().all(|(_, text)| nothing.contains(&text.as_str())) {
                self.numbers.remove(column);
                self.rows.iter_mut().for_each(|row| drop(row.remove(column)));
            }
        }
        self
    }

    /// Its lines, one for each row.
    pub(crate) fn lines(&self, style: &TerminalFormat) -> Vec<String> {
        let widths = self.widths(style.width);
        let line = |row: &Vec<(TextTone, String)>| {
            let last = row.iter().rposition(|(_, text)| !text.is_empty()).unwrap_or(0);
            let cells = row.iter().zip(&widths).zip(&self.numbers).enumerate().take(last + 1);
            let cells = cells.map(|(nth, (((tone, text), width), number))| {
                let text = cut(text, *width);
                let padding = " ".repeat(width.saturating_sub(text.chars().count()));
                let text = style.paint(*tone, &text);
                match (number, nth == last) {
                    (true, _) => format!("{padding}{text}"),
                    (false, true) => text,
                    (false, false) => format!("{text}{padding}"),
                }
            });
            format!("{}{}", " ".repeat(self.indent), cells.collect::<Vec<_>>().join(BETWEEN))
        };
        self.rows.iter().map(line).collect()
    }

    fn widths(&self, room: Option<usize>) -> Vec<usize> {
        let of_column = |column| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|(_, text): &(TextTone, String)| text.chars().count()).max().unwrap_or(0)
        };
        let mut widths: Vec<usize> = (0..self.numbers.len()).map(of_column).collect();
        let Some(room) = room else { return widths };
        let gaps = self.indent + BETWEEN.len() * widths.len().saturating_sub(1);
        let room = room.saturating_sub(gaps);
        loop {
            let over = widths.iter().sum::<usize>().saturating_sub(room);
            let texts = widths.iter_mut().zip(&self.numbers).filter(|(_, number)| !**number);
            let Some((widest, _)) = texts.max_by_key(|(width, _)| **width).filter(|(width, _)| **width > SHORTEST)
            else {
                return widths;
            };
            if over == 0 {
                return widths;
            }
            *widest = widest.saturating_sub(over).max(SHORTEST);
        }
    }
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> DateTime<Utc> {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    fn plain(text: &str) -> (TextTone, String) {
        (TextTone::Plain, text.to_owned())
    }

    fn table() -> TextTable {
        let mut table = TextTable::of(&[true, false, false, true]);
        table.row([plain("line"), plain("SKU"), plain("title"), plain("total")]);
        table.row([plain("1"), plain("sku-123"), plain("Wireless Headphones"), plain("129.99")]);
        table.row([plain("12"), plain("a"), plain("Cable\u{1b}[2J"), plain("5.50")]);
        table
    }

    #[test]
    fn times_are_told_as_people_do() {
        let style = TerminalFormat::plain(None, noon());
        for (at, told) in [
            ("2026-11-21T12:00:00Z", "now"),
            ("2026-11-21T11:59:59.500Z", "now"),
            ("2026-11-21T11:59:18Z", "42 s ago"),
            ("2026-11-21T11:55:59Z", "4 min ago"),
            ("2026-11-21T09:00:00Z", "3 h ago"),
            ("2026-11-19T12:00:01Z", "47 h ago"),
            ("2026-11-18T11:00:00Z", "3 days ago"),
            ("2026-11-21T12:10:30Z", "in 10 min"),
        ] {
            assert_eq!(style.ago(at.parse().unwrap()), told, "{at}");
        }
    }

    #[test]
    fn a_table_lines_up_and_does_nothing_to_the_terminal() {
        assert_eq!(
            table().lines(&TerminalFormat::plain(None, noon())),
            [
                "  line  SKU      title                 total",
                "     1  sku-123  Wireless Headphones  129.99",
                "    12  a        Cable\u{fffd}[2J              5.50",
            ]
        );
    }

    #[test]
    fn a_table_fits_the_terminal() {
        let lines = table().lines(&TerminalFormat::plain(Some(36), noon()));
        assert_eq!(lines[1], "     1  sku-123  Wireless H…  129.99");
        assert!(lines.iter().all(|line| line.chars().count() <= 36), "{lines:?}");
        // Without any room the rest of a text can still be recognized.
        assert_eq!(table().lines(&TerminalFormat::plain(Some(1), noon()))[1], "     1  sku-123  Wireles…  129.99");
    }

    #[test]
    fn a_column_in_which_nothing_is_told_is_left_out() {
        let mut table = TextTable::of(&[false, true, true]);
        table.row([plain("SKU"), plain("shipped"), plain("returned")]);
        table.row([plain("a"), plain("1"), plain("0")]);
        table.row([plain("b"), plain("0"), plain("0")]);
        let lines = table.without_columns_of(&["0"]).lines(&TerminalFormat::plain(None, noon()));
        assert_eq!(lines, ["  SKU  shipped", "  a          1", "  b          0"]);
    }

    #[test]
    fn there_is_colour_on_a_terminal_unless_somebody_does_not_want_it() {
        assert!(has_colour(true, None) && has_colour(true, Some(OsStr::new(""))));
        assert!(!has_colour(true, Some(OsStr::new("1"))));
        assert!(!has_colour(false, None));
        let coloured = TerminalFormat { colour: true, ..TerminalFormat::plain(None, noon()) };
        assert_eq!(coloured.paint(TextTone::Good, "done"), "\u{1b}[32mdone\u{1b}[0m");
        assert_eq!(coloured.paint(TextTone::Plain, "done"), "done");
        assert_eq!(TerminalFormat::plain(None, noon()).paint(TextTone::Good, "done"), "done");
    }
}
