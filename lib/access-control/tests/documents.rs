//! The documents have the table of routes.

use std::fmt::Write as _;

use access_control::{ROUTES, Role};

const ACCESS: &str = include_str!("../../../docs/reference/access.md");

#[test]
fn the_table_of_routes_is_documented() {
    let roles = Role::ALL.into_iter().filter(|role| *role != Role::Operator);
    let names: Vec<&str> = roles.clone().map(Role::as_str).collect();
    let mut table = format!("| route | class | {} |\n|---|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for route in ROUTES.iter().filter(|route| !route.class.is_public()) {
        write!(table, "| `{} {}` | {} |", route.method, route.path, route.class).unwrap();
        for role in roles.clone() {
            write!(table, " {} |", route.grant(role).map_or("–", |grant| grant.as_str())).unwrap();
        }
        table.push('\n');
    }
    assert!(ACCESS.contains(&table), "put this into docs/reference/access.md:\n{table}");
    for route in ROUTES.iter().filter(|route| route.class.is_public()) {
        let named = format!("`{} {}`", route.method, route.path);
        assert!(ACCESS.contains(&named), "docs/reference/access.md does not name {named}");
    }
}
