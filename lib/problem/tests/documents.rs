//! The documents name all types of problems.

use std::fmt::Write as _;

use problem::ProblemType;

const PROBLEMS: &str = include_str!("../../../docs/reference/problems.md");

#[test]
fn the_table_of_problems_is_the_registry() {
    let mut table = "| status | code | means | what to do |\n|---|---|---|---|\n".to_owned();
    for kind in ProblemType::ALL {
        let (status, code) = (kind.status().as_u16(), kind.code());
        writeln!(table, "| {status} | `{code}` | {} | {} |", kind.meaning(), kind.remedy()).unwrap();
    }
    assert!(PROBLEMS.contains(&table), "put this into docs/reference/problems.md:\n{table}");
}
