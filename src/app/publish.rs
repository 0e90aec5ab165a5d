//! From the state of builds to what should be on GitHub.

use tracing::warn;

use super::state::App;
use crate::domain::{BuildId, State};
use crate::feedback;
use crate::ports::error::Result;

/// How many builds that wait are rendered again at once.
const REFRESHED: i64 = 10;

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

    async fn render(&self, build: &BuildId) -> Result<bool> {
        let store = &self.parts.store;
        let Some(mut view) = store.view(build).await? else {
            return Ok(false);
        };
        if view.build.state == State::Queued {
            let queue = store.queue(build, self.now_ms()).await?;
            view.ahead = queue.map_or(0, |queue| queue.waits_for(self.settings.room));
        }
        let publications = feedback::publications(&self.settings.links, &view);
        let badges = feedback::badge_values(&view);
        store
            .publish(&view, publications, badges, self.now_ms())
            .await?;
        Ok(true)
    }
}
