//! Services of a job: containers beside its own, in a network of the job's alone.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, HostConfigLogConfig, NetworkingConfig,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
    ListNetworksOptionsBuilder, LogsOptionsBuilder, StartContainerOptions,
};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::conversation::Conversation;
use super::docker::remove;
use super::engine::{failed, name, words};
use super::image::Images;
use crate::ports::error::{PortError, Result};
use crate::ports::executor::{JobEnd, JobEvent, JobOrder, Probe, ServiceOrder};
use crate::protocol::AwaitPort;

/// The label with the name of the service.
pub(super) const SERVICE: &str = "herald.service";
/// How often a probe is repeated.
const AGAIN: Duration = Duration::from_millis(500);
/// What servers of databases and the like need to change to a user of their own.
const CAPABILITIES: [&str; 5] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"];

/// The containers and the network beside a job's own container.
#[derive(Debug, Default)]
pub(super) struct Sidecars {
    containers: Vec<String>,
    /// The names of those services whose ports are waited for, with their containers.
    awaited: Vec<(String, String)>,
    network: Option<String>,
}

impl Sidecars {
    pub(super) fn new(network: Option<String>) -> Self {
        Self {
            network,
            ..Self::default()
        }
    }

    /// Those of a job that was started before.
    pub(super) async fn find(
        docker: &Docker,
        marks: HashMap<String, Vec<String>>,
        own: &str,
    ) -> Self {
        let containers = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&marks)
            .build();
        let networks = ListNetworksOptionsBuilder::default()
            .filters(&marks)
            .build();
        let containers = docker
            .list_containers(Some(containers))
            .await
            .unwrap_or_default();
        let networks = docker
            .list_networks(Some(networks))
            .await
            .unwrap_or_default();
        Self {
            containers: containers
                .into_iter()
                .filter_map(|container| container.id)
                .filter(|id| id != own)
                .collect(),
            awaited: Vec::new(),
            network: networks.into_iter().find_map(|network| network.name),
        }
    }

    pub(super) async fn remove(self, docker: &Docker) {
        for container in &self.containers {
            remove(docker, container).await;
        }
        if let Some(network) = &self.network {
            let _ = docker.remove_network(network).await;
        }
    }
}

/// Starts the services of a job and waits for those that a command tells to be ready; the ports
/// are for the runner to wait for.
///
/// # Errors
/// As [`Images::fetch`]; `Gone` when a service does not become ready: who named it has to see to
/// that.
pub(super) async fn start(
    docker: &Docker,
    images: &Images,
    order: &JobOrder,
    marks: HashMap<String, String>,
    sidecars: &mut Sidecars,
) -> Result<Vec<AwaitPort>> {
    let mut ports = Vec::new();
    let Some(network) = sidecars.network.clone() else {
        return Ok(ports);
    };
    for service in &order.services {
        let login_images = order.login_images.as_deref();
        let image = images.fetch(docker, &service.image, login_images).await?;
        let mut labels = marks.clone();
        labels.insert(SERVICE.to_owned(), service.name.clone());
        let options = CreateContainerOptionsBuilder::default()
            .name(&format!(
                "{}-{}",
                name(&order.purpose, &order.id),
                service.name
            ))
            .build();
        let body = body(order, service, image.id, &network, labels);
        let what = format!("start the service `{}`", service.name);
        let created = docker
            .create_container(Some(options), body)
            .await
            .map_err(|error| failed(&what, &error))?;
        sidecars.containers.push(created.id.clone());
        docker
            .start_container(&created.id, None::<StartContainerOptions>)
            .await
            .map_err(|error| failed(&what, &error))?;
        let Some(ready) = &service.ready else {
            continue;
        };
        match &ready.probe {
            Probe::Port(number) => {
                let Some(address) = address(docker, &created.id, &network).await? else {
                    return Err(ended(docker, service, &created.id).await);
                };
                sidecars
                    .awaited
                    .push((service.name.clone(), created.id.clone()));
                ports.push(AwaitPort {
                    name: service.name.clone(),
                    address: format!("{address}:{number}"),
                    timeout_ms: ready.timeout_ms,
                });
            }
            Probe::Command(command) => {
                let limit = Duration::from_millis(ready.timeout_ms);
                await_command(docker, &created.id, command, limit)
                    .await
                    .map_err(|why| PortError::gone(format!("{what}: {why}")))?;
            }
        }
    }
    Ok(ports)
}

fn body(
    order: &JobOrder,
    service: &ServiceOrder,
    image: String,
    network: &str,
    labels: HashMap<String, String>,
) -> ContainerCreateBody {
    let list = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    let memory = i64::try_from(order.resources.memory_bytes).unwrap_or(i64::MAX);
    let alias = EndpointSettings {
        aliases: Some(vec![service.name.clone()]),
        ..EndpointSettings::default()
    };
    ContainerCreateBody {
        image: Some(image),
        hostname: Some(service.name.clone()),
        env: Some(
            service
                .environment
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
        ),
        labels: Some(labels),
        host_config: Some(HostConfig {
            memory: Some(memory),
            memory_swap: Some(memory),
            nano_cpus: Some(i64::from(order.resources.cpus_milli) * 1_000_000),
            pids_limit: Some(i64::from(order.resources.pids)),
            cap_drop: list(&["ALL"]),
            cap_add: list(&CAPABILITIES),
            security_opt: list(&["no-new-privileges"]),
            network_mode: Some(network.to_owned()),
            log_config: Some(HostConfigLogConfig {
                typ: Some("local".to_owned()),
                config: Some(HashMap::from([("max-size".to_owned(), "1m".to_owned())])),
            }),
            ..HostConfig::default()
        }),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network.to_owned(), alias)])),
        }),
        ..ContainerCreateBody::default()
    }
}

