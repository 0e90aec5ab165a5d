//! The `docker` executor: a container a job, with the runner as its first process.
//!
//! The runner is copied in, and speaks over the container's own streams; so nothing of the host is
//! mounted, and `network: none` is meant as it says. The checkout goes the same way. The runner
//! keeps what is not safe yet, so a container goes on when Herald ends, and is met again.
//!
//! A container has few capabilities, no new privileges, the Engine's seccomp profile, limits of
//! memory, processor, processes and disk, and routes into nowhere instead of ways to the cloud's
//! metadata and to this host. It is never privileged and never sees the Engine's socket.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bollard::Docker;
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig,
    NetworkCreateRequest, NetworkingConfig, PortBinding, PortMap,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, InspectContainerOptions,
    InspectNetworkOptions, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions, UploadToContainerOptionsBuilder,
};
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::OnceCell;
use tokio_util::io::StreamReader;

use super::conversation::{Contents, Conversation, Receiver, Streams, Terms, no_hello};
use super::engine::{
    JOB, METADATA, RUNNER, RUNNER_FOLDER, connect, failed, filter, is_gone, labels, name, words,
};
use super::image::{Image, Images, Logins};
use super::intake::Known;
use super::sidecar::{self, Sidecars};
use crate::ports::error::{PortError, Result};
use crate::ports::executor::{Abilities, Executor, JobEvent, JobOrder, Network, Progress, Running};
use crate::protocol::{ArchiveKind, Confinement, Job};

/// Where the steps find the checkout.
const WORKSPACE: &str = "/workspace";
/// Where `HOME` and `TMPDIR` are.
const SCRATCH: &str = "/scratch";
/// The network of jobs without services: its containers do not see one another.
const NETWORK: &str = "herald-jobs";
/// What the runner needs: `NET_ADMIN` for the routes, which it gives up before the first step; the
/// others to install packages, and to start and end steps of another user.
pub(super) const CAPABILITIES: [&str; 8] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_ADMIN",
    "SETGID",
    "SETUID",
];

/// How the `docker` executor is set up.
#[derive(Debug, Clone)]
pub struct DockerOptions {
    /// The Engine: `unix:///var/run/docker.sock`.
    pub host: String,
    /// The file `herald-runner`, statically linked.
    pub runner: PathBuf,
    /// Logins of registries.
    pub logins: Logins,
    /// The name of this Herald, on everything that it makes.
    pub instance: String,
    /// How much of the disk a job may fill, in bytes.
    pub disk_bytes: u64,
}

impl DockerOptions {
    /// The limit of the disk where nothing else is said: 20 GiB.
    pub const DISK: u64 = 20 << 30;
}

/// Runs jobs in containers of one Docker Engine.
#[derive(Debug)]
pub struct DockerExecutor {
    options: DockerOptions,
    images: Images,
    docker: OnceCell<Docker>,
    /// The runner as a tar archive.
    runner: OnceCell<bytes::Bytes>,
    /// The ids of the jobs that are held here.
    live: Arc<Mutex<HashSet<String>>>,
}

/// A container that is about to run, or runs; removed with all that belongs to it when dropped.
struct Container {
    docker: Docker,
    id: String,
    job: String,
    sidecars: Sidecars,
    live: Arc<Mutex<HashSet<String>>>,
    /// Whether it is to run on.
    left: bool,
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Ok(mut live) = self.live.lock() {
            live.remove(&self.job);
        }
        if self.left {
            return;
        }
        let (docker, id) = (self.docker.clone(), std::mem::take(&mut self.id));
        let sidecars = std::mem::take(&mut self.sidecars);
        // Without a runtime the process is ending, and the next one sweeps.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if !id.is_empty() {
                    remove(&docker, &id).await;
                }
                sidecars.remove(&docker).await;
            });
        }
    }
}

/// Removes a container with its anonymous volumes. What fails is left for the sweep.
pub(super) async fn remove(docker: &Docker, container: &str) {
    let options = RemoveContainerOptionsBuilder::default()
        .force(true)
        .v(true)
        .build();
    if let Err(error) = docker.remove_container(container, Some(options)).await
        && !is_gone(&error)
    {
        tracing::warn!(
            container,
            "failed to remove the container {container}: {}",
            words(&error)
        );
    }
}

