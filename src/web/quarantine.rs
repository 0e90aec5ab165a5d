//! Putting a test away, and letting it count again, by a button on its page.

use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::error::Error;
use super::pages::visible;
use super::router::Web;
use super::session::Who;
use super::sign_in::marked;
use super::view::Moment;
use crate::app::Run;
use crate::domain::history::KnownTest;
use crate::domain::quarantine::{DAYS, MOST_DAYS, Quarantined, REASON, after_days};
use crate::domain::{Permission, Quarantining, Repository};
use crate::text::shorten;

/// A test that somebody put away.
pub(super) struct AwayRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) until: Moment,
    /// The last day, as people read it.
    pub(super) day: String,
    pub(super) reason: String,
}

impl AwayRow {
    fn new(one: Quarantined, now_ms: i64) -> Self {
        Self {
            day: crate::domain::quarantine::last_day(one.until_ms),
            until: Moment::new(one.until_ms, now_ms),
            id: one.test,
            name: one.name,
            reason: one.reason,
        }
    }
}

/// Tests of a repository that people put away.
pub(super) async fn rows(web: &Web, repository: &Repository) -> Result<Vec<AwayRow>, Error> {
    let (store, now_ms) = (&web.app.parts.store, web.app.now_ms());
    let all = store.quarantined(&repository.id, now_ms).await?;
    let rows = all.into_iter().map(|one| AwayRow::new(one, now_ms));
    Ok(rows.collect())
}

/// Whether whoever looks at a page gets the button.
pub(super) async fn may(web: &Web, who: &Who, repository: &Repository) -> bool {
    who.session.is_some() && web.app.permission(&who.visitor, repository).await >= Permission::Write
}

/// What the button sends.
#[derive(Deserialize)]
pub(super) struct Pressed {
    #[serde(default)]
    csrf: String,
    /// For how many days; without it the test counts again.
    days: Option<u16>,
    #[serde(default)]
    reason: String,
}

/// The test of this id.
///
/// # Errors
/// Where nobody has heard of it.
pub(super) async fn known(
    web: &Web,
    repository: &Repository,
    id: &str,
) -> Result<KnownTest, Error> {
    let store = &web.app.parts.store;
    let mut known = store.known_tests(&repository.id, &[id]).await?;
    known.pop().ok_or(Error::NotFound)
}

/// To put a test away for some days from now.
///
/// # Errors
/// Where these are too many, or none.
pub(super) fn for_days(
    test: KnownTest,
    days: Option<u16>,
    reason: &str,
    now_ms: i64,
) -> Result<Quarantining, Error> {
    let days = days.unwrap_or(DAYS);
    if days == 0 || days > MOST_DAYS {
        let text = format!("{days} days: a test can be put away for 1 to {MOST_DAYS} days.");
        return Err(Error::Bad(text));
    }
    let class = &test.name.class;
    Ok(Quarantining::PutAway(Quarantined {
        name: if class.is_empty() {
            test.name.name.clone()
        } else {
            format!("{class} {}", test.name.name)
        },
        test: test.name.id,
        until_ms: after_days(days, now_ms),
        reason: shorten::bytes(reason.trim(), REASON).into_owned(),
        person: None,
    }))
}

/// `POST /repos/{owner}/{repo}/tests/{id}/quarantine`.
pub(super) async fn press(
    State(web): State<Web>,
    who: Who,
    Path((owner, name, id)): Path<(String, String, String)>,
    Form(pressed): Form<Pressed>,
) -> Result<Response, Error> {
    let repository = visible(&web, &who, &owner, &name).await?;
    marked(&who, &pressed.csrf)?;
    let test = known(&web, &repository, &id).await?;
    let what = match pressed.days {
        None => Quarantining::TakenBack(test.name.id),
        days => for_days(test, days, &pressed.reason, web.app.now_ms())?,
    };
    match web.app.quarantine(&who.visitor, &repository, what).await? {
        Run::Forbidden => Err(Error::Forbidden(
            "Only people with write permission in the repository can do this.".to_owned(),
        )),
        _ => {
            let (owner, name) = (&repository.owner, &repository.name);
            let address = format!("/repos/{owner}/{name}/tests/{id}");
            Ok(Redirect::to(&address).into_response())
        }
    }
}