/// The address of a service; `None` when it does not run any more.
async fn address(docker: &Docker, container: &str, network: &str) -> Result<Option<String>> {
    let found = docker
        .inspect_container(container, None::<InspectContainerOptions>)
        .await
        .map_err(|error| failed("look at a service", &error))?;
    Ok(found
        .network_settings
        .and_then(|settings| settings.networks)
        .and_then(|mut networks| networks.remove(network))
        .and_then(|endpoint| endpoint.ip_address)
        .filter(|address| !address.is_empty()))
}

/// The error of a service that has ended before it was ready.
async fn ended(docker: &Docker, service: &ServiceOrder, container: &str) -> PortError {
    let how = match over(docker, container).await {
        Ok(Some(how)) => how,
        Ok(None) => "it has no address".to_owned(),
        Err(error) => error,
    };
    PortError::gone(format!("start the service `{}`: {how}", service.name))
}

/// How a service ended; `None` while it runs.
async fn over(docker: &Docker, container: &str) -> std::result::Result<Option<String>, String> {
    let found = docker
        .inspect_container(container, None::<InspectContainerOptions>)
        .await
        .map_err(|error| words(&error))?;
    let state = found.state.unwrap_or_default();
    if state.running == Some(true) {
        return Ok(None);
    }
    let code = state.exit_code.unwrap_or_default();
    let said = last_words(docker, container).await;
    Ok(Some(format!("it ended with status {code}: {said}")))
}

/// Reads the beginning of a job until its runner has met all services.
///
/// # Errors
/// `Gone` when a service ends, or its port does not open: who named it has to see to that.
pub(super) async fn await_started(
    docker: &Docker,
    conversation: &mut Conversation,
    sidecars: &Sidecars,
) -> Result<VecDeque<JobEvent>> {
    let mut events = VecDeque::new();
    let mut look = tokio::time::interval(AGAIN);
    loop {
        let event = tokio::select! {
            biased;
            event = conversation.next() => event,
            _ = look.tick() => {
                for (name, container) in &sidecars.awaited {
                    if let Ok(Some(how)) = over(docker, container).await {
                        return Err(PortError::gone(format!("start the service `{name}`: {how}")));
                    }
                }
                continue;
            }
        };
        match event {
            Some(JobEvent::Finished(JobEnd::Lost(reason))) => {
                let named = |(name, _): &&(String, String)| {
                    reason.starts_with(&format!("wait for the service `{name}`: "))
                };
                return Err(match sidecars.awaited.iter().find(named) {
                    Some((_, container)) => {
                        let said = last_words(docker, container).await;
                        PortError::gone(format!("{reason}; {said}"))
                    }
                    None => PortError::transient(format!("start the job: {reason}")),
                });
            }
            Some(event) => {
                let done = matches!(event, JobEvent::Started | JobEvent::Finished(_));
                events.push_back(event);
                if done {
                    return Ok(events);
                }
            }
            None => return Ok(events),
        }
    }
}

/// Repeats a command in a container until it ends with 0.
async fn await_command(
    docker: &Docker,
    container: &str,
    command: &[String],
    limit: Duration,
) -> std::result::Result<(), String> {
    let began = Instant::now();
    loop {
        // A command that hangs is not ready.
        let rest = limit.saturating_sub(began.elapsed());
        if let Ok(Some(0)) = timeout(rest, exec(docker, container, command)).await {
            return Ok(());
        }
        if let Some(how) = over(docker, container).await? {
            return Err(how);
        }
        if began.elapsed() >= limit {
            let said = last_words(docker, container).await;
            let seconds = limit.as_secs();
            return Err(format!("it is not ready after {seconds} s: {said}"));
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn exec(docker: &Docker, container: &str, command: &[String]) -> Option<i64> {
    let options = CreateExecOptions {
        cmd: Some(command.to_vec()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..CreateExecOptions::default()
    };
    let made = docker.create_exec(container, options).await.ok()?;
    if let Ok(StartExecResults::Attached { mut output, .. }) =
        docker.start_exec(&made.id, None).await
    {
        while output.next().await.is_some() {}
    }
    docker.inspect_exec(&made.id).await.ok()?.exit_code
}

/// The last lines that a service wrote.
async fn last_words(docker: &Docker, container: &str) -> String {
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .tail("5")
        .build();
    let mut lines = docker.logs(container, Some(options));
    let mut said = String::new();
    while let Some(Ok(line)) = lines.next().await {
        if said.len() < 1000 {
            said.push_str(line.to_string().trim());
            said.push_str("; ");
        }
    }
    let said = said.trim_end_matches("; ");
    if said.is_empty() {
        "it wrote nothing".to_owned()
    } else {
        format!("its last words: {said}")
    }
}
