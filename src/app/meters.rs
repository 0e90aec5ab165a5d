//! What is measured while Herald works, for Prometheus.
//!
//! Names and units are those of its conventions (<https://prometheus.io/docs/practices/naming/>): base units, `_total` for
//! what only grows. No label can have more than a few dozen values: no repository, no branch, no person.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use crate::domain::{Conclusion, Content};
use crate::ports::store::{Sent, Waiting};

/// The type of what [`Meters::text`] gives.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds of what is answered at once.
const QUICK: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];
/// Seconds of what waits for others.
const SLOW: [f64; 12] = [
    0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0,
];
/// Events that Herald knows; all others are one value of the label.
const EVENTS: [&str; 11] = [
    "check_run",
    "check_suite",
    "installation",
    "installation_repositories",
    "issue_comment",
    "merge_group",
    "ping",
    "pull_request",
    "push",
    "repository",
    "workflow_run",
];

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Labels of a request that was answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: String,
    status: u16,
}

/// Everything that is measured.
pub struct Meters {
    registry: Registry,
    deliveries: Family<Labels<2>, Counter>,
    handled: Family<Labels<1>, Counter>,
    handling: Histogram,
    preparing: Histogram,
    queued: Histogram,
    jobs: Family<Labels<1>, Counter>,
    running: Histogram,
    publications: Family<Labels<2>, Counter>,
    requests: Family<Labels<1>, Counter>,
    request: Histogram,
    answers: Family<Answered, Counter>,
    answer: Histogram,
    waiting: Family<Labels<1>, Gauge>,
    at_work: Gauge,
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meters").finish_non_exhaustive()
    }
}

impl Default for Meters {
    fn default() -> Self {
        let mut whole = Registry::default();
        whole.register_collector(Box::new(Process));
        let herald = whole.sub_registry_with_prefix("herald");
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        herald.register("build", "The version that runs", version);
        let mut seconds = |name: &str, help: &str, buckets: &[f64]| {
            let histogram = Histogram::new(buckets.iter().copied());
            herald.register(name, help, histogram.clone());
            histogram
        };
        let handling = seconds(
            "delivery_handling_seconds",
            "Time to handle a delivery, GitHub's answers included",
            &QUICK,
        );
        let preparing = seconds(
            "build_preparing_seconds",
            "Time from a delivery to its build",
            &SLOW,
        );
        let queued = seconds(
            "job_queued_seconds",
            "Time that jobs waited for room",
            &SLOW,
        );
        let running = seconds("job_running_seconds", "Time that jobs took", &SLOW);
        let request = seconds(
            "github_request_seconds",
            "Time that GitHub took to answer",
            &QUICK,
        );
        let answer = seconds(
            "http_request_seconds",
            "Time that Herald took to answer",
            &QUICK,
        );
        Self {
            handling,
            preparing,
            queued,
            running,
            request,
            answer,
            deliveries: registered(
                herald,
                "deliveries_received",
                "Deliveries that were acknowledged, by event",
            ),
            handled: registered(
                herald,
                "deliveries_handled",
                "Deliveries by what came of them",
            ),
            jobs: registered(herald, "jobs", "Jobs that ended, by conclusion"),
            publications: registered(
                herald,
                "publications",
                "What was sent to GitHub, by kind and outcome",
            ),
            requests: registered(
                herald,
                "github_requests",
                "Requests to GitHub, by its answer",
            ),
            answers: registered(herald, "http_requests", "Requests that Herald answered"),
            waiting: registered(
                herald,
                "waiting",
                "What waits in each queue, as far as it is due",
            ),
            at_work: registered(herald, "jobs_running", "Jobs that run"),
            registry: whole,
        }
    }
}

/// A figure that starts at nothing, under its name.
fn registered<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

impl Meters {
    /// All of it in the text format of `OpenMetrics`, with what waits now.
    ///
    /// # Errors
    /// When it cannot be written down, which does not happen to a text.
    pub fn text(&self, waiting: &Waiting) -> Result<String, fmt::Error> {
        for (queue, count) in [
            ("deliveries", waiting.deliveries),
            ("triggers", waiting.triggers),
            ("jobs", waiting.jobs),
            ("builds", waiting.builds),
            ("publications", waiting.publications),
        ] {
            self.waiting.get_or_create(&[("queue", queue)]).set(count);
        }
        self.at_work.set(waiting.running);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// What an event is called in figures.
    pub(super) fn event(event: &str) -> &'static str {
        let known = EVENTS.into_iter().find(|known| *known == event);
        known.unwrap_or("other")
    }

