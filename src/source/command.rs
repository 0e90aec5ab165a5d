//! Running `git` with nothing of our environment and nobody's configuration.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::fault;
use crate::domain::Secret;
use crate::ports::error::{PortError, Result};

/// How much of what git complains is kept, in bytes.
const COMPLAINT: u64 = 64 * 1024;

/// Settings of every call. Old histories have these small faults, and cannot be mended; all other
/// faults that git knows of (say, a tree that writes into `.git`) are refused on arrival.
const SETTINGS: &[(&str, &str)] = &[
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.quotePath", "false"),
    ("core.symlinks", "true"),
    ("core.askPass", ""),
    ("credential.helper", ""),
    ("fetch.fsckObjects", "true"),
    ("fetch.fsck.badTimezone", "ignore"),
    ("fetch.fsck.missingEmail", "ignore"),
    ("fetch.fsck.missingNameBeforeEmail", "ignore"),
    ("fetch.fsck.missingSpaceBeforeDate", "ignore"),
    ("fetch.fsck.missingSpaceBeforeEmail", "ignore"),
    ("fetch.fsck.zeroPaddedFilemode", "ignore"),
    ("fetch.fsck.zeroPaddedDate", "ignore"),
    ("fetch.recurseSubmodules", "false"),
    ("gc.auto", "0"),
    ("http.followRedirects", "false"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "60"),
    ("maintenance.auto", "false"),
    ("protocol.version", "2"),
    ("submodule.recurse", "false"),
];

/// Hands the password over from the environment; for git 2.30, which does not read settings from
/// there.
const HELPER: &str = "!f() { test \"$1\" = get && echo username=x-access-token && echo \"password=$HERALD_PASSWORD\"; }; f";

/// A credential and the base address that it is meant for.
#[derive(Debug)]
pub(super) struct Credential<'a> {
    /// `https://host/`.
    pub(super) base: String,
    pub(super) token: &'a Secret,
}

/// What git answered.
pub(super) struct Answer {
    pub(super) code: Option<i32>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

impl Answer {
    pub(super) fn success(&self) -> bool {
        self.code == Some(0)
    }
}

/// How git is called.
#[derive(Debug, Clone)]
pub(super) struct Git {
    pub(super) program: PathBuf,
    /// Variables for `git`: `PATH`, proxies, certificates.
    pub(super) environment: Vec<(String, String)>,
    /// Whether `file://` is a transport; for tests, and for repositories on this machine.
    pub(super) allow_files: bool,
}

/// One call of git.
pub(super) struct Call<'a> {
    /// Where git runs.
    pub(super) folder: &'a Path,
    pub(super) credential: Option<Credential<'a>>,
    /// Whether repositories on this machine may be fetched from.
    pub(super) local: bool,
    /// How long it may take.
    pub(super) limit: Duration,
    /// How much it may answer, in bytes.
    pub(super) largest: u64,
}

impl<'a> Call<'a> {
    /// A call that reads a repository.
    pub(super) fn read(folder: &'a Path) -> Self {
        Self {
            folder,
            credential: None,
            local: false,
            limit: Duration::from_mins(5),
            largest: 512 * 1024 * 1024,
        }
    }
}

impl Git {
    /// Calls git and waits for its end.
    ///
    /// # Errors
    /// `Transient` when it cannot be started or takes too long, `Refused` when its answer is too
    /// large. That git itself fails is an answer.
    pub(super) async fn call(&self, call: Call<'_>, arguments: &[&str]) -> Result<Answer> {
        let verb = arguments.first().copied().unwrap_or_default();
        let mut command = self.command(&call, arguments);
        let mut child = command.spawn().map_err(|error| {
            PortError::transient(format!("start {}: {error}", self.program.display()))
        })?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let largest = call.largest;
        let work = async move {
            let mut answer = Vec::new();
            let mut said = Vec::new();
            let read_answer = async {
                if let Some(stdout) = stdout {
                    let mut stdout = stdout.take(largest.saturating_add(1));
                    stdout.read_to_end(&mut answer).await?;
                }
                Ok::<(), std::io::Error>(())
            };
            let read_said = async {
                if let Some(mut stderr) = stderr {
                    (&mut stderr).take(COMPLAINT).read_to_end(&mut said).await?;
                    tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
                }
                Ok::<(), std::io::Error>(())
            };
            tokio::try_join!(read_answer, read_said)?;
            if answer.len() as u64 > largest {
                return Ok(None);
            }
            let status = child.wait().await?;
            Ok::<_, std::io::Error>(Some(Answer {
                code: status.code(),
                stdout: answer,
                stderr: String::from_utf8_lossy(&said).into_owned(),
            }))
        };
        match timeout(call.limit, work).await {
            Ok(Ok(Some(mut answer))) => {
                if let Some(credential) = &call.credential {
                    answer.stderr = hide(&answer.stderr, credential.token);
                }
                Ok(answer)
            }
            Ok(Ok(None)) => Err(PortError::refused(format!(
                "read the answer of git {verb}: it is longer than {largest} bytes"
            ))),
            Ok(Err(error)) => Err(PortError::transient(format!("call git {verb}: {error}"))),
            Err(_) => Err(PortError::transient(format!(
                "call git {verb}: no end after {} s",
                call.limit.as_secs()
            ))),
        }
    }

    /// Calls git, for which anything but success is an error.
    pub(super) async fn must(&self, call: Call<'_>, arguments: &[&str]) -> Result<Vec<u8>> {
        let answer = self.call(call, arguments).await?;
        if answer.success() {
            Ok(answer.stdout)
        } else {
            let verb = arguments.first().copied().unwrap_or_default();
            Err(fault::error(verb, &answer))
        }
    }

    fn command(&self, call: &Call<'_>, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        for (key, value) in SETTINGS {
            command.arg("-c").arg(format!("{key}={value}"));
        }
        let protocols = if self.allow_files || call.local {
            "http:https:file"
        } else {
            "http:https"
        };
        command
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("LC_ALL", "C")
            .env("HOME", "/nonexistent")
            .env("XDG_CONFIG_HOME", "/nonexistent")
            .env("GIT_ALLOW_PROTOCOL", protocols)
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_PROTOCOL_FROM_USER", "0")
            .env("GIT_TERMINAL_PROMPT", "0");
        if let Some(credential) = &call.credential {
            let token = credential.token.expose();
            let basic = STANDARD.encode(format!("x-access-token:{token}"));
            let base = &credential.base;
            command
                .arg("-c")
                .arg(format!("credential.{base}.helper={HELPER}"))
                .env("HERALD_PASSWORD", token)
                .env("GIT_CONFIG_COUNT", "1")
                .env("GIT_CONFIG_KEY_0", format!("http.{base}.extraHeader"))
                .env(
                    "GIT_CONFIG_VALUE_0",
                    format!("Authorization: Basic {basic}"),
                );
        }
        command
            .args(arguments)
            .current_dir(call.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

/// What git said, without the credential, should it ever repeat it.
fn hide(said: &str, token: &Secret) -> String {
    let token = token.expose();
    if token.is_empty() {
        return said.to_owned();
    }
    let basic = STANDARD.encode(format!("x-access-token:{token}"));
    said.replace(token, "…").replace(&basic, "…")
}
