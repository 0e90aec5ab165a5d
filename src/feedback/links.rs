//! Addresses of pages, and the mark by which our comment is found.

use crate::domain::{Build, Repository};

/// The page of a job, by that of its build.
pub(super) fn job_page(build: &str, key: &str) -> String {
    format!("{build}/jobs/{key}")
}

/// Where people are led, and who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// The public address, without a slash at the end.
    pub public_url: String,
    /// The App's id, for the hidden mark in the comment.
    pub app_id: u64,
}

impl Links {
    /// The page of a repository.
    pub fn repository(&self, owner: &str, name: &str) -> String {
        format!("{}/repos/{owner}/{name}", self.public_url)
    }

    /// The page of a build.
    pub fn build(&self, repository: &Repository, build: &Build) -> String {
        let page = self.repository(&repository.owner, &repository.name);
        format!("{page}/builds/{}", build.number)
    }

    /// The page of a job.
    pub fn job(&self, repository: &Repository, build: &Build, key: &str) -> String {
        job_page(&self.build(repository, build), key)
    }

    /// The hidden text in an answer to somebody's comment.
    pub fn answer_marker(&self, comment: i64) -> String {
        format!("<!-- herald-answer:{}:{comment} -->", self.app_id)
    }

    /// The hidden text in our comment: HTML comments are not shown.
    pub fn marker(&self) -> String {
        format!("<!-- herald:{} -->", self.app_id)
    }
}
