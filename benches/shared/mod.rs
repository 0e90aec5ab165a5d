//! What several benchmarks do: servers in processes of their own, requests over loopback, and rows of
//! the table that `cargo bench --bench table` makes.

#![allow(
    dead_code,
    unused_imports,
    reason = "each benchmark is a program of its own and uses a part of it"
)]

mod rows;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::serve::ListenerExt as _;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

pub(crate) use rows::{Row, after, keep};

/// How many connections a measured server has to serve at once.
pub(crate) const CONNECTIONS: usize = 16;

/// Serves until it is killed, and says where.
pub(crate) async fn serve(router: Router) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
    axum::serve(listener, router).await.unwrap();
}

/// A server in a process of its own; it ends when this is dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: String,
}

impl Server {
    /// This program again, with these arguments; it says its address in its first line.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(arguments);
        Self::spawn(command)
    }

    /// A program that says its address in its first line.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        assert!(!line.trim().is_empty(), "{command:?} said no address");
        Self {
            child,
            address: line.trim().to_owned(),
        }
    }

    /// Seconds of user and system time up to now.
    pub(crate) fn used(&self) -> f64 {
        self.used_with_children()[0]
    }

    /// The same, and that of the processes that it has waited for (proc(5), `/proc/pid/stat`, 14 to 17; in hundredths).
    pub(crate) fn used_with_children(&self) -> [f64; 2] {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let rest = stat.rsplit_once(')').unwrap().1;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let sum = |of: [usize; 2]| {
            let hundredths = of.map(|field| fields[field].parse::<f64>().unwrap());
            hundredths.iter().sum::<f64>() / 100.0
        };
        [sum([11, 12]), sum([13, 14])]
    }

    /// Its resident memory in MiB (proc(5), `/proc/pid/status`).
    pub(crate) fn memory(&self) -> f64 {
        let file = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(file).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.unwrap().parse::<f64>().unwrap() / 1024.0
    }

    pub(crate) async fn connect(&self) -> Connection {
        connect(&self.address).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An open connection.
pub(crate) type Connection = SendRequest<Full<Bytes>>;

pub(crate) async fn connect(address: &str) -> Connection {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Sends a request and says the answer.
pub(crate) async fn ask(
    connection: &mut Connection,
    request: Request<Full<Bytes>>,
) -> Response<Bytes> {
    connection.ready().await.unwrap();
    let (head, body) = connection.send_request(request).await.unwrap().into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

/// A request for what is at a path.
pub(crate) fn get(path: &str) -> Request<Full<Bytes>> {
    let request = Request::get(path).header("host", "localhost");
    request.body(Full::default()).unwrap()
}

/// `count` pieces of work as fast as they can be done, over all connections: microseconds of the server's time for
/// each, and how many a second there were.
pub(crate) async fn press<F: Work>(server: &Server, count: usize, work: &F) -> (f64, f64) {
    let next = Arc::new(AtomicUsize::new(0));
    let (before, begin) = (server.used(), Instant::now());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut connection = server.connect().await;
        let (next, work) = (Arc::clone(&next), work.clone());
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return;
                }
                work.carry_out(&mut connection, number).await;
            }
        });
    }
    tasks.join_all().await;
    let seconds = begin.elapsed().as_secs_f64();
    let count = count as f64;
    ((server.used() - before) / count * 1e6, count / seconds)
}

/// How long each of `count` pieces of work took at this many a second, in milliseconds and in order; what had
/// to wait for its connection has waited too.
pub(crate) fn paced<F: Work>(server: &Server, rate: f64, count: usize, work: &F) -> Vec<f64> {
    in_turns(rate, count, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let mut connection = runtime.block_on(server.connect());
        move |number| runtime.block_on(work.carry_out(&mut connection, number))
    })
}

/// The same of anything that a thread does with what it has made ready. There are as many threads as connections; their turns
/// come within fractions of a millisecond, where a timer of tokio has steps of a whole one.
pub(crate) fn in_turns<W: FnMut(usize)>(
    rate: f64,
    count: usize,
    ready: impl Fn() -> W + Sync,
) -> Vec<f64> {
    let begin = Instant::now() + Duration::from_millis(50);
    let one = |first: usize| {
        let mut work = ready();
        let numbers = (first..count).step_by(CONNECTIONS);
        let times = numbers.map(|number| {
            let due = begin + Duration::from_secs_f64(number as f64 / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            work(number);
            due.elapsed().as_secs_f64() * 1e3
        });
        times.collect::<Vec<_>>()
    };
    let mut times: Vec<f64> = tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let one = &one;
            let threads: Vec<_> = (0..CONNECTIONS)
                .map(|first| scope.spawn(move || one(first)))
                .collect();
            let times = threads.into_iter().map(|thread| thread.join().unwrap());
            times.flatten().collect()
        })
    });
    times.sort_by(f64::total_cmp);
    times
}

/// Something to do over and over.
pub(crate) trait Work: Clone + Send + Sync + 'static {
    fn carry_out(
        &self,
        connection: &mut Connection,
        number: usize,
    ) -> impl Future<Output = ()> + Send;
}

/// The value that so many of a hundred are not above; `times` are in order.
pub(crate) fn percentile(times: &[f64], percent: usize) -> f64 {
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// An empty folder of this name for this run, on the disk that programs are built on.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
