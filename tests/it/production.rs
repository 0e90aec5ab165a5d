//! From a feature to production and back: what becomes of a candidate, and of a merge queue.

use herald::demo::{Deployed, Merge, What};
use herald::ports::Clock;
use serde_json::Value;

use crate::world::{World, git, world};

/// The two-branch preset: `main` is the candidate, `production` what is released.
pub(crate) const PRESET: &str = "\
jobs:
  test: {execute: [has works]}
  deploy:
    needs: [test]
    when: {events: [push], branches: [production]}
    deploy: {environment: production, url: 'https://example.org'}
    execute: [print deployed]
promote: {from: main, to: production}
";

pub(crate) fn with_approval() -> String {
    PRESET.replace(
        "{environment: production,",
        "{approval: true, environment: production,",
    )
}

impl World {
    /// GitHub tells of everything that has happened there, and Herald does all that follows, until nothing happens any more.
    pub(crate) async fn tell(&self) {
        loop {
            self.drain().await;
            let events = std::mem::take(&mut self.state().events);
            if events.is_empty() {
                return;
            }
            for (event, payload) in events {
                self.pass(1);
                let guid = uuid::Uuid::new_v4().to_string();
                assert_eq!(self.deliver_as(&guid, &event, &payload).await, 202);
            }
        }
    }

    /// Both branches of the preset at a first commit, which is built for each of them.
    pub(crate) async fn begin(&self, specification: &str) -> String {
        self.write(".herald.yml", specification);
        self.write("works", "0");
        let first = self.commit("main");
        self.github.moved(&self.project, "main", None, &first);
        self.release(&first).await;
        first
    }

    /// Somebody moves `production`, and GitHub tells of it.
    pub(crate) async fn release(&self, commit: &str) {
        let moved = self.github.move_branch(&self.project, "production", commit);
        moved.unwrap();
        self.tell().await;
    }

    /// A feature branch with one commit on top of `main`, and its pull request.
    pub(crate) async fn feature(&self, branch: &str, title: &str) -> (i64, String) {
        self.go_to("main");
        self.write(branch, title);
        let head = self.commit(branch);
        let pull = self
            .github
            .open_pull(&self.project, (branch, "main"), (title, "By hand."));
        let number = pull.unwrap();
        self.tell().await;
        (number, head)
    }

    /// One more commit on a branch that has a pull request.
    pub(crate) async fn push_to(&self, branch: &str) -> String {
        let before = self.tip(branch);
        self.write("pushed", &self.clock.now_ms().to_string());
        let head = self.commit(branch);
        self.github
            .moved(&self.project, branch, Some(&before), &head);
        self.tell().await;
        head
    }

    pub(crate) async fn merge(&self, number: i64, how: Merge) -> String {
        let merged = self.github.merge(&self.project, number, how).unwrap();
        self.tell().await;
        merged
    }

    pub(crate) fn tip(&self, branch: &str) -> String {
        let folder = &self.project.git_dir;
        git(folder, &["rev-parse", &format!("refs/heads/{branch}")])
    }

    /// The open pull requests into a branch: number, title and body.
    pub(crate) fn pulls_into(&self, base: &str) -> Vec<(i64, String, String)> {
        let state = self.state();
        let text = |pull: &Value, key: &str| pull[key].as_str().unwrap_or_default().to_owned();
        let into = state
            .pulls
            .iter()
            .filter(|pull| pull["base"]["ref"] == base);
        into.map(|pull| {
            (
                pull["number"].as_i64().unwrap(),
                text(pull, "title"),
                text(pull, "body"),
            )
        })
        .collect()
    }

    pub(crate) fn promotion(&self) -> (i64, String, String) {
        let mut pulls = self.pulls_into("production");
        assert_eq!(pulls.len(), 1, "{pulls:#?}");
        pulls.remove(0)
    }

    pub(crate) fn deployments(&self) -> Vec<Deployed> {
        self.state().deployments.clone()
    }

    /// Commit and state of every deployment.
    pub(crate) fn deployed(&self) -> Vec<(String, String)> {
        let all = self.deployments();
        let each = all.iter();
        each.map(|one| (one.commit.clone(), one.state().to_owned()))
            .collect()
    }

    /// The id of a build by its number.
    pub(crate) async fn build_id(&self, number: i64) -> herald::domain::BuildId {
        let store = &self.app.parts.store;
        let repository = store.repository("octo", "project").await.unwrap().unwrap();
        let view = store.build(&repository.id, number).await.unwrap();
        view.unwrap().build.id
    }

