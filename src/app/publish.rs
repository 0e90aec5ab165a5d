//! From the state of builds to what should be on GitHub.

use super::state::App;
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
        for build in builds {
            let Some(view) = store.view(&build).await? else {
                continue;
            };
            let publications = feedback::publications(&self.settings.links, &view);
            let badges = feedback::badge_values(&view);
            store
                .publish(&view, publications, badges, self.now_ms())
                .await?;
        }
        self.stir();
        Ok(true)
    }
}
