//! Half an hour of a busy server (`tests/run --long`; `HERALD_TEST_SOAK_SECONDS` for another time): `herald serve` as a process, twenty
//! deliveries a second, and a GitHub that has a bad day. Its memory and its descriptors are noted once a second, in `soak.csv` and
//! `soak.svg` beside what is built.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use herald::demo::{Fault, GitHub, Project, State, What};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::serve::{Forge, Herald, switch, try_to_deliver_to};
use crate::world::git;

/// How many deliveries come in a second.
const RATE: u64 = 20;
/// Two seconds' deliveries: so many want nothing, and the rest are heads of one pull request, of which the last stands.
const GROUP: usize = 40;
const HEADS: usize = 6;
/// Each of an installation of its own: GitHub limits what is made in one in an hour, and how many tokens there are in a minute.
const PROJECTS: usize = 64;
/// How long after the last delivery all has to be done.
const PATIENCE: Duration = Duration::from_mins(10);

/// What goes wrong, one after another.
const FAULTS: [(&str, &str, What); 12] = [
    ("POST", "/check-runs", What::LostAnswer),
    ("PATCH", "/check-runs/", What::Status(502)),
    ("POST", "/access_tokens", What::Status(500)),
    ("POST", "/check-runs", What::Dropped),
    ("POST", ".git/git-upload-pack", What::Dropped),
    ("PATCH", "/check-runs/", What::Truncated),
    ("GET", ".git/info/refs", What::Status(502)),
    ("POST", "/statuses/", What::LostAnswer),
    ("GET", "/check-runs", What::NotJson),
    ("PATCH", "/check-runs/", What::Slow),
    ("POST", "/statuses/", What::Status(503)),
    ("POST", "/check-runs", What::Throttled(5)),
];

/// How long it takes; `None` where nobody asked for it.
fn seconds() -> Option<u64> {
    match switch("HERALD_TEST_SOAK_SECONDS") {
        Some(seconds) => Some(seconds.parse().unwrap()),
        None => switch("HERALD_TEST_LONG").map(|_| 1_800),
    }
}

