//! The key that seals stored secrets: given, or kept in the data directory.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, bail};

use crate::config::Config;
use crate::domain::Secret;
use crate::store::SealKey;

/// The key as it is configured or kept; `None` where there is none yet.
///
/// # Errors
/// When there is one that is none.
pub fn known_key(config: &Config) -> anyhow::Result<Option<SealKey>> {
    let file = config.data_dir.join("secret.key");
    if config.secret_key.is_none() && !file.exists() {
        return Ok(None);
    }
    secret_key(config).map(Some)
}

/// The key as it is configured, else that of the data directory, made if it is not there.
pub(super) fn secret_key(config: &Config) -> anyhow::Result<SealKey> {
    if let Some(given) = &config.secret_key {
        return SealKey::parse(given.expose()).context("HERALD_SECRET_KEY: not 32 bytes");
    }
    let file = config.data_dir.join("secret.key");
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => Secret::new(text),
        Err(error) if error.kind() == ErrorKind::NotFound => make(&config.data_dir, &file)?,
        Err(error) => return Err(error).with_context(|| format!("read {}", file.display())),
    };
    let Some(key) = SealKey::parse(text.expose()) else {
        bail!(
            "{} is no key: 32 bytes as 64 hex digits; bring it back from a backup, or delete it \
             and store every secret again",
            file.display()
        );
    };
    Ok(key)
}

/// Makes a key that survives a crash: a secret that is sealed with it must open later.
fn make(data_dir: &Path, file: &Path) -> anyhow::Result<Secret> {
    let context = || format!("make the key {}", file.display());
    let key = SealKey::generate().with_context(context)?;
    let part = data_dir.join("secret.key.part");
    let write = || {
        let mut out = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&part)?;
        writeln!(out, "{}", key.expose())?;
        out.sync_all()?;
        std::fs::rename(&part, file)?;
        File::open(data_dir)?.sync_all()
    };
    write().with_context(context)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::secret_key;
    use crate::config::{Config, Reader};

    #[test]
    fn the_key_is_made_once_and_for_us_alone() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().display().to_string();
        let config = Config::read(Reader::new([], [("HERALD_DATA_DIR", Some(data))])).unwrap();
        secret_key(&config).unwrap();
        let file = dir.path().join("secret.key");
        let first = std::fs::read_to_string(&file).unwrap();
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!((first.trim().len(), mode & 0o777), (64, 0o600));
        secret_key(&config).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), first);
        std::fs::write(&file, "nonsense").unwrap();
        assert!(secret_key(&config).is_err());
    }
}
