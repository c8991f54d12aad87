//! Whether the database's user may do more than the roles of a process need.

use sqlx::PgPool;

use crate::settings::PlatformRole;

/// What a user may do.
#[derive(Debug, sqlx::FromRow)]
struct Rights {
    is_superuser: bool,
    changes_events: bool,
    appends_events: bool,
    makes_tables: bool,
}

/// Warns if somebody who gets hold of the process could do more to the database than its roles do.
pub(crate) async fn warn_of_excess(database: &PgPool, roles: &[PlatformRole]) -> Result<(), sqlx::Error> {
    let excess = excess(database, roles).await?;
    if !excess.is_empty() {
        tracing::warn!(
            "the database's user has more rights than its roles need: it {}; `ordo migrate --roles` makes roles to grant instead",
            excess.join(", ")
        );
    }
    Ok(())
}

/// What the database's user may do that its roles have no use for.
pub(crate) async fn excess(database: &PgPool, roles: &[PlatformRole]) -> Result<Vec<&'static str>, sqlx::Error> {
    let query = "select rolsuper as is_superuser,
                        has_table_privilege('events', 'update') or has_table_privilege('events', 'delete')
                            or has_table_privilege('events', 'truncate') or has_table_privilege('events', 'trigger')
                            as changes_events,
                        has_table_privilege('events', 'insert') as appends_events,
                        has_schema_privilege(current_schema(), 'create') as makes_tables
                   from pg_roles where rolname = current_user";
    let rights: Rights = sqlx::query_as(query).fetch_one(database).await?;
    Ok(rights.excess(roles))
}

impl Rights {
    /// What the roles have no use for.
    fn excess(&self, roles: &[PlatformRole]) -> Vec<&'static str> {
        if self.is_superuser {
            return vec!["is a superuser"];
        }
        let appends = roles
            .iter()
            .any(|role| matches!(role, PlatformRole::CommandApi | PlatformRole::Sagas | PlatformRole::Console));
        [
            (self.changes_events, "may change and delete events"),
            (self.appends_events && !appends, "may append events"),
            (self.makes_tables, "may make tables"),
        ]
        .into_iter()
        .filter_map(|(is_excess, what)| is_excess.then_some(what))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_role_of_the_process_needs_is_too_much() {
        let all = Rights { is_superuser: false, changes_events: true, appends_events: true, makes_tables: true };
        assert_eq!(all.excess(&PlatformRole::ALL), ["may change and delete events", "may make tables"]);
        assert_eq!(
            all.excess(&[PlatformRole::Notification]),
            ["may change and delete events", "may append events", "may make tables"]
        );
        let writer = Rights { changes_events: false, makes_tables: false, ..all };
        assert!(
            writer.excess(&[PlatformRole::CommandApi]).is_empty() && writer.excess(&[PlatformRole::Sagas]).is_empty()
        );
        assert_eq!(writer.excess(&[PlatformRole::Projections]), ["may append events"]);
        assert_eq!(Rights { is_superuser: true, ..writer }.excess(&PlatformRole::ALL), ["is a superuser"]);
    }
}
