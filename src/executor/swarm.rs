//! The `swarm` executor: a service of one task a job, on whatever node has room.
//!
//! Only the manager's socket is used; no node's own. The runner is on every node in a volume that a
//! global service fills (see `deploy/stack.yml`), and connects to the runner listener with a token
//! that a Swarm secret carries, together with the job's own secrets. It is the same runner as in
//! `docker`, and keeps what is not safe yet; so a job goes on when the connection breaks or Herald
//! is restarted. When its node is lost, so is the job: its token is good no more.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::Docker;
use bollard::models::SecretSpec;
use bollard::query_parameters::{
    InspectServiceOptions, ListSecretsOptionsBuilder, ListServicesOptionsBuilder,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::{OnceCell, mpsc};
use tokio::task::JoinHandle;

use super::container::environment;
use super::conversation::{Contents, Conversation, Obituary, Streams, Terms, meet};
use super::docker::received;
use super::engine::{METADATA, connect, failed, filter, is_gone, labels, name, words};
use super::gate::{Expected, Gate};
use super::image::{Image, Images, Logins};
use super::live::{Held, Live};
use super::service::{LOOK, Standing, obituary, remove, spec, standing};
use crate::domain::Secret;
use crate::ports::error::{PortError, Result};
use crate::ports::executor::{Abilities, Executor, JobEnd, JobEvent, JobOrder, Progress, Running};
use crate::protocol::{ArchiveKind, Confinement};

/// How long a runner that was at work may take to come back to a restarted server.
const BACK: Duration = Duration::from_mins(1);

/// How the `swarm` executor is set up.
#[derive(Debug, Clone)]
pub struct SwarmOptions {
    /// A manager's Engine: `unix:///var/run/docker.sock`.
    pub host: String,
    /// Where tasks reach the runner listener.
    pub address: SocketAddr,
    /// Logins of registries.
    pub logins: Logins,
    /// The operator's placement constraints, as in `node.labels.ci==true`.
    pub constraints: Vec<String>,
    /// The name of this Herald, on everything that it makes.
    pub instance: String,
    /// What tokens are made from; the same after a restart.
    pub key: Secret,
    /// How much of the disk a job may fill, in bytes.
    pub disk_bytes: u64,
}

/// Runs jobs as services of a Docker Swarm.
#[derive(Debug)]
pub struct SwarmExecutor {
    options: SwarmOptions,
    gate: Arc<Gate>,
    images: Images,
    docker: OnceCell<Docker>,
    live: Live,
}

/// A service with its secret; removed when dropped.
struct Service {
    docker: Docker,
    /// Its name, which is also that of the secret.
    name: String,
    _held: Held,
    /// Whether it is to run on.
    left: bool,
    /// Whose token is good as long as this lives.
    expected: Option<Expected>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.expected = None;
        if self.left {
            return;
        }
        let (docker, name) = (self.docker.clone(), self.name.clone());
        // Without a runtime the process is ending, and the next one sweeps.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { remove(&docker, &name).await });
        }
    }
}

impl SwarmExecutor {
    /// An executor whose runners come through `gate`.
    pub fn new(options: SwarmOptions, gate: Arc<Gate>) -> Self {
        Self {
            images: Images::new(options.logins.clone()),
            options,
            gate,
            docker: OnceCell::new(),
            live: Live::default(),
        }
    }

    /// Whether the Engine answers and manages a Swarm.
    ///
    /// # Errors
    /// What is wrong, with the way out.
    pub async fn check(&self) -> Result<()> {
        let docker = self.engine().await?;
        docker.inspect_swarm().await.map(|_| ()).map_err(|error| {
            PortError::refused(format!(
                "ask the Swarm: {}; the Engine at HERALD_DOCKER_HOST must be a manager: docker \
                 swarm init",
                words(&error)
            ))
        })
    }

    async fn engine(&self) -> Result<&Docker> {
        self.docker
            .get_or_try_init(|| connect(&self.options.host))
            .await
    }

