//! Making the App: GitHub's code becomes its id, key and secrets.

use http::Method;
use serde::Deserialize;

use super::client::Client;
use super::forge::GitHub;
use super::token::AppKey;
use super::who::As;
use crate::domain::{Proposal, Registration, Repository, Secret};
use crate::ports::PortError;
use crate::ports::error::Result;

/// The answer to `POST /app-manifests/{code}/conversions`.
#[derive(Deserialize)]
struct ConversionRow {
    id: u64,
    #[serde(default)]
    slug: Option<String>,
    name: String,
    #[serde(default)]
    owner: Option<OwnerRow>,
    #[serde(default)]
    html_url: String,
    pem: String,
    #[serde(default)]
    webhook_secret: Option<String>,
    client_id: String,
    client_secret: String,
}

#[derive(Deserialize)]
struct OwnerRow {
    #[serde(default)]
    login: String,
}

#[derive(Deserialize)]
struct EntryRow {
    name: String,
    #[serde(default, rename = "type")]
    kind: String,
}

impl Client {
    /// Turns the code of a manifest into the App that GitHub made of it.
    ///
    /// # Errors
    /// `Gone` when the code was used or is older than an hour; `Transient` when the answer does not
    /// come or is none; `Refused` when it lacks what an App needs.
    pub async fn convert(&self, proposal: &Proposal, code: &str) -> Result<Registration> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if code.is_empty() || code.len() > 200 || !code.bytes().all(plain) {
            return Err(PortError::gone(
                "use such a code: GitHub gives none like it",
            ));
        }
        let path = format!("/app-manifests/{code}/conversions");
        let answer = self.post_as_nobody(&path).await;
        let row: ConversionRow = answer.map_err(|error| without(error, code))?;
        let secret = row.webhook_secret.filter(|secret| !secret.is_empty());
        let webhook_secret = secret
            .map(Secret::new)
            .ok_or_else(|| PortError::refused("find the webhook's secret in GitHub's answer"))?;
        let private_key = Secret::new(row.pem);
        AppKey::new(row.id, &private_key)?;
        let slug = row.slug.unwrap_or_default();
        let html_url = page(&row.html_url, &slug, &proposal.home.github_url);
        Ok(Registration {
            id: row.id,
            html_url,
            slug,
            name: row.name,
            owner: row.owner.map(|owner| owner.login).unwrap_or_default(),
            private_key,
            webhook_secret,
            client_id: row.client_id,
            client_secret: Secret::new(row.client_secret),
        })
    }
}

/// The App's page; an address that is not on this GitHub leads nowhere.
fn page(said: &str, slug: &str, github_url: &str) -> String {
    let below = said
        .strip_prefix(github_url)
        .is_some_and(|rest| rest.starts_with('/'));
    if below {
        return said.trim_end_matches('/').to_owned();
    }
    let plain: String = slug
        .chars()
        .filter(|char| char.is_ascii_alphanumeric() || "-_".contains(*char))
        .collect();
    format!("{github_url}/apps/{plain}")
}

/// The same error without the code, which is a secret until it is used.
fn without(mut error: PortError, code: &str) -> PortError {
    error.message = error.message.replace(code, "…");
    error
}

impl GitHub {
    /// The files in the root of the default branch.
    pub(super) async fn list_root(&self, repository: &Repository) -> Result<Vec<String>> {
        let path = format!("/repos/{}/{}/contents/", repository.owner, repository.name);
        let who = As::in_repository(repository);
        let rows: Vec<EntryRow> = self.client().json(who, Method::GET, &path, None).await?;
        let files = rows.into_iter().filter(|row| row.kind == "file");
        Ok(files.map(|row| row.name).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn the_apps_page_is_on_the_github_that_was_asked() {
        let github = "https://git.example";
        let good = "https://git.example/github-apps/herald";
        assert_eq!(page(good, "herald", github), good);
        for bad in [
            "javascript:alert(1)//",
            "https://git.example.evil/apps/x",
            "https://git.example@evil/apps/x",
            "",
        ] {
            assert_eq!(
                page(bad, "her\"ald", github),
                "https://git.example/apps/herald"
            );
        }
    }
}
