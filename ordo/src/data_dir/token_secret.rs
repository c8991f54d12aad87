//! The secret of development tokens: a file in the data directory that only its owner may read.

use std::fs;
use std::io;
use std::path::Path;

use access_control::TokenSecret;
use anyhow::Context;

/// The secret in the file; `None`: there is no such file.
pub(super) fn read(path: &Path) -> anyhow::Result<Option<TokenSecret>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let secret = TokenSecret::parse(text.trim_end());
    let unusable = || format!("{} holds no secret: delete it, and the next `ordo up` makes another", path.display());
    secret.with_context(unusable).map(Some)
}

/// Makes a secret. The file appears whole, and is on disk with its content.
#[cfg(feature = "embedded")]
pub(super) fn create(path: &Path) -> anyhow::Result<TokenSecret> {
    use std::io::Write;

    let unwritable = || format!("cannot write to {}", path.display());
    let secret = TokenSecret::generate().context("this machine has no random numbers")?;
    let folder = path.parent().unwrap_or(Path::new("."));
    // Such a file is made for its owner alone.
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(unwritable)?;
    writeln!(file, "{}", secret.expose()).with_context(unwritable)?;
    file.as_file().sync_all().with_context(unwritable)?;
    file.persist(path).with_context(unwritable)?;
    Ok(secret)
}
