use access_control::{Principal, Role, RoutePermission};
use axum::{Extension, Router};

/// Routes whose callers are the shop, which may do everything there: `shop:test`.
pub fn called_by_shop(routes: impl Into<Router>) -> Router {
    called_by(routes, Principal::new(Role::Shop, "test", None), RoutePermission::All)
}

/// Routes that take every request as that caller's, without access control in front.
pub fn called_by(routes: impl Into<Router>, caller: Principal, grant: RoutePermission) -> Router {
    routes.into().layer(Extension(caller)).layer(Extension(grant))
}