impl DockerExecutor {
    /// An executor; the Engine is asked for when the first job comes.
    pub fn new(options: DockerOptions) -> Self {
        Self {
            images: Images::new(options.logins.clone()),
            options,
            docker: OnceCell::new(),
            runner: OnceCell::new(),
            live: Arc::default(),
        }
    }

    /// Whether the Engine answers and the runner is there.
    ///
    /// # Errors
    /// What is wrong, with the way out.
    pub async fn check(&self) -> Result<()> {
        self.engine().await?;
        self.runner().await.map(|_| ())
    }

    async fn engine(&self) -> Result<&Docker> {
        self.docker
            .get_or_try_init(|| connect(&self.options.host))
            .await
    }

    async fn runner(&self) -> Result<bytes::Bytes> {
        let runner = self.runner.get_or_try_init(|| async {
            let file = &self.options.runner;
            archive_of(file).map_err(|error| {
                PortError::refused(format!(
                    "read the runner {}: {error}; HERALD_RUNNER_PATH names the file \
                     herald-runner that belongs to this server",
                    file.display()
                ))
            })
        });
        runner.await.cloned()
    }

    /// The network for a job, and what of the host is in it.
    async fn network(&self, docker: &Docker, order: &JobOrder) -> Result<Option<String>> {
        if !order.services.is_empty() {
            let name = name(&order.purpose, &order.id);
            let internal = order.network == Network::None;
            let request = NetworkCreateRequest {
                name: name.clone(),
                driver: Some("bridge".to_owned()),
                internal: Some(internal),
                labels: Some(labels(&self.options.instance, order)),
                ..NetworkCreateRequest::default()
            };
            docker
                .create_network(request)
                .await
                .map_err(|error| failed("make the network of a job", &error))?;
            return Ok(Some(name));
        }
        if order.network == Network::None {
            return Ok(None);
        }
        if docker
            .inspect_network(NETWORK, None::<InspectNetworkOptions>)
            .await
            .is_err()
        {
            let apart = ("com.docker.network.bridge.enable_icc", "false");
            let request = NetworkCreateRequest {
                name: NETWORK.to_owned(),
                driver: Some("bridge".to_owned()),
                options: Some(HashMap::from([(apart.0.to_owned(), apart.1.to_owned())])),
                ..NetworkCreateRequest::default()
            };
            let made = docker.create_network(request).await;
            if let Err(error) = made
                && !words(&error).contains("already exists")
            {
                return Err(failed("make the network of jobs", &error));
            }
        }
        Ok(Some(NETWORK.to_owned()))
    }

    /// Networks that a job must not reach.
    async fn blocked(&self, docker: &Docker, network: Option<&str>) -> Result<Vec<String>> {
        let Some(network) = network else {
            return Ok(Vec::new());
        };
        let found = docker
            .inspect_network(network, None::<InspectNetworkOptions>)
            .await
            .map_err(|error| failed("look at the network of a job", &error))?;
        let gateways = found
            .ipam
            .and_then(|ipam| ipam.config)
            .unwrap_or_default()
            .into_iter()
            .filter_map(|config| config.gateway);
        let addresses = gateways.filter_map(|address| address.parse().ok());
        let hosts = addresses
            .chain(own_addresses())
            .map(|address| match address {
                std::net::IpAddr::V4(address) => format!("{address}/32"),
                std::net::IpAddr::V6(address) => format!("{address}/128"),
            });
        Ok(METADATA
            .into_iter()
            .map(str::to_owned)
            .chain(hosts)
            .collect())
    }