    async fn deploy_badge(&self) -> String {
        let (_, text) = self.get("/badges/octo/project/deploy.json").await;
        let value: Value = serde_json::from_str(&text).unwrap();
        value["message"].as_str().unwrap().to_owned()
    }

    /// Somebody presses a button under a check run.
    pub(crate) async fn press(&self, commit: &str, check: &str, button: &str, person: i64) {
        let check = self.newest_check(commit, check);
        let payload = self.github.button(&self.project, &check, button, person);
        self.deliver("check_run", &payload).await;
        self.tell().await;
    }
}

pub(crate) fn good(commit: &str) -> (String, String) {
    (commit.to_owned(), "success".to_owned())
}

#[tokio::test]
async fn a_change_goes_from_a_feature_branch_to_production_and_back() {
    world(async |w: &mut World| {
        // Both branches are at a first release.
        let first = w.begin(&with_approval()).await;
        w.press(&first, "herald / deploy", "approve", 500).await;
        assert_eq!(w.deployed(), [good(&first)]);

        // A feature is red, repaired, and squashed onto the candidate.
        w.remove("works");
        let (feature, red) = w.feature("greeting", "Greet people").await;
        assert_eq!(w.ended(&red, "herald").0, "failure");
        assert!(w.next_comment().0.contains("failed"));
        w.write("works", "1");
        let green = w.push_to("greeting").await;
        assert_eq!(w.ended(&green, "herald").0, "success");
        let left_out = w.ended(&green, "herald / deploy");
        assert_eq!(left_out.0, "skipped", "a pull request deploys nothing");
        let candidate = w.merge(feature, Merge::Squash).await;

        // The candidate is green, and exactly one pull request promotes it and says what it contains.
        assert_eq!(w.ended(&candidate, "herald").0, "success");
        let (promotion, title, body) = w.promotion();
        assert_eq!(title, "Deploy main to production: 1 change");
        assert!(
            body.contains("/octo/project/pull/1) Greet people"),
            "{body}"
        );
        assert!(body.contains("is good: [build "), "{body}");
        // What GitHub tells of that pull request makes no other build: its head is built.
        assert_eq!(w.checks(&candidate, "herald").len(), 1);

        // A second feature comes into the same pull request.
        let (feature, _) = w.feature("farewell", "Say farewell").await;
        w.merge(feature, Merge::Squash).await;
        let (same, title, body) = w.promotion();
        assert_eq!(same, promotion);
        assert_eq!(title, "Deploy main to production: 2 changes");
        let (farewell, greet) = (body.find("Say farewell"), body.find("Greet people"));
        assert!(
            farewell.unwrap() < greet.unwrap(),
            "the newest first: {body}"
        );

        // Merging it deploys, once a person says so.
        let released = w.merge(promotion, Merge::Commit).await;
        assert_eq!(w.pulls_into("production"), []);
        let waits = w.check(&released, "herald / deploy");
        assert_eq!(waits.conclusion.as_deref(), Some("action_required"));
        assert_eq!(waits.title, "waits for approval to deploy to production");
        assert_eq!(waits.buttons, ["approve"]);
        assert_eq!(w.deployed(), [good(&first)], "nothing is deployed yet");
        w.press(&released, "herald / deploy", "approve", 500).await;
        let build = w.newest_check(&released, "herald");
        assert_eq!(build.conclusion.as_deref(), Some("success"));
        let summary = w.newest_check(&released, "herald / deploy").summary;
        assert!(summary.contains("was approved by the person"), "{summary}");

        // GitHub has it as a deployment, with its log and its address.
        assert_eq!(w.deployed(), [good(&first), good(&released)]);
        let deployment = w.deployments().pop().unwrap();
        assert_eq!(deployment.environment, "production");
        assert!(deployment.production && !deployment.transient);
        let last = deployment.states.last().unwrap();
        assert_eq!(last.description, "1 step passed in 0s");
        assert_eq!(last.environment_url, "https://example.org");
        let page = last.log_url.strip_prefix("https://herald.test").unwrap();
        assert!(w.get(page).await.1.contains("deployed"), "{page}");
        assert_eq!(w.deploy_badge().await, "production success");

        // It was a mistake: the release before it is deployed again, without asking for another word.
        let before = w.newest_check(&first, "herald / deploy").external_id;
        let payload = w.github.rerequested(&w.project, &first, Some(&before));
        w.deliver("check_run", &payload).await;
        w.tell().await;
        assert_eq!(w.deployed(), [good(&first), good(&released), good(&first)]);
        assert_eq!(w.deploy_badge().await, "production success");
    })
    .await;
}

