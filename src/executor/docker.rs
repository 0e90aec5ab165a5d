//! The `docker` executor: a container a job, with the runner as its first process.
//!
//! The runner is copied in, and speaks over the container's own streams; so nothing of the host is
//! mounted, and `network: none` is meant as it says. The checkout goes the same way. The runner
//! keeps what is not safe yet, so a container goes on when Herald ends, and is met again.
//!
//! A container has few capabilities, no new privileges, the Engine's seccomp profile, limits of
//! memory, processor, processes and disk, and routes into nowhere instead of ways to the cloud's
//! metadata and to this host. It is never privileged and never sees the Engine's socket.

use std::collections::VecDeque;
use std::path::PathBuf;

use async_trait::async_trait;
use bollard::Docker;
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, InspectContainerOptions,
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions, UploadToContainerOptionsBuilder,
};
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::OnceCell;
use tokio_util::io::StreamReader;

use super::container::{Tail, archive_of, environment};
use super::conversation::{Contents, Conversation, Receiver, Streams, Terms, no_hello};
use super::engine::{connect, failed, filter, is_gone, labels, name, words};
use super::image::{Image, Images, Logins};
use super::live::{Held, Live};
use super::sidecar::{self, Sidecars};
use crate::ports::error::{PortError, Result};
use crate::ports::executor::{Abilities, Executor, JobEvent, JobOrder, Progress, Running};
use crate::protocol::{ArchiveKind, Confinement, Job};

/// Where the steps find the checkout.
const WORKSPACE: &str = "/workspace";
/// Where `HOME` and `TMPDIR` are.
const SCRATCH: &str = "/scratch";
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
    pub(super) options: DockerOptions,
    images: Images,
    docker: OnceCell<Docker>,
    /// How many processors the Engine has.
    cores: OnceCell<i64>,
    /// The runner as a tar archive.
    runner: OnceCell<bytes::Bytes>,
    live: Live,
}

/// A container that is about to run, or runs; removed with all that belongs to it when dropped.
struct Container {
    docker: Docker,
    id: String,
    sidecars: Sidecars,
    _held: Held,
    /// Whether it is to run on.
    left: bool,
}

impl Drop for Container {
    fn drop(&mut self) {
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
            cores: OnceCell::new(),
            runner: OnceCell::new(),
            live: Live::default(),
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

    async fn cores(&self, docker: &Docker) -> Result<i64> {
        let cores = self.cores.get_or_try_init(|| async {
            let info = docker
                .info()
                .await
                .map_err(|error| failed("ask the Docker Engine about its machine", &error))?;
            Ok(info.ncpu.unwrap_or(1).max(1))
        });
        cores.await.copied()
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
        Container {
            docker: docker.clone(),
            id,
            sidecars,
            _held: self.live.hold(job),
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
        let blocked = self.blocked(docker, network.as_deref(), &order).await?;
        let options = CreateContainerOptionsBuilder::default()
            .name(&name(&order.purpose, &order.id))
            .build();
        let cores = self.cores(docker).await?;
        let body = self.body(&order, &image, network.as_deref(), cores);
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
            token: None,
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
        // Who gives up waiting, or fails to attach, has not given up the job.
        container.left = true;
        let folder = received(&order)?;
        let (streams, tail) = self.attach_to(docker, &container.id).await?;
        let terms = Terms {
            job: order.job,
            folder: folder.clone(),
            archives: Vec::new(),
            before: Vec::new(),
            obituary: Self::obituary(docker, &container.id, tail),
            connections: None,
            token: None,
            confirms: true,
        };
        let resumed =
            Conversation::resume(streams, terms, &progress.into(), progress.position).await;
        container.left = false;
        match resumed {
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
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filter(&self.options.instance, None))
            .build();
        let containers = docker
            .list_containers(Some(options))
            .await
            .map_err(|error| failed("list the containers of jobs", &error))?;
        for container in containers {
            if !self.live.stays(container.labels.as_ref(), keep)
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
            if !self.live.stays(network.labels.as_ref(), keep)
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
