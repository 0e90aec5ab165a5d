//! What the runner says, checked and turned into events.
//!
//! The runner lives where the job lives, so a job may speak in its place. Whatever comes is kept
//! within the order: steps that exist, each begun and ended once; files within the limits, with
//! paths that stay in the workspace.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::ports::executor::{self, JobEnd, JobEvent};
use crate::protocol::{CollectKind, Exit, FileInfo, FromRunner, Job, Limits, Outcome};

/// The longest path of a collected file, in bytes.
const PATH: usize = 1024;
/// The longest words of the runner, in characters.
const WORDS: usize = 2000;

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Waiting,
    Running,
    Over,
}

/// A file that is being received.
struct Receiving {
    info: FileInfo,
    stored: PathBuf,
    /// `None` when it was received before.
    file: Option<File>,
    received: u64,
}

/// How far a job is whose runner is met again.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// Steps that have begun.
    pub(super) begun: HashSet<u32>,
    /// Steps that have ended.
    pub(super) over: HashSet<u32>,
}

impl From<&executor::Progress> for Known {
    fn from(progress: &executor::Progress) -> Self {
        Self {
            begun: progress.begun.iter().copied().collect(),
            over: progress.over.iter().copied().collect(),
        }
    }
}

/// Reads the runner's messages of one job.
pub(super) struct Intake {
    steps: Vec<Progress>,
    kinds: Vec<CollectKind>,
    limits: Limits,
    /// Where collected files go; a folder of our own.
    folder: PathBuf,
    files: u32,
    bytes: u64,
    receiving: Option<Receiving>,
    /// What was received whole.
    complete: HashSet<(CollectKind, String)>,
    /// Whether the next message may tell of a step what is known already: it was taken note of,
    /// and then the server ended before it could say so.
    repeats: bool,
}

impl Intake {
    pub(super) fn new(job: &Job, folder: &Path) -> Self {
        let cache = job.cache.as_ref().filter(|cache| cache.save);
        Self {
            steps: vec![Progress::Waiting; job.steps.len()],
            kinds: job
                .collect
                .iter()
                .map(|collect| collect.kind)
                .chain(cache.map(|_| CollectKind::Cache))
                .collect(),
            complete: HashSet::new(),
            repeats: false,
            limits: job.limits,
            folder: folder.to_owned(),
            files: 0,
            bytes: 0,
            receiving: None,
        }
    }

    /// The same for a job that has begun before.
    pub(super) fn again(job: &Job, folder: &Path, known: &Known) -> Self {
        let mut intake = Self::new(job, folder);
        for (index, progress) in (0..).zip(&mut intake.steps) {
            if known.over.contains(&index) {
                *progress = Progress::Over;
            } else if known.begun.contains(&index) {
                *progress = Progress::Running;
            }
        }
        intake.repeats = true;
        intake
    }

    /// The stream was replaced: a file that was on its way comes again.
    pub(super) fn restart(&mut self) {
        self.receiving = None;
    }

    /// The event that a message is; `None` when it is only a part of one.
    ///
    /// # Errors
    /// Words for `Lost` when the runner says what it may not.
    pub(super) async fn take(&mut self, message: FromRunner) -> Result<Option<JobEvent>, String> {
        match message {
            FromRunner::Hello(_) => Err(broken("it introduced itself twice")),
            FromRunner::Collecting => Ok(None),
            FromRunner::Started => Ok(Some(JobEvent::Started)),
            FromRunner::StepStarted { step, unix_ms } => {
                self.move_step(step, &[Progress::Waiting], Progress::Running)?;
                Ok(Some(JobEvent::StepStarted { step, unix_ms }))
            }
            FromRunner::Output {
                step,
                stream,
                unix_ms,
                bytes,
            } => {
                self.move_step(step, &[Progress::Running], Progress::Running)?;
                Ok(Some(JobEvent::Output {
                    step,
                    stream,
                    unix_ms,
                    bytes,
                }))
            }
            FromRunner::StepFinished {
                step,
                exit,
                duration_ms,
            } => {
                let from: &[Progress] = match exit {
                    Exit::Skipped => &[Progress::Waiting],
                    _ => &[Progress::Running],
                };
                self.move_step(step, from, Progress::Over)?;
                let exit = match exit {
                    Exit::NotStarted(reason) => Exit::NotStarted(words(&reason)),
                    other => other,
                };
                Ok(Some(JobEvent::StepFinished {
                    step,
                    exit,
                    duration_ms,
                }))
            }
            FromRunner::Trouble { text } => Err(words(&text)),
            FromRunner::Note { text } => Ok(Some(JobEvent::Note(words(&text)))),
            FromRunner::FileStart(info) => self.begin(info).await.map(|()| None),
            FromRunner::FileChunk { bytes } => self.chunk(&bytes).await.map(|()| None),
            FromRunner::FileEnd { complete } => self.end(complete).await,
            FromRunner::Finished { outcome } => {
                if self.steps.iter().any(|step| *step != Progress::Over) {
                    return Err(broken("it finished before all steps had ended"));
                }
                Ok(Some(JobEvent::Finished(match outcome {
                    Outcome::Done => JobEnd::Done,
                    Outcome::TimedOut => JobEnd::TimedOut,
                    Outcome::Cancelled => JobEnd::Cancelled,
                })))
            }
        }
    }

