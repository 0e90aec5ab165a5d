//! GitHub, as far as the use cases need it.

use async_trait::async_trait;

use super::commits::Commits;
use super::error::Result;
use super::production::Production;
use super::source::Remote;
use super::workflows::Workflows;
use crate::domain::{
    Annotation, CheckRun, Comment, Event, InstallationId, Permission, PersonId, PullRequest,
    Reaction, Repository, Sha, Status,
};

/// A check run found on GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCheck {
    /// GitHub's id of it.
    pub id: String,
    /// How many annotations it has already.
    pub annotations: usize,
}

/// An attempt to deliver an event, as GitHub lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedDelivery {
    /// GitHub's id of the attempt.
    pub id: u64,
    /// The delivery's own id, the same for all attempts.
    pub guid: String,
    /// The event's name.
    pub event: String,
    /// When the attempt was made, in unix milliseconds of GitHub's clock.
    pub delivered_ms: i64,
    /// Whether it was answered with success.
    pub arrived: bool,
}

/// What GitHub still has of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecoveredDelivery {
    /// The body, as JSON; not byte for byte what was sent.
    Body(String),
    /// GitHub does not show it.
    Unreadable,
}

/// The forge that repositories live on. Repositories are reached by the installation and the
/// numeric id, so that a rename in between does no harm.
#[async_trait]
pub trait Forge: Commits + Production + Workflows + Send + Sync {
    /// GitHub's limits are shared by so many processes.
    fn shared_by(&self, _processes: u32) {}
    /// The part of a delivery's body that `read_event` looks at; the whole where it could not be understood.
    ///
    /// # Errors
    /// `Refused` when the body is no JSON object.
    fn kept(&self, event: &str, body: String) -> Result<String>;
    /// Reads the body of a delivery, or what was kept of it, as an event. What Herald does not know is `Ignored`.
    ///
    /// # Errors
    /// `Refused` when the body is not what GitHub sends for such an event.
    fn read_event(&self, event: &str, body: &str) -> Result<Event>;
    /// A page of the deliveries of the last days, the newest first, and the cursor of the next page.
    ///
    /// # Errors
    /// As the kinds say.
    async fn deliveries(
        &self,
        cursor: Option<&str>,
    ) -> Result<(Vec<ListedDelivery>, Option<String>)>;
    /// What an attempt carried.
    ///
    /// # Errors
    /// As the kinds say.
    async fn delivery(&self, id: u64) -> Result<RecoveredDelivery>;
    /// Asks for a delivery once more; it comes by the webhook.
    ///
    /// # Errors
    /// As the kinds say.
    async fn redeliver(&self, id: u64) -> Result<()>;
    /// A repository as it is now.
    ///
    /// # Errors
    /// `Gone` also when its name leads to another one.
    async fn repository(&self, repository: &Repository) -> Result<Repository>;
    /// The names of the files in the root of a repository's default branch.
    ///
    /// # Errors
    /// `Gone` also when there is nothing in it yet.
    async fn root_files(&self, repository: &Repository) -> Result<Vec<String>>;
    /// All open pull requests of a repository.
    ///
    /// # Errors
    /// As the kinds say.
    async fn open_pulls(&self, repository: &Repository) -> Result<Vec<PullRequest>>;
    /// Sends nothing about an installation (`None`: about the App itself) before this moment (unix
    /// milliseconds): GitHub said so to a former process.
    fn hold(&self, who: Option<InstallationId>, until_ms: i64);
    /// Where and with what to fetch the repository: a token good for this repository and for
    /// reading contents only, none where the repository is public.
    ///
    /// # Errors
    /// As the kinds say.
    async fn remote(&self, repository: &Repository) -> Result<Remote>;
    /// What a person may do in the repository, asked now, by their numeric id.
    ///
    /// # Errors
    /// As the kinds say.
    async fn permission(&self, repository: &Repository, person: PersonId) -> Result<Permission>;
    /// The tag of the newest release; without one, the highest version among the newest tags.
    ///
    /// # Errors
    /// As the kinds say.
    async fn newest_release(&self, repository: &Repository) -> Result<Option<String>>;
    /// Environment and state, in GitHub's words, of the newest deployment, whoever made it.
    ///
    /// # Errors
    /// As the kinds say.
    async fn newest_deployment(&self, repository: &Repository) -> Result<Option<(String, String)>>;
    /// A pull request as it is now.
    ///
    /// # Errors
    /// As the kinds say.
    async fn pull_request(&self, repository: &Repository, number: i64) -> Result<PullRequest>;
    /// Reacts to a comment; a second time changes nothing.
    ///
    /// # Errors
    /// `Gone` when the comment is.
    async fn react(&self, repository: &Repository, reaction: &Reaction) -> Result<()>;
    /// Looks for the check run with this name and `external_id` on a commit.
    ///
    /// # Errors
    /// As the kinds say.
    async fn find_check(
        &self,
        repository: &Repository,
        commit: &Sha,
        name: &str,
        external_id: &str,
    ) -> Result<Option<FoundCheck>>;
    /// Makes a check run and says its id. `annotations` are at most 50 of the check's own.
    ///
    /// # Errors
    /// As the kinds say; after `Transient` it may have taken effect.
    async fn create_check(
        &self,
        repository: &Repository,
        external_id: &str,
        check: &CheckRun,
        annotations: &[Annotation],
    ) -> Result<String>;
    /// Changes a check run; `annotations` (at most 50) are added to those it has.
    ///
    /// # Errors
    /// As the kinds say; after `Transient` it may have taken effect.
    async fn update_check(
        &self,
        repository: &Repository,
        id: &str,
        check: &CheckRun,
        annotations: &[Annotation],
    ) -> Result<()>;
    /// The newest status of a context on a commit.
    ///
    /// # Errors
    /// As the kinds say.
    async fn find_status(
        &self,
        repository: &Repository,
        commit: &Sha,
        context: &str,
    ) -> Result<Option<Status>>;
    /// Sets a status.
    ///
    /// # Errors
    /// As the kinds say; after `Transient` it may have taken effect.
    async fn create_status(&self, repository: &Repository, status: &Status) -> Result<()>;
    /// Looks for our comment on a pull request by its marker, and says its id.
    ///
    /// # Errors
    /// As the kinds say.
    async fn find_comment(
        &self,
        repository: &Repository,
        pull: i64,
        marker: &str,
    ) -> Result<Option<String>>;
    /// Writes the comment and says its id.
    ///
    /// # Errors
    /// As the kinds say; after `Transient` it may have taken effect.
    async fn create_comment(&self, repository: &Repository, comment: &Comment) -> Result<String>;
    /// Changes the comment.
    ///
    /// # Errors
    /// `Gone` when somebody deleted it.
    async fn update_comment(
        &self,
        repository: &Repository,
        id: &str,
        comment: &Comment,
    ) -> Result<()>;
}
