//! What the App asks for: `app-manifest.yml`.

use saphyr::{LoadableYamlNode, Yaml};
use serde_json::{Map, Value, json};

use crate::domain::Proposal;

/// The manifest as it stands in the repository.
pub const MANIFEST: &str = include_str!("../../app-manifest.yml");

/// The manifest of such an App, as GitHub takes it ("Registering a GitHub App from a manifest").
pub fn manifest_of(proposal: &Proposal) -> Value {
    let public = &proposal.home.public_url;
    let permissions: Map<String, Value> = manifest_permissions(MANIFEST)
        .into_iter()
        .map(|(name, level)| (name, Value::String(level)))
        .collect();
    json!({
        "name": proposal.name,
        "url": public,
        "description": "Builds pull requests and tells people what happened.",
        "hook_attributes": {"url": format!("{public}/webhooks/github"), "active": true},
        // Where the browser came from: only the webhook has to be reached from GitHub.
        "redirect_url": format!("{}/setup/done", proposal.origin),
        "callback_urls": [format!("{public}/login/callback")],
        "setup_url": format!("{public}/setup/next"),
        "setup_on_update": false,
        "request_oauth_on_install": false,
        "public": proposal.public,
        "default_permissions": permissions,
        "default_events": manifest_events(MANIFEST),
    })
}

/// The permissions with `read` or `write`, by name.
pub fn manifest_permissions(manifest: &str) -> Vec<(String, String)> {
    let documents = Yaml::load_from_str(manifest).unwrap_or_default();
    let Some(permissions) = documents
        .first()
        .and_then(|document| document.as_mapping_get("default_permissions"))
        .and_then(|permissions| permissions.as_mapping())
    else {
        return Vec::new();
    };
    permissions
        .iter()
        .filter_map(|(name, level)| Some((name.as_str()?.to_owned(), level.as_str()?.to_owned())))
        .collect()
}

/// The events by name.
pub fn manifest_events(manifest: &str) -> Vec<String> {
    let documents = Yaml::load_from_str(manifest).unwrap_or_default();
    let Some(events) = documents
        .first()
        .and_then(|document| document.as_mapping_get("default_events"))
        .and_then(|events| events.as_vec())
    else {
        return Vec::new();
    };
    events
        .iter()
        .filter_map(|event| event.as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{MANIFEST, manifest_events, manifest_permissions};
    use crate::domain::Event;
    use crate::github::read_event;

    #[test]
    fn the_app_asks_for_the_permissions_of_the_contract() {
        let asked = manifest_permissions(MANIFEST);
        let expected = [
            ("actions", "read"),
            ("checks", "write"),
            ("contents", "read"),
            ("deployments", "write"),
            ("merge_queues", "read"),
            ("metadata", "read"),
            ("pull_requests", "write"),
            ("statuses", "write"),
        ]
        .map(|(name, level)| (name.to_owned(), level.to_owned()));
        assert_eq!(asked, expected);
    }

    #[test]
    fn every_event_that_is_read_is_subscribed_to() {
        let events = manifest_events(MANIFEST);
        // These two reach every App unasked.
        let unasked = ["installation", "installation_repositories"];
        for event in [
            "pull_request",
            "push",
            "check_run",
            "check_suite",
            "repository",
            "installation",
            "installation_repositories",
        ] {
            let read = read_event("github.com", event, "{}");
            let known =
                !matches!(read, Ok(Event::Ignored { reason }) if reason.starts_with("an event"));
            assert!(known, "{event} is not read");
            assert!(
                unasked.contains(&event) || events.iter().any(|asked| asked == event),
                "{event} is not subscribed to"
            );
        }
    }
}