#[tokio::test]
async fn fast_forwards_promote_and_deploy_the_very_commits_that_were_tested() {
    world(async |w: &mut World| {
        let first = w.begin(PRESET).await;
        assert_eq!(w.deployed(), [good(&first)]);
        let (feature, head) = w.feature("greeting", "Greet people").await;
        let built = w.executor.orders().len();
        assert_eq!(w.merge(feature, Merge::FastForward).await, head);
        assert_eq!(
            w.executor.orders().len(),
            built,
            "the candidate is built already"
        );
        let (_, title, body) = w.promotion();
        assert_eq!(title, "Deploy main to production: 1 change");
        assert!(body.contains(&format!("work (`{}`)", &head[..7])), "{body}");

        // Somebody pushes the candidate to production: GitHub takes the promotion for merged.
        w.release(&head).await;
        assert_eq!(w.pulls_into("production"), []);
        assert_eq!(w.deployed(), [good(&first), good(&head)]);
        // And sets it back, and on again: each time what it points at is deployed.
        w.release(&first).await;
        w.release(&head).await;
        let all = [&first, &head, &first, &head].map(|commit| good(commit));
        assert_eq!(w.deployed(), all);
        assert_eq!(w.deploy_badge().await, "production success");
    })
    .await;
}

#[tokio::test]
async fn after_a_squashed_promotion_only_what_is_new_is_listed() {
    world(async |w: &mut World| {
        w.begin(PRESET).await;
        let (feature, _) = w.feature("one", "The first").await;
        w.merge(feature, Merge::Squash).await;
        let (promotion, ..) = w.promotion();
        w.merge(promotion, Merge::Squash).await;
        assert_eq!(w.pulls_into("production"), []);
        let (feature, _) = w.feature("two", "The second").await;
        w.merge(feature, Merge::Commit).await;
        let (next, title, body) = w.promotion();
        assert_ne!(next, promotion);
        assert_eq!(title, "Deploy main to production: 1 change");
        assert!(body.contains("The second"), "{body}");
        assert!(!body.contains("The first"), "{body}");
    })
    .await;
}

#[tokio::test]
async fn a_promotion_says_when_its_candidate_is_red_and_keeps_what_people_wrote() {
    world(async |w: &mut World| {
        w.begin(PRESET).await;
        let hostile = "Closes #1 @everyone <img src=x> https://evil.test";
        let (feature, _) = w.feature("one", hostile).await;
        w.merge(feature, Merge::Squash).await;
        let (number, _, body) = w.promotion();
        for harm in ["Closes #1 ", "@everyone", "<img", "https://evil.test"] {
            assert!(!body.contains(harm), "{harm}: {body}");
        }
        // People write around our part, and give it a title of their own.
        for pull in &mut w.state().pulls {
            if pull["number"] == number {
                pull["title"] = "Release 2".into();
                pull["body"] = format!("Ask Ann first.\n{body}\nThanks!").into();
            }
        }
        w.go_to("main");
        w.remove("works");
        let red = w.push_to("main").await;
        assert_eq!(w.ended(&red, "herald").0, "failure");
        let (comment, _) = w.next_comment();
        assert!(
            comment.contains("failed (exit 1)"),
            "on the promotion: {comment}"
        );
        let (same, title, body) = w.promotion();
        assert_eq!((same, title.as_str()), (number, "Release 2"));
        assert!(body.starts_with("Ask Ann first.\n"), "{body}");
        assert!(body.ends_with("\nThanks!"), "{body}");
        assert!(body.contains("is not good: do not merge this"), "{body}");
        w.write("works", "again");
        w.push_to("main").await;
        let (.., body) = w.promotion();
        assert!(body.contains("is good: [build "), "{body}");
        assert!(body.starts_with("Ask Ann first.\n"), "{body}");
    })
    .await;
}

