//! Container images: fetched with the operator's login where that is allowed, and pinned.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::TryStreamExt;
use serde::Deserialize;

use super::engine::{failed, words};
use crate::ports::error::{PortError, Result};

/// For so long an image that was fetched is not asked for again.
const FRESH: Duration = Duration::from_mins(1);
/// The registry of names without one, as logins call it.
const HUB: &str = "https://index.docker.io/v1/";

/// An image that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    /// What to run: the Engine's id of it.
    pub(super) id: String,
    /// What it is, pinned: `name@sha256:…`, or the id where it has no digest.
    pub(super) pinned: String,
    /// Its `USER`.
    pub(super) user: String,
    /// Its environment.
    pub(super) environment: Vec<(String, String)>,
    /// Words for the log, where it is not quite what was asked for.
    pub(super) note: Option<String>,
}

/// Logins by registry, from a file as `docker login` writes it.
#[derive(Clone, Default)]
pub struct Logins(HashMap<String, (String, String)>);

impl std::fmt::Debug for Logins {
    /// The registries, and nothing that opens them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[derive(Deserialize)]
struct LoginFile {
    #[serde(default)]
    auths: HashMap<String, Login>,
}

#[derive(Deserialize)]
struct Login {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

impl Logins {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it, without its content.
    pub fn read(file: &Path) -> std::result::Result<Self, String> {
        let shown = file.display();
        let text =
            std::fs::read_to_string(file).map_err(|error| format!("read {shown}: {error}"))?;
        let found: LoginFile = serde_json::from_str(&text).map_err(|error| {
            format!(
                "read {shown}: it is not as `docker login` writes it (line {}, column {})",
                error.line(),
                error.column()
            )
        })?;
        let mut logins = HashMap::new();
        for (registry, login) in found.auths {
            let pair = match (login.username, login.password, login.auth) {
                (Some(user), Some(password), _) => Some((user, password)),
                (_, _, Some(auth)) => STANDARD
                    .decode(auth.trim())
                    .ok()
                    .and_then(|bytes| String::from_utf8(bytes).ok())
                    .and_then(|text| {
                        let (user, password) = text.split_once(':')?;
                        Some((user.to_owned(), password.to_owned()))
                    }),
                _ => None,
            };
            let pair = pair.ok_or_else(|| {
                format!(
                    "read {shown}: the login for {registry} has no password; logins that a helper \
                     program keeps cannot be used"
                )
            })?;
            logins.insert(registry, pair);
        }
        Ok(Self(logins))
    }

    pub(super) fn of(&self, image: &str) -> Option<DockerCredentials> {
        let registry = registry(image);
        let (name, (user, password)) = self.0.iter().find(|(name, _)| {
            let plain = name
                .trim_start_matches("https://")
                .trim_start_matches("http://");
            **name == registry || plain.split('/').next() == Some(registry.as_str())
        })?;
        Some(DockerCredentials {
            username: Some(user.clone()),
            password: Some(password.clone()),
            serveraddress: Some(name.clone()),
            ..DockerCredentials::default()
        })
    }
}

/// The registry of an image's name: the part before the first `/`, if it looks like a host.
fn registry(image: &str) -> String {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host.to_owned(),
        _ => HUB.to_owned(),
    }
}

/// The name with its tag: `latest` where there is none.
fn tagged(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains([':', '@']) {
        image.to_owned()
    } else {
        format!("{image}:latest")
    }
}

/// Whether a name says exactly which image it means.
fn is_pinned(image: &str) -> bool {
    image.contains("@sha256:")
}

/// Whether the operator's login may be used for an image.
fn is_trusted(image: &str, login_images: Option<&[String]>) -> bool {
    login_images.is_none_or(|images| images.iter().any(|known| known == image))
}

/// Fetches images, and remembers for a short time which ones it has.
#[derive(Debug, Default)]
pub(super) struct Images {
    logins: Logins,
    fetched: Mutex<HashMap<(String, bool), (Instant, Image)>>,
}

impl Images {
    pub(super) fn new(logins: Logins) -> Self {
        Self {
            logins,
            fetched: Mutex::default(),
        }
    }

    /// The login for an image; `None` without one, or where `login_images` does not name it.
    pub(super) fn login(
        &self,
        image: &str,
        login_images: Option<&[String]>,
    ) -> Option<DockerCredentials> {
        self.logins
            .of(image)
            .filter(|_| is_trusted(image, login_images))
    }

    /// Fetches an image.
    ///
    /// # Errors
    /// `Gone`: there is none; `Denied`: the registry does not give it; both by the fault of who
    /// named it. `Transient`: it may work later.
    pub(super) async fn fetch(
        &self,
        docker: &Docker,
        image: &str,
        login_images: Option<&[String]>,
    ) -> Result<Image> {
        let trusted = is_trusted(image, login_images);
        let key = (image.to_owned(), trusted);
        let fresh = self.fetched.lock().ok().and_then(|fetched| {
            let (at, image) = fetched.get(&key)?;
            (at.elapsed() < FRESH).then(|| image.clone())
        });
        if let Some(image) = fresh
            && docker.inspect_image(&image.id).await.is_ok()
        {
            return Ok(image);
        }
        let found = self.find(docker, image, trusted).await?;
        if let Ok(mut fetched) = self.fetched.lock() {
            fetched.retain(|_, (at, _)| at.elapsed() < FRESH);
            fetched.insert(key, (Instant::now(), found.clone()));
        }
        Ok(found)
    }