/// So many commits on `main`, the oldest first.
fn commits(bare: &Path, count: usize) -> Vec<String> {
    let mut stream = String::new();
    for number in 0..count {
        let words = format!("change {number}\n");
        let length = words.len();
        let at = 1_790_000_000 + number;
        stream +=
            &format!("commit refs/heads/main\ncommitter Mona <mona@herald.test> {at} +0000\n");
        stream += &format!("data {length}\n{words}");
        if number == 0 {
            let specification = "execute: [exit 0]\n";
            let length = specification.len();
            stream += &format!("M 100644 inline .herald.yml\ndata {length}\n{specification}");
        }
    }
    let mut import = Command::new("git")
        .arg("--git-dir")
        .arg(bare)
        .args(["fast-import", "--quiet"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = import.stdin.take().unwrap();
    input.write_all(stream.as_bytes()).unwrap();
    drop(input);
    assert!(import.wait().unwrap().success());
    let listed = git(bare, &["rev-list", "--reverse", "main"]);
    listed.lines().map(str::to_owned).collect()
}

/// What is sent.
struct Load {
    forge: Forge,
    projects: Vec<Project>,
    commits: Vec<String>,
}

impl Load {
    async fn new(groups: usize) -> Self {
        let forge = Forge::new(false).await;
        let bare = forge.dir.path().join("project.git");
        let commits = commits(&bare, 1 + groups * HEADS);
        let projects = (0..PROJECTS)
            .map(|number| {
                let name = format!("project-{number}");
                forge.github.add_project("octo", &name, false, &bare)
            })
            .collect();
        let installations = (0..PROJECTS).map(installation);
        forge.github.state().installations.extend(installations);
        Self {
            forge,
            projects,
            commits,
        }
    }

    /// The commit that has to have a green check in the end, of each so many deliveries.
    fn wanted(&self, group: usize) -> &str {
        &self.commits[(group + 1) * HEADS]
    }

    fn payload(&self, number: usize) -> Value {
        let (group, place) = (number / GROUP, number % GROUP);
        let project = &self.projects[group % PROJECTS];
        let pull = 1 + i64::try_from(group / PROJECTS).unwrap();
        let (action, head) = match place.checked_sub(GROUP - HEADS) {
            None => ("labeled", 0),
            Some(0) => ("opened", 1 + group * HEADS),
            Some(head) => ("synchronize", 1 + group * HEADS + head),
        };
        let (head, base) = (&self.commits[head], &self.commits[0]);
        let (head, base) = (("change", head.as_str()), ("main", base.as_str()));
        let github = &self.forge.github;
        let mut payload = github.pull_request(project, action, pull, head, base);
        payload["installation"]["id"] = installation(group % PROJECTS).into();
        // GitHub's times are whole seconds; these heads are in order all the same.
        let at = 1_790_000_000 + i64::try_from(number).unwrap();
        let at = chrono::DateTime::from_timestamp(at, 0).unwrap();
        let at = at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        payload["pull_request"]["updated_at"] = at.into();
        payload
    }
}

fn installation(project: usize) -> i64 {
    GitHub::INSTALLATION + 1 + i64::try_from(project).unwrap()
}

/// What a process has at a moment: kibibytes of memory, and descriptors (proc(5)).
fn sample(process: u32) -> (f64, f64) {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let memory = line.and_then(|line| line.split_whitespace().nth(1));
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let open = u32::try_from(open.count()).unwrap();
    (memory.unwrap().parse().unwrap(), f64::from(open))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The medians of the second and of the last sixth.
fn ends(values: &[f64]) -> (f64, f64) {
    let sixth = values.len() / 6;
    let second = values[sixth..2 * sixth].to_vec();
    let last = values[values.len() - sixth..].to_vec();
    (median(second), median(last))
}

/// Both curves, each from zero to its highest, over time.
fn drawn(samples: &[(f64, f64)]) -> String {
    const WIDTH: f64 = 900.0;
    const HEIGHT: f64 = 300.0;
    let count = f64::from(u32::try_from(samples.len()).unwrap());
    let curve = |color: &str, label: String, at: u32, value: &dyn Fn(&(f64, f64)) -> f64| {
        let most = samples.iter().map(value).fold(1.0, f64::max);
        let points = samples.iter().zip(0_u32..).map(|(sample, second)| {
            let x = f64::from(second) / count * WIDTH;
            let y = HEIGHT - value(sample) / most * (HEIGHT - 40.0);
            format!("{x:.1},{y:.1}")
        });
        let points = points.collect::<Vec<_>>().join(" ");
        format!(
            "<polyline fill=\"none\" stroke=\"{color}\" points=\"{points}\"/>\
             <text x=\"{at}\" y=\"20\" fill=\"{color}\">{label}, at most {most:.0}</text>"
        )
    };
    let memory = curve("#0969da", "memory in MiB".to_owned(), 10, &|sample| {
        sample.0 / 1024.0
    });
    let open = curve("#bf3989", "descriptors".to_owned(), 300, &|sample: &(
        f64,
        f64,
    )| sample.1);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"14\"><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>{memory}{open}\
         <text x=\"600\" y=\"20\">{count} seconds</text></svg>\n"
    )
}

/// Keeps what was noted, and says where.
fn keep(samples: &[(f64, f64)]) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let mut table = "second,memory_kib,descriptors\n".to_owned();
    for (second, (memory, open)) in samples.iter().enumerate() {
        table += &format!("{second},{memory},{open}\n");
    }
    std::fs::write(folder.join("soak.csv"), table).unwrap();
    std::fs::write(folder.join("soak.svg"), drawn(samples)).unwrap();
    folder
}

/// The states of the deliveries that were kept, with how many have it.
async fn states(data: &Path) -> HashMap<String, i64> {
    sqlx::any::install_default_drivers();
    let address = format!("sqlite://{}", data.join("herald.db").display());
    let pool = sqlx::AnyPool::connect(&address).await.unwrap();
    let states: Vec<(String, i64)> =
        sqlx::query_as("SELECT state, COUNT(*) FROM deliveries GROUP BY state")
            .fetch_all(&pool)
            .await
            .unwrap();
    pool.close().await;
    states.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_on_githubs_bad_days_loses_nothing_and_does_not_grow() {
    let Some(seconds) = seconds() else {
        return;
    };
    let groups = usize::try_from(seconds * RATE).unwrap() / GROUP;
    let load = Arc::new(Load::new(groups).await);
    let mut herald = Herald::start(&load.forge);
    let github = &load.forge.github;

    let mut sending = JoinSet::new();
    let mut samples = Vec::new();
    let mut refused: u32 = 0;
    let mut tick = interval(Duration::from_secs(1) / u32::try_from(RATE).unwrap());
    // What could not be sent in time comes a little later, but it comes.
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let begin = Instant::now();
    for number in 0..groups * GROUP {
        tick.tick().await;
        let (load, address) = (Arc::clone(&load), herald.address.clone());
        sending.spawn(async move {
            let guid = uuid::Uuid::new_v4().to_string();
            let payload = load.payload(number);
            let mut again = 0;
            // What could not be kept, or had no answer, comes again, as from GitHub's list.
            loop {
                let send =
                    try_to_deliver_to(&address, &load.forge, "pull_request", &guid, &payload);
                match send.await {
                    Some(202) => return again,
                    Some(503) | None => again += 1,
                    Some(other) => panic!("{other}"),
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        while let Some(answered) = sending.try_join_next() {
            refused += answered.unwrap();
        }
        if begin.elapsed().as_secs() >= samples.len() as u64 {
            samples.push(sample(herald.child.id()));
        }
        // Every three seconds something goes wrong; near the end GitHub recovers.
        if number % (3 * GROUP / 2) == 0 && number + 4 * GROUP < groups * GROUP {
            let (method, path, what) = FAULTS[number / (3 * GROUP / 2) % FAULTS.len()];
            github.state().faults.push(Fault {
                method: method.to_owned(),
                path: path.to_owned(),
                after: 0,
                times: 1,
                what,
            });
        }
    }
    refused += sending.join_all().await.into_iter().sum::<u32>();
    let folder = keep(&samples);
    github.state().faults.clear();

    let is_green = |state: &State, commit: &str| {
        let newest = state.checks_of(commit, "herald").last().copied();
        newest.is_some_and(|check| check.conclusion.as_deref() == Some("success"))
    };
    let done = |state: &State| {
        let completed = state.checks.iter().all(|check| check.status == "completed");
        completed && (0..groups).all(|group| is_green(state, load.wanted(group)))
    };
    let all = tokio::time::timeout(PATIENCE, github.until(done)).await;
    {
        let state = github.state();
        let open = state
            .checks
            .iter()
            .filter(|check| check.status != "completed");
        let green = (0..groups).filter(|group| is_green(&state, load.wanted(*group)));
        assert!(
            all.is_ok(),
            "{} of {groups} are green, {} of {} checks are open",
            green.count(),
            open.count(),
            state.checks.len()
        );
        let mut twins: HashMap<(&str, &str), usize> = HashMap::new();
        for check in &state.checks {
            *twins.entry((&check.external_id, &check.name)).or_default() += 1;
        }
        assert!(twins.values().all(|count| *count == 1), "doubled");
    }
    herald.kill();
    let states = states(&load.forge.dir.path().join("data")).await;
    let count = i64::try_from(groups * GROUP).unwrap();
    assert_eq!(states, HashMap::from([("handled".to_owned(), count)]));

    let (memory, open): (Vec<f64>, Vec<f64>) = samples.into_iter().unzip();
    let (before, after) = ends(&memory);
    eprintln!(
        "memory {:.0} and {:.0} MiB, descriptors {:?}, of the second and the last sixth; {refused} deliveries came again; {}",
        before / 1024.0,
        after / 1024.0,
        ends(&open),
        folder.join("soak.svg").display()
    );
    assert!(
        after <= before * 1.25 + 8.0 * 1024.0,
        "memory grew from {before} to {after} KiB; see {}",
        folder.display()
    );
    let (before, after) = ends(&open);
    assert!(after <= before + 16.0, "descriptors: {before}, {after}");
}