#[tokio::test]
async fn a_pull_request_that_is_none_of_ours_is_left_alone() {
    world(async |w: &mut World| {
        w.begin(PRESET).await;
        let (feature, _) = w.feature("one", "The first").await;
        // Somebody is quicker.
        let head = w.tip("one");
        w.github.move_branch(&w.project, "main", &head).unwrap();
        let words = ("By hand", "Nothing of Herald's.");
        let own = w
            .github
            .open_pull(&w.project, ("main", "production"), words);
        let number = own.unwrap();
        w.tell().await;
        let left = (
            number,
            "By hand".to_owned(),
            "Nothing of Herald's.".to_owned(),
        );
        assert_eq!(w.promotion(), left);
        assert!(!w.pulls_into("main").iter().any(|pull| pull.0 == feature));
    })
    .await;
}

#[tokio::test]
async fn where_nothing_can_be_promoted_a_check_says_so_or_it_ends_there() {
    world(async |w: &mut World| {
        w.write(".herald.yml", PRESET);
        w.write("works", "0");
        let first = w.commit("main");
        w.github.moved(&w.project, "main", None, &first);
        w.tell().await;
        let summary = w.check(&first, "herald").summary;
        assert!(
            summary.contains("there is no branch production"),
            "{summary}"
        );
        assert!(summary.contains("git push origin main"), "{summary}");
        w.release(&first).await;
        // GitHub refuses, and is not asked for ever.
        w.fault("POST", "/pulls", 0, 100, What::Status(403));
        let second = w.push_to("main").await;
        w.drain_patiently().await;
        assert_eq!(w.ended(&second, "herald").0, "success");
        assert_eq!(w.pulls_into("production"), []);
        let asked = |w: &World| {
            let state = w.state();
            let posts = state.requests.iter();
            let posts = posts.filter(|one| one.method == "POST" && one.path.ends_with("/pulls"));
            posts.count()
        };
        // A token that may be from before a permission is renewed once.
        assert!((1..=2).contains(&asked(w)), "{}", asked(w));
        w.state().faults.clear();
        w.push_to("main").await;
        assert_eq!(w.promotion().1, "Deploy main to production: 2 changes");
    })
    .await;
}

/// A pull request in a queue: a commit on top of the one before it, as GitHub squashes it.
fn queued(w: &World, number: i64, path: &str) -> String {
    w.write(path, &format!("{number}\n").repeat(3));
    w.commit_as("queue", &format!("Change {path} (#{number})"))
}

#[tokio::test]
async fn a_merge_queue_says_which_pull_requests_a_failure_concerns() {
    world(async |w: &mut World| {
        let (main, _) = w.change("execute: [exit 1]\nreports: {tests: ['reports/*.xml']}\n");
        let failing = |path: &str| {
            format!(
                "<testsuite name='s'><testcase name='t' file='{path}' line='2'>\
                 <failure message='no'>{path}:2: E</failure></testcase></testsuite>"
            )
        };
        queued(w, 5, "five.py");
        let head = queued(w, 7, "seven.py");
        let branch = "gh-readonly-queue/main/pr-7-0123";
        w.github.move_branch(&w.project, branch, &head).unwrap();
        w.state().events.clear();
        let payload = w.github.merge_group(
            &w.project,
            "checks_requested",
            (branch, &head),
            ("main", &main),
        );
        *w.report.lock().unwrap() = Some(failing("five.py"));
        w.deliver("merge_group", &payload).await;
        w.drain().await;
        let check = w.check(&head, "herald");
        let title = "1 failed in 0s; concerns #5; merge queue: #5, #7 into main";
        assert_eq!(check.title, title);
        assert!(
            check.summary.contains("**This concerns [#5]("),
            "{}",
            check.summary
        );
        assert!(
            check.summary.contains("/octo/project/pull/7)"),
            "{}",
            check.summary
        );
        let page = w.get("/repos/octo/project/builds/1").await.1;
        assert!(
            page.contains("concerns #5; merge queue: #5, #7 into main"),
            "{page}"
        );

        // A test in a file that neither of them changes is everybody's.
        *w.report.lock().unwrap() = Some(failing(".herald.yml"));
        let third = queued(w, 9, "nine.py");
        let branch = "gh-readonly-queue/main/pr-9-0123";
        w.github.move_branch(&w.project, branch, &third).unwrap();
        w.state().events.clear();
        let payload = w.github.merge_group(
            &w.project,
            "checks_requested",
            (branch, &third),
            ("main", &main),
        );
        w.deliver("merge_group", &payload).await;
        w.drain().await;
        let check = w.check(&third, "herald");
        assert!(
            check.title.contains("concerns #5, #7, #9;"),
            "{}",
            check.title
        );
        assert!(
            check.summary.contains("concerns the whole group"),
            "{}",
            check.summary
        );
    })
    .await;
}