    /// A token of an attempt: to come in with, or to come back with.
    fn token(&self, job: &str, back: bool) -> Result<String> {
        let key = self.options.key.expose().as_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(key)
            .map_err(|error| PortError::refused(format!("make a token: {error}")))?;
        mac.update(b"herald runner\0");
        mac.update(if back { b"back\0" } else { b"come\0" });
        mac.update(job.as_bytes());
        let bytes = mac.finalize().into_bytes();
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn hold(&self, docker: &Docker, order: &JobOrder, expected: Expected) -> Service {
        Service {
            docker: docker.clone(),
            name: name(&order.purpose, &order.id),
            _held: self.live.hold(&order.id),
            left: false,
            expected: Some(expected),
        }
    }

    async fn make_secret(&self, docker: &Docker, order: &JobOrder, token: &str) -> Result<String> {
        let content = serde_json::json!({ "token": token, "secrets": order.job.secrets });
        let spec = SecretSpec {
            name: Some(name(&order.purpose, &order.id)),
            labels: Some(labels(&self.options.instance, order)),
            data: Some(STANDARD.encode(content.to_string())),
            ..SecretSpec::default()
        };
        let made = docker
            .create_secret(spec)
            .await
            .map_err(|error| failed("make the secret of a job", &error))?;
        Ok(made.id)
    }

    fn terms(
        &self,
        order: &JobOrder,
        image: Option<&Image>,
        connections: mpsc::Receiver<Streams>,
        obituary: Obituary,
        folder: PathBuf,
    ) -> Terms {
        let mut job = order.job.clone();
        "/workspace".clone_into(&mut job.workspace);
        "/scratch".clone_into(&mut job.scratch);
        // They come with the Swarm's secret.
        job.secrets = Vec::new();
        if let Some(image) = image {
            job.environment = environment(&image.environment, &job.environment);
            job.confinement = Some(Confinement {
                user: image.user.clone(),
                blocked: METADATA.into_iter().map(str::to_owned).collect(),
                disk_bytes: self.options.disk_bytes,
            });
        }
        let cache = order.cache.clone().map(Contents::File);
        job.archives = std::iter::once(ArchiveKind::Checkout)
            .chain(cache.iter().map(|_| ArchiveKind::Cache))
            .collect();
        let mut before = Vec::new();
        if let Some(image) = image {
            before.push(JobEvent::Image(image.pinned.clone()));
        }
        Terms {
            job,
            folder,
            archives: std::iter::once(Contents::Folder(order.workspace.clone()))
                .chain(cache)
                .collect(),
            before,
            obituary,
            connections: Some(connections),
            token: self.token(&order.id, true).ok(),
            confirms: true,
        }
    }
}

#[async_trait]
impl Executor for SwarmExecutor {
    fn name(&self) -> &'static str {
        "swarm"
    }

    fn isolates(&self) -> bool {
        true
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            images: true,
            services: false,
            ports: false,
            // The runner needs its way to the server.
            network_none: false,
        }
    }

    async fn start(&self, order: JobOrder) -> Result<Box<dyn Running>> {
        let docker = self.engine().await?;
        let Some(wanted) = &order.image else {
            return Err(PortError::gone("start a service: the job names no `image`"));
        };
        let login_images = order.login_images.as_deref();
        let image = self.images.fetch(docker, wanted, login_images).await?;
        // Only what a registry knows by its digest is the same on every node.
        let pinned = if image.pinned.contains('@') {
            image.pinned.clone()
        } else {
            wanted.clone()
        };
        let folder = received(&order)?;
        let token = self.token(&order.id, false)?;
        let first = Gate::expect(&self.gate, &token);
        let back = self.token(&order.id, true)?;
        let (expected, connections) = Gate::expect(&self.gate, &back);
        let service = self.hold(docker, &order, expected);
        let secret = self.make_secret(docker, &order, &token).await?;
        let login = self.images.login(wanted, login_images);
        docker
            .create_service(spec(&self.options, &order, &pinned, secret), login)
            .await
            .map_err(|error| failed("make the service of a job", &error))?;
        let obituary = obituary(docker.clone(), service.name.clone());
        // The connections are handed on once the first one has come.
        let none = mpsc::channel(1).1;
        let terms = self.terms(&order, Some(&image), none, obituary, folder.clone());
        let (notes_out, notes) = mpsc::channel(8);
        if let Some(note) = image.note.clone() {
            let _ = notes_out.send(note).await;
        }
        let waiting = tokio::spawn(wait(
            docker.clone(),
            service.name.clone(),
            first,
            connections,
            terms,
            notes_out,
        ));
        Ok(Box::new(SwarmJob {
            notes,
            stage: Stage::Waiting(waiting),
            cancelled: None,
            service,
            folder,
        }))
    }

    async fn attach(
        &self,
        order: JobOrder,
        progress: &Progress,
    ) -> Result<Option<Box<dyn Running>>> {
        let docker = self.engine().await?;
        let name = name(&order.purpose, &order.id);
        let found = docker
            .inspect_service(&name, None::<InspectServiceOptions>)
            .await;
        match found {
            Ok(_) => {}
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(failed("look for the service of a job", &error)),
        }
        let token = self.token(&order.id, true)?;
        let (expected, mut connections) = Gate::expect(&self.gate, &token);
        let mut service = self.hold(docker, &order, expected);
        // Before its first step, everything is done again from the beginning.
        if progress.position == 0 {
            return Ok(None);
        }
        // Who gives up waiting for the answer has not given up the job.
        service.left = true;
        let folder = received(&order)?;
        let mut lost = obituary(docker.clone(), name);
        let streams = tokio::select! {
            streams = connections.recv() => streams,
            _ = lost.as_mut() => None,
            () = tokio::time::sleep(BACK) => None,
        };
        let Some(streams) = streams else {
            service.left = false;
            return Ok(None);
        };
        let terms = self.terms(&order, None, connections, lost, folder.clone());
        let resumed =
            Conversation::resume(streams, terms, &progress.into(), progress.position).await;
        service.left = false;
        match resumed {
            Ok(conversation) => Ok(Some(Box::new(SwarmJob {
                notes: mpsc::channel(1).1,
                stage: Stage::Talking(conversation),
                cancelled: None,
                service,
                folder,
            }))),
            Err(reason) => {
                tracing::warn!(job = order.id, "failed to attach to a job: {reason}");
                Ok(None)
            }
        }
    }

    async fn sweep(&self, keep: &[String]) -> Result<()> {
        let docker = self.engine().await?;
        let wanted = filter(&self.options.instance, None);
        let services = ListServicesOptionsBuilder::default()
            .filters(&wanted)
            .build();
        let services = docker
            .list_services(Some(services))
            .await
            .map_err(|error| failed("list the services of jobs", &error))?;
        for spec in services.into_iter().filter_map(|service| service.spec) {
            if !self.live.stays(spec.labels.as_ref(), keep)
                && let Some(name) = spec.name
            {
                remove(docker, &name).await;
            }
        }
        let secrets = ListSecretsOptionsBuilder::default()
            .filters(&wanted)
            .build();
        let secrets = docker
            .list_secrets(Some(secrets))
            .await
            .map_err(|error| failed("list the secrets of jobs", &error))?;
        for secret in secrets {
            let labels = secret.spec.as_ref().and_then(|spec| spec.labels.as_ref());
            if !self.live.stays(labels, keep)
                && let Some(id) = secret.id
            {
                let _ = docker.delete_secret(&id).await;
            }
        }
        Ok(())
    }
}

