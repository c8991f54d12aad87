//! The README says what the program does.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::process::Command;

const README: &str = include_str!("../../README.md");

fn ordo(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_ordo")).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn its_table_of_settings_is_the_programs() {
    let table = ordo(&["config", "list"]);
    assert!(README.contains(table.trim()), "put the output of `ordo config list` into README.md");
}

#[test]
fn it_names_every_command() {
    let help = ordo(&["--help"]);
    // In groups, before the options.
    let commands = help.lines().take_while(|line| *line != "Options:").filter_map(|line| line.strip_prefix("  "));
    let mut names = 0;
    for name in commands.filter_map(|line| line.split_whitespace().next()) {
        assert!(README.contains(&format!("`ordo {name}")), "README.md does not name `ordo {name}`");
        names += 1;
    }
    assert!(names >= 18, "{help}");
}
