//! The database schema: every DDL statement of the product is in the `.sql` files of this folder, applied in order.

/// All migrations, compiled in. `MIGRATIONS.run(&pool)` is idempotent and safe to run from several processes at once.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./sql");
