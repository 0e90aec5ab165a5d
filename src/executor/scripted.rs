//! A double that plays a written part, for tests of what is above executors.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::ports::error::{PortError, Result};
use crate::ports::executor::{Abilities, Executor, JobEnd, JobEvent, JobOrder, Running};
use crate::protocol::{CollectKind, Exit, Stream};

/// Something that a scripted job does. Times are all 0.
#[derive(Debug, Clone)]
pub enum Act {
    /// A step begins.
    Start(u32),
    /// A step writes to its standard output.
    Write(u32, String),
    /// A step ends.
    End(u32, Exit),
    /// A file is collected.
    File {
        /// As what.
        kind: CollectKind,
        /// Its path in the workspace.
        path: String,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Nothing happens until [`Scripted::release`], or until the job is cancelled.
    Hold,
    /// The job ends. Without it, it ends as `Done` after the last act.
    Finish(JobEnd),
}

impl Act {
    /// A step from begin to end with this exit status.
    pub fn step(step: u32, code: i32) -> [Self; 2] {
        [Self::Start(step), Self::End(step, Exit::Code(code))]
    }
}

type Part = Box<dyn Fn(&JobOrder) -> Result<Vec<Act>, PortError> + Send + Sync>;

/// An executor that plays.
pub struct Scripted {
    part: Part,
    orders: Mutex<Vec<JobOrder>>,
    isolates: bool,
    released: watch::Sender<bool>,
}

impl Scripted {
    /// Plays what `part` says for an order; an error is the error of `start`.
    pub fn new(
        part: impl Fn(&JobOrder) -> Result<Vec<Act>, PortError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            part: Box::new(part),
            orders: Mutex::new(Vec::new()),
            isolates: true,
            released: watch::Sender::new(false),
        }
    }

    /// The same, saying that it does not isolate.
    #[must_use]
    pub fn without_isolation(mut self) -> Self {
        self.isolates = false;
        self
    }

    /// The orders so far.
    pub fn orders(&self) -> Vec<JobOrder> {
        self.orders
            .lock()
            .map(|orders| orders.clone())
            .unwrap_or_default()
    }

    /// Lets every job that holds, now or later, go on.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    /// Lets jobs hold again.
    pub fn hold(&self) {
        self.released.send_replace(false);
    }
}

#[async_trait]
impl Executor for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn isolates(&self) -> bool {
        self.isolates
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
        let acts = (self.part)(&order)?;
        let folder = order.scratch.join("received");
        std::fs::create_dir_all(&folder)
            .map_err(|error| PortError::transient(error.to_string()))?;
        if let Ok(mut orders) = self.orders.lock() {
            orders.push(order);
        }
        Ok(Box::new(Playing {
            acts: acts.into(),
            begun: false,
            over: false,
            files: 0,
            step: None,
            folder,
            cancelled: Arc::new(watch::Sender::new(false)),
            released: self.released.subscribe(),
        }))
    }
}

struct Playing {
    acts: VecDeque<Act>,
    begun: bool,
    over: bool,
    files: u32,
    /// The one that began last: files are taken to be its.
    step: Option<u32>,
    folder: PathBuf,
    cancelled: Arc<watch::Sender<bool>>,
    released: watch::Receiver<bool>,
}

impl Playing {
    fn finish(&mut self, end: JobEnd) -> JobEvent {
        self.over = true;
        JobEvent::Finished(end)
    }
}

#[async_trait]
impl Running for Playing {
    async fn next(&mut self) -> Option<JobEvent> {
        if self.over {
            return None;
        }
        if !self.begun {
            self.begun = true;
            return Some(JobEvent::Started);
        }
        // An act is taken off only once it has happened, so a dropped call loses nothing.
        while let Some(Act::Hold) = self.acts.front() {
            let mut cancelled = self.cancelled.subscribe();
            tokio::select! {
                _ = self.released.wait_for(|released| *released) => {}
                _ = cancelled.wait_for(|cancelled| *cancelled) => {}
            }
            if *self.cancelled.borrow() {
                return Some(self.finish(JobEnd::Cancelled));
            }
            self.acts.pop_front();
        }
        if *self.cancelled.borrow() {
            return Some(self.finish(JobEnd::Cancelled));
        }
        match self.acts.pop_front() {
            None | Some(Act::Hold) => Some(self.finish(JobEnd::Done)),
            Some(Act::Finish(end)) => Some(self.finish(end)),
            Some(Act::Start(step)) => {
                self.step = Some(step);
                Some(JobEvent::StepStarted { step, unix_ms: 0 })
            }
            Some(Act::Write(step, text)) => Some(JobEvent::Output {
                step,
                stream: Stream::Stdout,
                unix_ms: 0,
                bytes: text.into_bytes(),
            }),
            Some(Act::End(step, exit)) => Some(JobEvent::StepFinished {
                step,
                exit,
                duration_ms: 0,
            }),
            Some(Act::File { kind, path, bytes }) => {
                self.files += 1;
                let stored = self.folder.join(self.files.to_string());
                if let Err(error) = std::fs::write(&stored, &bytes) {
                    return Some(self.finish(JobEnd::Lost(error.to_string())));
                }
                Some(JobEvent::File {
                    kind,
                    path,
                    stored,
                    size: bytes.len() as u64,
                    step: self.step,
                })
            }
        }
    }

    async fn cancel(&mut self, _reason: &str) {
        self.cancelled.send_replace(true);
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