    fn body(&self, order: &JobOrder, image: &Image, network: Option<&str>) -> ContainerCreateBody {
        let resources = &order.resources;
        let memory = i64::try_from(resources.memory_bytes).unwrap_or(i64::MAX);
        let list = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
        let port = |number: u16| format!("{number}/tcp");
        let bindings: PortMap = order
            .ports
            .iter()
            .map(|(_, number)| {
                let binding = PortBinding {
                    host_ip: Some("127.0.0.1".to_owned()),
                    host_port: Some(String::new()),
                };
                (port(*number), Some(vec![binding]))
            })
            .collect();
        ContainerCreateBody {
            image: Some(image.id.clone()),
            user: Some("0:0".to_owned()),
            hostname: Some("herald".to_owned()),
            entrypoint: list(&[RUNNER]),
            cmd: list(&["attached"]),
            working_dir: Some("/".to_owned()),
            open_stdin: Some(true),
            stdin_once: Some(false),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            labels: Some(labels(&self.options.instance, order)),
            healthcheck: Some(HealthConfig {
                test: list(&["NONE"]),
                ..HealthConfig::default()
            }),
            exposed_ports: Some(
                order
                    .ports
                    .iter()
                    .map(|(_, number)| port(*number))
                    .collect(),
            ),
            host_config: Some(HostConfig {
                memory: Some(memory),
                // No swap beside the memory.
                memory_swap: Some(memory),
                nano_cpus: Some(i64::from(resources.cpus_milli) * 1_000_000),
                pids_limit: Some(i64::from(resources.pids)),
                cap_drop: list(&["ALL"]),
                cap_add: list(&CAPABILITIES),
                security_opt: list(&["no-new-privileges"]),
                network_mode: Some(network.unwrap_or("none").to_owned()),
                port_bindings: Some(bindings),
                // The runner's words are not text, and are kept by the runner itself.
                log_config: Some(HostConfigLogConfig {
                    typ: Some("none".to_owned()),
                    config: None,
                }),
                ..HostConfig::default()
            }),
            networking_config: network.map(|network| NetworkingConfig {
                endpoints_config: Some(HashMap::from([(
                    network.to_owned(),
                    EndpointSettings::default(),
                )])),
            }),
            ..ContainerCreateBody::default()
        }
    }

    /// The job as the runner in this image sees it.
    fn placed(&self, order: &JobOrder, image: &Image, blocked: Vec<String>) -> Job {
        let mut job = order.job.clone();
        WORKSPACE.clone_into(&mut job.workspace);
        SCRATCH.clone_into(&mut job.scratch);
        job.environment = environment(&image.environment, &job.environment);
        job.confinement = Some(Confinement {
            user: image.user.clone(),
            blocked,
            disk_bytes: self.options.disk_bytes,
        });
        job
    }

    async fn attach_to(&self, docker: &Docker, container: &str) -> Result<(Streams, Tail)> {
        let options = AttachContainerOptionsBuilder::default()
            .stream(true)
            .stdin(true)
            .stdout(true)
            .stderr(true)
            .build();
        let AttachContainerResults { output, input } = docker
            .attach_container(container, Some(options))
            .await
            .map_err(|error| failed("attach to the container of a job", &error))?;
        let tail = Tail::default();
        let said = tail.clone();
        let output = output
            .map_err(|error| std::io::Error::other(words(&error)))
            .try_filter_map(move |piece| {
                let bytes = match piece {
                    LogOutput::StdOut { message } => Some(message),
                    LogOutput::StdErr { message } => {
                        said.push(&message);
                        None
                    }
                    _ => None,
                };
                std::future::ready(Ok(bytes))
            })
            .boxed();
        Ok(((Box::pin(StreamReader::new(output)), input), tail))
    }

    /// What is said of a job whose container ended early.
    fn obituary(docker: &Docker, container: &str, tail: Tail) -> super::conversation::Obituary {
        let (docker, container) = (docker.clone(), container.to_owned());
        Box::pin(async move {
            let found = docker
                .inspect_container(&container, None::<InspectContainerOptions>)
                .await;
            let state = match found {
                Ok(found) => found.state.unwrap_or_default(),
                Err(error) if is_gone(&error) => {
                    return "the container was removed by somebody else".to_owned();
                }
                Err(error) => {
                    return format!("the Docker Engine went away: {}", words(&error));
                }
            };
            if state.running == Some(true) {
                return "the connection to the container broke".to_owned();
            }
            if state.oom_killed == Some(true) {
                return "the container ran out of memory, and the runner with it".to_owned();
            }
            let said = tail.words();
            match state.exit_code {
                Some(137) => "the container was killed".to_owned(),
                Some(code) if said.is_empty() => {
                    format!("the runner ended early, with status {code}")
                }
                _ => format!("the runner ended early: {said}"),
            }
        })
    }

