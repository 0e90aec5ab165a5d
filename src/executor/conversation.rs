//! The conversation with one runner: its words become events, and it is told what to do.
//!
//! It is the same whatever carries the bytes. Where the connection may break, what has been taken
//! note of is confirmed to the runner, which keeps everything else; and a new connection goes on
//! where the old one ended.

use std::io::Read;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use rand::RngCore;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::intake::{Intake, Known};
use crate::ports::error::{PortError, Result};
use crate::ports::executor::{JobEnd, JobEvent};
use crate::protocol::{
    ArchiveKind, Decoder, Encoder, FromRunner, Job, MARK, ToRunner, check_hello,
};

/// How long the runner may take to say its first words.
const HELLO: Duration = Duration::from_secs(30);
/// How much longer than all its time-outs a job may take, for starting and collecting.
const MARGIN: Duration = Duration::from_mins(10);
/// How many events may wait to be read; more of them hold the job up.
const WAITING: usize = 32;
/// How many events may be unconfirmed while more of them come at once.
const UNCONFIRMED: u64 = 24;
/// How often a runner over the network is spoken to, so that both sides notice a broken connection.
const PULSE: Duration = Duration::from_secs(10);
/// How many bytes are read from a runner at once.
const READ: usize = 256 * 1024;
/// How many bytes of an archive are in one message.
const CHUNK: usize = 256 * 1024;

/// The two directions of a connection to a runner.
pub(super) type Input = Pin<Box<dyn AsyncRead + Send>>;
/// See [`Input`].
pub(super) type Output = Pin<Box<dyn AsyncWrite + Send>>;
/// Both of them.
pub(super) type Streams = (Input, Output);

/// Says why a runner ended that had not finished.
pub(super) type Obituary = Pin<Box<dyn Future<Output = String> + Send>>;

/// Reads messages from a stream.
pub(super) struct Receiver {
    input: Input,
    decoder: Decoder,
}

impl Receiver {
    pub(super) fn new(input: Input) -> Self {
        Self {
            input,
            decoder: Decoder::default(),
        }
    }

    /// The next message; `None` at the end of the stream. Cancel-safe.
    ///
    /// # Errors
    /// Words for `Lost`.
    pub(super) async fn receive(&mut self) -> std::result::Result<Option<FromRunner>, String> {
        let broken = |error| format!("the runner broke the protocol: {error}");
        loop {
            if let Some(message) = self.decoder.next().map_err(broken)? {
                return Ok(Some(message));
            }
            match self.input.read_buf(self.decoder.room(READ)).await {
                Ok(0) => return self.decoder.end().map(|()| None).map_err(broken),
                Ok(_) => {}
                Err(error) => return Err(format!("the runner cannot be read: {error}")),
            }
        }
    }

    /// Reads the runner's first words.
    ///
    /// # Errors
    /// What is wrong with them; `None` when there are none.
    pub(super) async fn greet(&mut self) -> std::result::Result<(), Option<PortError>> {
        let wrong = |words: &str| Some(PortError::refused(format!("start the runner: {words}")));
        match timeout(HELLO, self.receive()).await {
            Ok(Ok(Some(FromRunner::Hello(hello)))) => {
                check_hello(&hello).map_err(|error| wrong(&error.to_string()))
            }
            Ok(Ok(Some(_))) => Err(wrong("it did not say hello")),
            Ok(Ok(None) | Err(_)) => Err(None),
            Err(_) => Err(Some(PortError::transient(
                "start the runner: it says nothing",
            ))),
        }
    }

