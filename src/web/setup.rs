//! Setting the server up: who has seen its terminal registers the App on GitHub from a browser.
//!
//! Nothing here needs a script. Only the page with the manifest may send a form to another origin,
//! and that is GitHub's.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, HOST, ORIGIN, RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::cookie;
use super::error::Error;
use super::pages::page;
use super::router::Web;
use crate::app::{Entry, Setup, Trouble};
use crate::domain::registration::{NAME_MAX, api_of, is_local, origin_of, web_address};
use crate::domain::{Account, Home, Proposal};

/// The session of a browser that was let in.
const SESSION: &str = "herald_setup";
/// Where GitHub in the internet is.
const GITHUB: &str = "https://github.com";

#[derive(Template)]
#[template(path = "pages/setup_closed.html")]
struct Closed;

#[derive(Template)]
#[template(path = "pages/setup_door.html")]
struct DoorPage {
    error: String,
    public_url: String,
    manifest: &'static str,
}

#[derive(Template)]
#[template(path = "pages/setup.html")]
struct FormPage {
    fields: Fields,
    errors: Errors,
    /// Whether the addresses are decided by flags or variables.
    public_decided: bool,
    github_decided: bool,
}

#[derive(Template)]
#[template(path = "pages/setup_review.html")]
struct ReviewPage {
    proposal: Proposal,
    whose: String,
    address: String,
    manifest: String,
    github: String,
}

#[derive(Template)]
#[template(path = "pages/setup_trouble.html")]
struct TroublePage {
    title: &'static str,
    text: String,
    /// Whether the same step can be tried again.
    again: bool,
    /// The page with the Apps of the account on GitHub, where one may be left over.
    apps: String,
}

/// What was typed.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    public_url: String,
    account: String,
    organisation: String,
    visibility: String,
    github: String,
    github_url: String,
    name: String,
}

/// What is wrong with it, field by field.
#[derive(Debug, Default, PartialEq, Eq)]
struct Errors {
    public_url: String,
    organisation: String,
    github_url: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Brought {
    code: String,
    state: String,
}

/// The browser's session, if it was let in.
pub(super) fn session(setup: &Setup, headers: &HeaderMap) -> Option<String> {
    cookie::sent(headers, SESSION)
        .find(|value| setup.knows(value))
        .map(str::to_owned)
}

/// The setup, while it is open.
fn open(web: &Web) -> Option<&Arc<Setup>> {
    web.setup
        .as_ref()
        .filter(|setup| web.verify.is_none() && !setup.is_closed())
}

/// The same page with another status.
fn with_status(status: StatusCode, template: &impl Template) -> Result<Response, Error> {
    let mut response = page(template)?;
    *response.status_mut() = status;
    Ok(response)
}

/// Scheme, host and port by which the browser reaches this server.
fn origin(headers: &HeaderMap, web: &Web) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let public = &web.app.settings.links.public_url;
    let Some(host) = text(HOST.as_str()) else {
        return origin_of(public).to_owned();
    };
    let said = text(ORIGIN.as_str()).and_then(web_address);
    let behind = text("X-Forwarded-Proto").map(str::trim);
    let scheme = match (said, behind) {
        (Some(said), _) if said.split_once("://").is_some_and(|(_, said)| said == host) => {
            return said;
        }
        (_, Some("https")) => "https",
        _ => "http",
    };
    let guessed = web_address(&format!("{scheme}://{host}"));
    guessed.unwrap_or_else(|| origin_of(public).to_owned())
}

fn door(web: &Web, status: StatusCode, error: &str) -> Result<Response, Error> {
    let page = DoorPage {
        error: error.to_owned(),
        public_url: web.app.settings.links.public_url.clone(),
        manifest: include_str!("../../app-manifest.yml"),
    };
    with_status(status, &page)
}

