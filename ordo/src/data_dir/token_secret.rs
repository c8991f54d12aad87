//! The secret of development tokens: a file in the data directory that only its owner may read.

use std::path::Path;

use access_control::TokenSecret;
use anyhow::Context;

use super::secret_file;

/// The secret in the file; `None`: there is no such file.
pub(super) fn read(path: &Path) -> anyhow::Result<Option<TokenSecret>> {
    let Some(text) = secret_file::read(path)? else { return Ok(None) };
    let unusable = || format!("{} holds no secret: delete it, and the next `ordo up` makes another", path.display());
    TokenSecret::parse(&text).with_context(unusable).map(Some)
}

/// Makes a secret.
#[cfg(feature = "embedded")]
pub(super) fn create(path: &Path) -> anyhow::Result<TokenSecret> {
    let secret = TokenSecret::generate().context("this machine has no random numbers")?;
    secret_file::create(path, secret.expose())?;
    Ok(secret)
}
