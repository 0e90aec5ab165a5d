//! From the state of builds to what should be on GitHub.

use tracing::warn;

use super::state::App;
use crate::domain::BuildId;
use crate::feedback;
use crate::ports::error::Result;

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

    async fn render(&self, build: &BuildId) -> Result<bool> {
        let store = &self.parts.store;
        let Some(view) = store.view(build).await? else {
            return Ok(false);
        };
        let publications = feedback::publications(&self.settings.links, &view);
        let badges = feedback::badge_values(&view);
        store
            .publish(&view, publications, badges, self.now_ms())
            .await?;
        Ok(true)
    }
}
