//! Requests that are not GitHub's API: to whole addresses, with what the caller gives and nothing else.

use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use octocrab::Octocrab;

use super::answer::error_chain;
use super::outbound::Outbound;
use crate::ports::PortError;
use crate::ports::error::Result;

/// Carries requests, each once. Nothing is followed, repeated or added.
#[derive(Debug, Clone)]
pub struct Plain(Octocrab);

/// An answer, good or bad.
#[derive(Debug)]
pub struct Answered {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl Plain {
    /// Makes one. No request is sent. Needs a runtime.
    ///
    /// # Errors
    /// `Refused` when no client can be made.
    pub fn new(outbound: &Outbound) -> Result<Self> {
        Ok(Self(outbound.client()?))
    }

    /// Sends a request and reads the answer, of at most `most` bytes.
    ///
    /// # Errors
    /// `Transient` when there is no whole answer, or a longer one. The words do not say the address.
    pub async fn send(&self, request: Request<Vec<u8>>, most: usize) -> Result<Answered> {
        let unclear = |error: &dyn std::fmt::Display| PortError::transient(error.to_string());
        let answer = self.0.execute(request).await;
        let answer = answer.map_err(|error| unclear(&error_chain(&error)))?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, most).collect().await;
        let body = body.map_err(|error| unclear(&error))?.to_bytes().to_vec();
        Ok(Answered {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }
}