    async fn find(&self, docker: &Docker, image: &str, trusted: bool) -> Result<Image> {
        if trusted
            && is_pinned(image)
            && let Ok(found) = inspect(docker, image).await
        {
            return Ok(found);
        }
        let credentials = self.logins.of(image).filter(|_| trusted);
        let options = CreateImageOptionsBuilder::default()
            .from_image(&tagged(image))
            .build();
        let pulled = docker
            .create_image(Some(options), None, credentials)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await;
        let Err(error) = pulled else {
            return inspect(docker, image).await;
        };
        // A copy that is here already is not for somebody who cannot fetch it.
        if trusted && let Ok(mut found) = inspect(docker, image).await {
            found.note = Some(format!(
                "the image {image} could not be fetched ({}); the copy on this machine is used",
                words(&error)
            ));
            return Ok(found);
        }
        Err(unfetched(image, &error))
    }
}

async fn inspect(docker: &Docker, image: &str) -> Result<Image> {
    let found = docker
        .inspect_image(image)
        .await
        .map_err(|error| failed(&format!("use the image {image}"), &error))?;
    let id = found.id.unwrap_or_default();
    let name = image.split('@').next().unwrap_or(image);
    let bare = match name.rsplit_once(':') {
        Some((bare, tag)) if !tag.contains('/') => bare,
        _ => name,
    };
    let digests = found.repo_digests.unwrap_or_default();
    let pinned = digests
        .iter()
        .find(|digest| digest.split('@').next().is_some_and(|name| name == bare))
        .or_else(|| digests.first())
        .cloned()
        .unwrap_or_else(|| id.clone());
    let config = found.config.unwrap_or_default();
    Ok(Image {
        id,
        pinned,
        user: config.user.unwrap_or_default(),
        environment: config
            .env
            .unwrap_or_default()
            .iter()
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        note: None,
    })
}

/// Why an image cannot be had, in words for who named it.
fn unfetched(image: &str, error: &Error) -> PortError {
    let said = words(error);
    let has = |parts: &[&str]| parts.iter().any(|part| said.contains(part));
    let registry = match registry(image).as_str() {
        HUB => "Docker Hub".to_owned(),
        other => other.to_owned(),
    };
    if has(&["manifest unknown", "manifest for"]) {
        return PortError::gone(format!(
            "fetch the image {image}: {registry} has no such tag"
        ));
    }
    if has(&["name unknown", "repository name not known"]) {
        return PortError::gone(format!(
            "fetch the image {image}: {registry} has no such image"
        ));
    }
    if has(&["invalid reference format"]) {
        return PortError::gone(format!(
            "fetch the image {image}: that is no name of an image"
        ));
    }
    if has(&[
        "pull access denied",
        "unauthorized",
        "authentication required",
        "no basic auth credentials",
        "denied",
    ]) {
        return PortError::denied(format!(
            "fetch the image {image}: {registry} does not give it, or has none of that name; \
                 for a private image the operator sets HERALD_REGISTRY_AUTH_FILE, and builds of \
                 strangers use only images that the base branch names"
        ));
    }
    failed(&format!("fetch the image {image} from {registry}"), error)
}

#[cfg(test)]
mod tests {
    use super::{Logins, registry, tagged};

    #[test]
    fn names_of_images_are_understood() {
        assert_eq!(registry("python:3.12"), super::HUB);
        assert_eq!(registry("library/python"), super::HUB);
        assert_eq!(registry("ghcr.io/a/b:1"), "ghcr.io");
        assert_eq!(registry("localhost:5000/b"), "localhost:5000");
        assert_eq!(tagged("python"), "python:latest");
        assert_eq!(tagged("localhost:5000/b"), "localhost:5000/b:latest");
        assert_eq!(tagged("a@sha256:0"), "a@sha256:0");
    }

    #[test]
    fn logins_are_found_by_registry_and_never_printed_in_errors() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |text: &str| std::fs::write(file.path(), text).unwrap();
        write(
            r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpwOnE="},"r.io:5000":{"username":"a","password":"b"}}}"#,
        );
        let logins = Logins::read(file.path()).unwrap();
        let login = logins.of("python").unwrap();
        let shown = format!("{logins:?}");
        assert!(
            shown.contains("r.io:5000") && !shown.contains("p:q"),
            "{shown}"
        );
        assert_eq!(login.username.as_deref(), Some("u"));
        assert_eq!(login.password.as_deref(), Some("p:q"));
        assert!(logins.of("r.io:5000/x:1").is_some());
        assert!(logins.of("other.io/x").is_none());
        write(r#"{"auths":{"r.io":{"auth":12,"secret"#);
        let error = Logins::read(file.path()).unwrap_err();
        assert!(
            error.contains("line 1") && !error.contains("secret"),
            "{error}"
        );
        write(r#"{"auths":{"r.io":{}}}"#);
        assert!(Logins::read(file.path()).unwrap_err().contains("r.io"));
    }
}
