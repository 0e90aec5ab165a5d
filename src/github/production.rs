//! Deployments and promotions on GitHub. "Deployments", "Deployment statuses" and "Pull requests" in its REST documentation.

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::forge::{GitHub, at, list, who};
use super::limit::Urgency;
use super::who::As;
use crate::domain::{Deployment, DeploymentState, PromotionPull, Repository};
use crate::ports::Production;
use crate::ports::error::Result;
use crate::ports::production::FoundPull;
use crate::text::address;

/// Under which our mark stands in the payload of a deployment.
const MARK: &str = "herald";

#[derive(Deserialize)]
struct Id {
    id: u64,
}

#[derive(Deserialize)]
struct DeploymentRow {
    id: u64,
    /// An object, or text as whoever made it sent it.
    #[serde(default)]
    payload: Value,
}

#[derive(Deserialize)]
struct StateRow {
    state: String,
    #[serde(default)]
    description: Option<String>,
}

#[derive(Deserialize)]
struct PullRow {
    number: i64,
    title: String,
    #[serde(default)]
    body: Option<String>,
    head: EndRow,
    base: EndRow,
}

#[derive(Deserialize)]
struct EndRow {
    #[serde(rename = "ref")]
    name: String,
    #[serde(default)]
    repo: Option<RepoRow>,
}

#[derive(Deserialize)]
struct RepoRow {
    id: i64,
}

/// As urgent as what is told.
fn urgent(repository: &Repository, state: DeploymentState) -> As {
    who(repository).when(if state.is_over() {
        Urgency::Conclusion
    } else {
        Urgency::Progress
    })
}

#[async_trait]
impl Production for GitHub {
    async fn find_deployment(
        &self,
        repository: &Repository,
        mark: &str,
        deployment: &Deployment,
    ) -> Result<Option<String>> {
        let path = format!(
            "deployments?sha={}&environment={}",
            deployment.commit,
            address::part(&deployment.environment)
        );
        let who = urgent(repository, deployment.state);
        let rows: Vec<DeploymentRow> = self
            .client()
            .pages(who, &at(repository, &path), list)
            .await?;
        let found = rows
            .into_iter()
            .find(|row| row.payload.get(MARK).and_then(Value::as_str) == Some(mark));
        Ok(found.map(|row| row.id.to_string()))
    }

    async fn create_deployment(
        &self,
        repository: &Repository,
        mark: &str,
        deployment: &Deployment,
    ) -> Result<String> {
        let body = json!({
            "ref": deployment.commit,
            "environment": deployment.environment,
            "description": deployment.about,
            // The build has decided already, also whether the branch is up to date.
            "auto_merge": false,
            "required_contexts": [],
            "payload": {MARK: mark},
            "production_environment": deployment.is_production,
            "transient_environment": deployment.is_transient,
        });
        let who = urgent(repository, deployment.state);
        let path = at(repository, "deployments");
        let made: Id = self
            .client()
            .json(who, Method::POST, &path, Some(&body))
            .await?;
        Ok(made.id.to_string())
    }

    async fn deployment_stands(
        &self,
        repository: &Repository,
        id: &str,
        deployment: &Deployment,
    ) -> Result<bool> {
        let path = at(
            repository,
            &format!("deployments/{id}/statuses?per_page=30"),
        );
        let who = urgent(repository, deployment.state);
        // A later deployment may have made it inactive since it was told.
        let told: Vec<StateRow> = self.client().json(who, Method::GET, &path, None).await?;
        Ok(told.iter().any(|told| {
            told.state == deployment.state.as_str()
                && told.description.as_deref() == Some(deployment.description.as_str())
        }))
    }

    async fn set_deployment_state(
        &self,
        repository: &Repository,
        id: &str,
        deployment: &Deployment,
    ) -> Result<()> {
        let mut body = Map::new();
        body.insert("state".to_owned(), json!(deployment.state.as_str()));
        body.insert("description".to_owned(), json!(deployment.description));
        body.insert("log_url".to_owned(), json!(deployment.log_url));
        body.insert("auto_inactive".to_owned(), json!(true));
        if let Some(url) = &deployment.environment_url {
            body.insert("environment_url".to_owned(), json!(url));
        }
        let path = at(repository, &format!("deployments/{id}/statuses"));
        let who = urgent(repository, deployment.state);
        let body = Value::Object(body);
        self.client()
            .send(who, Method::POST, &path, Some(&body))
            .await
    }

    async fn find_promotion(
        &self,
        repository: &Repository,
        pull: &PromotionPull,
    ) -> Result<Option<FoundPull>> {
        let path = format!(
            "pulls?state=open&head={}&base={}",
            address::part(&format!("{}:{}", repository.owner, pull.from)),
            address::part(&pull.to)
        );
        let rows: Vec<PullRow> = self
            .client()
            .pages(who(repository), &at(repository, &path), list)
            .await?;
        // GitHub passes over a filter that it does not understand.
        let ours = |row: &PullRow| {
            row.head.name == pull.from
                && row.base.name == pull.to
                && row
                    .head
                    .repo
                    .as_ref()
                    .is_some_and(|repo| repo.id == repository.id.number())
        };
        Ok(rows.into_iter().find(ours).map(|row| FoundPull {
            number: row.number,
            title: row.title,
            body: row.body.unwrap_or_default(),
        }))
    }

    async fn open_promotion(&self, repository: &Repository, pull: &PromotionPull) -> Result<()> {
        let body = json!({
            "title": pull.title,
            "body": pull.part,
            "head": pull.from,
            "base": pull.to,
        });
        let path = at(repository, "pulls");
        self.client()
            .send(who(repository), Method::POST, &path, Some(&body))
            .await
    }

    async fn edit_pull(
        &self,
        repository: &Repository,
        number: i64,
        title: Option<&str>,
        body: &str,
    ) -> Result<()> {
        let mut changes = Map::new();
        changes.insert("body".to_owned(), json!(body));
        if let Some(title) = title {
            changes.insert("title".to_owned(), json!(title));
        }
        let path = at(repository, &format!("pulls/{number}"));
        let changes = Value::Object(changes);
        self.client()
            .send(who(repository), Method::PATCH, &path, Some(&changes))
            .await
    }
}