/// `GET /setup`: the door, the form, or a word that all is done.
pub(super) async fn show(
    State(web): State<Web>,
    brought: Result<Query<Brought>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let Some(setup) = open(&web) else {
        return page(&Closed);
    };
    let code = brought.map(|Query(brought)| brought.code);
    let code = code.unwrap_or_default();
    match session(setup, &headers) {
        // The code does not stay in the address.
        Some(_) if !code.is_empty() => Ok(Redirect::to("/setup").into_response()),
        Some(session) => {
            let fields = match setup.proposal(&session) {
                Some(proposal) => Fields::of(&proposal),
                None => Fields::proposed(setup, &origin(&headers, &web)),
            };
            form(setup, fields, Errors::default())
        }
        None if code.is_empty() => door(&web, StatusCode::OK, ""),
        None => enter(&web, setup, &code, &headers),
    }
}

fn enter(web: &Web, setup: &Setup, code: &str, headers: &HeaderMap) -> Result<Response, Error> {
    match setup.enter(code) {
        Entry::Open(session) => {
            let secure = if origin(headers, web).starts_with("https:") {
                "; Secure"
            } else {
                ""
            };
            // Lax: it has to come along when GitHub leads the browser back.
            let cookie = format!(
                "{SESSION}={}; Path=/setup; Max-Age=3600; HttpOnly; SameSite=Lax{secure}",
                session.expose()
            );
            let headers = [(SET_COOKIE, cookie)];
            Ok((headers, Redirect::to("/setup")).into_response())
        }
        Entry::Wrong => door(
            web,
            StatusCode::FORBIDDEN,
            "That is not the code. Each is good for one browser: the newest is at the end of the \
             server's output.",
        ),
        Entry::Wait(seconds) => {
            let words = format!("Too many wrong codes. Try again in {seconds} s.");
            let mut response = door(web, StatusCode::TOO_MANY_REQUESTS, &words)?;
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            Ok(response)
        }
    }
}

fn form(setup: &Setup, fields: Fields, errors: Errors) -> Result<Response, Error> {
    let status = if errors == Errors::default() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let page = FormPage {
        fields,
        errors,
        public_decided: setup.decided.public_url.is_some(),
        github_decided: setup.decided.github_url.is_some(),
    };
    with_status(status, &page)
}

/// Who cannot go on here.
#[derive(Debug, Clone, Copy)]
enum Outsider {
    /// The setup has ended, and this browser was part of it.
    Done,
    /// The setup has ended, or there was none.
    Late,
    /// It was not let in.
    Stranger,
}

impl Outsider {
    fn answer(self) -> Result<Response, Error> {
        match self {
            Self::Done => Ok(Redirect::to("/setup/next").into_response()),
            Self::Late => Ok(Redirect::to("/setup").into_response()),
            Self::Stranger => trouble(&Trouble::Stranger, ""),
        }
    }
}

/// The setup and the browser's session in it.
fn insider<'a>(web: &'a Web, headers: &HeaderMap) -> Result<(&'a Arc<Setup>, String), Outsider> {
    let Some(setup) = open(web) else {
        let known = web.setup.as_ref();
        let known = known.and_then(|setup| session(setup, headers)).is_some();
        return Err(if known {
            Outsider::Done
        } else {
            Outsider::Late
        });
    };
    let session = session(setup, headers).ok_or(Outsider::Stranger)?;
    Ok((setup, session))
}

/// `POST /setup`: what is wished for.
pub(super) async fn propose(
    State(web): State<Web>,
    headers: HeaderMap,
    fields: Result<Form<Fields>, FormRejection>,
) -> Result<Response, Error> {
    let (setup, session) = match insider(&web, &headers) {
        Ok(known) => known,
        Err(outsider) => return outsider.answer(),
    };
    let Form(mut fields) = fields.map_err(|error| Error::Bad(format!("the form: {error}")))?;
    fields.decide(setup);
    match fields.read(setup, &origin(&headers, &web)) {
        Ok(proposal) => {
            setup.keep_proposal(&session, proposal);
            Ok(Redirect::to("/setup/review").into_response())
        }
        Err(errors) => form(setup, fields, errors),
    }
}

