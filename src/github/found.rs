//! What is read from GitHub to find out what was missed: deliveries, open pull requests, and what
//! `herald doctor` asks for.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::forge::{GitHub, list, list_at};
use super::limit::Urgency;
use super::payload::{PullRow, RepositoryRow, is_object};
use super::who::As;
use crate::domain::{PullRequest, Repository};
use crate::ports::error::Result;
use crate::ports::forge::{ListedDelivery, RecoveredDelivery};
use crate::ports::{Kind, PortError};

/// As the App, after everything else.
fn in_background() -> As {
    As::APP.when(Urgency::Background)
}

#[derive(Deserialize)]
struct DeliveryRow {
    id: u64,
    guid: String,
    event: String,
    delivered_at: String,
    #[serde(default)]
    status_code: i64,
}

#[derive(Deserialize)]
struct DeliveryDetails {
    #[serde(default)]
    request: DeliveryRequest,
}

#[derive(Deserialize, Default)]
struct DeliveryRequest {
    // Null where GitHub does not keep it any more.
    #[serde(default)]
    payload: Value,
}

/// Where the App's deliveries go, as GitHub has it.
#[derive(Debug, Deserialize)]
pub struct HookConfig {
    /// The address; `None` where the webhook is off.
    #[serde(default)]
    pub url: Option<String>,
    /// `json` or `form`.
    #[serde(default)]
    pub content_type: Option<String>,
    /// `"0"` where the certificate is looked at; a number or a text.
    #[serde(default)]
    pub insecure_ssl: Value,
}

/// An installation of the App.
#[derive(Debug, Deserialize)]
pub struct InstallationInfo {
    /// Its id.
    pub id: i64,
    /// Whose it is.
    #[serde(default)]
    pub account: Option<AccountInfo>,
    /// The permissions that were accepted, with `read` or `write`.
    #[serde(default)]
    pub permissions: BTreeMap<String, String>,
    /// When it was suspended, if it is.
    #[serde(default)]
    pub suspended_at: Option<String>,
}

/// An account.
#[derive(Debug, Deserialize)]
pub struct AccountInfo {
    /// Its name.
    #[serde(default)]
    pub login: String,
}

/// How much of the primary limit is left.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct RateLeft {
    /// Requests an hour.
    pub limit: u64,
    /// Those that are left.
    pub remaining: u64,
}

#[derive(Deserialize)]
struct Rates {
    resources: Resources,
}

#[derive(Deserialize)]
struct Resources {
    core: RateLeft,
}

impl GitHub {
    pub(super) async fn list_deliveries(
        &self,
        cursor: Option<&str>,
    ) -> Result<(Vec<ListedDelivery>, Option<String>)> {
        let path = match cursor {
            Some(cursor) => format!("/app/hook/deliveries?per_page=100&cursor={cursor}"),
            None => "/app/hook/deliveries?per_page=100".to_owned(),
        };
        let (rows, next): (Vec<DeliveryRow>, _) =
            self.client().page(in_background(), &path).await?;
        let listed = rows
            .into_iter()
            .map(|row| {
                let at = chrono::DateTime::parse_from_rfc3339(&row.delivered_at).map_err(|_| {
                    PortError::transient(format!("understand when delivery {} was made", row.guid))
                })?;
                Ok(ListedDelivery {
                    id: row.id,
                    guid: row.guid,
                    event: row.event,
                    delivered_ms: at.timestamp_millis(),
                    arrived: (200..300).contains(&row.status_code),
                })
            })
            .collect::<Result<_>>()?;
        Ok((listed, next))
    }

    pub(super) async fn read_delivery(&self, id: u64) -> Result<RecoveredDelivery> {
        let path = format!("/app/hook/deliveries/{id}");
        let found: DeliveryDetails = self
            .client()
            .json(in_background(), Method::GET, &path, None)
            .await?;
        Ok(match found.request.payload {
            payload @ Value::Object(_) => RecoveredDelivery::Body(payload.to_string()),
            // A webhook that is set to `form` keeps the JSON as text.
            Value::String(text) if is_object(&text) => RecoveredDelivery::Body(text),
            _ => RecoveredDelivery::Unreadable,
        })
    }

    pub(super) async fn redeliver_one(&self, id: u64) -> Result<()> {
        let path = format!("/app/hook/deliveries/{id}/attempts");
        self.client()
            .send(in_background(), Method::POST, &path, None)
            .await
    }

    pub(super) async fn read_repository(&self, repository: &Repository) -> Result<Repository> {
        let path = format!("/repos/{}/{}", repository.owner, repository.name);
        let who = As::in_repository(repository).when(Urgency::Background);
        let row: RepositoryRow = self.client().json(who, Method::GET, &path, None).await?;
        let found = row.read(self.host(), repository.installation);
        if found.id == repository.id {
            Ok(found)
        } else {
            let message = format!("find {}: its name has changed hands", repository.id);
            Err(PortError::new(Kind::Gone, message))
        }
    }

    pub(super) async fn list_open_pulls(
        &self,
        repository: &Repository,
    ) -> Result<Vec<PullRequest>> {
        let path = format!(
            "/repos/{}/{}/pulls?state=open",
            repository.owner, repository.name
        );
        let who = As::in_repository(repository).when(Urgency::Background);
        let rows: Vec<PullRow> = self.client().pages(who, &path, list).await?;
        rows.iter().map(|row| row.read(self.host())).collect()
    }

    /// Where deliveries go.
    ///
    /// # Errors
    /// As the kinds say.
    pub async fn hook(&self) -> Result<HookConfig> {
        self.client()
            .json(As::APP, Method::GET, "/app/hook/config", None)
            .await
    }

    /// All installations of the App.
    ///
    /// # Errors
    /// As the kinds say.
    pub async fn installations(&self) -> Result<Vec<InstallationInfo>> {
        self.client()
            .pages(As::APP, "/app/installations", list)
            .await
    }

    /// How many repositories an installation reaches: a request with a token of its own.
    ///
    /// # Errors
    /// As the kinds say.
    pub async fn reach(&self, installation: &InstallationInfo) -> Result<usize> {
        let who = As::installation(crate::domain::InstallationId(installation.id));
        let repositories: Vec<Value> = self
            .client()
            .pages(who, "/installation/repositories", list_at("repositories"))
            .await?;
        Ok(repositories.len())
    }

    /// How much an installation may still ask for in this hour; `None` where there is no limit, as
    /// on most Enterprise Servers.
    ///
    /// # Errors
    /// As the kinds say.
    pub async fn rate_left(&self, installation: &InstallationInfo) -> Result<Option<RateLeft>> {
        let who = As::installation(crate::domain::InstallationId(installation.id));
        let asked = self.client().json(who, Method::GET, "/rate_limit", None);
        match asked.await {
            Ok(Rates { resources }) => Ok(Some(resources.core)),
            Err(error) if error.kind == Kind::Gone => Ok(None),
            Err(error) => Err(error),
        }
    }
}
