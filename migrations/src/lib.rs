//! The database schema: every DDL statement of the product is in the `.sql` files of this folder, applied in order.

/// All migrations, compiled in. `MIGRATIONS.run(&pool)` is idempotent and safe to run from several processes at once.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./sql");

/// Creates the group roles of the server. Needs the schema of this build.
pub const ROLES: &str = include_str!("../roles.sql");

/// Selects the next statement that gives an object of the schema `$1` to the group role that owns it. Needs [`ROLES`].
pub const OWNERS: &str = include_str!("../owners.sql");

/// Grants the group roles what they need in the database, and revokes the rest. Needs [`ROLES`], and is run by the owner.
pub const GRANTS: &str = include_str!("../grants.sql");