/// `GET /setup/review`: what will be registered, and the button that leads to GitHub.
pub(super) async fn review(State(web): State<Web>, headers: HeaderMap) -> Result<Response, Error> {
    let (setup, session) = match insider(&web, &headers) {
        Ok(known) => known,
        Err(outsider) => return outsider.answer(),
    };
    let Some((proposal, address, manifest)) = setup.manifest(&session) else {
        return Ok(Redirect::to("/setup").into_response());
    };
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src data:; form-action {}; frame-ancestors 'none'; \
         base-uri 'none'",
        origin_of(&proposal.home.github_url)
    );
    let mut response = page(&ReviewPage {
        whose: match &proposal.account {
            Account::Personal => "your account".to_owned(),
            Account::Organisation(name) => format!("the organisation {name}"),
        },
        github: host(&proposal.home.github_url).to_owned(),
        proposal,
        address,
        manifest,
    })?;
    let policy = HeaderValue::from_str(&policy)
        .map_err(|error| Error::Internal(format!("name GitHub in a policy: {error}")))?;
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

fn host(address: &str) -> &str {
    address.split_once("://").map_or(address, |(_, host)| host)
}

/// `GET /setup/done`: GitHub has led the browser back.
pub(super) async fn done(
    State(web): State<Web>,
    brought: Result<Query<Brought>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let (setup, session) = match insider(&web, &headers) {
        Ok(known) => known,
        Err(outsider) => return outsider.answer(),
    };
    let brought = brought.map(|Query(brought)| brought).unwrap_or_default();
    if let Err(error) = setup.take(&session, &brought.state, &brought.code) {
        return trouble(&error, &apps(setup, &session));
    }
    register(setup, &session).await
}

/// `POST /setup/retry`: the step that failed, once more.
pub(super) async fn retry(State(web): State<Web>, headers: HeaderMap) -> Result<Response, Error> {
    match insider(&web, &headers) {
        Ok((setup, session)) => register(setup, &session).await,
        Err(outsider) => outsider.answer(),
    }
}

async fn register(setup: &Arc<Setup>, session: &str) -> Result<Response, Error> {
    match setup.register(session).await {
        Ok(()) => Ok(Redirect::to("/setup/next").into_response()),
        Err(error) => trouble(&error, &apps(setup, session)),
    }
}

/// The page with the Apps of the account that was chosen.
fn apps(setup: &Setup, session: &str) -> String {
    let Some(proposal) = setup.proposal(session) else {
        return String::new();
    };
    let github = &proposal.home.github_url;
    match &proposal.account {
        Account::Personal => format!("{github}/settings/apps"),
        Account::Organisation(name) => format!("{github}/organizations/{name}/settings/apps"),
    }
}

/// What is in the way, and the way out.
fn trouble(trouble: &Trouble, apps: &str) -> Result<Response, Error> {
    let (status, title, text) = match trouble {
        Trouble::Stranger => (
            StatusCode::FORBIDDEN,
            "This browser was not let in",
            "It has not brought the code from the server's terminal, or that was more than an hour \
             ago. Open the newest address that the terminal shows.",
        ),
        Trouble::State => (
            StatusCode::BAD_REQUEST,
            "This does not belong to the setup that was begun here",
            "GitHub's answer carries another mark than the one that this browser sent, or one that \
             was used already. Nothing was stored.",
        ),
        Trouble::Over => (
            StatusCode::BAD_GATEWAY,
            "GitHub does not take its code any more",
            "It is good for one hour and for one use. Begin again; if GitHub shows the App already, \
             delete that one first.",
        ),
        Trouble::Again(text) => (
            StatusCode::BAD_GATEWAY,
            "Something came in between",
            text.as_str(),
        ),
        Trouble::Useless(text) => (
            StatusCode::BAD_GATEWAY,
            "GitHub's answer is of no use",
            text.as_str(),
        ),
        Trouble::Taken => (
            StatusCode::CONFLICT,
            "Another App was registered meanwhile",
            "That one is in use. Delete this one on GitHub.",
        ),
        Trouble::Restart(text) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "The App is stored; start Herald again",
            text.as_str(),
        ),
    };
    let left_over = matches!(
        trouble,
        Trouble::Over | Trouble::Useless(_) | Trouble::Taken
    );
    let page = TroublePage {
        title,
        text: text.to_owned(),
        again: matches!(trouble, Trouble::Again(_)),
        apps: if left_over { apps } else { "" }.to_owned(),
    };
    with_status(status, &page)
}

