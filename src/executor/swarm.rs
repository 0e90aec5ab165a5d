//! The `swarm` executor: a service of one task a job, on whatever node has room.
//!
//! Only the manager's socket is used; no node's own. The runner is on every node in a volume that a
//! global service fills (see `deploy/stack.yml`), and connects to the runner listener with a token
//! that a Swarm secret carries, together with the job's own secrets. It is the same runner as in
//! `docker`, and keeps what is not safe yet; so a job goes on when the connection breaks or Herald
//! is restarted. When its node is lost, so is the job: its token is good no more.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    HealthConfig, Limit, Mount, MountType, MountVolumeOptions, NodeState, ResourceObject,
    SecretSpec, ServiceSpec, ServiceSpecMode, ServiceSpecModeReplicatedJob, Task, TaskSpec,
    TaskSpecContainerSpec, TaskSpecContainerSpecFile, TaskSpecContainerSpecSecrets,
    TaskSpecLogDriver, TaskSpecPlacement, TaskSpecResources, TaskSpecRestartPolicy,
    TaskSpecRestartPolicyConditionEnum, TaskState,
};
use bollard::query_parameters::{
    InspectServiceOptions, ListSecretsOptionsBuilder, ListServicesOptionsBuilder,
    ListTasksOptionsBuilder, UpdateServiceOptionsBuilder,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::{OnceCell, mpsc};
use tokio::task::JoinHandle;

use super::conversation::{Contents, Conversation, Obituary, Streams, Terms, meet};
use super::docker::{CAPABILITIES, environment, received};
use super::engine::{
    JOB, METADATA, RUNNER, RUNNER_FOLDER, connect, failed, filter, is_gone, labels, name, words,
};
use super::gate::{Expected, Gate};
use super::image::{Image, Images, Logins};
use super::intake::Known;
use crate::domain::Secret;
use crate::ports::error::{PortError, Result};
use crate::ports::executor::{Abilities, Executor, JobEnd, JobEvent, JobOrder, Progress, Running};
use crate::protocol::{ArchiveKind, Confinement};

/// The volume with the runner on every node.
const VOLUME: &str = concat!("herald-runner-", env!("CARGO_PKG_VERSION"));
/// Where a task finds its secret.
const SECRET: &str = "/run/secrets/herald";
/// How often the scheduler is asked.
const LOOK: Duration = Duration::from_secs(1);
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
    live: Arc<Mutex<HashSet<String>>>,
}

