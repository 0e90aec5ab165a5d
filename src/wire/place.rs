//! Where jobs run: the executor that the settings ask for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};

use rand::RngCore;

use crate::config::{Config, ExecutorKind};
use crate::domain::Secret;
use crate::executor::{
    DockerExecutor, DockerOptions, Gate, Logins, Nowhere, ProcessExecutor, RunnerProgram, Sandbox,
    SwarmExecutor, SwarmOptions,
};
use crate::ports::Executor;

/// The name of the small program.
const RUNNER: &str = "herald-runner";
/// The program itself, as `gzip` packs it.
#[cfg(feature = "embedded-runner")]
const COMPRESSED: &[u8] = include_bytes!(env!("HERALD_EMBED_RUNNER"));
#[cfg(feature = "embedded-runner")]
const _: () = assert!(
    matches!(COMPRESSED, [0x1f, 0x8b, ..]),
    "HERALD_EMBED_RUNNER names a file that `gzip` did not make"
);

/// An executor, and for `swarm` the gate through which its runners come.
pub struct Place {
    /// Where jobs run.
    pub executor: Arc<dyn Executor>,
    /// Where runners connect.
    pub gate: Option<Arc<Gate>>,
}

impl Place {
    /// Of a process that runs no jobs.
    pub fn nowhere() -> Self {
        Self {
            executor: Arc::new(Nowhere),
            gate: None,
        }
    }
}

/// The executor of a server. `instance` is the server's own name, on all that it makes.
///
/// # Errors
/// When something that it needs is missing, with the way out.
pub async fn place(config: &Config, instance: &str) -> anyhow::Result<Place> {
    Ok(match config.executor {
        ExecutorKind::Process => Place {
            executor: Arc::new(process_executor(config.sandbox)?),
            gate: None,
        },
        ExecutorKind::Docker => Place {
            executor: Arc::new(docker(config, instance).await?),
            gate: None,
        },
        ExecutorKind::Swarm => {
            let gate = Arc::new(Gate::default());
            let executor = swarm(config, instance, Arc::clone(&gate)).await?;
            Place {
                executor: Arc::new(executor),
                gate: Some(gate),
            }
        }
    })
}

/// The `process` executor, which runs this very program again.
///
/// # Errors
/// When bubblewrap is wanted and missing, with the way out.
pub fn process_executor(sandbox: bool) -> anyhow::Result<ProcessExecutor> {
    let path = std::env::current_exe().context("find this program's own file")?;
    let program = RunnerProgram {
        path,
        arguments: vec!["runner".to_owned()],
    };
    let sandbox = if sandbox {
        let path = std::env::var("PATH").unwrap_or_default();
        Some(Sandbox::find(&path).map_err(anyhow::Error::msg)?)
    } else {
        None
    };
    Ok(ProcessExecutor::new(program, sandbox))
}

async fn docker(config: &Config, instance: &str) -> anyhow::Result<DockerExecutor> {
    let folder = Some(config.data_dir.as_path());
    let executor = DockerExecutor::new(DockerOptions {
        host: config.docker_host.clone(),
        runner: runner(config.runner_path.as_deref(), folder)?,
        logins: logins(config.registry_auth_file.as_deref())?,
        instance: instance.to_owned(),
        disk_bytes: DockerOptions::DISK,
    });
    executor
        .check()
        .await
        .map_err(|error| anyhow::anyhow!("HERALD_EXECUTOR=docker: {error}"))?;
    Ok(executor)
}

async fn swarm(config: &Config, instance: &str, gate: Arc<Gate>) -> anyhow::Result<SwarmExecutor> {
    let Some(listener) = &config.runner else {
        bail!("HERALD_EXECUTOR=swarm: HERALD_RUNNER_LISTEN is missing");
    };
    // Runners are static programs, which look no names up.
    let address = tokio::net::lookup_host(&listener.host)
        .await
        .with_context(|| format!("HERALD_RUNNER_URL: look up {}", listener.host))?
        .next()
        .with_context(|| format!("HERALD_RUNNER_URL: {} has no address", listener.host))?;
    let executor = SwarmExecutor::new(
        SwarmOptions {
            host: config.docker_host.clone(),
            address,
            logins: logins(config.registry_auth_file.as_deref())?,
            constraints: config.swarm_constraints.clone(),
            instance: instance.to_owned(),
            key: key(&config.data_dir)?,
            disk_bytes: DockerOptions::DISK,
        },
        gate,
    );
    executor
        .check()
        .await
        .map_err(|error| anyhow::anyhow!("HERALD_EXECUTOR=swarm: {error}"))?;
    Ok(executor)
}

/// What tokens of runners are made from: kept, so that they are the same after a restart.
fn key(data_dir: &Path) -> anyhow::Result<Secret> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let path = data_dir.join("runner.key");
    if let Ok(text) = std::fs::read_to_string(&path)
        && text.len() >= 64
    {
        return Ok(Secret::new(text));
    }
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .with_context(|| format!("write {}", path.display()))?;
    Ok(Secret::new(text))
}

/// The `docker` executor of `herald run`, by the variables of the server.
///
/// # Errors
/// When something that it needs is missing, with the way out.
pub async fn local_docker() -> anyhow::Result<DockerExecutor> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let host = variable("HERALD_DOCKER_HOST");
    let runner_path = variable("HERALD_RUNNER_PATH").map(PathBuf::from);
    let auth = variable("HERALD_REGISTRY_AUTH_FILE").map(PathBuf::from);
    let executor = DockerExecutor::new(DockerOptions {
        host: host.unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned()),
        runner: runner(runner_path.as_deref(), None)?,
        logins: logins(auth.as_deref())?,
        instance: format!("run-{}", std::process::id()),
        disk_bytes: DockerOptions::DISK,
    });
    executor.check().await?;
    Ok(executor)
}

fn logins(file: Option<&Path>) -> anyhow::Result<Logins> {
    let Some(file) = file else {
        return Ok(Logins::default());
    };
    Logins::read(file).map_err(|error| anyhow::anyhow!("HERALD_REGISTRY_AUTH_FILE: {error}"))
}

/// `herald-runner`: as said, else beside this program, else the one in it, written into `folder`.
fn runner(said: Option<&Path>, folder: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = said {
        if !path.is_file() {
            bail!("HERALD_RUNNER_PATH: there is no file {}", path.display());
        }
        return Ok(path.to_owned());
    }
    let own = std::env::current_exe().context("find this program's own file")?;
    let beside = own.with_file_name(RUNNER);
    if beside.is_file() {
        return Ok(beside);
    }
    #[cfg(feature = "embedded-runner")]
    if let Some(folder) = folder {
        let path = folder.join(RUNNER);
        write_program(&path, COMPRESSED).with_context(|| format!("write {}", path.display()))?;
        return Ok(path);
    }
    let _ = folder;
    bail!(
        "the program {RUNNER} is missing: put it beside {}, or name it in HERALD_RUNNER_PATH; \
         the README says how it is built",
        own.display()
    )
}

#[cfg(feature = "embedded-runner")]
fn write_program(path: &Path, compressed: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let new = path.with_extension("new");
    let mut file = std::fs::File::create(&new)?;
    std::io::copy(&mut flate2::read::GzDecoder::new(compressed), &mut file)?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755))?;
    std::fs::rename(&new, path)
}