impl Fields {
    /// What is proposed at first.
    fn proposed(setup: &Setup, origin: &str) -> Self {
        let mut fields = Self {
            public_url: origin.to_owned(),
            account: "personal".to_owned(),
            visibility: "private".to_owned(),
            github: "com".to_owned(),
            ..Self::default()
        };
        fields.decide(setup);
        let host = host(origin_of(&fields.public_url));
        let host = host.split(':').next().unwrap_or(host);
        // Names are unique on all of GitHub.
        let name = format!("Herald {host}");
        fields.name = if name.len() <= NAME_MAX && name.is_ascii() && !is_local(&fields.public_url)
        {
            name
        } else {
            "Herald".to_owned()
        };
        fields
    }

    /// What was chosen before.
    fn of(proposal: &Proposal) -> Self {
        let (account, organisation) = match &proposal.account {
            Account::Personal => ("personal", String::new()),
            Account::Organisation(name) => ("organisation", name.clone()),
        };
        let (github, github_url) = match proposal.home.github_url.as_str() {
            GITHUB => ("com", String::new()),
            other => ("enterprise", other.to_owned()),
        };
        Self {
            public_url: proposal.home.public_url.clone(),
            account: account.to_owned(),
            organisation,
            visibility: if proposal.public { "public" } else { "private" }.to_owned(),
            github: github.to_owned(),
            github_url,
            name: proposal.name.clone(),
        }
    }

    /// Flags and variables win over what is typed.
    fn decide(&mut self, setup: &Setup) {
        if let Some(public_url) = &setup.decided.public_url {
            self.public_url.clone_from(public_url);
        }
        if let Some(github_url) = &setup.decided.github_url {
            let github = if github_url == GITHUB {
                "com"
            } else {
                "enterprise"
            };
            github.clone_into(&mut self.github);
            self.github_url.clone_from(github_url);
        }
    }

    /// What is wished for, or what is wrong with it.
    fn read(&self, setup: &Setup, origin: &str) -> Result<Proposal, Errors> {
        let mut errors = Errors::default();
        let github_url = if self.github == "enterprise" {
            web_address(&self.github_url).unwrap_or_else(|| {
                "Its address begins with https://, as in https://github.example.com."
                    .clone_into(&mut errors.github_url);
                String::new()
            })
        } else {
            GITHUB.to_owned()
        };
        let public_url = web_address(&self.public_url).unwrap_or_else(|| {
            "It begins with https:// or http://, and has no ? or # in it."
                .clone_into(&mut errors.public_url);
            String::new()
        });
        if errors.public_url.is_empty() && github_url == GITHUB && is_local(&public_url) {
            errors.public_url = format!(
                "github.com cannot reach {}: it is known in this network only. Take the address of a \
                 tunnel or of a host in the internet.",
                host(&public_url)
            );
        }
        let organisation = self.organisation.trim();
        let account = if self.account == "organisation" {
            let plain = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
            if organisation.is_empty()
                || organisation.len() > 100
                || !organisation.chars().all(plain)
            {
                "The name as in its address: letters, digits and hyphens."
                    .clone_into(&mut errors.organisation);
            }
            Account::Organisation(organisation.to_owned())
        } else {
            Account::Personal
        };
        let name = self.name.trim();
        if name.is_empty() || name.chars().count() > NAME_MAX || name.chars().any(char::is_control)
        {
            errors.name = format!("GitHub takes 1 to {NAME_MAX} characters.");
        }
        if errors != Errors::default() {
            return Err(errors);
        }
        let api_url = setup.decided.api_url.clone();
        Ok(Proposal {
            home: Home {
                api_url: api_url.unwrap_or_else(|| api_of(&github_url)),
                public_url,
                github_url,
            },
            origin: origin.to_owned(),
            account,
            name: name.to_owned(),
            public: self.visibility == "public",
        })
    }
}