    fn move_step(&mut self, step: u32, from: &[Progress], to: Progress) -> Result<(), String> {
        let place = usize::try_from(step)
            .ok()
            .and_then(|step| self.steps.get_mut(step));
        let repeats = std::mem::replace(&mut self.repeats, false);
        match place {
            Some(progress) if from.contains(progress) || (repeats && *progress == to) => {
                *progress = to;
                Ok(())
            }
            _ => Err(broken("it spoke of a step that does not run")),
        }
    }

    async fn begin(&mut self, info: FileInfo) -> Result<(), String> {
        let known = self.complete.contains(&(info.kind, info.path.clone()));
        let plain = self.receiving.is_none()
            && self.kinds.contains(&info.kind)
            && is_inner_path(&info.path);
        if known && plain {
            self.receiving = Some(Receiving {
                info,
                stored: PathBuf::new(),
                file: None,
                received: 0,
            });
            return Ok(());
        }
        let allowed = plain
            && self.files < self.limits.files
            && info.size <= self.limits.file_bytes
            && self.bytes.saturating_add(info.size) <= self.limits.total_bytes;
        if !allowed {
            return Err(broken("it sent a file that was not asked for"));
        }
        self.files += 1;
        self.bytes += info.size;
        let stored = self.folder.join(self.files.to_string());
        let file = File::create(&stored).await.map_err(|error| disk(&error))?;
        self.receiving = Some(Receiving {
            info,
            stored,
            file: Some(file),
            received: 0,
        });
        Ok(())
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), String> {
        let Some(receiving) = &mut self.receiving else {
            return Err(broken("it sent a piece of no file"));
        };
        receiving.received = receiving.received.saturating_add(bytes.len() as u64);
        if receiving.received > receiving.info.size {
            return Err(broken("it sent more of a file than it said"));
        }
        match &mut receiving.file {
            Some(file) => file.write_all(bytes).await.map_err(|error| disk(&error)),
            None => Ok(()),
        }
    }

    async fn end(&mut self, complete: bool) -> Result<Option<JobEvent>, String> {
        let Some(mut receiving) = self.receiving.take() else {
            return Err(broken("it ended a file that had not begun"));
        };
        let Some(file) = &mut receiving.file else {
            return Ok(None);
        };
        file.flush().await.map_err(|error| disk(&error))?;
        let path = receiving.info.path;
        if !complete || receiving.received != receiving.info.size {
            let text = format!("{path} is not collected: it could not be read to its end");
            return Ok(Some(JobEvent::Note(words(&text))));
        }
        self.complete.insert((receiving.info.kind, path.clone()));
        Ok(Some(JobEvent::File {
            kind: receiving.info.kind,
            path,
            stored: receiving.stored,
            size: receiving.info.size,
            step: receiving.info.step,
        }))
    }
}

/// Whether a path names something inside the workspace, in its plain form.
fn is_inner_path(path: &str) -> bool {
    path.len() <= PATH
        && !path.contains(['\0', '\\'])
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn words(text: &str) -> String {
    text.chars().take(WORDS).collect()
}

fn broken(what: &str) -> String {
    format!("the runner broke the protocol: {what}")
}

fn disk(error: &std::io::Error) -> String {
    format!("a collected file could not be stored: {error}")
}
