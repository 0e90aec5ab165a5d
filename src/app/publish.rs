//! From the state of builds to what should be on GitHub.

use tracing::warn;

use super::state::App;
use crate::domain::{BuildId, BuildView, CheckState, Content, Measure, Publication, State, Target};
use crate::feedback;
use crate::ports::error::Result;
use crate::ports::store::Spoken;

/// How many builds that wait are rendered again at once.
const REFRESHED: i64 = 10;
/// Up to how many jobs of a build are said to run on their own check runs. Of more, the table in
/// `herald` says it, and each of the others goes from queued to its end: GitHub allows only so many
/// writes.
const TOLD_ONE_BY_ONE: usize = 8;

/// Whether this says of a single job that it runs.
fn is_job_running(publication: &Publication) -> bool {
    let of_job = matches!(publication.target, Target::Check { job: Some(_), .. });
    let state = match &publication.content {
        Content::Check(check) => Some(check.state),
        _ => None,
    };
    of_job && state == Some(CheckState::InProgress)
}

impl App {
    /// Renders builds that changed; `false` when none did.
    pub(super) async fn render_builds(&self) -> Result<bool> {
        let store = &self.parts.store;
        let builds = store.unpublished(50).await?;
        if builds.is_empty() {
            return Ok(false);
        }
        let mut rendered = false;
        for build in builds {
            // One that cannot be read must not keep the others from being shown.
            match self.render(&build).await {
                Ok(done) => rendered |= done,
                Err(error) => warn!(build = build.as_str(), "failed to {error}"),
            }
        }
        if rendered {
            self.stir();
        }
        Ok(rendered)
    }

    /// Has some of the builds that wait for room rendered again, so that people see the queue get
    /// shorter. Few at a time: each is a request to GitHub.
    pub(super) async fn refresh_queue(&self) -> Result<()> {
        if self.parts.store.refresh_queue(REFRESHED).await? > 0 {
            self.stir();
        }
        Ok(())
    }

    /// Builds of the same commit that speak in the same comment; and leaves out pull requests that have another head by
    /// now, whose comment is not about this commit any more.
    async fn beside(&self, view: &mut BuildView) -> Result<Vec<BuildView>> {
        let (store, repository) = (&self.parts.store, &view.repository.id);
        if view.build.state != State::Finished || view.pulls.is_empty() {
            return Ok(Vec::new());
        }
        if view.build.plan.import.is_some() {
            let mut current = Vec::new();
            for pull in &view.pulls {
                let newest = store.newest_of_pull(repository, *pull).await?;
                if newest.is_none_or(|(head, _)| head == view.build.commit) {
                    current.push(*pull);
                }
            }
            view.pulls = current;
        }
        let mut beside = Vec::new();
        for build in store.beside(&view.build.id).await? {
            beside.extend(store.view(&build).await?);
        }
        Ok(beside)
    }

    async fn render(&self, build: &BuildId) -> Result<bool> {
        let store = &self.parts.store;
        let Some(mut view) = store.view(build).await? else {
            return Ok(false);
        };
        if view.build.state == State::Queued {
            let queue = store.queue(build, self.now_ms()).await?;
            view.ahead = queue.map_or(0, |queue| queue.waits_for(self.settings.room));
        }
        let beside = self.beside(&mut view).await?;
        let mut publications = feedback::publications(&self.settings.links, &view, &beside);
        if view.jobs.len() > TOLD_ONE_BY_ONE {
            publications.retain(|publication| !is_job_running(publication));
        }
        let spoken = if view.build.state == State::Finished {
            let report = view.report();
            Spoken {
                badges: feedback::badge_values(&view, &report),
                measure: Measure::of(&view, &report),
            }
        } else {
            Spoken::default()
        };
        store
            .publish(&view, publications, spoken, self.now_ms())
            .await?;
        Ok(true)
    }
}