    /// A delivery was acknowledged, of an event as figures call it.
    pub(super) fn received(&self, event: &'static str, is_new: bool) {
        let outcome = if is_new { "kept" } else { "known" };
        let labels = [("event", event), ("outcome", outcome)];
        self.deliveries.get_or_create(&labels).inc();
    }

    /// A delivery was handled, given up, or is tried again later.
    pub(super) fn handled(&self, outcome: &'static str, took: Duration) {
        self.handled.get_or_create(&[("outcome", outcome)]).inc();
        self.handling.observe(took.as_secs_f64());
    }

    /// A trigger has its build, so many milliseconds after what it is of.
    pub(super) fn prepared(&self, ms: i64) {
        self.preparing.observe(seconds(ms));
    }

    /// A job began after so many milliseconds in the queue.
    pub(super) fn began(&self, ms: i64) {
        self.queued.observe(seconds(ms));
    }

    /// A job ended.
    pub(super) fn ended(&self, conclusion: Conclusion, took_ms: i64) {
        let labels = [("conclusion", conclusion.as_str())];
        self.jobs.get_or_create(&labels).inc();
        self.running.observe(seconds(took_ms));
    }

    /// Something was sent to GitHub, or not.
    pub(super) fn sent(&self, content: &Content, sent: &Sent) {
        let kind = match content {
            Content::Check(_) => "check",
            Content::Status(_) => "status",
            Content::Comment(_) => "comment",
            Content::Reaction(_) => "reaction",
            Content::Deployment(_) => "deployment",
            Content::Promotion(_) => "promotion",
        };
        let outcome = match sent {
            Sent::All | Sent::Part => "sent",
            Sent::Wait { .. } => "limited",
            Sent::Later { .. } => "later",
            Sent::Never { .. } => "never",
        };
        let labels = [("kind", kind), ("outcome", outcome)];
        self.publications.get_or_create(&labels).inc();
    }

    /// GitHub answered a request with this status; `None` when it did not.
    pub fn asked(&self, status: Option<u16>, took: Duration) {
        let answer = match status {
            Some(200..=299) => "good",
            Some(304) => "unchanged",
            Some(403 | 429) => "refused",
            Some(404 | 410) => "gone",
            Some(400..=499) => "wrong",
            Some(500..=599) => "broken",
            Some(_) => "other",
            None => "none",
        };
        self.requests.get_or_create(&[("answer", answer)]).inc();
        self.request.observe(took.as_secs_f64());
    }

    /// Herald answered a request on a route of its own.
    pub fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let methods = ["GET", "HEAD", "POST", "PATCH", "OPTIONS", "DELETE"];
        let method = methods.into_iter().find(|known| *known == method);
        let labels = Answered {
            method: method.unwrap_or("other"),
            route: route.to_owned(),
            status,
        };
        self.answers.get_or_create(&labels).inc();
        self.answer.observe(took.as_secs_f64());
    }
}

#[expect(clippy::cast_precision_loss, reason = "a time to be put into a bucket")]
fn seconds(ms: i64) -> f64 {
    ms.max(0) as f64 / 1_000.0
}

/// Figures of this process, as Prometheus' own clients name them; from proc(5), nothing where there is none.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let Some(figures) = Figures::read() else {
            return Ok(());
        };
        let cpu = ConstCounter::new(figures.cpu_seconds);
        let name = "process_cpu_seconds";
        let help = "User and system time of this process";
        cpu.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        for (name, help, value) in [
            (
                "process_resident_memory_bytes",
                "Resident memory of this process",
                figures.resident_bytes,
            ),
            (
                "process_open_fds",
                "Open file descriptors of this process",
                figures.descriptors,
            ),
            (
                "process_threads",
                "Threads of this process",
                figures.threads,
            ),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}

struct Figures {
    cpu_seconds: f64,
    resident_bytes: i64,
    descriptors: i64,
    threads: i64,
}

impl Figures {
    fn read() -> Option<Self> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // What is behind the name, which may have anything in it.
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<i64>().ok();
        let descriptors = std::fs::read_dir("/proc/self/fd").ok()?.count();
        let page = rustix::param::page_size();
        let pages = number(21)?;
        Some(Self {
            // utime and stime, in hundredths of a second on Linux (`USER_HZ`).
            cpu_seconds: seconds((number(11)? + number(12)?) * 10),
            resident_bytes: pages.saturating_mul(i64::try_from(page).ok()?),
            descriptors: i64::try_from(descriptors).ok()?,
            threads: number(17)?,
        })
    }
}
