//! The table of routes, and what is decided by it.

use access_control::{Denial, Principal, ROUTES, Role, Route, RouteClass, RoutePermission, decide};

fn caller(role: Role) -> Principal {
    if role == Role::Customer {
        Principal::customer("anna", "customer-1", None)
    } else {
        Principal::new(role, "someone", None)
    }
}

fn routes_and_roles() -> impl Iterator<Item = (&'static Route, Role)> {
    ROUTES.iter().flat_map(|route| Role::ALL.map(|role| (route, role)))
}

#[test]
fn a_route_is_found_by_method_and_template() {
    let find = |method, path| Route::find(method, path).map(|route| (route.method, route.path));
    assert_eq!(find("GET", "/orders/{order_id}"), Ok(("GET", "/orders/{order_id}")));
    assert_eq!(find("HEAD", "/v1/orders/{order_id}"), Ok(("GET", "/orders/{order_id}")));
    assert_eq!(find("POST", "/v1/orders"), Ok(("POST", "/orders")));
    assert_eq!(find("DELETE", "/orders"), Err(vec!["POST", "GET"]));
    for nowhere in ["/v1/metrics", "/v1/admin/replays", "/v1", "/v1/v1/orders", "/v1orders", "/nowhere", ""] {
        assert_eq!(find("GET", nowhere), Err(vec![]), "{nowhere}");
    }
}

#[test]
fn no_route_is_there_twice() {
    for (nth, route) in ROUTES.iter().enumerate() {
        let twice = ROUTES[..nth].iter().find(|other| (other.method, other.path) == (route.method, route.path));
        assert_eq!(twice, None);
    }
}

#[test]
fn each_role_gets_what_the_table_grants() {
    for (route, role) in routes_and_roles() {
        assert_eq!(
            decide(route, Some(&caller(role))),
            route.grant(role).ok_or(Denial::Forbidden),
            "{role} at {route:?}"
        );
    }
}

#[test]
fn who_is_not_known_reaches_only_what_is_for_everyone() {
    let of_no_customer = Principal::new(Role::Customer, "someone", None);
    for route in ROUTES {
        let expected = if route.class.is_public() { Ok(RoutePermission::All) } else { Err(Denial::Unauthenticated) };
        assert_eq!(decide(route, None), expected, "{route:?}");
        assert_eq!(decide(route, Some(&of_no_customer)), expected, "{route:?}");
    }
}

#[test]
fn an_operator_may_do_everything_and_an_auditor_changes_nothing() {
    for route in ROUTES {
        assert_eq!(route.grant(Role::Operator), Some(RoutePermission::All), "{route:?}");
        // Items as they are stored hold everything, and nothing masks them.
        let is_raw = route.path.starts_with("/read-models");
        assert_eq!(route.grant(Role::Auditor).is_some(), route.method == "GET" && !is_raw, "{route:?}");
    }
}

#[test]
fn a_customer_reaches_its_own_only_and_nobody_else_is_bound_to_a_customer() {
    for (route, role) in routes_and_roles() {
        let Some(grant) = route.grant(role) else { continue };
        assert_eq!(
            grant == RoutePermission::Own,
            role == Role::Customer && !route.class.is_public(),
            "{role} at {route:?}"
        );
    }
}

#[test]
fn what_runs_the_platform_has_one_address_and_is_for_operators_and_auditors() {
    for route in ROUTES.iter().filter(|route| route.class == RouteClass::Operate) {
        assert!(!route.is_versioned(), "{route:?}");
        for role in Role::ALL.into_iter().filter(|role| ![Role::Operator, Role::Auditor].contains(role)) {
            assert_eq!(route.grant(role), None, "{role} at {route:?}");
        }
    }
}
