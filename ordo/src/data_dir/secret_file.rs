//! Secrets in the data directory, in files that only their owner may read.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context;

/// The secret in the file; `None`: there is no such file.
pub(crate) fn read(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim_end().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Makes the file. It appears whole, and is on disk with its content.
#[cfg(feature = "embedded")]
pub(crate) fn create(path: &Path, secret: &str) -> anyhow::Result<()> {
    use std::io::Write;

    let unwritable = || format!("cannot write to {}", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    // Such a file is made for its owner alone.
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(unwritable)?;
    writeln!(file, "{secret}").with_context(unwritable)?;
    file.as_file().sync_all().with_context(unwritable)?;
    file.persist(path).with_context(unwritable)?;
    Ok(())
}

#[cfg(all(test, feature = "embedded"))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        assert_eq!(read(&path).unwrap(), None);

        create(&path, "s3cret").unwrap();

        assert_eq!(read(&path).unwrap().as_deref(), Some("s3cret"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
