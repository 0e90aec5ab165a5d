//! Downloads from where GitHub leads: addresses that are their own permission, good for a minute.

use std::path::Path;

use http::Request;
use http::header::USER_AGENT;
use http_body_util::BodyExt;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::answer::error_chain;
use super::client::Client;
use crate::ports::error::Result;
use crate::ports::{Kind, PortError};

impl Client {
    /// Writes what is at an address into a new file. No token goes there: the address belongs to somebody else's storage.
    ///
    /// # Errors
    /// `Refused` when there are more than `most` bytes; then there is no file. `Gone` when there is nothing any more,
    /// else `Transient`.
    pub(super) async fn fetch(&self, from: &str, into: &Path, most: u64) -> Result<()> {
        let done = self.write(from, into, most).await;
        if done.is_err() {
            // It may not have been made.
            let _ = tokio::fs::remove_file(into).await;
        }
        done
    }

    async fn write(&self, from: &str, into: &Path, most: u64) -> Result<()> {
        // The address is a key: it is not shown.
        let unclear = |error: &dyn std::fmt::Display| {
            PortError::transient(format!("download from where GitHub leads: {error}"))
        };
        let request = Request::get(from)
            .header(USER_AGENT, concat!("herald/", env!("CARGO_PKG_VERSION")))
            .body(String::new())
            .map_err(|error| unclear(&error))?;
        let answer = self.http().execute(request).await;
        let answer = answer.map_err(|error| unclear(&error_chain(&error)))?;
        let status = answer.status();
        if status == http::StatusCode::NOT_FOUND || status == http::StatusCode::GONE {
            return Err(PortError::new(
                Kind::Gone,
                "download what GitHub leads to: it is gone",
            ));
        }
        if !status.is_success() {
            return Err(unclear(&status));
        }
        let unwritten = |error: std::io::Error| {
            PortError::transient(format!("write {}: {error}", into.display()))
        };
        let mut file = File::create_new(into).await.map_err(unwritten)?;
        let mut body = answer.into_body();
        let mut left = most;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| unclear(&error))?;
            let Ok(bytes) = frame.into_data() else {
                continue;
            };
            left = left.checked_sub(bytes.len() as u64).ok_or_else(|| {
                let most = most >> 20;
                PortError::refused(format!("download it: it has more than {most} MiB"))
            })?;
            file.write_all(&bytes).await.map_err(unwritten)?;
        }
        file.flush().await.map_err(unwritten)
    }
}
