//! Addresses of pages, and the mark by which our comment is found.

use crate::domain::{Build, Repository};

/// The page of a job, by that of its build.
pub(super) fn job_page(build: &str, key: &str) -> String {
    format!("{build}/jobs/{key}")
}

/// Our own text in which builds are named as `#12`, with links to them: GitHub would lead to the issue of that number.
/// `page` is the page of a build of the same repository; empty where there are none.
pub(super) fn lead_to_builds(text: &str, page: &str) -> String {
    let root = page.rsplit_once('/').map(|(root, _)| root);
    let mut parts = text.split('#');
    let mut led = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = part.split_at(digits);
        match root {
            Some(root) if !number.is_empty() => {
                led.push_str(&format!("[#{number}]({root}/{number}){rest}"));
            }
            _ => led.push_str(&format!("#{part}")),
        }
    }
    led
}

/// Where people are led, and who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// The public address, without a slash at the end.
    pub public_url: String,
    /// The App's id, for the hidden mark in the comment.
    pub app_id: u64,
    /// The address of GitHub, without a slash at the end.
    pub github_url: String,
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

    /// A link to a pull request. Written as `#7` it would be one too, but GitHub would tell everybody who follows that one.
    pub fn pull_link(&self, repository: &Repository, number: i64) -> String {
        let (owner, name) = (&repository.owner, &repository.name);
        format!(
            "[#{number}]({}/{owner}/{name}/pull/{number})",
            self.github_url
        )
    }

    /// The hidden texts around our part of the pull request that promotes a candidate.
    pub fn promotion_marks(&self) -> (String, String) {
        let mark = format!("herald-promotion:{}", self.app_id);
        (format!("<!-- {mark} -->"), format!("<!-- /{mark} -->"))
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
