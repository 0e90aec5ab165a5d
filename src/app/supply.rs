//! What a job gets beside its steps: secrets, and folders kept between builds.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tracing::warn;

use super::state::App;
use crate::domain::Trust;
use crate::ports::Source;
use crate::ports::error::Result;
use crate::ports::store::Claim;
use crate::protocol::CacheOrder;

/// What one attempt gets.
#[derive(Default)]
pub(super) struct Supplies {
    /// Variables whose values must not be shown.
    pub(super) secrets: Vec<(String, String)>,
    /// Folders kept between builds.
    pub(super) cache: Option<Cache>,
    /// Remarks for the summary.
    pub(super) notes: Vec<String>,
}

impl Supplies {
    /// The archive to begin with.
    pub(super) fn archive(&self) -> Option<PathBuf> {
        self.cache.as_ref()?.archive.clone()
    }
}

/// Folders kept between builds.
pub(super) struct Cache {
    key: String,
    paths: Vec<String>,
    archive: Option<PathBuf>,
}

impl Cache {
    /// As the runner is told. What is there already is not kept again.
    pub(super) fn order(&self) -> CacheOrder {
        CacheOrder {
            paths: self.paths.clone(),
            save: self.archive.is_none(),
        }
    }
}

impl App {
    /// What a job gets, its commit being fetched; or why it cannot begin, as people read it.
    pub(super) async fn supplies(&self, claim: &Claim) -> Result<Result<Supplies, String>> {
        let mut supplies = Supplies::default();
        let wanted = &claim.job.order.secrets;
        if claim.build.trust == Trust::Trusted {
            for name in wanted {
                let stored = self.parts.store.secret(&claim.repository.id, name).await?;
                let Some(value) = stored else {
                    return Ok(Err(format!(
                        "the secret {name} is not stored; on the server, \"herald admin secret \
                         set {} {name}\" stores it",
                        claim.repository.full_name()
                    )));
                };
                let value = value.expose().to_owned();
                supplies.secrets.push((name.clone(), value));
            }
        } else if !wanted.is_empty() {
            let whose = if claim.build.trust == Trust::Bot {
                "bots"
            } else {
                "forks"
            };
            let note = format!("It ran without its secrets; builds of {whose} never get any.");
            supplies.notes.push(note);
        }
        supplies.cache = self.cache(claim).await?;
        Ok(Ok(supplies))
    }

    /// The cache of a job that has one. It is a help: without it the job runs all the same.
    async fn cache(&self, claim: &Claim) -> Result<Option<Cache>> {
        let Some(wanted) = &claim.job.order.cache else {
            return Ok(None);
        };
        let repository = &claim.repository.id;
        let source = self.parts.source.as_ref();
        let commit = claim.build.tested.as_str();
        let key = cache_key(source, &repository.file_name(), commit, &wanted.key).await?;
        let trusted = claim.build.trust == Trust::Trusted;
        let found = self.parts.caches.find(repository, trusted, &key).await;
        let archive = found.unwrap_or_else(|error| {
            warn!(job = claim.job.id.as_str(), "failed to {error}");
            None
        });
        Ok(Some(Cache {
            key,
            paths: wanted.paths.clone(),
            archive,
        }))
    }

    /// Keeps what a job sent, if it was asked to.
    pub(super) async fn keep_cache(&self, claim: &Claim, supplies: &Supplies, stored: &Path) {
        let Some(cache) = supplies.cache.as_ref().filter(|cache| cache.order().save) else {
            return;
        };
        let trusted = claim.build.trust == Trust::Trusted;
        let repository = &claim.repository.id;
        let caches = &self.parts.caches;
        if let Err(error) = caches.keep(repository, trusted, &cache.key, stored).await {
            warn!(job = claim.job.id.as_str(), "failed to {error}");
        }
    }
}

