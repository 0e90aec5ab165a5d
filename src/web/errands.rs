//! Buttons on pages: rerun, cancel, approve.

use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::error::Error;
use super::pages::visible_build;
use super::router::Web;
use super::session::Who;
use super::sign_in::marked;
use crate::app::{Errand, Part, Run};

/// What a button sends.
#[derive(Deserialize)]
pub(super) struct Pressed {
    #[serde(default)]
    csrf: String,
    /// The job, where it is one only.
    #[serde(default)]
    job: String,
    /// Whether only what failed runs again.
    #[serde(default)]
    failed: bool,
}

type Address = Path<(String, String, String)>;

pub(super) async fn rerun(
    State(web): State<Web>,
    who: Who,
    address: Address,
    Form(pressed): Form<Pressed>,
) -> Result<Response, Error> {
    let part = if !pressed.job.is_empty() {
        Part::Job(pressed.job.clone())
    } else if pressed.failed {
        Part::Failed
    } else {
        Part::All
    };
    press(&web, &who, address, &pressed, Errand::Rerun(part)).await
}

pub(super) async fn cancel(
    State(web): State<Web>,
    who: Who,
    address: Address,
    Form(pressed): Form<Pressed>,
) -> Result<Response, Error> {
    press(&web, &who, address, &pressed, Errand::Cancel).await
}

pub(super) async fn approve(
    State(web): State<Web>,
    who: Who,
    address: Address,
    Form(pressed): Form<Pressed>,
) -> Result<Response, Error> {
    let job = Some(pressed.job.clone()).filter(|job| !job.is_empty());
    press(&web, &who, address, &pressed, Errand::Approve(job)).await
}

async fn press(
    web: &Web,
    who: &Who,
    Path((owner, name, number)): Address,
    pressed: &Pressed,
    errand: Errand,
) -> Result<Response, Error> {
    let view = visible_build(web, who, &owner, &name, &number).await?;
    marked(who, &pressed.csrf)?;
    match web.app.run_errand(&who.visitor, &view, errand).await? {
        Run::Done => {
            let repository = &view.repository;
            let (owner, name) = (&repository.owner, &repository.name);
            let address = format!("/repos/{owner}/{name}/builds/{}", view.build.number);
            Ok(Redirect::to(&address).into_response())
        }
        Run::Forbidden => Err(Error::Forbidden(
            "Only people with write permission in the repository can do this.".to_owned(),
        )),
        Run::Useless(why) => Err(Error::Conflict(why)),
    }
}
