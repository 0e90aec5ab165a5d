//! Sending deployments and promotions to GitHub: each once, whatever happens in between.

use tracing::{info, warn};

use super::send::seen_or_settled;
use super::state::App;
use crate::domain::{Deployment, PromotionPull};
use crate::feedback;
use crate::ports::error::Result;
use crate::ports::store::{Outgoing, Sent};
use crate::ports::{Kind, PortError};
use crate::spec::BadgeSettings;

impl App {
    /// Makes the deployment where it is not there yet, and tells its state.
    pub(super) async fn send_deployment(
        &self,
        outgoing: &mut Outgoing,
        deployment: &Deployment,
    ) -> Result<Sent> {
        let forge = &self.parts.forge;
        let repository = &outgoing.repository;
        if outgoing.remote.is_none() && outgoing.uncertain {
            outgoing.remote = forge
                .find_deployment(repository, &outgoing.id, deployment)
                .await?;
        }
        seen_or_settled(outgoing)?;
        let mut is_new = false;
        let id = match outgoing.remote.clone() {
            Some(id) => id,
            // What never began leaves nothing behind, and a former one would be the newest.
            None if !deployment.is_worth_making() || outgoing.former => return Ok(Sent::All),
            None => {
                let id = forge
                    .create_deployment(repository, &outgoing.id, deployment)
                    .await?;
                outgoing.remote = Some(id.clone());
                is_new = true;
                id
            }
        };
        let known = outgoing.uncertain
            && !is_new
            && forge.deployment_stands(repository, &id, deployment).await?;
        if !known {
            forge
                .set_deployment_state(repository, &id, deployment)
                .await?;
        }
        if deployment.state.is_over() {
            self.speak_of_deployment(outgoing, deployment).await?;
        }
        Ok(Sent::All)
    }

    /// The badge says what GitHub has as the newest deployment, which may be somebody else's; where GitHub does not say
    /// it, what it was told.
    async fn speak_of_deployment(
        &self,
        outgoing: &Outgoing,
        deployment: &Deployment,
    ) -> Result<()> {
        let repository = &outgoing.repository;
        let newest = match self.parts.forge.newest_deployment(repository).await {
            Ok(newest) => newest,
            Err(error) => {
                info!("failed to {error}; the badge says what was told last");
                None
            }
        };
        let newest = newest.unwrap_or_else(|| {
            let state = deployment.state.as_str().to_owned();
            (deployment.environment.clone(), state)
        });
        let mut settings = BadgeSettings::default();
        if let Some(label) = &deployment.badge_label {
            settings.labels.insert("deploy".to_owned(), label.clone());
        }
        let badges = feedback::repository_badges(&settings, None, Some(&newest));
        let (store, branch) = (&self.parts.store, &repository.default_branch);
        store
            .keep_badges(&repository.id, branch, badges, self.now_ms())
            .await
    }

    /// Opens the pull request, or brings the one that is open up to date.
    pub(super) async fn send_promotion(
        &self,
        outgoing: &mut Outgoing,
        pull: &PromotionPull,
    ) -> Result<Sent> {
        let forge = &self.parts.forge;
        // That of an earlier candidate may be merged by now.
        outgoing.remote = None;
        let found = forge.find_promotion(&outgoing.repository, pull).await?;
        if let Some(found) = found {
            outgoing.remote = Some(found.number.to_string());
            let Some(body) = pull.new_body(&found.body) else {
                return Ok(Sent::All);
            };
            let title = pull.new_title(&found.title);
            if title.is_some() || body != found.body {
                let repository = &outgoing.repository;
                forge
                    .edit_pull(repository, found.number, title, &body)
                    .await?;
            }
            return Ok(Sent::All);
        }
        if !pull.is_ready {
            return Ok(Sent::All);
        }
        seen_or_settled(outgoing)?;
        match forge.open_promotion(&outgoing.repository, pull).await {
            Ok(()) => Ok(Sent::All),
            // It is in no list yet.
            Err(error) if error.message.contains("already exists") => {
                Err(PortError::transient(error.message))
            }
            Err(error) if matches!(error.kind, Kind::Refused | Kind::Denied | Kind::Gone) => {
                warn!(
                    "failed to promote {} to {} in {}: {error}; `herald doctor` says what the App may do",
                    pull.from,
                    pull.to,
                    outgoing.repository.full_name()
                );
                Ok(Sent::Never {
                    error: error.message,
                })
            }
            Err(error) => Err(error),
        }
    }
}
