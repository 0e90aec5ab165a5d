//! Several processes on one PostgreSQL: some serve the web, some work, and any of them may die.

use std::collections::HashMap;
use std::process::Command;

use herald::demo::{GitHub, Project};

use crate::engine::Engine;
use crate::serve::{Forge, Herald, switch};
use crate::world::git;

/// Processes that share a database and a folder.
struct Cluster<'a> {
    forge: &'a Forge,
    engine: Engine,
}

impl<'a> Cluster<'a> {
    async fn new(forge: &'a Forge) -> Self {
        let engine = Engine::postgres().await;
        Self { forge, engine }
    }

    fn command(&self, name: &str, role: &str) -> Command {
        let dir = self.forge.dir.path();
        let mut command = Herald::command(self.forge);
        command
            .env("HERALD_ROLE", role)
            .env("HERALD_DATABASE_URL", self.engine.address())
            .env("HERALD_SECRET_KEY", "5e".repeat(32))
            .env("HERALD_STORAGE_DIR", dir.join("shared"))
            .env("HERALD_DATA_DIR", dir.join(name));
        command
    }

    fn start(&self, name: &str, role: &str) -> Herald {
        Herald::spawn(self.command(name, role))
    }
}

/// A database for several processes is there in `tests/run --all` only.
fn switched_on() -> bool {
    switch("HERALD_TEST_POSTGRES").is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_of_one_process_is_seen_from_all() {
    if !switched_on() {
        return;
    }
    let forge = Forge::new(false).await;
    let cluster = Cluster::new(&forge).await;
    let steps = "i=0; while [ $i -lt 30 ]; do echo line $i; i=$((i+1)); sleep 0.1; done";
    forge.write(".herald.yml", &format!("execute: ['{steps}']\n"));
    forge.write("report.xml", "<testsuite/>");
    let main = forge.commit("Build");
    let (one, two) = (cluster.start("web-1", "web"), cluster.start("web-2", "web"));
    let worker = cluster.start("worker", "worker");
    assert_eq!(worker.address, "", "it has no public listener");

    let push = forge
        .github
        .push(&forge.project, "main", &"0".repeat(40), &main);
    assert_eq!(one.deliver(&forge, "push", &push).await, 202);
    forge
        .until("a job that runs", |state| {
            let mut checks = state.checks_of(&main, "herald").into_iter();
            checks.any(|check| check.status == "in_progress")
        })
        .await;
    // Followed from the process that knows nothing of it but what is in the database and the shared folder.
    let (status, log) = two
        .get("/repos/octo/project/builds/1/jobs/build/log/events")
        .await;
    assert_eq!(status, 200);
    for line in [0, 15, 29] {
        assert!(log.contains(&format!("line {line}\\n")), "{log}");
    }
    assert!(log.contains("event: end"), "{log}");
    let check = forge.completed(&main, "herald").await;
    assert_eq!(check.conclusion.as_deref(), Some("success"));
    for web in [&one, &two] {
        let page = web.get("/repos/octo/project/builds/1").await;
        assert_eq!(page.0, 200);
        let raw = web
            .get("/repos/octo/project/builds/1/jobs/build/log.txt")
            .await;
        assert!(raw.1.contains("line 29"), "{}", raw.1);
        assert_eq!(web.get("/readyz").await.0, 200);
    }
    let mut badges = [String::new(), String::new()];
    while !badges.iter().all(|badge| badge.contains("passing")) {
        badges = [
            one.get("/badges/octo/project/build.svg").await.1,
            two.get("/badges/octo/project/build.svg").await.1,
        ];
    }
}

#[tokio::test]
async fn roles_need_what_processes_share() {
    let forge = Forge::new(false).await;
    let mut command = Herald::command(&forge);
    let output = command.env("HERALD_ROLE", "web").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    for name in ["HERALD_DATABASE_URL", "HERALD_STORAGE_DIR"] {
        assert!(said.contains(name), "{said}");
    }
}

/// The processes of the matrix.
const PROCESSES: [(&str, &str); 5] = [
    ("web-1", "web"),
    ("web-2", "web"),
    ("worker-1", "worker"),
    ("worker-2", "worker"),
    ("worker-3", "worker"),
];

/// Pushes of as many commits as are asked for, in several repositories, each of an installation of its own: GitHub limits what is
/// made in one.
struct Pushes {
    commits: Vec<String>,
    projects: Vec<Project>,
}

impl Pushes {
    fn new(forge: &Forge, count: usize, projects: usize) -> Self {
        forge.write(".herald.yml", "execute: [exit 0]\n");
        git(&forge.tree, &["add", "-A"]);
        let mut commits = Vec::new();
        for _ in 0..=count {
            git(
                &forge.tree,
                &["commit", "-q", "--allow-empty", "-m", "work"],
            );
            commits.push(git(&forge.tree, &["rev-parse", "HEAD"]));
        }
        git(&forge.tree, &["push", "-q", "origin", "HEAD"]);
        let bare = forge.dir.path().join("project.git");
        let projects = (0..projects)
            .map(|number| {
                let name = format!("project-{number}");
                forge.github.add_project("octo", &name, false, &bare)
            })
            .collect::<Vec<_>>();
        let ids = (1..).take(projects.len());
        let ids = ids.map(|number| GitHub::INSTALLATION + number);
        forge.github.state().installations.extend(ids);
        Self { commits, projects }
    }

    /// The repository of a push, its commit, and what GitHub tells of it.
    fn push(&self, forge: &Forge, number: usize) -> (&Project, &str, serde_json::Value) {
        let place = number % self.projects.len();
        let project = &self.projects[place];
        let (before, after) = (&self.commits[number], &self.commits[number + 1]);
        let mut payload = forge.github.push(project, "main", before, after);
        let installation = GitHub::INSTALLATION + 1 + i64::try_from(place).unwrap();
        payload["installation"]["id"] = installation.into();
        (project, after, payload)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_processes_are_killed_every_build_has_one_result() {
    if !switched_on() {
        return;
    }
    let long = switch("HERALD_TEST_LONG").is_some();
    let (builds, projects) = if long { (1_000, 10) } else { (50, 4) };
    let forge = Forge::new(false).await;
    let pushes = Pushes::new(&forge, builds, projects);
    let cluster = Cluster::new(&forge).await;
    let mut processes: Vec<Herald> = PROCESSES
        .iter()
        .map(|(name, role)| cluster.start(name, role))
        .collect();
    let done = |state: &herald::demo::State| {
        let ended = |commit: &String| {
            let newest = state.checks_of(commit, "herald").last().copied();
            // What was interrupted is followed by another attempt, whose check comes later.
            newest.is_some_and(|check| {
                check.status == "completed" && check.conclusion.as_deref() != Some("cancelled")
            })
        };
        pushes.commits.iter().filter(|commit| ended(commit)).count()
    };
    // Somebody dies after every few builds, each in turn, and comes back.
    let mut killed = 0;
    for number in 0..builds {
        let (_, _, payload) = pushes.push(&forge, number);
        let guid = uuid::Uuid::new_v4().to_string();
        let mut web = number;
        // Who had no answer asks again.
        while processes[web % 2]
            .try_to_deliver(&forge, "push", &guid, &payload)
            .await
            != Some(202)
        {
            web += 1;
        }
        if number % 5 == 4 {
            let victim = killed % PROCESSES.len();
            let (name, role) = PROCESSES[victim];
            processes[victim].kill();
            processes[victim] = cluster.start(name, role);
            killed += 1;
            // Not further ahead of the builds than a day's work.
            let wanted = number.saturating_sub(20);
            let far = forge.github.until(|state| done(state) >= wanted);
            let far = tokio::time::timeout(std::time::Duration::from_mins(10), far).await;
            assert!(far.is_ok(), "{} of {wanted}", done(&forge.github.state()));
        }
    }
    let all = forge.github.until(|state| done(state) >= builds);
    let all = tokio::time::timeout(std::time::Duration::from_mins(15), all).await;
    assert!(killed >= builds / 5);
    {
        let state = forge.github.state();
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for check in &state.checks {
            *seen.entry(check.external_id.as_str()).or_default() += 1;
        }
        assert!(seen.values().all(|count| *count == 1), "doubled");
        for commit in pushes.commits.iter().skip(1) {
            let last = state.checks_of(commit, "herald").last().copied();
            let conclusion = last.and_then(|check| check.conclusion.as_deref());
            assert_eq!(conclusion, Some("success"), "{last:#?}");
        }
        assert!(all.is_ok(), "{} of {builds}", done(&state));
    }
    // One build for each push, in the numbers of each repository.
    for (place, project) in pushes.projects.iter().enumerate() {
        let of_project = (0..builds)
            .filter(|number| number % projects == place)
            .count();
        let path = format!("/api/v1/repos/octo/{}/builds", project.name);
        let (status, text) = processes[0].get(&path).await;
        assert_eq!(status, 200);
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            answer["builds"][0]["number"], of_project,
            "{}",
            project.name
        );
    }
}
