use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(subcommand)]
    bench: Bench,
}

fn parse(line: &str) -> Result<Bench, clap::Error> {
    Line::try_parse_from(["bench"].into_iter().chain(line.split(' '))).map(|line| line.bench)
}

#[test]
fn intake_needs_nothing_and_takes_a_list_of_connections() {
    let Bench::Intake(intake) = parse("intake").unwrap() else { panic!("not intake") };
    assert_eq!(intake.connections, [16, 64, 256]);
    assert_eq!((intake.measuring.runs, intake.duration), (3, Duration::from_secs(5)));
    assert_eq!((intake.rate, intake.overload, intake.measuring.payload), (None, None, OrderBody::Demo));
    let Bench::Intake(intake) = parse("intake --connections 1,10000 --warm-up 0 --duration 0.5").unwrap() else {
        panic!("not intake")
    };
    assert_eq!(intake.connections, [1, 10_000]);
    assert_eq!((intake.measuring.warm_up, intake.duration), (Duration::ZERO, Duration::from_millis(500)));
}

#[test]
fn a_number_out_of_bounds_is_wrong_usage_and_the_error_names_the_bounds() {
    for (line, bounds) in [
        ("intake --connections 0", "a whole number from 1 to 10000"),
        ("intake --connections 16,,64", "a whole number from 1 to 10000"),
        ("intake --connections 10001", "a whole number from 1 to 10000"),
        ("intake --duration 0", "a number of seconds from 0.1 to 86400"),
        ("intake --duration nan", "a number of seconds from 0.1 to 86400"),
        ("intake --warm-up -1", "unexpected argument"),
        ("intake --warm-up=-1", "a number of seconds from 0 to 3600"),
        ("intake --runs 0", "a whole number from 1 to 100"),
        ("intake --payload 511", "a whole number from 512 to 262144"),
        ("intake --payload 262145", "a whole number from 512 to 262144"),
        ("intake --rate 0", "a number from 0.1 to 1000000"),
        ("intake --rate inf", "a number from 0.1 to 1000000"),
        ("intake --overload 0.5", "a number from 1 to 100"),
        ("intake --preload 0", "a whole number from 1 to 1000000000"),
        ("intake --overload-connections 10", "--overload <FACTOR>"),
        ("intake --api http://127.0.0.1:1 --preload 10", "cannot be used with"),
        ("intake --roles all --preload 10", "cannot be used with"),
        ("intake --rate 10 --svg a.svg", "cannot be used with"),
        ("intake --roles sagas", "roles with command-api"),
        ("intake --roles command-api,saga", "roles with command-api"),
        ("visible --roles command-api", "roles with command-api and projections"),
        ("visible --rate many", "a number from 0.1 to 1000000"),
        ("visible --connections 5001", "a whole number from 1 to 5000"),
        ("end-to-end --orders 0", "a whole number from 1 to"),
        ("end-to-end --orders 5 --duration 5", "cannot be used with"),
        ("end-to-end --api http://127.0.0.1:1", "--inbox <URL>"),
        ("flash-sale --roles command-api", "roles with command-api and sagas"),
        ("flash-sale --units 0", "a whole number from 1 to 1000000000"),
        ("append --tasks 4097", "a whole number from 1 to 4096"),
    ] {
        let error = parse(line).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(error.to_string().contains(bounds), "{line}: {error}");
    }
}

#[test]
fn end_to_end_knows_its_rate_by_its_old_name_too() {
    let Bench::EndToEnd(args) = parse("end-to-end --orders 5 --per-second 7").unwrap() else {
        panic!("not end-to-end")
    };
    assert_eq!((args.orders, args.rate), (Some(5), 7.0));
}
