//! `herald upload`: sends reports from another CI to a Herald server.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use anyhow::Context;
use serde_json::Value;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::arguments::FailOn;
use super::report::is_bad;
use super::screen::Screen;
use super::upload_flags::UploadFlags;
use super::upload_from::{Tested, git, repository_of, tested};
use super::upload_send::{Proof, Sender, size};
use super::{End, files, runtime, view, wrong};
use crate::domain::history::Verdicts;
use crate::domain::{Secret, Sha};
use crate::report::may_be_report;
use crate::text::{address, parse_duration, plural};

/// What is sent, and for what.
struct Asked {
    server: String,
    owner: String,
    repository: String,
    name: String,
    part: Option<String>,
    parts: Option<u32>,
    commit: Option<String>,
    pull: Option<i64>,
    wait: Option<String>,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

pub(super) fn run(flags: &UploadFlags, screen: &Screen) -> anyhow::Result<End> {
    let proof = proof()?;
    let asked = Asked::new(flags, proof.as_ref())?;
    let found = files::find(&flags.paths, &flags.coverage, Path::new("."))?;
    if found.stdin {
        return Err(wrong("standard input cannot be sent; name a file"));
    }
    let mut report = files::read(&flags.paths, &flags.coverage, Path::new("."), true, screen)?;
    report.locate(&files::index(Path::new(".")));
    let mut archive = pack(&found.files)?;
    let bytes = archive.metadata().context("look at the archive")?.len();
    let what = format!(
        "{} ({})",
        plural(found.files.len() as u64, "file"),
        size(bytes)
    );
    if flags.dry_run {
        screen.result(&format!("would send {what}{}\n", asked.said()));
        for file in &found.files {
            screen.result(&format!("  {}\n", file.display()));
        }
        return Ok(End::Good);
    }
    let proof = proof.ok_or_else(|| {
        wrong(
            "there is no token: set HERALD_TOKEN or HERALD_TOKEN_FILE to one that `herald admin token create --scope \
             upload --repository OWNER/REPO` makes; in GitHub Actions give the job `permissions: {id-token: write}`",
        )
    })?;
    let answer = runtime()?.block_on(async {
        let mut sender = Sender::new(&asked.server, proof, screen)?;
        sender.send(&asked.address(), &mut archive).await
    })?;
    let shown = view::report(&report, Some(Path::new(".")), false, &Verdicts::default());
    screen.result(&shown);
    screen.result(&format!(
        "sent {what}{}\n{}",
        asked.said(),
        outcome(&answer)
    ));
    Ok(if flags.fail_on == FailOn::Failures && is_bad(&report) {
        End::Red
    } else {
        End::Good
    })
}

/// By what the server is to know us; nothing where there is nothing.
fn proof() -> anyhow::Result<Option<Proof>> {
    let text =
        match (variable("HERALD_TOKEN"), variable("HERALD_TOKEN_FILE")) {
            (Some(_), Some(_)) => {
                return Err(wrong(
                    "HERALD_TOKEN and HERALD_TOKEN_FILE are both set; set one",
                ));
            }
            (Some(text), None) => Some(text),
            (None, Some(file)) => Some(std::fs::read_to_string(&file).map_err(|error| {
                wrong(format!("HERALD_TOKEN_FILE: cannot read {file}: {error}"))
            })?),
            (None, None) => None,
        };
    if let Some(text) = text {
        return Ok(Some(Proof::Token(Secret::new(text.trim()))));
    }
    let url = variable("ACTIONS_ID_TOKEN_REQUEST_URL");
    let key = variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN");
    Ok(url.zip(key).map(|(url, key)| Proof::Job {
        url,
        key: Secret::new(key),
        token: None,
    }))
}

impl Asked {
    fn new(flags: &UploadFlags, proof: Option<&Proof>) -> anyhow::Result<Self> {
        let server = flags.server.clone().or_else(|| variable("HERALD_URL"));
        let server = server.as_deref().unwrap_or_default().trim_end_matches('/');
        if !server.starts_with("http://") && !server.starts_with("https://") {
            return Err(wrong(
                "which server? Set --server or HERALD_URL to its address, as https://herald.example.org",
            ));
        }
        let named = flags
            .repository
            .clone()
            .or_else(|| variable("GITHUB_REPOSITORY"));
        let by_git = || repository_of(&git(&["remote", "get-url", "origin"])?);
        let named = named.or_else(by_git).unwrap_or_default();
        let Some((owner, repository)) = named
            .split_once('/')
            .filter(|(_, name)| !name.contains('/'))
        else {
            return Err(wrong("which repository? Set --repository OWNER/REPO"));
        };
        if let Some(wait) = &flags.wait {
            parse_duration(wait).map_err(|error| wrong(format!("--wait: {error}")))?;
        }
        let Tested {
            commit,
            pull,
            by_ci,
        } = tested(variable);
        // GitHub has signed what a job tests.
        let is_signed = matches!(proof, Some(Proof::Job { .. }));
        let commit = flags.commit.clone().or(commit.filter(|_| !is_signed));
        let pull = flags.pull_request.or(pull.filter(|_| !is_signed));
        let commit = match commit {
            None if !by_ci && pull.is_none() => git(&["rev-parse", "HEAD"]),
            commit => commit,
        };
        if let Some(commit) = &commit {
            Sha::parse(commit).map_err(|error| wrong(format!("--commit: {error}")))?;
        }
        if commit.is_none() && pull.is_none() && !is_signed {
            return Err(wrong(
                "which commit was tested? Set --commit or --pull-request",
            ));
        }
        Ok(Self {
            server: server.to_owned(),
            owner: owner.to_owned(),
            repository: repository.to_owned(),
            name: flags
                .name
                .clone()
                .or_else(|| variable("GITHUB_WORKFLOW"))
                .unwrap_or_else(|| "reports".to_owned()),
            part: flags.part.clone(),
            parts: flags.parts,
            commit,
            pull,
            wait: flags.wait.clone(),
        })
    }