    fn hold(&self, docker: &Docker, id: String, job: &str, sidecars: Sidecars) -> Container {
        if let Ok(mut live) = self.live.lock() {
            live.insert(job.to_owned());
        }
        Container {
            docker: docker.clone(),
            id,
            job: job.to_owned(),
            sidecars,
            live: Arc::clone(&self.live),
            left: false,
        }
    }

    /// Copies the runner in and starts it.
    async fn launch(&self, docker: &Docker, container: &str) -> Result<(Streams, Tail)> {
        let runner = self.runner().await?;
        let options = UploadToContainerOptionsBuilder::default().path("/").build();
        docker
            .upload_to_container(container, Some(options), bollard::body_full(runner))
            .await
            .map_err(|error| failed("copy the runner into the container", &error))?;
        let attached = self.attach_to(docker, container).await?;
        docker
            .start_container(container, None::<StartContainerOptions>)
            .await
            .map_err(|error| failed("start the container of a job", &error))?;
        Ok(attached)
    }

    /// `HERALD_PORT_<NAME>`, and what is said of it in the log.
    async fn ports(
        &self,
        docker: &Docker,
        container: &str,
        order: &JobOrder,
    ) -> Result<Vec<(String, String, String)>> {
        if order.ports.is_empty() {
            return Ok(Vec::new());
        }
        let found = docker
            .inspect_container(container, None::<InspectContainerOptions>)
            .await
            .map_err(|error| failed("look at the ports of a job", &error))?;
        let bound = found
            .network_settings
            .and_then(|settings| settings.ports)
            .unwrap_or_default();
        let told = order.ports.iter().filter_map(|(name, number)| {
            let bindings = bound.get(&format!("{number}/tcp"))?.as_ref()?;
            let port = bindings.first()?.host_port.clone()?;
            let variable = format!("HERALD_PORT_{}", variable(name));
            let note = format!("port {name} ({number}) is reachable at 127.0.0.1:{port}");
            Some((variable, port, note))
        });
        Ok(told.collect())
    }
}

/// The name of a port as a part of a variable's name.
fn variable(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

/// The image's environment under that of the job; the image knows best where its programs are.
pub(super) fn environment(
    image: &[(String, String)],
    job: &[(String, String)],
) -> Vec<(String, String)> {
    let has_path = image.iter().any(|(name, _)| name == "PATH");
    let kept = job
        .iter()
        .filter(|(name, _)| !(has_path && name == "PATH"))
        .cloned();
    let below = image
        .iter()
        .filter(|(name, _)| name == "PATH" || !job.iter().any(|(other, _)| other == name))
        .cloned();
    below.chain(kept).collect()
}

/// The addresses of this host, but those of loopback, which a container has of its own.
fn own_addresses() -> Vec<std::net::IpAddr> {
    use std::net::IpAddr;
    nix::ifaddrs::getifaddrs()
        .into_iter()
        .flatten()
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address
                .as_sockaddr_in()
                .map(|address| IpAddr::V4(address.ip()));
            v4.or_else(|| Some(IpAddr::V6(address.as_sockaddr_in6()?.ip())))
        })
        .filter(|address| !address.is_loopback())
        .collect()
}

/// The runner as an archive for the root of a container.
fn archive_of(runner: &std::path::Path) -> std::io::Result<bytes::Bytes> {
    let program = std::fs::read(runner)?;
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o755);
    header.set_size(0);
    let folder = RUNNER_FOLDER.trim_start_matches('/');
    archive.append_data(&mut header, format!("{folder}/"), std::io::empty())?;
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(program.len() as u64);
    archive.append_data(
        &mut header,
        RUNNER.trim_start_matches('/'),
        program.as_slice(),
    )?;
    Ok(archive.into_inner()?.into())
}

/// The last words of a runner on its standard error.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail(Arc<Mutex<Vec<u8>>>);

impl Tail {
    /// How much is kept, in bytes.
    const KEPT: usize = 2000;

