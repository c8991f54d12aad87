//! Who runs the server. Postgres refuses to run as root, so root hands it to an unprivileged account.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, lchown},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
};

use super::error::{PostgresError, on};

/// An account other than ours to run the server as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    uid: u32,
    gid: u32,
}

/// The account that root runs a new cluster as; `None` when we are not root and run it ourselves.
pub(super) fn unprivileged() -> Result<Option<Account>, PostgresError> {
    if !is_root() {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    ["postgres", "nobody"].iter().find_map(|name| find(&passwd, name)).map(Some).ok_or(PostgresError::NoAccount)
}

/// The account an existing cluster must run as: its owner. A cluster that belongs to root is handed over first.
pub(super) fn owner_of(directory: &Path) -> Result<Option<Account>, PostgresError> {
    if !is_root() {
        return Ok(None);
    }
    let metadata = fs::metadata(directory).map_err(on("read", directory))?;
    if metadata.uid() != 0 {
        return Ok(Some(Account { uid: metadata.uid(), gid: metadata.gid() }));
    }
    let account = unprivileged()?;
    if let Some(account) = account {
        account.take_over(directory)?;
    }
    Ok(account)
}

impl Account {
    /// Whether the account may pass through all parents of the folder. Asked of the kernel, since modes are not the whole truth.
    pub(super) fn can_enter(self, directory: &Path) -> bool {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", ":"]).current_dir(directory).stdin(Stdio::null());
        run_as(&mut command, Some(&self));
        command.status().is_ok_and(|status| status.success())
    }

    /// Whether the account may make and remove entries in the folder.
    pub(super) fn can_write(self, directory: &Path) -> bool {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "test -w ."]).current_dir(directory).stdin(Stdio::null());
        run_as(&mut command, Some(&self));
        command.status().is_ok_and(|status| status.success())
    }

    /// Makes the account the owner of the folder and all that is in it.
    pub(super) fn take_over(self, path: &Path) -> Result<(), PostgresError> {
        let change = on("change the owner of", path);
        lchown(path, Some(self.uid), Some(self.gid)).map_err(change)?;
        let metadata = fs::symlink_metadata(path).map_err(on("read", path))?;
        if metadata.is_dir() {
            for entry in fs::read_dir(path).map_err(on("read", path))? {
                self.take_over(&entry.map_err(on("read", path))?.path())?;
            }
        }
        Ok(())
    }
}

/// Makes the command run as the account, with no supplementary groups of ours.
pub(super) fn run_as(command: &mut Command, account: Option<&Account>) {
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
}

/// Whether this process is root.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn find(passwd: &str, name: &str) -> Option<Account> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    let mut id = || {
        // macOS writes the uid of nobody as -2.
        let text = fields.next()?;
        text.parse::<u32>().ok().or_else(|| text.parse::<i32>().ok().map(i32::cast_unsigned))
    };
    let (uid, gid) = (id()?, id()?);
    (uid != 0).then_some(Account { uid, gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_from_passwd_lines() {
        let passwd =
            "root:x:0:0::/:/bin/sh\npostgres:x:101:104:admin,,,:/var:/bin/bash\nnobody:*:-2:-2::/:/bin/false\n";
        assert_eq!(find(passwd, "postgres"), Some(Account { uid: 101, gid: 104 }));
        assert_eq!(find(passwd, "nobody"), Some(Account { uid: u32::MAX - 1, gid: u32::MAX - 1 }));
        assert_eq!(find(passwd, "root"), None, "root is never the unprivileged account");
        assert_eq!(find(passwd, "missing"), None);
    }
}