    /// Takes up a stream of a runner that has been at work: passes over everything before `mark`.
    async fn resume(&mut self, mark: &[u8], received: u64) -> std::result::Result<(), String> {
        let mut seen: Vec<u8> = Vec::new();
        loop {
            seen.reserve(READ);
            match self.input.read_buf(&mut seen).await {
                Ok(0) => return Err("the runner ended".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(format!("the runner cannot be read: {error}")),
            }
            if let Some(at) = memchr::memmem::find(&seen, mark) {
                self.decoder = Decoder::after(received);
                let rest = at + mark.len();
                self.decoder.push(seen.get(rest..).unwrap_or_default());
                return Ok(());
            }
            let keep = seen.len().saturating_sub(mark.len());
            seen.drain(..keep);
        }
    }
}

/// What an archive is made of.
#[derive(Debug, Clone)]
pub(super) enum Contents {
    /// Everything in a folder.
    Folder(PathBuf),
    /// A file that is an archive.
    File(PathBuf),
}

/// How a conversation goes.
pub(super) struct Terms {
    /// The job, as the runner sees it.
    pub(super) job: Job,
    /// Where collected files are received.
    pub(super) folder: PathBuf,
    /// The contents of the job's archives, in their order.
    pub(super) archives: Vec<Contents>,
    /// Events of the executor itself, before those of the runner.
    pub(super) before: Vec<JobEvent>,
    /// Says why the runner ended, when it ended early.
    pub(super) obituary: Obituary,
    /// New connections, where the runner makes them; `None` where there is only one.
    pub(super) connections: Option<mpsc::Receiver<Streams>>,
    /// The token with which the runner comes back.
    pub(super) token: Option<String>,
    /// Whether what is safe is confirmed.
    pub(super) confirms: bool,
}

/// A job under way.
pub(super) struct Conversation {
    events: mpsc::Receiver<(u64, JobEvent)>,
    orders: mpsc::Sender<ToRunner>,
    tasks: Vec<JoinHandle<()>>,
    /// The number of the last event given out.
    position: u64,
    confirmed: u64,
    confirms: bool,
    over: bool,
}

impl Drop for Conversation {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Conversation {
    /// Begins with a runner that has introduced itself.
    pub(super) fn begin(receiver: Receiver, output: Output, terms: Terms) -> Self {
        let intake = Intake::new(&terms.job, &terms.folder);
        let first = ToRunner::Job(Box::new(terms.job.clone()));
        Self::spawn(receiver, Some(output), intake, Some(first), terms, 0)
    }

    /// Goes on with a runner whose messages up to `received` are safe.
    ///
    /// # Errors
    /// Words for `Lost` when it does not answer.
    pub(super) async fn resume(
        streams: Streams,
        terms: Terms,
        known: &Known,
        received: u64,
    ) -> std::result::Result<Self, String> {
        let (input, mut output) = streams;
        let mut receiver = Receiver::new(input);
        let token = terms.token.as_deref();
        let resumed = ask_again(&mut receiver, &mut output, received, token);
        timeout(HELLO, resumed)
            .await
            .map_err(|_| "the runner does not answer".to_owned())??;
        let intake = Intake::again(&terms.job, &terms.folder, known);
        Ok(Self::spawn(
            receiver,
            Some(output),
            intake,
            None,
            terms,
            received,
        ))
    }

    fn spawn(
        receiver: Receiver,
        output: Option<Output>,
        intake: Intake,
        first: Option<ToRunner>,
        terms: Terms,
        received: u64,
    ) -> Self {
        let (orders, to_send) = mpsc::channel(8);
        let (sender, events) = mpsc::channel(WAITING);
        let deadline = deadline(&terms.job);
        let (outputs, new_outputs) = mpsc::channel(1);
        let fresh = first.is_some();
        let mut tasks = vec![tokio::spawn(write(
            output,
            new_outputs,
            to_send,
            first,
            terms.connections.is_some(),
        ))];
        if fresh && !terms.archives.is_empty() {
            let kinds = terms.job.archives.clone();
            tasks.push(tokio::spawn(send_archives(
                kinds,
                terms.archives,
                orders.clone(),
            )));
        }
        let reader = Reader {
            receiver,
            intake,
            events: sender,
            deadline,
            connections: terms.connections,
            token: terms.token,
            outputs,
            obituary: terms.obituary,
            started: !fresh,
            files_after: None,
        };
        let before = terms.before;
        tasks.push(tokio::spawn(async move {
            let mut reader = reader;
            for event in before {
                let _ = reader.events.send((received, event)).await;
            }
            let end = reader.read().await;
            let position = reader.receiver.decoder.received();
            let _ = reader
                .events
                .send((position, JobEvent::Finished(end)))
                .await;
        }));
        Self {
            events,
            orders,
            tasks,
            position: received,
            confirmed: received,
            confirms: terms.confirms,
            over: false,
        }
    }

    /// The next event. Asking for it says that the one before is safe.
    pub(super) async fn next(&mut self) -> Option<JobEvent> {
        if self.over {
            return None;
        }
        let waiting = !self.events.is_empty();
        if self.position > self.confirmed
            && (!waiting || self.position - self.confirmed >= UNCONFIRMED)
        {
            if self.confirms {
                let number = self.position;
                // Best effort: the next one says the same and more.
                let _ = self.orders.try_send(ToRunner::Ack { number });
            }
            self.confirmed = self.position;
        }
        let (number, event) = self.events.recv().await.unwrap_or_else(|| {
            let lost = JobEnd::Lost("the job's reader ended".to_owned());
            (self.position, JobEvent::Finished(lost))
        });
        self.position = number;
        self.over = matches!(event, JobEvent::Finished(_));
        Some(event)
    }

