//! The service of a job in a Swarm: what it is made of, how its one task stands, its removal.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    HealthConfig, Limit, Mount, MountType, MountVolumeOptions, NodeState, ResourceObject,
    ServiceSpec, ServiceSpecMode, ServiceSpecModeReplicatedJob, Task, TaskSpec,
    TaskSpecContainerSpec, TaskSpecContainerSpecFile, TaskSpecContainerSpecSecrets,
    TaskSpecLogDriver, TaskSpecPlacement, TaskSpecResources, TaskSpecRestartPolicy,
    TaskSpecRestartPolicyConditionEnum, TaskState,
};
use bollard::query_parameters::{
    InspectServiceOptions, ListTasksOptionsBuilder, UpdateServiceOptionsBuilder,
};

use super::container::CAPABILITIES;
use super::conversation::Obituary;
use super::engine::{RUNNER, RUNNER_FOLDER, is_gone, labels, name, words};
use super::swarm::SwarmOptions;
use crate::ports::executor::JobOrder;

/// The volume with the runner on every node.
const VOLUME: &str = concat!("herald-runner-", env!("CARGO_PKG_VERSION"));
/// Where a task finds its secret.
const SECRET: &str = "/run/secrets/herald";
/// How often the scheduler is asked.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// Removes a service and its secret. What fails is left for the sweep.
pub(super) async fn remove(docker: &Docker, name: &str) {
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
async fn empty(docker: &Docker, name: &str) -> Result<(), Error> {
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

/// The service of a job in this image; `secret` is the id of its secret.
pub(super) fn spec(
    options: &SwarmOptions,
    order: &JobOrder,
    image: &str,
    secret: String,
) -> ServiceSpec {
    let resources = &order.resources;
    let cpus = i64::from(resources.cpus_milli) * 1_000_000;
    let memory = i64::try_from(resources.memory_bytes).unwrap_or(i64::MAX);
    let list = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    let marks = labels(&options.instance, order);
    let container = TaskSpecContainerSpec {
        image: Some(image.to_owned()),
        labels: Some(marks.clone()),
        command: list(&[RUNNER]),
        args: list(&["connect", &options.address.to_string(), SECRET]),
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
                constraints: Some(options.constraints.clone()),
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

/// How the one task of a service stands.
pub(super) enum Standing {
    /// It is where the scheduler wants it; with the scheduler's words while it waits.
    Fine(Option<String>),
    /// It ended, or its node did; in words for `Lost`.
    Over(String),
}

pub(super) async fn standing(docker: &Docker, service: &str) -> Option<Standing> {
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
pub(super) fn obituary(docker: Docker, service: String) -> Obituary {
    Box::pin(async move {
        loop {
            if let Some(Standing::Over(reason)) = standing(&docker, &service).await {
                return reason;
            }
            tokio::time::sleep(LOOK).await;
        }
    })
}
