//! A Docker Engine: the connection, its errors in words, names and labels.

use std::collections::HashMap;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, Docker};

use crate::ports::error::{PortError, Result};
use crate::ports::executor::{JobOrder, Purpose};

/// The longest name of a container or service, in bytes: Swarm's limit.
const NAME: usize = 63;
/// How long a request may wait for its answer, in seconds.
const PATIENCE: u64 = 120;

/// Where the runner is in a container.
pub(super) const RUNNER_FOLDER: &str = "/.herald";
/// Its program.
pub(super) const RUNNER: &str = "/.herald/herald-runner";
/// The label that tells whose container something is.
pub(super) const INSTANCE: &str = "herald.instance";
/// The label with the id of the attempt.
pub(super) const JOB: &str = "herald.job";

/// Networks that tell a cloud's machines about themselves, and hand out their credentials: AWS,
/// Google and Azure by link-local addresses, Alibaba, Oracle, AWS by IPv6.
pub(super) const METADATA: [&str; 4] = [
    "169.254.0.0/16",
    "100.100.100.200/32",
    "192.0.0.192/32",
    "fd00:ec2::254/128",
];

/// Connects to the Engine at `host`: `unix:///path` or `http://address`.
///
/// # Errors
/// `Refused` with the way out.
pub(super) async fn connect(host: &str) -> Result<Docker> {
    let docker = if let Some(path) = host.strip_prefix("unix://") {
        Docker::connect_with_unix(path, PATIENCE, API_DEFAULT_VERSION)
    } else {
        Docker::connect_with_http(host, PATIENCE, API_DEFAULT_VERSION)
    };
    let failed = |error: Error| {
        PortError::transient(format!(
            "reach the Docker Engine at {host}: {}; is it running, and may Herald use it? \
             HERALD_DOCKER_HOST names another one",
            words(&error)
        ))
    };
    docker
        .map_err(failed)?
        .negotiate_version()
        .await
        .map_err(failed)
}

/// What an error of the Engine says.
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        Error::DockerStreamError { error } => error.trim().to_owned(),
        Error::RequestTimeoutError => "it does not answer".to_owned(),
        other => other.to_string(),
    }
}

/// Whether the Engine says that there is no such thing.
pub(super) fn is_gone(error: &Error) -> bool {
    matches!(
        error,
        Error::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}

/// An error while doing something for a job.
pub(super) fn failed(what: &str, error: &Error) -> PortError {
    let said = words(error);
    if said.contains("no space left on device") {
        return PortError::transient(format!(
            "{what}: the disk of the Docker Engine is full; free some of it (docker system prune)"
        ));
    }
    match error {
        Error::DockerResponseServerError {
            status_code: 400, ..
        } => PortError::refused(format!("{what}: {said}")),
        _ => PortError::transient(format!("{what}: {said}")),
    }
}

/// `herald-OWNER-REPO-7-ID`: what it is for, cut where it is too long, and the id.
pub(super) fn name(purpose: &Purpose, id: &str) -> String {
    let subject = match (&purpose.pull_request, &purpose.branch) {
        (Some(number), _) => number.to_string(),
        (None, Some(branch)) => branch.clone(),
        (None, None) => String::new(),
    };
    let text = format!("{}-{}-{subject}", purpose.owner, purpose.repository);
    let mut slug = String::from("herald");
    let room = NAME.saturating_sub(slug.len() + id.len() + 2);
    let words: Vec<String> = text
        .split(|char: char| !char.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let middle: String = words.join("-").chars().take(room).collect();
    let middle = middle.trim_matches('-');
    if !middle.is_empty() {
        slug.push('-');
        slug.push_str(middle);
    }
    format!("{slug}-{id}")
}

/// The labels of everything that is made for a job.
pub(super) fn labels(instance: &str, order: &JobOrder) -> HashMap<String, String> {
    let purpose = &order.purpose;
    let mut labels = HashMap::from([
        (INSTANCE.to_owned(), instance.to_owned()),
        (JOB.to_owned(), order.id.clone()),
        (
            "herald.repo".to_owned(),
            format!("{}/{}", purpose.owner, purpose.repository),
        ),
        ("herald.sha".to_owned(), purpose.commit.clone()),
    ]);
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            labels.insert(format!("herald.{name}"), value);
        }
    };
    put(
        "pull_request",
        purpose.pull_request.map(|number| number.to_string()),
    );
    put("branch", purpose.branch.clone());
    put("build", purpose.build.map(|number| number.to_string()));
    put(
        "installation",
        purpose.installation.map(|number| number.to_string()),
    );
    labels
}

/// The filter for everything of one instance, or of one of its jobs.
pub(super) fn filter(instance: &str, job: Option<&str>) -> HashMap<String, Vec<String>> {
    let mut labels = vec![format!("{INSTANCE}={instance}")];
    labels.extend(job.map(|job| format!("{JOB}={job}")));
    HashMap::from([("label".to_owned(), labels)])
}

#[cfg(test)]
mod tests {
    use super::name;
    use crate::ports::executor::Purpose;

    #[test]
    fn names_are_short_plain_and_keep_the_id() {
        let mut purpose = Purpose {
            owner: "Octo".to_owned(),
            repository: "my_project.rs".to_owned(),
            pull_request: Some(7),
            ..Purpose::default()
        };
        let id = "0191f0c8a7";
        assert_eq!(name(&purpose, id), "herald-octo-my-project-rs-7-0191f0c8a7");
        purpose.repository = "x".repeat(100);
        assert_eq!(name(&purpose, id).len(), 63);
        assert!(name(&purpose, id).ends_with(id));
        assert_eq!(name(&Purpose::default(), id), "herald-0191f0c8a7");
    }
}