    fn push(&self, bytes: &[u8]) {
        if let Ok(mut kept) = self.0.lock() {
            kept.extend_from_slice(bytes);
            let more = kept.len().saturating_sub(Self::KEPT);
            kept.drain(..more);
        }
    }

    fn words(&self) -> String {
        let kept = self.0.lock().map(|kept| kept.clone()).unwrap_or_default();
        String::from_utf8_lossy(&kept).trim().replace('\n', "; ")
    }
}

#[async_trait]
impl Executor for DockerExecutor {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn isolates(&self) -> bool {
        true
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            images: true,
            services: true,
            ports: true,
            network_none: true,
        }
    }

    async fn start(&self, order: JobOrder) -> Result<Box<dyn Running>> {
        let docker = self.engine().await?;
        let Some(wanted) = &order.image else {
            return Err(PortError::gone(
                "start a container: the job names no `image`",
            ));
        };
        let login_images = order.login_images.as_deref();
        let image = self.images.fetch(docker, wanted, login_images).await?;
        // From here on whatever is made is held, or swept.
        let mut container = self.hold(docker, String::new(), &order.id, Sidecars::default());
        let network = self.network(docker, &order).await?;
        container.sidecars = Sidecars::new(network.clone().filter(|_| !order.services.is_empty()));
        let blocked = self.blocked(docker, network.as_deref()).await?;
        let options = CreateContainerOptionsBuilder::default()
            .name(&name(&order.purpose, &order.id))
            .build();
        let body = self.body(&order, &image, network.as_deref());
        container.id = docker
            .create_container(Some(options), body)
            .await
            .map_err(|error| failed("make the container of a job", &error))?
            .id;
        let marks = labels(&self.options.instance, &order);
        let await_ports =
            sidecar::start(docker, &self.images, &order, marks, &mut container.sidecars).await?;
        let (streams, tail) = self.launch(docker, &container.id).await?;
        let obituary = Self::obituary(docker, &container.id, tail);
        let mut receiver = Receiver::new(streams.0);
        if let Err(error) = receiver.greet().await {
            return match error {
                Some(error) => Err(error),
                None => no_hello(&obituary.await),
            };
        }
        let mut before = vec![JobEvent::Image(image.pinned.clone())];
        before.extend(image.note.clone().map(JobEvent::Note));
        let mut job = self.placed(&order, &image, blocked);
        for (variable, port, note) in self.ports(docker, &container.id, &order).await? {
            job.environment.push((variable, port));
            before.push(JobEvent::Note(note));
        }
        job.await_ports = await_ports;
        let cache = order.cache.clone().map(Contents::File);
        job.archives = std::iter::once(ArchiveKind::Checkout)
            .chain(cache.iter().map(|_| ArchiveKind::Cache))
            .collect();
        let folder = received(&order)?;
        let terms = Terms {
            job,
            folder: folder.clone(),
            archives: std::iter::once(Contents::Folder(order.workspace.clone()))
                .chain(cache)
                .collect(),
            before,
            obituary,
            connections: None,
            confirms: true,
        };
        let watched = !terms.job.await_ports.is_empty();
        let mut conversation = Conversation::begin(receiver, streams.1, terms);
        let mut first = VecDeque::new();
        if watched {
            first = sidecar::await_started(docker, &mut conversation, &container.sidecars).await?;
        }
        Ok(Box::new(DockerJob {
            conversation,
            first,
            container,
            folder,
        }))
    }

    async fn attach(
        &self,
        order: JobOrder,
        progress: &Progress,
    ) -> Result<Option<Box<dyn Running>>> {
        let docker = self.engine().await?;
        let Some(container) = self.find(docker, &order.id).await? else {
            return Ok(None);
        };
        let marks = filter(&self.options.instance, Some(&order.id));
        let sidecars = Sidecars::find(docker, marks, &container).await;
        let mut container = self.hold(docker, container, &order.id, sidecars);
        // Before its first step, everything is done again from the beginning.
        if progress.position == 0 {
            return Ok(None);
        }
        // What fails here may be tried again, with the container as it is.
        container.left = true;
        let folder = received(&order)?;
        let (streams, tail) = self.attach_to(docker, &container.id).await?;
        container.left = false;
        let terms = Terms {
            job: order.job,
            folder: folder.clone(),
            archives: Vec::new(),
            before: Vec::new(),
            obituary: Self::obituary(docker, &container.id, tail),
            connections: None,
            confirms: true,
        };
        let known = Known {
            begun: progress.begun.iter().copied().collect(),
            over: progress.over.iter().copied().collect(),
        };
        match Conversation::resume(streams, terms, &known, progress.position).await {
            Ok(conversation) => Ok(Some(Box::new(DockerJob {
                conversation,
                first: VecDeque::new(),
                container,
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
        let stays = |labels: &Option<HashMap<String, String>>| {
            let job = labels.as_ref().and_then(|labels| labels.get(JOB));
            job.is_some_and(|job| live.contains(job) || keep.contains(job))
        };
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filter(&self.options.instance, None))
            .build();
        let containers = docker
            .list_containers(Some(options))
            .await
            .map_err(|error| failed("list the containers of jobs", &error))?;
        for container in containers {
            if !stays(&container.labels)
                && let Some(id) = container.id
            {
                remove(docker, &id).await;
            }
        }
        let options = ListNetworksOptionsBuilder::default()
            .filters(&filter(&self.options.instance, None))
            .build();
        let networks = docker
            .list_networks(Some(options))
            .await
            .map_err(|error| failed("list the networks of jobs", &error))?;
        for network in networks {
            if !stays(&network.labels)
                && let Some(name) = network.name
            {
                let _ = docker.remove_network(&name).await;
            }
        }
        Ok(())
    }
}

impl DockerExecutor {
    /// The running container of a job.
    async fn find(&self, docker: &Docker, job: &str) -> Result<Option<String>> {
        let mut wanted = filter(&self.options.instance, Some(job));
        wanted.insert("status".to_owned(), vec!["running".to_owned()]);
        let options = ListContainersOptionsBuilder::default()
            .filters(&wanted)
            .build();
        let found = docker
            .list_containers(Some(options))
            .await
            .map_err(|error| failed("look for the container of a job", &error))?;
        Ok(found
            .into_iter()
            .find(|container| {
                let labels = container.labels.as_ref();
                labels.is_none_or(|labels| !labels.contains_key(sidecar::SERVICE))
            })
            .and_then(|container| container.id))
    }
}

/// Where the collected files of a job are received.
pub(super) fn received(order: &JobOrder) -> Result<PathBuf> {
    let folder = order.scratch.join("received");
    std::fs::create_dir_all(&folder)
        .map_err(|error| PortError::transient(format!("prepare the folders of a job: {error}")))?;
    Ok(folder)
}

/// A job in a container.
struct DockerJob {
    conversation: Conversation,
    /// What happened while its services were waited for.
    first: VecDeque<JobEvent>,
    container: Container,
    folder: PathBuf,
}

impl Drop for DockerJob {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[async_trait]
impl Running for DockerJob {
    async fn next(&mut self) -> Option<JobEvent> {
        match self.first.pop_front() {
            Some(event) => Some(event),
            None => self.conversation.next().await,
        }
    }

    fn position(&self) -> u64 {
        // Until then the job has not begun.
        if self.first.is_empty() {
            self.conversation.position()
        } else {
            0
        }
    }

    fn leave(&mut self) -> bool {
        self.container.left = true;
        true
    }

    async fn cancel(&mut self, reason: &str) {
        self.conversation.cancel(reason).await;
    }
}

#[cfg(test)]
mod tests {
    use super::environment;

    #[test]
    fn the_image_says_where_its_programs_are_and_the_job_all_else() {
        let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            list.iter().map(owned).collect()
        };
        let image = pairs(&[("PATH", "/image"), ("CI", "no"), ("GOPATH", "/go")]);
        let job = pairs(&[("CI", "true"), ("PATH", "/usual")]);
        assert_eq!(
            environment(&image, &job),
            pairs(&[("PATH", "/image"), ("GOPATH", "/go"), ("CI", "true")])
        );
        assert_eq!(environment(&[], &job), job);
    }
}
