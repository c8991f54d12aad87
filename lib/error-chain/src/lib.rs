//! An error and its causes as one line, for log lines, stored notes and what operators read.

use std::error::Error;

/// The error and all its causes, joined by `: `.
///
/// Some errors show what they are made of and give it as their cause as well: a cause that the text ends with already is not repeated.
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = one_line(&error.to_string());
    let mut next = error.source();
    while let Some(cause) = next {
        let message = one_line(&cause.to_string());
        if !text.ends_with(&message) {
            text = format!("{text}: {message}");
        }
        next = cause.source();
    }
    text
}

/// A text of several lines as one. Some errors list on further lines what was tried: the list is left out, and so is the sentence that
/// announces it.
fn one_line(text: &str) -> String {
    match text.split_once('\n') {
        Some((first, _)) if first.ends_with(':') => {
            first.rsplit_once(". ").map_or(first, |(sentence, _)| sentence).to_owned()
        }
        Some(_) => text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" "),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    fn layers(messages: &[&'static str]) -> Option<Box<Layer>> {
        let (first, rest) = messages.split_first()?;
        Some(Box::new(Layer(first, layers(rest))))
    }

    fn chain_of(messages: &[&'static str]) -> String {
        error_chain(&layers(messages).unwrap())
    }

    #[test]
    fn every_cause_is_named_once() {
        assert_eq!(chain_of(&["not sent"]), "not sent");
        assert_eq!(chain_of(&["not sent", "no route", "cable cut"]), "not sent: no route: cable cut");
        assert_eq!(chain_of(&["not sent", "no route", "no route", "cable cut"]), "not sent: no route: cable cut");
        assert_eq!(chain_of(&["not sent: no route", "no route"]), "not sent: no route");
    }

    #[test]
    fn a_list_of_what_was_tried_is_left_out() {
        assert_eq!(
            chain_of(&["not sent", "no credentials. Attempted:\n  a file\n  a server"]),
            "not sent: no credentials"
        );
        assert_eq!(chain_of(&["not sent", "why:\n  because"]), "not sent: why:");
    }

    #[test]
    fn further_lines_are_kept() {
        let panicked = "assertion `left == right` failed\n  left: 1\n\n right: 2\n";
        assert_eq!(chain_of(&["not sent", panicked]), "not sent: assertion `left == right` failed left: 1 right: 2");
    }
}
