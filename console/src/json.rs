//! JSON for people: every text, number and member as it was written, in lines.

/// JSON in lines, each member and element on its own. `None`: that would be longer than so many bytes.
pub(crate) fn in_lines(json: &str, longest: usize) -> Option<String> {
    let mut lines = String::with_capacity(json.len().min(longest));
    let (mut rest, mut depth) = (json, 0_usize);
    while let Some(first) = rest.bytes().next() {
        let length = match first {
            b'"' => text_length(rest),
            b'{' | b'[' | b'}' | b']' | b',' | b':' => 1,
            b' ' | b'\n' | b'\r' | b'\t' => {
                rest = &rest[1..];
                continue;
            }
            _ => rest.find(['{', '[', '}', ']', ',', ':', ' ', '\n', '\r', '\t']).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        match first {
            b'{' | b'[' => {
                lines.push_str(token);
                let closing = rest.trim_ascii_start();
                if closing.starts_with(['}', ']']) {
                    lines.push_str(&closing[..1]);
                    rest = &closing[1..];
                } else {
                    depth += 1;
                    new_line(&mut lines, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut lines, depth);
                lines.push_str(token);
            }
            b',' => {
                lines.push_str(token);
                new_line(&mut lines, depth);
            }
            b':' => lines.push_str(": "),
            _ => lines.push_str(token),
        }
        if lines.len() > longest {
            return None;
        }
    }
    Some(lines)
}

fn new_line(lines: &mut String, depth: usize) {
    lines.push('\n');
    lines.extend(std::iter::repeat_n("  ", depth));
}

/// The length of the text that JSON begins with, in bytes, with its quotes.
fn text_length(json: &str) -> usize {
    let mut is_escaped = false;
    let end = json.bytes().skip(1).position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(json.len(), |end| end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_stays_as_it_was() {
        let json = r#"{"n":0.1000000000000000055,"b": 1,"a":[12345678901234567890, {} ,[ ]],"b":"a\"b\\","ü,{":null}"#;
        let lines = "{\n  \"n\": 0.1000000000000000055,\n  \"b\": 1,\n  \"a\": [\n    12345678901234567890,\n    {},\n    []\n  ],\n  \
                     \"b\": \"a\\\"b\\\\\",\n  \"ü,{\": null\n}";
        assert_eq!(in_lines(json, 1_000).as_deref(), Some(lines));
        assert_eq!(in_lines("-1.50e+3", 10).as_deref(), Some("-1.50e+3"));
    }

    #[test]
    fn lines_are_bounded_however_deep_they_are() {
        let nested = format!("{}{}{}", "[".repeat(10), "0,".repeat(8_000), "]".repeat(10));
        assert_eq!(in_lines(&nested, 64 * 1024), None);
    }
}