    /// The number of the last event's message.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) async fn cancel(&self, reason: &str) {
        let cancel = ToRunner::Cancel {
            reason: reason.chars().take(500).collect(),
        };
        // A runner that is gone or deaf is noticed by the reader.
        let _ = timeout(Duration::from_secs(5), self.orders.send(cancel)).await;
    }
}

async fn ask_again(
    receiver: &mut Receiver,
    output: &mut Output,
    received: u64,
    token: Option<&str>,
) -> std::result::Result<(), String> {
    let mut mark = vec![0; MARK];
    rand::rng().fill_bytes(&mut mark);
    let resume = ToRunner::Resume {
        mark: mark.clone(),
        received,
        token: token.map(str::to_owned),
    };
    let frame = Encoder::default()
        .frame(&resume)
        .map_err(|error| error.to_string())?;
    let failed = |error| format!("the runner cannot be reached: {error}");
    output.write_all(&frame).await.map_err(failed)?;
    output.flush().await.map_err(failed)?;
    receiver.resume(&mark, received).await
}

/// Meets a runner that has connected for the first time, over the network.
///
/// # Errors
/// As [`Receiver::greet`].
pub(super) async fn meet(
    streams: Streams,
    token: Option<&str>,
) -> std::result::Result<(Receiver, Output), Option<PortError>> {
    let (input, mut output) = streams;
    let mut receiver = Receiver::new(input);
    match timeout(HELLO, ask_again(&mut receiver, &mut output, 0, token)).await {
        Ok(Ok(())) => {}
        _ => return Err(None),
    }
    receiver.greet().await?;
    Ok((receiver, output))
}

fn deadline(job: &Job) -> Instant {
    let milliseconds = job
        .timeout_ms
        .saturating_add(job.after_timeout_ms)
        .saturating_add(job.grace_ms.saturating_mul(2));
    let year = Duration::from_hours(365 * 24);
    Instant::now() + Duration::from_millis(milliseconds).min(year) + MARGIN
}

/// Writes orders; numbers begin anew with each connection.
async fn write(
    mut output: Option<Output>,
    mut new_outputs: mpsc::Receiver<Output>,
    mut orders: mpsc::Receiver<ToRunner>,
    mut first: Option<ToRunner>,
    pulse: bool,
) {
    // A resumed stream has been spoken to once.
    let mut encoder = Encoder::default();
    if first.is_none() || pulse {
        encoder.rewind(1);
    }
    let mut beat = tokio::time::interval(PULSE);
    loop {
        let order = match first.take() {
            Some(order) => order,
            None => tokio::select! {
                biased;
                Some(new) = new_outputs.recv() => {
                    output = Some(new);
                    encoder.rewind(1);
                    continue;
                }
                order = orders.recv() => match order {
                    Some(order) => order,
                    None => return,
                },
                _ = beat.tick(), if pulse => ToRunner::Ack { number: 0 },
            },
        };
        let (Some(stream), Ok(frame)) = (&mut output, encoder.frame(&order)) else {
            continue;
        };
        if stream.write_all(&frame).await.is_err() || stream.flush().await.is_err() {
            output = None;
        }
    }
}

async fn send_archives(
    kinds: Vec<ArchiveKind>,
    archives: Vec<Contents>,
    orders: mpsc::Sender<ToRunner>,
) {
    for (kind, contents) in kinds.into_iter().zip(archives) {
        if orders.send(ToRunner::Archive(kind)).await.is_err() {
            return;
        }
        let to = orders.clone();
        let sent = tokio::task::spawn_blocking(move || archive(&contents, to)).await;
        if let Ok(Err(error)) = &sent {
            // The runner finds the archive cut off, and says so.
            tracing::warn!("failed to send an archive to the runner: {error}");
            return;
        }
        let _ = orders.send(ToRunner::ArchiveEnd).await;
    }
}

/// Sends the bytes of an archive.
fn archive(contents: &Contents, orders: mpsc::Sender<ToRunner>) -> std::io::Result<()> {
    match contents {
        Contents::Folder(folder) => {
            let pieces = std::io::BufWriter::with_capacity(CHUNK, Pieces(orders));
            let mut archive = tar::Builder::new(pieces);
            archive.follow_symlinks(false);
            archive.append_dir_all("", folder)?;
            archive
                .into_inner()?
                .into_inner()
                .map_err(std::io::IntoInnerError::into_error)?;
            Ok(())
        }
        Contents::File(file) => {
            let mut file = match std::fs::File::open(file) {
                Ok(file) => file,
                // A cache that had to make room meanwhile is an empty one.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            };
            let mut pieces = Pieces(orders);
            let mut block = vec![0; CHUNK];
            loop {
                let read = file.read(&mut block)?;
                let bytes = block.get(..read).unwrap_or_default();
                if bytes.is_empty() {
                    return Ok(());
                }
                std::io::Write::write_all(&mut pieces, bytes)?;
            }
        }
    }
}

/// Sends what is written to it as pieces of an archive.
struct Pieces(mpsc::Sender<ToRunner>);

impl std::io::Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = bytes.get(..bytes.len().min(CHUNK)).unwrap_or_default();
        let chunk = ToRunner::Chunk {
            bytes: taken.to_vec(),
        };
        self.0
            .blocking_send(chunk)
            .map_err(|_| std::io::ErrorKind::BrokenPipe)?;
        Ok(taken.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Reads what the runner says until the job is over.
struct Reader {
    receiver: Receiver,
    intake: Intake,
    events: mpsc::Sender<(u64, JobEvent)>,
    deadline: Instant,
    connections: Option<mpsc::Receiver<Streams>>,
    token: Option<String>,
    outputs: mpsc::Sender<Output>,
    obituary: Obituary,
    /// Whether the job has begun; before, a broken connection is the end.
    started: bool,
    /// The number of the last message before the collecting begins.
    files_after: Option<u64>,
}

impl Reader {
    async fn read(&mut self) -> JobEnd {
        loop {
            // Over the network, a node that is lost breaks no connection.
            let watched = self.connections.is_some() && self.started;
            let received = tokio::select! {
                biased;
                received = timeout_at(self.deadline, self.receiver.receive()) => received,
                reason = self.obituary.as_mut(), if watched => return JobEnd::Lost(reason),
            };
            let message = match received {
                Ok(Ok(Some(message))) => message,
                Ok(ended) => {
                    // A protocol that was broken on purpose is no broken connection.
                    if let Err(reason) = ended
                        && reason.contains("protocol")
                        && self.connections.is_none()
                    {
                        return JobEnd::Lost(reason);
                    }
                    match self.reconnect().await {
                        Ok(()) => continue,
                        Err(reason) => return JobEnd::Lost(reason),
                    }
                }
                Err(_) => return JobEnd::Lost("the runner did not end in time".to_owned()),
            };
            let number = self.receiver.decoder.received();
            match &message {
                FromRunner::Started => self.started = true,
                // Itself it comes again too, so that a second break begins there as well.
                FromRunner::Collecting => self.files_after = Some(number.saturating_sub(1)),
                _ => {}
            }
            match self.intake.take(message).await {
                Ok(Some(JobEvent::Finished(end))) => return end,
                // Nobody reads any more when the job was dropped.
                Ok(Some(event)) => {
                    let number = self.files_after.unwrap_or(number).min(number);
                    if self.events.send((number, event)).await.is_err() {
                        return JobEnd::Cancelled;
                    }
                }
                Ok(None) => {}
                Err(reason) => return JobEnd::Lost(reason),
            }
        }
    }

    /// Goes on with a new connection, where there may be one.
    ///
    /// # Errors
    /// Words for `Lost`.
    async fn reconnect(&mut self) -> std::result::Result<(), String> {
        loop {
            let Some(connections) = self.connections.as_mut().filter(|_| self.started) else {
                return Err(self.obituary.as_mut().await);
            };
            let (input, mut output) = tokio::select! {
                next = timeout_at(self.deadline, connections.recv()) => match next {
                    Ok(Some(streams)) => streams,
                    Ok(None) => return Err(self.obituary.as_mut().await),
                    Err(_) => return Err("the runner did not come back in time".to_owned()),
                },
                reason = self.obituary.as_mut() => return Err(reason),
            };
            let received = self.receiver.decoder.received();
            let received = self.files_after.unwrap_or(received).min(received);
            let mut receiver = Receiver::new(input);
            let token = self.token.as_deref();
            let resumed = ask_again(&mut receiver, &mut output, received, token);
            if let Ok(Ok(())) = timeout(HELLO, resumed).await {
                self.intake.restart();
                self.receiver = receiver;
                let _ = self.outputs.send(output).await;
                return Ok(());
            }
        }
    }
}

/// The error of a start whose runner said nothing, with what is known of its end.
pub(super) fn no_hello<T>(reason: &str) -> Result<T> {
    Err(PortError::refused(format!("start the runner: {reason}")))
}
