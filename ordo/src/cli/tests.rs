use std::path::Path;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::help::{GROUPS, command_line};
use super::{Cli, CliCommand};
use crate::data_dir::DataDir;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_is_in_one_group_of_the_help() {
    let command = command_line();
    let visible = command.get_subcommands().filter(|command| !command.is_hide_set());
    let mut visible: Vec<&str> = visible.map(clap::Command::get_name).collect();
    let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
    visible.sort_unstable();
    grouped.sort_unstable();
    assert_eq!(visible, grouped);

    let help = command_line().render_help().to_string();
    for (group, names) in GROUPS {
        let listed = help.split(&format!("\n{group}:\n")).nth(1).unwrap().split("\n\n").next().unwrap();
        let listed: Vec<_> = listed.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
        assert_eq!(listed, names, "{help}");
    }
    assert!(
        help.contains("\nOptions:\n") && help.contains("--data-dir") && help.contains("Examples:\n  ordo up"),
        "{help}"
    );
    assert!(help.contains("\n  ordo demo "), "{help}");
}

#[test]
fn up_needs_nothing_and_takes_every_address() {
    let cli = parse("ordo up").unwrap();
    assert_eq!(DataDir::of(cli.data_dir).path, Path::new(".ordo"));
    let CliCommand::Up(up) = cli.command else { panic!("not up") };
    assert_eq!((up.listen, up.ephemeral, up.json), (None, false, false));
    assert_eq!(up.sqs_listen.port(), 4566);
    assert_eq!(up.ses_listen.port(), 8005);

    let line = "ordo up --ephemeral --listen 0.0.0.0:0 --sqs-listen 127.0.0.1:0 --ses-listen [::1]:0 --json";
    let CliCommand::Up(up) = parse(line).unwrap().command else { panic!("not up") };
    assert_eq!(up.listen, Some("0.0.0.0:0".parse().unwrap()));
    assert!(up.ephemeral && up.json);
}

#[test]
fn roles_are_a_comma_list_of_known_names() {
    let CliCommand::Serve(serve) = parse("ordo serve --roles sagas,notification").unwrap().command else {
        panic!("not serve")
    };
    assert_eq!(serve.roles, ["sagas", "notification"]);
    assert_eq!(parse("ordo serve --roles saga").unwrap_err().kind(), ErrorKind::InvalidValue);
}

#[test]
fn the_settings_file_can_be_named_behind_the_command() {
    assert_eq!(parse("ordo config check --json --config a.toml").unwrap().config, Some("a.toml".into()));
}

#[test]
fn every_command_takes_a_data_directory() {
    for line in ["up", "saga list", "dlq list", "verify", "demo", "tail", "health", "order show o-1"] {
        let cli = parse(&format!("ordo {line} --data-dir shop")).unwrap();
        assert_eq!(cli.data_dir.as_deref(), Some(Path::new("shop")), "{line}");
    }
}

#[test]
fn wrong_usage_has_an_exit_code_of_its_own() {
    for line in [
        "ordo",
        "ordo fly",
        "ordo up --listen nowhere",
        "ordo replay",
        "ordo demo --timeout soon",
        "ordo verify --head 7:abc",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
    assert_eq!(parse("ordo up --help").unwrap_err().exit_code(), 0);
}

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' '))
}