/// The key of a cache: `${hash:FILE}` in it becomes the SHA-256 of the file at the commit, which
/// was fetched; that of nothing when it is not there.
async fn cache_key(
    source: &dyn Source,
    repository: &str,
    commit: &str,
    template: &str,
) -> Result<String> {
    let mut key = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${hash:") {
        let Some((path, after)) = after.split_once('}') else {
            break;
        };
        key.push_str(before);
        let path = path.trim().trim_start_matches("./");
        let inside = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        let content = if inside {
            source.file(repository, commit, path).await?
        } else {
            None
        };
        let digest = Sha256::digest(content.unwrap_or_default());
        key.extend(digest.iter().map(|byte| format!("{byte:02x}")));
        rest = after;
    }
    key.push_str(rest);
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use async_trait::async_trait;

    use super::cache_key;
    use crate::ports::Source;
    use crate::ports::error::{PortError, Result};
    use crate::ports::source::{LandedCommit, Merged, Remote, TreeEntry};

    /// A repository that has one file.
    struct OneFile;

    #[async_trait]
    impl Source for OneFile {
        async fn fetch(&self, _: &Remote, _: &str, _: &[String]) -> Result<()> {
            Err(PortError::gone("not asked for"))
        }
        async fn checkout(&self, _: &str, _: &str, _: &Path) -> Result<()> {
            Err(PortError::gone("not asked for"))
        }
        async fn tree(&self, _: &str, _: &str) -> Result<Vec<TreeEntry>> {
            Err(PortError::gone("not asked for"))
        }
        async fn file(
            &self,
            repository: &str,
            commit: &str,
            path: &str,
        ) -> Result<Option<Vec<u8>>> {
            assert_eq!((repository, commit), ("r", "c"));
            Ok((path == "sub/go.sum").then(|| b"abc".to_vec()))
        }
        async fn merge_base(&self, _: &str, _: &str, _: &str) -> Result<Option<String>> {
            Err(PortError::gone("not asked for"))
        }
        async fn diff(&self, _: &str, _: &str, _: &str) -> Result<String> {
            Err(PortError::gone("not asked for"))
        }
        async fn changed_paths(&self, _: &str, _: &str, _: &str) -> Result<Vec<String>> {
            Err(PortError::gone("not asked for"))
        }
        async fn tip(&self, _: &Remote, _: &str) -> Result<Option<String>> {
            Err(PortError::gone("not asked for"))
        }
        async fn merge(&self, _: &str, _: &str, _: &str) -> Result<Merged> {
            Err(PortError::gone("not asked for"))
        }
        async fn ancestors(&self, _: &str, _: &str, _: usize) -> Result<Vec<String>> {
            Err(PortError::gone("not asked for"))
        }

        async fn landed(&self, _: &str, _: &str, _: &str, _: usize) -> Result<Vec<LandedCommit>> {
            Err(PortError::gone("not asked for"))
        }

        async fn tree_of(&self, _: &str, _: &str) -> Result<String> {
            Err(PortError::gone("not asked for"))
        }

        async fn ahead(&self, _: &str, _: &str, _: &str) -> Result<u64> {
            Err(PortError::gone("not asked for"))
        }

        async fn commit_count(&self, _: &str, _: &str) -> Result<u64> {
            Err(PortError::gone("not asked for"))
        }

        async fn naming(&self, _: &[String]) -> Result<Vec<String>> {
            Ok(Vec::new())
        }

        async fn remove(&self, _: &str) -> Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_hash_of_a_file_stands_in_a_key() {
        // FIPS 180-4's example "abc", and the hash of nothing.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (template, expected) in [
            ("plain", "plain".to_owned()),
            ("go-${hash:sub/go.sum}-1", format!("go-{abc}-1")),
            ("${hash:./sub/go.sum}", abc.to_owned()),
            ("${hash:sub/go.sum}${hash:none}", format!("{abc}{nothing}")),
            ("${hash:../sub/go.sum}", nothing.to_owned()),
            ("${hash:}", nothing.to_owned()),
            ("${hash:sub", "${hash:sub".to_owned()),
            ("${other}", "${other}".to_owned()),
        ] {
            let key = cache_key(&OneFile, "r", "c", template).await.unwrap();
            assert_eq!(key, expected, "{template}");
        }
    }
}
