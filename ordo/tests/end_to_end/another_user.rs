//! What another user of the machine finds of a platform that runs on it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use url::Url;

use crate::support::{Ordo, folder, processes};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_user_of_the_machine_finds_no_secret() {
    // Given a platform with keys and passwords of its own.
    let folder = folder();
    let ordo = Ordo::up_on(folder.path(), &[("ORDO_MESSAGE_KEYS", "")]).await;
    let place: Value = serde_json::from_str(&fs::read_to_string(folder.path().join("platform.json")).unwrap()).unwrap();
    let keys = place["messageKeys"].as_str().or(place["message_keys"].as_str()).unwrap();
    let password = Url::parse(&ordo.database).unwrap().password().unwrap().to_owned();
    let secrets = [password, keys.split_once(':').unwrap().1.to_owned()];
    assert_eq!(fs::read_to_string(folder.path().join("message-keys")).unwrap().trim(), keys);

    // Then they are on no command line, and in no file that is open to others.
    for pid in processes::descendants(ordo.pid()).into_iter().chain([ordo.pid()]) {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        assert!(secrets.iter().all(|secret| !line.contains(secret)), "{line}");
    }
    for secret in &secrets {
        assert_ne!(files_with(secret, folder.path(), false), "", "its owner finds it");
        if rustix::process::geteuid().is_root() {
            assert_eq!(files_with(secret, folder.path(), true), "");
        } else {
            println!("not looked at as another user: only root can");
        }
    }
}

/// The files with the text, as root's own search or as that of somebody without any rights.
fn files_with(text: &str, folder: &Path, as_nobody: bool) -> String {
    let mut command = if as_nobody {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "grep"]);
        command
    } else {
        Command::new("grep")
    };
    let found = command.args(["-rlaF", "--", text]).arg(folder).output().unwrap();
    String::from_utf8(found.stdout).unwrap()
}
