//! What surrounds a job where it runs: resources, network, ports and services.

use super::fields::{self, Fields};
use super::keys;
use super::model::{Network, Probe, Ready, Resources, Service};
use super::problem::{Place, Problems, quoted};
use super::step;
use super::tree::{Node, Value};

/// At most so many ports of one job.
const MAX_PORTS: usize = 20;
/// At most so many services of one job.
const MAX_SERVICES: usize = 20;
/// The least memory: less than this starts no container.
const MIN_MEMORY: u64 = 16 << 20;
/// The most memory, 64 TiB: more is a slip of the pen.
const MAX_MEMORY: u64 = 64 << 40;
/// Linux has no more processes than these.
pub(super) const MAX_PIDS: u64 = 4_194_304;
/// How long a service may take to be ready when its specification does not say.
const READY_TIMEOUT_MS: u64 = 60_000;
/// The most that it can say.
const MAX_READY_TIMEOUT_MS: u64 = 600_000;

/// `resources` as far as one place in the file says them.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct PartialResources {
    cpus_milli: Option<u32>,
    memory_bytes: Option<u64>,
    pids: Option<u32>,
}

impl PartialResources {
    pub(super) fn read(fields: &Fields<'_>, problems: &mut Problems) -> Self {
        let Some(fields) = fields
            .get("resources")
            .and_then(|node| Fields::of(node, "`resources`", keys::RESOURCES, problems))
        else {
            return Self::default();
        };
        Self {
            cpus_milli: fields.get("cpus").and_then(|node| cpus(node, problems)),
            memory_bytes: fields.get("memory").and_then(|node| memory(node, problems)),
            pids: fields
                .get("pids")
                .and_then(|node| fields::whole(node, "`resources.pids`", 1..=MAX_PIDS, problems))
                .and_then(|pids| u32::try_from(pids).ok()),
        }
    }

    /// These, with what they leave out taken from `inherited`.
    pub(super) fn over(self, inherited: Self) -> Self {
        Self {
            cpus_milli: self.cpus_milli.or(inherited.cpus_milli),
            memory_bytes: self.memory_bytes.or(inherited.memory_bytes),
            pids: self.pids.or(inherited.pids),
        }
    }

    /// All of them, with the defaults for what is left out.
    pub(super) fn resolved(self) -> Resources {
        let defaults = Resources::default();
        Resources {
            cpus_milli: self.cpus_milli.unwrap_or(defaults.cpus_milli),
            memory_bytes: self.memory_bytes.unwrap_or(defaults.memory_bytes),
            pids: self.pids.unwrap_or(defaults.pids),
        }
    }
}

/// A number of cores, in thousandths.
fn cpus(node: &Node, problems: &mut Problems) -> Option<u32> {
    let parsed = match &node.value {
        Value::Scalar { text, .. } => thousandths(text),
        Value::List(_) | Value::Map(_) => None,
    };
    let cpus = parsed.filter(|cpus| (10..=1_024_000).contains(cpus));
    if cpus.is_none() {
        problems.hinted(
            node.at,
            format!(
                "`resources.cpus` must be a number of cores from 0.01 to 1024, not {}",
                fields::shown(node)
            ),
            "as 2 or 0.5".to_owned(),
        );
    }
    cpus
}

fn thousandths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 3 {
        return None;
    }
    let fraction: u32 = format!("{fraction:0<3}").parse().ok()?;
    whole
        .parse::<u32>()
        .ok()?
        .checked_mul(1000)?
        .checked_add(fraction)
}

/// A size of memory, in bytes.
fn memory(node: &Node, problems: &mut Problems) -> Option<u64> {
    let parsed = match &node.value {
        Value::Scalar { text, .. } => size(text),
        Value::List(_) | Value::Map(_) => None,
    };
    match parsed {
        Some(bytes) if (MIN_MEMORY..=MAX_MEMORY).contains(&bytes) => Some(bytes),
        Some(_) => {
            problems.error(node.at, "`resources.memory` must be from 16MiB to 64TiB");
            None
        }
        None => {
            problems.hinted(
                node.at,
                format!(
                    "`resources.memory` must be a size, not {}",
                    fields::shown(node)
                ),
                "as 512MiB or 4GiB".to_owned(),
            );
            None
        }
    }
}

/// `512MiB`, `4GiB`: a whole number and its unit.
fn size(text: &str) -> Option<u64> {
    let units = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ];
    let (number, factor) = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.trim_end(), *factor)))?;
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    number
        .parse::<u64>()
        .ok()
        .filter(|_| digits)?
        .checked_mul(factor)
}

pub(super) fn network(fields: &Fields<'_>, problems: &mut Problems) -> Option<Network> {
    let node = fields.get("network")?;
    match fields::choice(node, "`network`", keys::NETWORKS, problems)? {
        "none" => Some(Network::None),
        _ => Some(Network::Egress),
    }
}

