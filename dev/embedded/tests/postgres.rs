//! The embedded Postgres: what it keeps, whom it refuses, and what is left when its owner dies.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    env, fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use embedded::postgres::{Options, Postgres, PostgresError};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

#[tokio::test]
async fn a_fresh_folder_becomes_a_durable_server() {
    let folder = folder();
    let postgres = start(&folder).await.unwrap();
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let value = ask(&postgres.url(), &format!("select current_setting('{setting}')")).await;
        assert_eq!(value, "on", "{setting}");
    }
    assert_eq!(ask(&postgres.url(), "select current_database()::text").await, "ordo");
    assert_eq!(ask(&postgres.url(), "show server_encoding").await, "UTF8");
    let server = server_pid(postgres.data_directory());
    postgres.stop().await;
    assert!(!alive(server));
}

#[tokio::test]
async fn a_restart_keeps_the_data() {
    let folder = folder();
    let postgres = start(&folder).await.unwrap();
    write_row(&postgres.url()).await;
    postgres.stop().await;
    let postgres = start(&folder).await.unwrap();
    assert_row(&postgres.url()).await;
    postgres.stop().await;
}

#[tokio::test]
async fn a_second_start_is_told_who_has_the_folder() {
    let folder = folder();
    let postgres = start(&folder).await.unwrap();
    let error = start(&folder).await.unwrap_err();
    assert!(matches!(error, PostgresError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    assert_eq!(ask(&postgres.url(), "select 'still there'").await, "still there");
    postgres.stop().await;
}

#[tokio::test]
async fn an_ephemeral_server_leaves_nothing() {
    let options = Options { data_dir: PathBuf::new(), ephemeral: true };
    let postgres = Postgres::start(options).await.unwrap();
    let folder = postgres.data_directory().parent().unwrap().to_owned();
    assert_eq!(ask(&postgres.url(), "show fsync").await, "on");
    postgres.stop().await;
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_copy_has_the_data_and_leaves_the_original_alone() {
    let folder = folder();
    let original = start(&folder).await.unwrap();
    write_row(&original.url()).await;
    original.stop().await;

    let copy = Postgres::start_copy_of(folder.path().to_owned()).await.unwrap();
    assert_row(&copy.url()).await;
    ask(&copy.url(), "with gone as (delete from kept) select 'done'").await;
    let temporary = copy.data_directory().parent().unwrap().to_owned();
    copy.stop().await;
    assert!(!temporary.exists());

    let original = start(&folder).await.unwrap();
    assert_row(&original.url()).await;
    original.stop().await;
}

#[tokio::test]
async fn there_is_no_copy_of_nothing() {
    let folder = folder();
    let error = Postgres::start_copy_of(folder.path().to_owned()).await.unwrap_err();
    assert!(error.to_string().contains("there is none in"), "{error}");
}

#[test]
fn a_dropped_server_stops() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = folder();
    let postgres = runtime.block_on(start(&folder)).unwrap();
    let server = server_pid(postgres.data_directory());
    drop(runtime);
    assert!(alive(server), "it does not depend on the runtime that started it");
    drop(postgres);
    eventually("the server stops", || !alive(server));
}

#[tokio::test]
async fn a_killed_owner_leaves_no_server_behind() {
    let folder = folder();
    let mut owner = Owner::start(Some(folder.path()));
    let server = server_pid(&owner.data_directory);
    owner.kill();
    eventually("the server stops", || !alive(server));
    let postgres = start(&folder).await.unwrap();
    postgres.stop().await;
}

#[test]
fn a_killed_owner_leaves_no_temporary_folder_behind() {
    let mut owner = Owner::start(None);
    let folder = owner.data_directory.parent().unwrap().to_owned();
    let server = server_pid(&owner.data_directory);
    owner.kill();
    eventually("the server stops", || !alive(server));
    eventually("the folder goes", || !folder.exists());
}

#[tokio::test]
async fn a_start_right_after_a_kill_waits_for_the_old_server() {
    let folder = folder();
    let mut owner = Owner::start(Some(folder.path()));
    write_row(&owner.url).await;
    owner.kill();
    let postgres = start(&folder).await.unwrap();
    assert_row(&postgres.url()).await;
    postgres.stop().await;
}

#[tokio::test]
async fn a_server_without_its_watchdog_is_replaced() {
    let folder = folder();
    let mut owner = Owner::start(Some(folder.path()));
    write_row(&owner.url).await;
    let orphan = server_pid(&owner.data_directory);
    kill(parent(orphan));
    owner.kill();
    assert!(alive(orphan));

    let postgres = start(&folder).await.unwrap();
    assert!(!alive(orphan));
    assert_row(&postgres.url()).await;
    postgres.stop().await;
}

#[tokio::test]
async fn a_crashed_server_recovers_what_was_committed() {
    let folder = folder();
    let postgres = start(&folder).await.unwrap();
    write_row(&postgres.url()).await;
    let server = server_pid(postgres.data_directory());
    kill(server);
    postgres.stop().await;
    let postgres = start(&folder).await.unwrap();
    assert_row(&postgres.url()).await;
    postgres.stop().await;
}

#[tokio::test]
async fn the_owner_learns_that_the_server_has_ended() {
    let folder = folder();
    let mut postgres = start(&folder).await.unwrap();
    assert_eq!(postgres.log(), Some(folder.path().join("postgres.log").as_path()));
    let early = tokio::time::timeout(Duration::from_millis(300), postgres.ended()).await;
    assert!(early.is_err(), "it runs");
    kill(server_pid(postgres.data_directory()));
    tokio::time::timeout(Duration::from_secs(10), postgres.ended()).await.expect("it has ended");
}

#[tokio::test]
async fn a_stale_note_about_someone_elses_process_harms_neither() {
    let folder = folder();
    let postgres = start(&folder).await.unwrap();
    write_row(&postgres.url()).await;
    let directory = postgres.data_directory().to_owned();
    let note = directory.join("postmaster.pid");
    let text = fs::read_to_string(&note).unwrap();
    postgres.stop().await;

    // Postgres only minds processes of its own account.
    let account = fs::metadata(&directory).unwrap();
    let mut bystander = Command::new("sleep").arg("60").uid(account.uid()).spawn().unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    fs::write(&note, format!("{}\n{rest}", bystander.id())).unwrap();
    std::os::unix::fs::chown(&note, Some(account.uid()), Some(account.gid())).unwrap();

    let postgres = start(&folder).await.unwrap();
    assert_row(&postgres.url()).await;
    postgres.stop().await;
    assert!(bystander.try_wait().unwrap().is_none(), "the bystander lives");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[tokio::test]
async fn an_interrupted_first_start_is_no_obstacle() {
    let folder = folder();
    fs::create_dir(folder.path().join("postgres.new")).unwrap();
    fs::write(folder.path().join("postgres.new/PG_VERSION"), "15").unwrap();
    let postgres = start(&folder).await.unwrap();
    postgres.stop().await;
    assert!(!folder.path().join("postgres.new").exists());
}

#[tokio::test]
async fn a_cluster_of_another_version_is_left_alone() {
    let folder = folder();
    fs::create_dir(folder.path().join("postgres")).unwrap();
    fs::write(folder.path().join("postgres/PG_VERSION"), "9\n").unwrap();
    let error = start(&folder).await.unwrap_err();
    assert!(matches!(error, PostgresError::OtherVersion { .. }), "{error}");
    assert!(error.to_string().contains("was made by Postgres 9, this machine has"), "{error}");
}

#[tokio::test]
async fn a_lost_cluster_is_not_replaced_by_an_empty_one() {
    let folder = folder();
    symlink("/nowhere/at/all", folder.path().join("postgres")).unwrap();
    let error = start(&folder).await.unwrap_err();
    assert!(error.to_string().contains("points to /nowhere/at/all, which is not there"), "{error}");
}

#[tokio::test]
async fn a_server_that_ends_at_once_is_quoted() {
    let folder = folder();
    let postgres = start(&folder).await.unwrap();
    let configuration = postgres.data_directory().join("postgresql.conf");
    postgres.stop().await;
    fs::write(&configuration, "no_such_setting = 1\n").unwrap();
    let error = start(&folder).await.unwrap_err();
    assert!(matches!(error, PostgresError::Exited { .. }), "{error}");
    assert!(error.to_string().contains("FATAL"), "{error}");
    assert!(error.to_string().contains("postgres.log"), "{error}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let options = Options { data_dir: PathBuf::from("/dev/null/data"), ephemeral: false };
    let error = Postgres::start(options).await.unwrap_err();
    assert!(matches!(error, PostgresError::NotWritable { .. }), "{error}");
    assert!(error.to_string().contains("cannot write to /dev/null/data"), "{error}");
}

#[tokio::test]
async fn root_keeps_a_cluster_that_its_account_can_reach() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let postgres = start(&folder).await.unwrap();
    write_row(&postgres.url()).await;
    let directory = postgres.data_directory().to_owned();
    postgres.stop().await;

    assert!(directory.starts_with("/var/lib/ordo"), "{}", directory.display());
    assert_eq!(fs::read_link(folder.path().join("postgres")).unwrap(), directory);
    assert_eq!(fs::metadata(folder.path()).unwrap().mode() & 0o777, 0o700);

    let postgres = start(&folder).await.unwrap();
    assert_row(&postgres.url()).await;
    postgres.stop().await;
    fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn root_removes_only_what_lies_where_its_clusters_lie() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (folder, precious) = (folder(), folder());
    fs::create_dir_all("/var/lib/ordo").unwrap();
    fs::write(precious.path().join("letter"), "keep me").unwrap();
    let around = format!("/var/lib/ordo/../../..{}", precious.path().display());
    symlink(around, folder.path().join("postgres.new")).unwrap();
    let postgres = start(&folder).await.unwrap();
    postgres.stop().await;
    assert_eq!(fs::read_to_string(precious.path().join("letter")).unwrap(), "keep me");
}

#[tokio::test]
async fn nobody_gets_in_without_the_password() {
    let folder = folder();
    let postgres = start(&folder).await.unwrap();
    assert_closed(&postgres).await;
    postgres.stop().await;

    let ephemeral = Postgres::start(Options { data_dir: PathBuf::new(), ephemeral: true }).await.unwrap();
    assert_closed(&ephemeral).await;
    ephemeral.stop().await;
}

#[tokio::test]
async fn only_the_owner_reads_the_password_and_it_stays() {
    let folder = folder();
    let postgres = start(&folder).await.unwrap();
    let (url, file) = (postgres.url(), folder.path().join("postgres.url"));
    assert_eq!(fs::read_to_string(&file).unwrap().trim(), url);
    let about = fs::metadata(&file).unwrap();
    assert_eq!((about.mode() & 0o777, about.uid()), (0o600, rustix::process::geteuid().as_raw()));
    assert_eq!(Postgres::url_kept_in(folder.path()), Some(url.clone()));
    postgres.stop().await;

    let postgres = start(&folder).await.unwrap();
    assert_eq!(postgres.url(), url, "what was exported yesterday is right today");
    let port = postgres.port();
    postgres.stop().await;

    let _other = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let postgres = start(&folder).await.unwrap();
    assert_ne!(postgres.port(), port);
    assert_eq!(Postgres::url_kept_in(folder.path()), Some(postgres.url()));
    postgres.stop().await;
}

#[tokio::test]
async fn a_cluster_that_let_everyone_in_gets_a_password() {
    // Given: as earlier builds made and left them.
    let folder = folder();
    let postgres = start(&folder).await.unwrap();
    write_row(&postgres.url()).await;
    let rules = postgres.data_directory().join("pg_hba.conf");
    postgres.stop().await;
    fs::write(&rules, "local all all trust\nhost all all 127.0.0.1/32 trust\nhost all all ::1/128 trust\n").unwrap();
    fs::remove_file(folder.path().join("postgres.url")).unwrap();

    // When
    let postgres = start(&folder).await.unwrap();

    // Then
    assert_row(&postgres.url()).await;
    assert_closed(&postgres).await;
    postgres.stop().await;
}

#[tokio::test]
async fn a_cluster_that_takes_no_password_is_quoted() {
    // Given: one without a password whose user has another name.
    let folder = folder();
    let postgres = start(&folder).await.unwrap();
    let mut connection = PgConnection::connect(&postgres.url()).await.unwrap();
    sqlx::raw_sql("create role other superuser login password 'other'").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let url = format!("postgres://other:other@127.0.0.1:{}/ordo", postgres.port());
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("alter role postgres rename to renamed").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    postgres.stop().await;
    let file = folder.path().join("postgres.url");
    fs::remove_file(&file).unwrap();

    // When
    let error = start(&folder).await.unwrap_err();

    // Then: nothing is kept that the server does not know.
    assert!(error.to_string().contains("role \"postgres\" does not exist"), "{error}");
    assert!(!file.exists());
}

#[tokio::test]
async fn a_password_that_is_not_the_servers_is_said() {
    let folder = folder();
    let postgres = start(&folder).await.unwrap();
    let (url, file) = (postgres.url(), folder.path().join("postgres.url"));
    postgres.stop().await;
    let (_, place) = url.split_once('@').unwrap();
    fs::write(&file, format!("postgres://postgres:wrong@{place}")).unwrap();
    let error = start(&folder).await.unwrap_err();
    assert!(error.to_string().contains("does not take the password in"), "{error}");
    fs::remove_file(&file).unwrap();
    start(&folder).await.unwrap().stop().await;
}

/// Whoever can open a connection to the server can do nothing with it.
async fn assert_closed(postgres: &Postgres) {
    for login in ["postgres", "postgres:postgres", "ordo:ordo"] {
        for database in ["postgres", "ordo", "template1"] {
            let url = format!("postgres://{login}@127.0.0.1:{}/{database}", postgres.port());
            let Err(error) = PgConnection::connect(&url).await else { panic!("{url} lets everyone in") };
            assert!(error.to_string().contains("password"), "{url}: {error}");
        }
    }
    assert_eq!(ask(&postgres.url(), "select 'in'").await, "in");
}

/// A disk of its own, small, that goes with the test.
struct Disk(TempDir);

impl Disk {
    /// `None` where we may not have one.
    fn of(megabytes: u32) -> Option<Self> {
        let folder = folder();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=755"), "none"]).arg(folder.path());
        mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success()).then_some(Self(folder))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_said_whenever_it_is_the_cause() {
    // Room for a cluster, and little more.
    let Some(disk) = Disk::of(90) else { return };
    let data_dir = disk.0.path().join("data");
    let again = || Postgres::start(Options { data_dir: data_dir.clone(), ephemeral: false });

    // When: the disk fills up beneath a server at work.
    let mut postgres = again().await.unwrap();
    let mut connection = PgConnection::connect(&postgres.url()).await.unwrap();
    let filler = disk.0.path().join("filler");
    let filled = Command::new("dd").arg("if=/dev/zero").arg(format!("of={}", filler.display())).arg("bs=1M").output();
    assert!(String::from_utf8_lossy(&filled.unwrap().stderr).contains("No space left"));
    // A segment of the log of changes that it can't make is what it dies of.
    for _ in 0..2 {
        let _ = sqlx::query("select pg_logical_emit_message(true, 'fill', repeat('x', 17000000))")
            .execute(&mut connection)
            .await;
    }
    tokio::time::timeout(Duration::from_secs(60), postgres.ended()).await.expect("it has ended");

    // Then
    let said = postgres.why_it_ended().to_string();
    assert!(said.contains("the disk is full: of its 94 MB, 0 are free now"), "{said}");
    postgres.stop().await;
    for _ in 0..2 {
        let said = again().await.unwrap_err().to_string();
        assert!(said.contains("the disk is full: of its 94 MB, 0 are free now"), "{said}");
    }

    // And with room again it goes on.
    fs::remove_file(filler).unwrap();
    again().await.unwrap().stop().await;

    // A first start, too.
    let Some(disk) = Disk::of(20) else { return };
    let options = Options { data_dir: disk.0.path().join("data"), ephemeral: false };
    let said = Postgres::start(options).await.unwrap_err().to_string();
    assert!(said.contains("the disk is full"), "{said}");
}

/// A folder that the account root hands the server to can reach as well.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

async fn start(folder: &TempDir) -> Result<Postgres, PostgresError> {
    let data_dir = folder.path().to_owned();
    Postgres::start(Options { data_dir, ephemeral: false }).await
}

async fn ask(url: &str, query: &str) -> String {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let answer = sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    answer
}

async fn write_row(url: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql("create table kept (word text); insert into kept values ('kept')")
        .execute(&mut connection)
        .await
        .unwrap();
}

async fn assert_row(url: &str) {
    assert_eq!(ask(url, "select word from kept").await, "kept");
}

/// Another process that owns a server: this test binary, running only [`owner`].
struct Owner {
    process: Child,
    url: String,
    data_directory: PathBuf,
}

impl Owner {
    fn start(data_dir: Option<&Path>) -> Self {
        let notes = tempfile::tempdir().unwrap();
        let note = notes.path().join("ready");
        let process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "owner", "--ignored"])
            .env("OWNER_DATA_DIR", data_dir.unwrap_or(Path::new("")))
            .env("OWNER_NOTE", &note)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the owner is ready", || note.exists());
        let text = fs::read_to_string(&note).unwrap();
        let (url, directory) = text.split_once('\n').unwrap();
        Self { process, url: url.to_owned(), data_directory: directory.into() }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test]
#[ignore = "not a test: the process that others start and kill"]
async fn owner() {
    let data_dir = PathBuf::from(env::var_os("OWNER_DATA_DIR").unwrap());
    let ephemeral = data_dir.as_os_str().is_empty();
    let postgres = Postgres::start(Options { data_dir, ephemeral }).await.unwrap();
    let note = PathBuf::from(env::var_os("OWNER_NOTE").unwrap());
    let draft = note.with_extension("draft");
    fs::write(&draft, format!("{}\n{}", postgres.url(), postgres.data_directory().display())).unwrap();
    fs::rename(draft, note).unwrap();
    std::future::pending::<()>().await;
}

fn server_pid(data_directory: &Path) -> Pid {
    let notes = fs::read_to_string(data_directory.join("postmaster.pid")).unwrap();
    Pid::from_raw(notes.lines().next().unwrap().parse().unwrap()).unwrap()
}

/// Whether the process runs: one that has ended and was not waited for does not.
fn alive(pid: Pid) -> bool {
    fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero())).is_ok()
}

fn parent(pid: Pid) -> Pid {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    Pid::from_raw(line.trim().parse().unwrap()).unwrap()
}

fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).unwrap();
    eventually("the process is gone", || !alive(pid));
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < until, "{what}: not within 30 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}
