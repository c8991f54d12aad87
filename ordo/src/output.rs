//! The output of commands. It goes to standard output; log lines go to standard error.

use std::fmt;
use std::io::{self, Write};

use indicatif::style::TemplateError;
use indicatif::{ProgressState, ProgressStyle};

/// Writes one line. A closed pipe (`ordo … | head`) ends the process quietly, as with other tools.
pub fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => written,
    }
}

/// The style of a progress bar. `{rate}` in its template is the number a second.
pub(crate) fn bar_style(template: &str) -> Result<ProgressStyle, TemplateError> {
    let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
        // There is nowhere to report a bar that cannot be drawn.
        let _ = write!(out, "{}/s", rate(state.per_sec()));
    };
    Ok(ProgressStyle::with_template(template)?.with_key("rate", rate))
}

/// A number a second with separators: `21,034.5`.
#[must_use]
pub fn rate(per_second: f64) -> String {
    let text = format!("{per_second:.1}");
    let (digits, decimal) = text.split_once('.').unwrap_or((&text, "0"));
    format!("{}.{decimal}", grouped(digits))
}

/// Digits with separators: `21,034`.
#[must_use]
pub fn grouped(digits: &str) -> String {
    let mut grouped = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_one_decimal() {
        assert_eq!([0.0, 0.04, 7.25, 999.96, 21_034.5].map(rate), ["0.0", "0.0", "7.2", "1,000.0", "21,034.5"]);
    }

    #[test]
    fn a_bar_knows_its_rate() {
        bar_style("{human_pos} events  {rate}  {elapsed}").unwrap();
    }
}