/// A service with its secret; removed when dropped.
struct Service {
    docker: Docker,
    /// Its name, which is also that of the secret.
    name: String,
    job: String,
    live: Arc<Mutex<HashSet<String>>>,
    /// Whether it is to run on.
    left: bool,
    /// Whose token is good as long as this lives.
    expected: Option<Expected>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.expected = None;
        if let Ok(mut live) = self.live.lock() {
            live.remove(&self.job);
        }
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

/// Removes a service and its secret. What fails is left for the sweep.
async fn remove(docker: &Docker, name: &str) {
    if let Err(error) = empty(docker, name).await
        && !is_gone(&error)
    {
        tracing::warn!("failed to empty the service {name}: {}", words(&error));
    }
    if let Err(error) = docker.delete_service(name).await
        && !is_gone(&error)
    {
        tracing::warn!("failed to remove the service {name}: {}", words(&error));
    }
    if let Err(error) = docker.delete_secret(name).await
        && !is_gone(&error)
    {
        tracing::warn!("failed to remove the secret {name}: {}", words(&error));
    }
}

/// Takes a service its task. Swarm does not end the tasks of a job whose service is removed, so it
/// is told first that none is wanted.
async fn empty(docker: &Docker, name: &str) -> std::result::Result<(), Error> {
    let found = docker
        .inspect_service(name, None::<InspectServiceOptions>)
        .await?;
    let (Some(mut spec), Some(version)) =
        (found.spec, found.version.and_then(|version| version.index))
    else {
        return Ok(());
    };
    spec.mode = Some(ServiceSpecMode {
        replicated_job: Some(ServiceSpecModeReplicatedJob {
            max_concurrent: Some(0),
            total_completions: Some(0),
        }),
        ..ServiceSpecMode::default()
    });
    let version = i32::try_from(version).unwrap_or(i32::MAX);
    let options = UpdateServiceOptionsBuilder::default()
        .version(version)
        .build();
    docker.update_service(name, spec, options, None).await?;
    let wanted = HashMap::from([("service".to_owned(), vec![name.to_owned()])]);
    for _ in 0..100 {
        let options = ListTasksOptionsBuilder::default().filters(&wanted).build();
        let tasks = docker.list_tasks(Some(options)).await?;
        // Those that ended by themselves stay as they are.
        let ends = |state: Option<TaskState>| {
            matches!(
                state,
                Some(
                    TaskState::COMPLETE
                        | TaskState::SHUTDOWN
                        | TaskState::FAILED
                        | TaskState::REJECTED
                        | TaskState::ORPHANED
                )
            )
        };
        let over = |task: &Task| ends(task.status.as_ref().and_then(|status| status.state));
        if tasks.iter().all(over) {
            return Ok(());
        }
        tokio::time::sleep(LOOK / 10).await;
    }
    Ok(())
}

impl SwarmExecutor {
    /// An executor whose runners come through `gate`.
    pub fn new(options: SwarmOptions, gate: Arc<Gate>) -> Self {
        Self {
            images: Images::new(options.logins.clone()),
            options,
            gate,
            docker: OnceCell::new(),
            live: Arc::default(),
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

    /// The token of an attempt.
    fn token(&self, job: &str) -> Result<String> {
        let key = self.options.key.expose().as_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(key)
            .map_err(|error| PortError::refused(format!("make a token: {error}")))?;
        mac.update(b"herald runner\0");
        mac.update(job.as_bytes());
        let bytes = mac.finalize().into_bytes();
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn hold(&self, docker: &Docker, order: &JobOrder, expected: Expected) -> Service {
        if let Ok(mut live) = self.live.lock() {
            live.insert(order.id.clone());
        }
        Service {
            docker: docker.clone(),
            name: name(&order.purpose, &order.id),
            job: order.id.clone(),
            live: Arc::clone(&self.live),
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

    fn spec(&self, order: &JobOrder, image: &str, secret: String) -> ServiceSpec {
        let resources = &order.resources;
        let cpus = i64::from(resources.cpus_milli) * 1_000_000;
        let memory = i64::try_from(resources.memory_bytes).unwrap_or(i64::MAX);
        let list = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
        let marks = labels(&self.options.instance, order);
        let container = TaskSpecContainerSpec {
            image: Some(image.to_owned()),
            labels: Some(marks.clone()),
            command: list(&[RUNNER]),
            args: list(&["connect", &self.options.address.to_string(), SECRET]),
            hostname: Some("herald".to_owned()),
            user: Some("0:0".to_owned()),
            mounts: Some(vec![Mount {
                target: Some(RUNNER_FOLDER.to_owned()),
                source: Some(VOLUME.to_owned()),
                typ: Some(MountType::VOLUME),
                read_only: Some(true),
                volume_options: Some(MountVolumeOptions {
                    no_copy: Some(true),
                    ..MountVolumeOptions::default()
                }),
                ..Mount::default()
            }]),
            // The runner is the first process, which no other signal ends.
            stop_signal: Some("SIGKILL".to_owned()),
            health_check: Some(HealthConfig {
                test: list(&["NONE"]),
                ..HealthConfig::default()
            }),
            secrets: Some(vec![TaskSpecContainerSpecSecrets {
                file: Some(TaskSpecContainerSpecFile {
                    name: Some("herald".to_owned()),
                    uid: Some("0".to_owned()),
                    gid: Some("0".to_owned()),
                    mode: Some(0o400),
                }),
                secret_id: Some(secret),
                secret_name: Some(name(&order.purpose, &order.id)),
            }]),
            capability_drop: list(&["ALL"]),
            capability_add: Some(
                CAPABILITIES
                    .iter()
                    .map(|capability| format!("CAP_{capability}"))
                    .collect(),
            ),
            ..TaskSpecContainerSpec::default()
        };
        ServiceSpec {
            name: Some(name(&order.purpose, &order.id)),
            labels: Some(marks),
            mode: Some(ServiceSpecMode {
                replicated_job: Some(ServiceSpecModeReplicatedJob {
                    max_concurrent: Some(1),
                    total_completions: Some(1),
                }),
                ..ServiceSpecMode::default()
            }),
            task_template: Some(TaskSpec {
                container_spec: Some(container),
                resources: Some(TaskSpecResources {
                    limits: Some(Limit {
                        nano_cpus: Some(cpus),
                        memory_bytes: Some(memory),
                        pids: Some(i64::from(resources.pids)),
                    }),
                    reservations: Some(ResourceObject {
                        nano_cpus: Some(cpus),
                        memory_bytes: Some(memory),
                        ..ResourceObject::default()
                    }),
                    ..TaskSpecResources::default()
                }),
                // A job that is lost is told so, and gets a new attempt of its own.
                restart_policy: Some(TaskSpecRestartPolicy {
                    condition: Some(TaskSpecRestartPolicyConditionEnum::NONE),
                    ..TaskSpecRestartPolicy::default()
                }),
                placement: Some(TaskSpecPlacement {
                    constraints: Some(self.options.constraints.clone()),
                    ..TaskSpecPlacement::default()
                }),
                log_driver: Some(TaskSpecLogDriver {
                    name: Some("none".to_owned()),
                    options: None,
                }),
                ..TaskSpec::default()
            }),
            ..ServiceSpec::default()
        }
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
            confirms: true,
        }
    }
}

/// How the one task of a service stands.
enum Standing {
    /// It is where the scheduler wants it; with the scheduler's words while it waits.
    Fine(Option<String>),
    /// It ended, or its node did; in words for `Lost`.
    Over(String),
}

async fn standing(docker: &Docker, service: &str) -> Option<Standing> {
    let wanted = HashMap::from([("service".to_owned(), vec![service.to_owned()])]);
    let options = ListTasksOptionsBuilder::default().filters(&wanted).build();
    let tasks = docker.list_tasks(Some(options)).await.ok()?;
    let Some(task) = newest(tasks) else {
        let gone = docker
            .inspect_service(service, None::<InspectServiceOptions>)
            .await;
        return match gone {
            Err(error) if is_gone(&error) => Some(Standing::Over(
                "its service was removed by somebody else".to_owned(),
            )),
            _ => Some(Standing::Fine(None)),
        };
    };
    let status = task.status.unwrap_or_default();
    let said = status.err.filter(|said| !said.is_empty());
    match status.state {
        Some(TaskState::PENDING) => return Some(Standing::Fine(said)),
        Some(
            TaskState::FAILED
            | TaskState::REJECTED
            | TaskState::SHUTDOWN
            | TaskState::ORPHANED
            | TaskState::REMOVE
            | TaskState::COMPLETE,
        ) => {
            let said = said.or(status.message).unwrap_or_default();
            return Some(Standing::Over(ended(&said)));
        }
        _ => {}
    }
    let node = task.node_id.filter(|node| !node.is_empty())?;
    let found = docker.inspect_node(&node).await.ok()?;
    let down = found.status.and_then(|status| status.state) == Some(NodeState::DOWN);
    let host = found
        .description
        .and_then(|description| description.hostname)
        .unwrap_or(node);
    Some(if down {
        Standing::Over(format!("the node {host} was lost"))
    } else {
        Standing::Fine(None)
    })
}

fn newest(tasks: Vec<Task>) -> Option<Task> {
    tasks.into_iter().max_by_key(|task| {
        let version = task.version.as_ref().and_then(|version| version.index);
        version.unwrap_or_default()
    })
}

/// Why a task ended, in words for `Lost`.
fn ended(said: &str) -> String {
    if said.contains(RUNNER) && said.contains("no such file") || said.contains(VOLUME) {
        return format!(
            "the node has no runner of this version in its volume {VOLUME}: deploy the service \
             `runner` of deploy/stack.yml on every node"
        );
    }
    if said.contains("137") {
        return "the task was killed".to_owned();
    }
    format!("the task ended early: {said}")
}

/// Resolves when the task has ended early or its node is lost.
fn obituary(docker: Docker, service: String) -> Obituary {
    Box::pin(async move {
        loop {
            if let Some(Standing::Over(reason)) = standing(&docker, &service).await {
                return reason;
            }
            tokio::time::sleep(LOOK).await;
        }
    })
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
        let token = self.token(&order.id)?;
        let (expected, connections) = Gate::expect(&self.gate, &token);
        let service = self.hold(docker, &order, expected);
        let secret = self.make_secret(docker, &order, &token).await?;
        let login = self.images.login(wanted, login_images);
        docker
            .create_service(self.spec(&order, &pinned, secret), login)
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
        let token = self.token(&order.id)?;
        let (expected, mut connections) = Gate::expect(&self.gate, &token);
        let service = self.hold(docker, &order, expected);
        // Before its first step, everything is done again from the beginning.
        if progress.position == 0 {
            return Ok(None);
        }
        let folder = received(&order)?;
        let mut lost = obituary(docker.clone(), name);
        let streams = tokio::select! {
            streams = connections.recv() => streams,
            _ = lost.as_mut() => None,
            () = tokio::time::sleep(BACK) => None,
        };
        let Some(streams) = streams else {
            return Ok(None);
        };
        let known = Known {
            begun: progress.begun.iter().copied().collect(),
            over: progress.over.iter().copied().collect(),
        };
        let terms = self.terms(&order, None, connections, lost, folder.clone());
        match Conversation::resume(streams, terms, &known, progress.position).await {
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
        let live = self
            .live
            .lock()
            .map(|live| live.clone())
            .unwrap_or_default();
        let stays = |labels: Option<&HashMap<String, String>>| {
            let job = labels.and_then(|labels| labels.get(JOB));
            job.is_some_and(|job| live.contains(job) || keep.contains(job))
        };
        let wanted = filter(&self.options.instance, None);
        let services = ListServicesOptionsBuilder::default()
            .filters(&wanted)
            .build();
        let services = docker
            .list_services(Some(services))
            .await
            .map_err(|error| failed("list the services of jobs", &error))?;
        for spec in services.into_iter().filter_map(|service| service.spec) {
            if !stays(spec.labels.as_ref())
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
            if !stays(labels)
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
    mut connections: mpsc::Receiver<Streams>,
    mut terms: Terms,
    notes: mpsc::Sender<String>,
) -> std::result::Result<Conversation, String> {
    let mut said = None;
    let mut look = tokio::time::interval(LOOK);
    let streams = loop {
        tokio::select! {
            streams = connections.recv() => match streams {
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
    let (receiver, output) = meet(streams).await.map_err(|error| {
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