/// Waits for the runner to come, telling what the scheduler says meanwhile.
///
/// # Errors
/// Words for `Lost`.
async fn wait(
    docker: Docker,
    service: String,
    first: (Expected, mpsc::Receiver<Streams>),
    connections: mpsc::Receiver<Streams>,
    mut terms: Terms,
    notes: mpsc::Sender<String>,
) -> std::result::Result<Conversation, String> {
    let (expected, mut coming) = first;
    let mut said = None;
    let mut look = tokio::time::interval(LOOK);
    let streams = loop {
        tokio::select! {
            streams = coming.recv() => match streams {
                Some(streams) => break streams,
                None => return Err("the gate was closed".to_owned()),
            },
            _ = look.tick() => match standing(&docker, &service).await {
                Some(Standing::Over(reason)) => return Err(reason),
                Some(Standing::Fine(Some(words))) if said.as_ref() != Some(&words) => {
                    let _ = notes.send(format!("waiting for room: {words}")).await;
                    said = Some(words);
                }
                _ => {}
            },
        }
    };
    // A step can read the secret that the first token came in.
    drop(expected);
    let (receiver, output) = meet(streams, terms.token.as_deref())
        .await
        .map_err(|error| {
            error.map_or_else(
                || "the runner came and did not speak".to_owned(),
                |error| error.message,
            )
        })?;
    terms.connections = Some(connections);
    Ok(Conversation::begin(receiver, output, terms))
}

enum Stage {
    /// The task is not there yet.
    Waiting(JoinHandle<std::result::Result<Conversation, String>>),
    Talking(Conversation),
    /// `Finished` was given out.
    Over,
}

/// A job as a service.
struct SwarmJob {
    notes: mpsc::Receiver<String>,
    stage: Stage,
    /// Why it is to end, when that was said before the runner came.
    cancelled: Option<String>,
    service: Service,
    folder: PathBuf,
}

impl Drop for SwarmJob {
    fn drop(&mut self) {
        if let Stage::Waiting(waiting) = &self.stage {
            waiting.abort();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[async_trait]
impl Running for SwarmJob {
    async fn next(&mut self) -> Option<JobEvent> {
        loop {
            match &mut self.stage {
                Stage::Over => return None,
                Stage::Talking(conversation) => {
                    // The runner may have come just as the job was cancelled.
                    if let Some(reason) = self.cancelled.clone() {
                        conversation.cancel(&reason).await;
                        self.cancelled = None;
                    }
                    return conversation.next().await;
                }
                Stage::Waiting(waiting) => tokio::select! {
                    biased;
                    Some(note) = self.notes.recv() => return Some(JobEvent::Note(note)),
                    begun = waiting => match begun {
                        Ok(Ok(conversation)) => self.stage = Stage::Talking(conversation),
                        Ok(Err(reason)) => {
                            self.stage = Stage::Over;
                            return Some(JobEvent::Finished(JobEnd::Lost(reason)));
                        }
                        Err(_) => {
                            self.stage = Stage::Over;
                            return Some(JobEvent::Finished(JobEnd::Cancelled));
                        }
                    },
                },
            }
        }
    }

    fn position(&self) -> u64 {
        match &self.stage {
            Stage::Talking(conversation) => conversation.position(),
            _ => 0,
        }
    }

    fn leave(&mut self) -> bool {
        self.service.left = true;
        true
    }

    async fn cancel(&mut self, reason: &str) {
        match &self.stage {
            // Nothing runs yet; `next` tells of the end.
            Stage::Waiting(waiting) => {
                self.cancelled = Some(reason.to_owned());
                waiting.abort();
            }
            Stage::Talking(conversation) => conversation.cancel(reason).await,
            Stage::Over => {}
        }
    }
}
