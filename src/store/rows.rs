//! From rows to values.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::database::StoreError;
use crate::domain::{
    Build, BuildId, Conclusion, DeployApproval, InstallationId, Job, JobId, Occasion, PersonId,
    Repository, RepositoryId, Sha, State, Trust,
};

pub(super) type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A word that this version does not know.
fn unknown(what: &str, word: &str) -> StoreError {
    StoreError::Stored(format!("unknown {what} `{word}`"))
}

pub(super) fn sha(row: &AnyRow, column: &str) -> Result<Sha> {
    let text: String = row.try_get(column)?;
    Sha::parse(&text).map_err(|error| StoreError::Stored(error.to_string()))
}

pub(super) fn json<T: serde::de::DeserializeOwned>(row: &AnyRow, column: &str) -> Result<T> {
    let text: String = row.try_get(column)?;
    Ok(serde_json::from_str(&text)?)
}

pub(super) fn count(row: &AnyRow, column: &str) -> Result<u32> {
    let value: i64 = row.try_get(column)?;
    Ok(u32::try_from(value).unwrap_or(0))
}

/// The start of a statement that reads repositories under the alias `r`.
macro_rules! select_repository {
    ($rest:literal) => {
        concat!(
            "SELECT r.id AS r_id, r.installation AS r_installation, r.owner AS r_owner, \
             r.name AS r_name, r.private AS r_private, r.default_branch AS r_default_branch ",
            $rest
        )
    };
}
pub(super) use select_repository;

pub(super) fn repository(row: &AnyRow) -> Result<Repository> {
    Ok(Repository {
        id: RepositoryId::from_stored(row.try_get::<String, _>("r_id")?),
        installation: InstallationId(row.try_get("r_installation")?),
        owner: row.try_get("r_owner")?,
        name: row.try_get("r_name")?,
        private: row.try_get::<i64, _>("r_private")? != 0,
        default_branch: row.try_get("r_default_branch")?,
    })
}

fn state(row: &AnyRow) -> Result<State> {
    let word: String = row.try_get("state")?;
    State::from_stored(&word).ok_or_else(|| unknown("state", &word))
}

pub(super) fn conclusion(row: &AnyRow) -> Result<Option<Conclusion>> {
    let word: Option<String> = row.try_get("conclusion")?;
    word.map(|word| Conclusion::from_stored(&word).ok_or_else(|| unknown("conclusion", &word)))
        .transpose()
}

pub(super) fn build(row: &AnyRow) -> Result<Build> {
    Ok(Build {
        id: BuildId::from_stored(row.try_get::<String, _>("id")?),
        number: row.try_get("number")?,
        commit: sha(row, "commit_id")?,
        tested: sha(row, "tested")?,
        specification: row.try_get("specification")?,
        trust: Trust::from_stored(&row.try_get::<String, _>("trust")?),
        delivery: row.try_get("delivery")?,
        occasion: json::<Occasion>(row, "occasion")?,
        sender: PersonId(row.try_get("sender")?),
        state: state(row)?,
        conclusion: conclusion(row)?,
        attempt: count(row, "attempt")?,
        plan: json(row, "preparation")?,
        reason: row.try_get("reason")?,
        created_ms: row.try_get("created_ms")?,
        started_ms: row.try_get("started_ms")?,
        finished_ms: row.try_get("finished_ms")?,
        revision: row.try_get("revision")?,
    })
}

/// A job; its result and who approved it where the row has those columns.
pub(super) fn job(row: &AnyRow) -> Result<Job> {
    let result: Option<String> = row.try_get("result").unwrap_or(None);
    let approved_by: Option<i64> = row.try_get("approved_by").unwrap_or(None);
    let approval = match approved_by {
        Some(person) => Some(DeployApproval {
            person: PersonId(person),
            at_ms: row.try_get("approved_ms")?,
        }),
        None => None,
    };
    Ok(Job {
        id: JobId::from_stored(row.try_get::<String, _>("id")?),
        build: BuildId::from_stored(row.try_get::<String, _>("build")?),
        key: row.try_get("key")?,
        name: row.try_get("name")?,
        position: row.try_get("position")?,
        attempt: count(row, "attempt")?,
        state: state(row)?,
        conclusion: conclusion(row)?,
        order: json(row, "job_order")?,
        steps: json(row, "steps")?,
        queued_ms: row.try_get("queued_ms")?,
        started_ms: row.try_get("started_ms")?,
        finished_ms: row.try_get("finished_ms")?,
        result: result.as_deref().map(serde_json::from_str).transpose()?,
        approval,
    })
}

/// Loads a repository by id.
pub(super) async fn load_repository(
    on: &mut AnyConnection,
    id: &RepositoryId,
) -> Result<Option<Repository>> {
    sqlx::query(select_repository!("FROM repositories r WHERE r.id = $1"))
        .bind(id.as_str())
        .fetch_optional(on)
        .await?
        .as_ref()
        .map(repository)
        .transpose()
}

/// Loads the newest attempts of a build's jobs, in the order of the plan.
pub(super) async fn load_jobs(on: &mut AnyConnection, build: &str) -> Result<Vec<Job>> {
    sqlx::query(
        "SELECT j.*, x.result, a.person AS approved_by, a.at_ms AS approved_ms FROM jobs j \
         LEFT JOIN job_results x ON x.job = j.id \
         LEFT JOIN deploy_approvals a ON a.build = j.build AND a.job = j.key \
         WHERE j.build = $1 AND j.newest = 1 ORDER BY j.position",
    )
    .bind(build)
    .fetch_all(on)
    .await?
    .iter()
    .map(job)
    .collect()
}

/// Loads the attempts of a build's jobs that are past, in the order of the plan, the newest first.
pub(super) async fn load_former(on: &mut AnyConnection, build: &BuildId) -> Result<Vec<Job>> {
    sqlx::query(
        "SELECT j.*, x.result FROM jobs j LEFT JOIN job_results x ON x.job = j.id \
         WHERE j.build = $1 AND j.newest = 0 ORDER BY j.position, j.attempt DESC LIMIT 200",
    )
    .bind(build.as_str())
    .fetch_all(on)
    .await?
    .iter()
    .map(job)
    .collect()
}

/// Loads a build by id.
pub(super) async fn load_build(on: &mut AnyConnection, id: &str) -> Result<Option<Build>> {
    sqlx::query("SELECT * FROM builds WHERE id = $1")
        .bind(id)
        .fetch_optional(on)
        .await?
        .as_ref()
        .map(build)
        .transpose()
}

/// A new id: unique, ordered by time, lower-case hex.
pub(super) fn new_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}
