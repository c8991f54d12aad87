//! How the server is set up. All of it is given on the command line, so that an existing cluster follows when these change.

/// Whether a commit waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// A commit returns when it is on disk.
    Synced,
    /// A commit returns when it is in memory.
    Unsynced,
}

/// The server's settings, as `name=value`.
pub(super) fn server(port: u16, durability: Durability) -> Vec<String> {
    let durable: &[&str] = match durability {
        Durability::Synced => &[
            "fsync=on",
            "synchronous_commit=on",
            "full_page_writes=on",
            "shared_buffers=256MB",
            // Fewer checkpoints under load; the price is a longer recovery after a crash.
            "max_wal_size=2GB",
            // Filling a new log segment with zeros holds every commit up for tens of milliseconds. What a commit writes is on
            // disk all the same, the file's new blocks included.
            "wal_init_zero=off",
        ],
        Durability::Unsynced => {
            &["fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=64MB", "autovacuum=off"]
        }
    };
    let common = [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "max_connections=100",
        "cluster_name=ordo",
        "timezone=UTC",
        "log_timezone=UTC",
        // Short queries only: compiling them costs more than it saves.
        "jit=off",
        "random_page_cost=1.1",
        // The log goes to a file without rotation. Neither statements nor key values: they hold what customers wrote.
        "log_min_messages=warning",
        "log_min_error_statement=panic",
        "log_error_verbosity=terse",
        "log_checkpoints=off",
        "log_autovacuum_min_duration=-1",
    ];
    let port = format!("port={port}");
    common.iter().chain(durable).map(|setting| (*setting).to_owned()).chain([port]).collect()
}
