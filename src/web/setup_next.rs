//! What to do once the App is registered: what the doctor finds, where to install, how to begin.

use std::time::Duration;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::future::join_all;
use serde::Deserialize;

use super::error::Error;
use super::pages::page;
use super::router::Web;
use super::setup::session;
use crate::domain::{Finding, Health, RegisteredApp, Repository};
use crate::ports::PortError;
use crate::spec::{FILES, STARTERS, starter_for};
use crate::text::address;

/// How many repositories are shown, and looked into.
const REPOSITORIES: usize = 12;
/// How long looking into one may take.
const PATIENCE: Duration = Duration::from_secs(5);

struct FindingRow {
    class: &'static str,
    word: &'static str,
    what: String,
    way_out: String,
}

struct RepositoryRow {
    owner: String,
    name: String,
    /// What it is written in, as far as its files tell.
    starter: Option<&'static str>,
    /// Whether it has a specification.
    specified: bool,
    /// GitHub's page that begins the file.
    begin: String,
}

struct StarterRow {
    title: &'static str,
    text: &'static str,
    open: bool,
}

#[derive(Template)]
#[template(path = "pages/setup_next.html")]
struct NextPage {
    registered: RegisteredApp,
    good: Vec<FindingRow>,
    findings: Vec<FindingRow>,
    repositories: Vec<RepositoryRow>,
    starters: Vec<StarterRow>,
    badge: String,
}

/// What GitHub adds to the address when it leads somebody back who has installed the App.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Installed {
    installation_id: String,
}

/// `GET /setup/next`.
pub(super) async fn show(
    State(web): State<Web>,
    installed: Result<Query<Installed>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let to_setup = || Ok(Redirect::to("/setup").into_response());
    let Some(setup) = web.setup.as_ref().filter(|_| web.verify.is_some()) else {
        return to_setup();
    };
    if session(setup, &headers).is_none() {
        return to_setup();
    }
    let Some(registered) = setup.registered().await? else {
        return to_setup();
    };
    if installed.is_ok_and(|Query(installed)| !installed.installation_id.is_empty()) {
        told(&web).await?;
    }
    let (findings, repositories) = futures_util::future::join(
        setup.examine(),
        repositories(&web, &registered.home.github_url),
    )
    .await;
    let repositories = repositories?;
    let (good, findings) = findings
        .iter()
        .map(FindingRow::new)
        .partition(|row| row.class == "good");
    let chosen = repositories
        .iter()
        .filter(|row| !row.specified)
        .find_map(|row| row.starter);
    let chosen = chosen.unwrap_or(STARTERS.first().map_or("", |starter| starter.key));
    let (owner, name) = repositories
        .first()
        .map_or(("OWNER", "REPO"), |row| (&row.owner, &row.name));
    let public_url = &web.app.settings.links.public_url;
    page(&NextPage {
        badge: format!(
            "[![build]({public_url}/badges/{owner}/{name}/build.svg)]({public_url}/repos/{owner}/{name})"
        ),
        starters: STARTERS
            .iter()
            .map(|starter| StarterRow {
                title: starter.title,
                text: starter.text,
                open: starter.key == chosen,
            })
            .collect(),
        registered,
        good,
        findings,
        repositories,
    })
}

impl FindingRow {
    fn new(finding: &Finding) -> Self {
        let (class, word) = match finding.health {
            Health::Good => ("good", "ok"),
            Health::Odd => ("wait", "note"),
            Health::Bad => ("bad", "problem"),
        };
        Self {
            class,
            word,
            what: finding.what.clone(),
            way_out: finding.way_out.clone(),
        }
    }
}

/// Waits for GitHub's word on an installation, which may come after the browser does.
async fn told(web: &Web) -> Result<(), Error> {
    let mut pulse = web.app.pulse();
    let until = tokio::time::Instant::now() + PATIENCE;
    while web.app.parts.store.active_repositories().await?.is_empty() {
        // The page can be loaded again.
        if !matches!(
            tokio::time::timeout_at(until, pulse.changed()).await,
            Ok(Ok(()))
        ) {
            break;
        }
    }
    Ok(())
}

/// The repositories that the App is installed on, and what is in them. Who sees them has seen the
/// server's terminal: also those that are not public.
async fn repositories(web: &Web, github_url: &str) -> Result<Vec<RepositoryRow>, Error> {
    let mut known = web.app.parts.store.active_repositories().await?;
    known.truncate(REPOSITORIES);
    Ok(join_all(
        known
            .iter()
            .map(|repository| look(web, repository, github_url)),
    )
    .await)
}

async fn look(web: &Web, repository: &Repository, github_url: &str) -> RepositoryRow {
    let forge = &web.app.parts.forge;
    let looking = async {
        // The event of an installation does not name the branch.
        let branch = match repository.default_branch.as_str() {
            "" => forge.repository(repository).await?.default_branch,
            known => known.to_owned(),
        };
        Ok::<_, PortError>((
            branch,
            forge.root_files(repository).await.unwrap_or_default(),
        ))
    };
    let (branch, files) = match tokio::time::timeout(PATIENCE, looking).await {
        Ok(Ok(found)) => found,
        // It is a convenience: the chooser is there all the same.
        Ok(Err(_)) | Err(_) => ("HEAD".to_owned(), Vec::new()),
    };
    let starter = starter_for(&files);
    let text = starter.map_or("", |starter| starter.text);
    let Repository { owner, name, .. } = repository;
    RepositoryRow {
        owner: owner.clone(),
        name: name.clone(),
        starter: starter.map(|starter| starter.key),
        specified: files.iter().any(|file| FILES.contains(&file.as_str())),
        begin: format!(
            "{github_url}/{owner}/{name}/new/{}?filename=.herald.yml&value={}",
            address::path(&branch),
            address::path(text)
        ),
    }
}
