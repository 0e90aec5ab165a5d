//! The page with every badge of a repository, ready to be copied into a README.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Form, Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::error::Error;
use super::pages::{page, visible};
use super::router::Web;
use super::session::{Viewer, Who};
use super::sign_in::{Marked, chance, marked};
use crate::badge::{LOGOS, Style};
use crate::domain::token::PREFIX;
use crate::domain::{Deed, Holder, Permission, Repository, Scope, Secret, Token};
use crate::text::address;

/// The kinds of badges that a build gives values to.
const KINDS: [&str; 5] = ["build", "tests", "coverage", "release", "deploy"];

/// How the badges of the page are to be.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    style: String,
    #[serde(default)]
    logo: String,
    #[serde(default)]
    branch: String,
    #[serde(default)]
    job: String,
}

/// A word to choose, and whether it is chosen.
struct Choosable {
    word: &'static str,
    chosen: bool,
}

/// A badge, and how it is written in each language of READMEs.
struct Shown {
    kind: &'static str,
    address: String,
    texts: [(&'static str, String); 4],
}

#[derive(Template)]
#[template(path = "pages/badges.html")]
struct BadgePage {
    viewer: Viewer,
    token: bool,
    can_make_token: bool,
    repository: Repository,
    styles: Vec<Choosable>,
    logos: Vec<Choosable>,
    branch: String,
    job: String,
    badges: Vec<Shown>,
}

/// `/repos/{owner}/{repo}/badges`.
pub(super) async fn show(
    State(web): State<Web>,
    who: Who,
    Path((owner, name)): Path<(String, String)>,
    choice: Result<Query<Choice>, QueryRejection>,
) -> Result<Response, Error> {
    let repository = visible(&web, &who, &owner, &name).await?;
    let choice = choice.map(|Query(choice)| choice).unwrap_or_default();
    let token = if repository.private {
        web.app.parts.store.badge_token(&repository.id).await?
    } else {
        None
    };
    let can_make_token = repository.private
        && who.session.is_some()
        && web.app.permission(&who.visitor, &repository).await >= Permission::Write;
    let style = Style::parse(&choice.style);
    let logo = LOGOS.iter().find(|(name, _)| *name == choice.logo);
    let logo = logo.map_or("", |(name, _)| *name);
    let style_word = if style == Style::default() {
        ""
    } else {
        style.as_str()
    };
    let wishes: Vec<String> = [
        ("style", style_word),
        ("logo", logo),
        ("branch", choice.branch.trim()),
        ("job", choice.job.trim()),
        ("token", token.as_ref().map_or("", Secret::expose)),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(key, value)| format!("{key}={}", address::path(value)))
    .collect();
    let query = if wishes.is_empty() {
        String::new()
    } else {
        format!("?{}", wishes.join("&"))
    };
    let root = &web.app.settings.links.public_url;
    let leads_to = format!("{root}/repos/{}/{}", repository.owner, repository.name);
    let badges = KINDS
        .into_iter()
        .map(|kind| {
            let address = format!(
                "/badges/{}/{}/{kind}.svg{query}",
                repository.owner, repository.name
            );
            Shown {
                kind,
                texts: texts(kind, &format!("{root}{address}"), &leads_to),
                address,
            }
        })
        .collect();
    let choose = |words: Vec<&'static str>, chosen: &str| {
        let choose = |word| Choosable {
            word,
            chosen: word == chosen,
        };
        words.into_iter().map(choose).collect()
    };
    let names = LOGOS.iter().map(|(name, _)| *name);
    page(&BadgePage {
        viewer: who.viewer(&web),
        token: token.is_some(),
        can_make_token,
        styles: choose(Style::ALL.map(Style::as_str).to_vec(), style.as_str()),
        logos: choose(names.collect(), logo),
        branch: choice.branch.trim().to_owned(),
        job: choice.job.trim().to_owned(),
        badges,
        repository,
    })
}

/// `POST /repos/{owner}/{repo}/badges/token`: makes a token for the badges of a private repository, in
/// the place of the one that there was.
pub(super) async fn make_token(
    State(web): State<Web>,
    who: Who,
    Path((owner, name)): Path<(String, String)>,
    Form(form): Form<Marked>,
) -> Result<Response, Error> {
    let repository = visible(&web, &who, &owner, &name).await?;
    marked(&who, &form.csrf)?;
    if web.app.permission(&who.visitor, &repository).await < Permission::Write {
        return Err(Error::Forbidden(
            "Only people with write permission in the repository can do this.".to_owned(),
        ));
    }
    let text = Secret::new(format!("{PREFIX}{}", chance()?));
    let token = Token {
        id: uuid::Uuid::now_v7().simple().to_string(),
        holder: Holder::Repository(repository.id.clone()),
        scope: Scope::Badges,
        name: "badges".to_owned(),
        created_ms: web.app.now_ms(),
        ends_ms: None,
    };
    web.app
        .parts
        .store
        .replace_badge_token(&repository.id, &token, &text)
        .await?;
    let deed = Deed {
        by: who.visitor.doer(),
        what: "token create",
        repository: Some(repository.id.clone()),
        subject: token.id,
    };
    web.app.parts.store.note(&deed, web.app.now_ms()).await?;
    let page = format!("/repos/{}/{}/badges", repository.owner, repository.name);
    Ok(Redirect::to(&page).into_response())
}

/// An image that leads somewhere, in each language. Addresses have no character that means something
/// in any of them, but for `&` in HTML.
fn texts(kind: &str, image: &str, leads_to: &str) -> [(&'static str, String); 4] {
    let escaped = image.replace('&', "&amp;");
    [
        ("Markdown", format!("[![{kind}]({image})]({leads_to})")),
        (
            "HTML",
            format!("<a href=\"{leads_to}\"><img alt=\"{kind}\" src=\"{escaped}\"></a>"),
        ),
        (
            "AsciiDoc",
            format!("image:{image}[{kind}, link=\"{leads_to}\"]"),
        ),
        (
            "reStructuredText",
            format!(".. image:: {image}\n   :target: {leads_to}\n   :alt: {kind}"),
        ),
    ]
}
