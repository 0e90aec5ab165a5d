//! What the container of a job is made of: its limits, its network, its ports, the runner in it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig,
    NetworkCreateRequest, NetworkingConfig, PortBinding, PortMap,
};
use bollard::query_parameters::{
    InspectContainerOptions, InspectNetworkOptions, ListNetworksOptionsBuilder,
};

use super::docker::DockerExecutor;
use super::engine::{METADATA, RUNNER, RUNNER_FOLDER, failed, labels, name};
use super::image::Image;
use super::program;
use crate::ports::error::Result;
use crate::ports::executor::{JobOrder, Network};

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

impl DockerExecutor {
    /// The network for a job, and what of the host is in it.
    pub(super) async fn network(
        &self,
        docker: &Docker,
        order: &JobOrder,
    ) -> Result<Option<String>> {
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
        if let Some(network) = shared_network(docker).await? {
            return Ok(Some(network));
        }
        let apart = ("com.docker.network.bridge.enable_icc", "false");
        let request = NetworkCreateRequest {
            name: NETWORK.to_owned(),
            driver: Some("bridge".to_owned()),
            options: Some(HashMap::from([(apart.0.to_owned(), apart.1.to_owned())])),
            ..NetworkCreateRequest::default()
        };
        let made = docker
            .create_network(request)
            .await
            .map_err(|error| failed("make the network of jobs", &error))?;
        // Docker lets two have one name. Whoever made one at the same time takes the older one too.
        let network = shared_network(docker)
            .await?
            .unwrap_or_else(|| made.id.clone());
        if network != made.id {
            let _ = docker.remove_network(&made.id).await;
        }
        Ok(Some(network))
    }

    /// Networks that a job must not reach.
    pub(super) async fn blocked(
        &self,
        docker: &Docker,
        network: Option<&str>,
        order: &JobOrder,
    ) -> Result<Vec<String>> {
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
        let addresses: Vec<IpAddr> = addresses.collect();
        let hosts = own_addresses()
            .into_iter()
            .chain(addresses.iter().copied())
            // Who comes to a job's ports comes from the gateway, and must get an answer.
            .filter(|address| order.ports.is_empty() || !addresses.contains(address))
            .map(|address| match address {
                IpAddr::V4(address) => format!("{address}/32"),
                IpAddr::V6(address) => format!("{address}/128"),
            });
        Ok(METADATA
            .into_iter()
            .map(str::to_owned)
            .chain(hosts)
            .collect())
    }

    pub(super) fn body(
        &self,
        order: &JobOrder,
        image: &Image,
        network: Option<&str>,
        cores: i64,
    ) -> ContainerCreateBody {
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
                // The Engine refuses more than there are.
                nano_cpus: Some(
                    (i64::from(resources.cpus_milli) * 1_000_000).min(cores * 1_000_000_000),
                ),
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

    /// `HERALD_PORT_<NAME>`, and what is said of it in the log.
    pub(super) async fn ports(
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

/// The id of the oldest network of jobs.
async fn shared_network(docker: &Docker) -> Result<Option<String>> {
    let filter = HashMap::from([("name".to_owned(), vec![NETWORK.to_owned()])]);
    let options = ListNetworksOptionsBuilder::default()
        .filters(&filter)
        .build();
    let found = docker
        .list_networks(Some(options))
        .await
        .map_err(|error| failed("look for the network of jobs", &error))?;
    Ok(found
        .into_iter()
        // The filter finds parts of names too.
        .filter(|network| network.name.as_deref() == Some(NETWORK))
        .min_by_key(|network| (network.created.clone(), network.id.clone()))
        .and_then(|network| network.id))
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
fn own_addresses() -> Vec<IpAddr> {
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
pub(super) fn archive_of(runner: &Path) -> std::io::Result<bytes::Bytes> {
    let program = program::read(runner)?;
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

    pub(super) fn push(&self, bytes: &[u8]) {
        if let Ok(mut kept) = self.0.lock() {
            kept.extend_from_slice(bytes);
            let more = kept.len().saturating_sub(Self::KEPT);
            kept.drain(..more);
        }
    }

    pub(super) fn words(&self) -> String {
        let kept = self.0.lock().map(|kept| kept.clone()).unwrap_or_default();
        String::from_utf8_lossy(&kept).trim().replace('\n', "; ")
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