pub(super) fn ports(fields: &Fields<'_>, problems: &mut Problems) -> Vec<(String, u16)> {
    let Some(node) = fields.get("ports") else {
        return Vec::new();
    };
    let Value::Map(entries) = &node.value else {
        problems.hinted(
            node.at,
            format!(
                "`ports` must be a map of names to ports, not {}",
                node.kind()
            ),
            "as {web: 8080}".to_owned(),
        );
        return Vec::new();
    };
    let mut ports = Vec::new();
    for (name, value) in entries {
        if !is_port_name(&name.text) {
            problems.hinted(
                name.at,
                format!("{} cannot be the name of a port", quoted(&name.text)),
                "a lower-case letter, then lower-case letters, digits and _, at most 64".to_owned(),
            );
        }
        let what = format!("port {}", quoted(&name.text));
        let port = fields::whole(value, &what, 1..=65_535, problems);
        if let Some(port) = port.and_then(|port| u16::try_from(port).ok()) {
            ports.push((name.text.clone(), port));
        }
    }
    check_port_count(&ports, node.at, problems);
    ports
}

/// Finds a job with more ports than it may have; those of the top count as well.
pub(super) fn check_port_count(ports: &[(String, u16)], at: Place, problems: &mut Problems) {
    if ports.len() > MAX_PORTS {
        problems.error(at, format!("more than {MAX_PORTS} ports"));
    }
}

fn is_port_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 64
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

pub(super) fn services(job: &Fields<'_>, problems: &mut Problems) -> Vec<Service> {
    let Some(node) = job.get("services") else {
        return Vec::new();
    };
    let Value::Map(entries) = &node.value else {
        problems.error(
            node.at,
            format!(
                "`services` must be a map of names to containers, not {}",
                node.kind()
            ),
        );
        return Vec::new();
    };
    if entries.len() > MAX_SERVICES {
        problems.error(node.at, format!("more than {MAX_SERVICES} services"));
    }
    let mut services = Vec::new();
    for (name, node) in entries {
        if !super::job::is_job_key(&name.text) {
            problems.hinted(
                name.at,
                format!("{} cannot be the name of a service", quoted(&name.text)),
                super::job::KEY_HINT.to_owned(),
            );
        }
        services.extend(service(&name.text, name.at, node, problems));
    }
    services
}

fn service(name: &str, at: Place, node: &Node, problems: &mut Problems) -> Option<Service> {
    let what = format!("service {}", quoted(name));
    if let Value::Scalar { text, .. } = &node.value
        && !node.is_null()
    {
        problems.hinted(
            node.at,
            format!("{what} must be a map of keys to values, not text"),
            format!("as {{image: {}}}", fields::short(text)),
        );
        return None;
    }
    let fields = Fields::of(node, &what, keys::SERVICE, problems)?;
    if fields.get("image").is_none() {
        problems.error(at, format!("{what} has no `image`"));
    }
    let environment = step::variables(&fields, problems, |_, _, _| {});
    let ready = fields
        .get("ready")
        .and_then(|node| ready(node, &what, problems));
    let image = fields
        .get("image")
        .and_then(|node| fields::word(node, "`image`", problems))?;
    Some(Service {
        name: name.to_owned(),
        image,
        environment,
        ready,
    })
}

fn ready(node: &Node, what: &str, problems: &mut Problems) -> Option<Ready> {
    let fields = Fields::of(node, "`ready`", keys::READY, problems)?;
    let timeout_ms = fields
        .get("timeout")
        .map_or(Some(READY_TIMEOUT_MS), |node| {
            let timeout = fields::duration(node, "`ready.timeout`", problems)?;
            if timeout > MAX_READY_TIMEOUT_MS {
                problems.error(node.at, "`ready.timeout` must be at most 10m");
            }
            Some(timeout)
        });
    let probe = match (fields.get("port"), fields.get("run")) {
        (Some(port), None) => fields::whole(port, "`ready.port`", 1..=65_535, problems)
            .and_then(|port| u16::try_from(port).ok())
            .map(Probe::Port),
        (None, Some(run)) => match &run.value {
            Value::List(_) => step::argv(run, problems),
            _ => fields::word(run, "`run`", problems)
                .map(|script| vec!["sh".to_owned(), "-c".to_owned(), script]),
        }
        .map(Probe::Command),
        (None, None) => {
            problems.hinted(
                node.at,
                format!("`ready` of {what} says not how it is known to be ready"),
                "as {port: 5432} or {run: pg_isready}".to_owned(),
            );
            None
        }
        (Some(_), Some(run)) => {
            problems.error(run.at, "`port` and `run` exclude one another: keep one");
            None
        }
    };
    Some(Ready {
        probe: probe?,
        timeout_ms: timeout_ms?,
    })
}
