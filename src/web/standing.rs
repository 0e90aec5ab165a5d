//! How the steps of a job stand, as server-sent events: what a page needs that shows a part of the log and
//! reads the lines that it shows (`…/log/lines`).
//!
//! | event | data | meaning |
//! | --- | --- | --- |
//! | `steps` | `{"attempt", "now_ms", "job": {"word", "class", "took", "started_ms"}, "steps": [{"step", "word", "class", "exit", "took", "started_ms", "lines", "left_out"}, …]}` | how everything stands now |
//! | `end` | `{"conclusion": "success"}` | nothing follows |
//!
//! Each event says all, so whoever was cut off has missed nothing.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::sse::{Event, Sse};
use futures_util::stream::Stream;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::error::Error;
use super::lines::counts;
use super::logs::key_of;
use super::look::{self, Look};
use super::pages::{job_of, visible_build};
use super::router::Web;
use super::session::Who;
use super::view::JobRow;
use crate::domain::BuildView;

/// At every so many looks the job is looked at too, whether anybody told of it or not.
const JOB_LOOKS: u32 = 8;
const RETRY: Duration = Duration::from_secs(1);

/// Somebody who looks at a job.
struct Watcher {
    web: Web,
    view: BuildView,
    /// Owner, name, number and job, as they were asked for.
    path: (String, String, String, String),
    /// Tells that something has changed, perhaps this job.
    pulse: watch::Receiver<u64>,
    /// Who watches; they may lose access meanwhile.
    who: Who,
    /// What was said last.
    said: Value,
    looks: u32,
    over: bool,
}

/// `…/log/steps`.
pub(super) async fn events(
    State(web): State<Web>,
    who: Who,
    Path(path): Path<(String, String, String, String)>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Error> {
    let view = visible_build(&web, &who, &path.0, &path.1, &path.2).await?;
    job_of(&view, &path.3)?;
    let mut pulse = web.app.pulse();
    pulse.mark_changed();
    let watcher = Watcher {
        web,
        who,
        view,
        path,
        pulse,
        said: Value::Null,
        looks: 0,
        over: false,
    };
    Ok(look::events(watcher))
}

impl Look for Watcher {
    const WHAT: &'static str = "watch a job";
    const EVERY: Duration = Duration::from_millis(250);
    const QUIET: u32 = 60;

    fn web(&self) -> &Web {
        &self.web
    }

    fn is_over(&self) -> bool {
        self.over
    }

    async fn look(&mut self, _quiet: u32) -> Result<Option<Event>, Error> {
        let told = self.pulse.has_changed().unwrap_or(false);
        if told || self.looks.is_multiple_of(JOB_LOOKS) {
            self.pulse.mark_unchanged();
            let (owner, name, number, _) = &self.path;
            self.view = visible_build(&self.web, &self.who, owner, name, number).await?;
        }
        self.looks = self.looks.wrapping_add(1);
        let job = job_of(&self.view, &self.path.3)?;
        let logs = self.web.app.parts.logs.as_ref();
        let counts = counts(logs, &key_of(&self.view, job)).await?;
        let row = JobRow::new(job);
        let steps: Vec<Value> = row
            .steps
            .iter()
            .map(|step| {
                let lines = counts.iter().find(|counts| counts.step == step.index);
                json!({
                    "step": step.index,
                    "word": step.mark.word,
                    "class": step.mark.class,
                    "exit": step.exit,
                    "took": step.took,
                    "started_ms": step.started_ms,
                    "lines": lines.map_or(0, |lines| lines.lines),
                    "left_out": lines.and_then(|lines| lines.left_out),
                })
            })
            .collect();
        let mut standing = json!({
            "attempt": job.attempt,
            "job": {
                "word": row.mark.word,
                "class": row.mark.class,
                "took": row.took,
                "started_ms": row.started_ms,
            },
            "steps": steps,
        });
        if standing != self.said {
            self.said = standing.clone();
            if let Some(fields) = standing.as_object_mut() {
                fields.insert("now_ms".to_owned(), self.web.app.now_ms().into());
            }
            return Ok(Some(event("steps", &standing)));
        }
        let Some(conclusion) = job.conclusion else {
            return Ok(None);
        };
        self.over = true;
        Ok(Some(event(
            "end",
            &json!({"conclusion": conclusion.as_str()}),
        )))
    }
}

fn event(name: &str, data: &Value) -> Event {
    Event::default()
        .event(name)
        .retry(RETRY)
        .data(data.to_string())
}