    /// Path and query of the address that begins an upload.
    fn address(&self) -> String {
        let (owner, name) = (address::part(&self.owner), address::part(&self.repository));
        let mut all = format!(
            "/api/v1/repos/{owner}/{name}/reports?name={}&path=reports.zip",
            address::part(&self.name)
        );
        let parts = self.parts.map(|parts| parts.to_string());
        let pull = self.pull.map(|pull| pull.to_string());
        for (key, value) in [
            ("part", &self.part),
            ("parts", &parts),
            ("commit", &self.commit),
            ("pull_request", &pull),
            ("wait", &self.wait),
        ] {
            if let Some(value) = value {
                all.push_str(&format!("&{key}={}", address::part(value)));
            }
        }
        all
    }

    /// As what, where to and for what.
    fn said(&self) -> String {
        let part = match (&self.part, self.parts) {
            (Some(part), Some(parts)) => format!(" as part {part} of {parts} of"),
            (Some(part), None) => format!(" as part {part} of"),
            (None, _) => " as".to_owned(),
        };
        let of = match (&self.commit, self.pull) {
            (Some(commit), _) => format!(" at {}", commit.get(..7).unwrap_or(commit)),
            (None, Some(pull)) => format!(" for pull request {pull}"),
            (None, None) => String::new(),
        };
        let Self {
            server,
            owner,
            repository,
            name,
            ..
        } = self;
        format!("{part} \"{name}\" to {owner}/{repository}{of}, by {server}")
    }
}

/// What becomes of it, and where.
fn outcome(answer: &Value) -> String {
    let text = |at: &str| {
        answer
            .pointer(at)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let count = |at: &str| answer.pointer(at).and_then(Value::as_u64);
    let received = count("/parts/received").unwrap_or_default();
    let parts = match count("/parts/expected") {
        Some(expected) => format!("{received} of {expected} parts are there"),
        None if received == 1 => "1 part is there".to_owned(),
        None => format!("{received} parts are there"),
    };
    let when = match text("/due_at") {
        "" => String::new(),
        due => format!(", at the latest at {due}"),
    };
    format!(
        "{parts}; the check \"{}\" on commit {} says the result{when}\n{}\n",
        text("/check"),
        text("/commit"),
        text("/url")
    )
}

/// One archive of all files. The same files give the same bytes, by which an unfinished upload is found again.
fn pack(files: &[PathBuf]) -> anyhow::Result<File> {
    let file = tempfile::tempfile().context("make a temporary file")?;
    let mut zip = ZipWriter::new(file);
    let options = SimpleFileOptions::default().large_file(true);
    let mut names: Vec<String> = Vec::new();
    for path in files {
        let mut name = entry_name(path);
        while names.contains(&name) {
            name.insert_str(0, "other/");
        }
        let shown = path.display();
        zip.start_file(name.as_str(), options)
            .with_context(|| format!("pack {shown}"))?;
        names.push(name);
        let mut content =
            File::open(path).map_err(|error| wrong(format!("read {shown}: {error}")))?;
        std::io::copy(&mut content, &mut zip).with_context(|| format!("pack {shown}"))?;
    }
    let mut file = zip.finish().context("pack the reports")?;
    file.seek(SeekFrom::Start(0)).context("pack the reports")?;
    Ok(file)
}

/// What a file is called in the archive: its path without what leads out, and with an ending that is looked at.
fn entry_name(path: &Path) -> String {
    let parts: Vec<String> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    let name = parts.join("/");
    if may_be_report(&name) {
        name
    } else {
        format!("{name}.txt")
    }
}
