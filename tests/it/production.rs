//! From a feature to production and back: promotion, deployments, approval, the order of deployments, merge queues.

use herald::demo::{Deployed, Merge};
use serde_json::Value;

use crate::world::{World, git, world};

/// The two-branch preset: `main` is the candidate, `production` what is released.
const PRESET: &str = "\
jobs:
  test: {execute: [has works]}
  deploy:
    needs: [test]
    when: {events: [push], branches: [production]}
    deploy: {environment: production, url: 'https://example.org'}
    execute: [print deployed]
promote: {from: main, to: production}
";

fn with_approval() -> String {
    PRESET.replace(
        "{environment: production,",
        "{approval: true, environment: production,",
    )
}

impl World {
    /// GitHub tells of everything that has happened there, and Herald does all that follows, until nothing happens any more.
    async fn tell(&self) {
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
    async fn begin(&self, specification: &str) -> String {
        self.write(".herald.yml", specification);
        self.write("works", "0");
        let first = self.commit("main");
        self.github.moved(&self.project, "main", None, &first);
        self.release(&first).await;
        first
    }

    /// Somebody moves `production`, and GitHub tells of it.
    async fn release(&self, commit: &str) {
        let moved = self.github.move_branch(&self.project, "production", commit);
        moved.unwrap();
        self.tell().await;
    }

    /// A feature branch with one commit on top of `main`, and its pull request.
    async fn feature(&self, branch: &str, title: &str) -> (i64, String) {
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
    async fn push_to(&self, branch: &str) -> String {
        let before = self.tip(branch);
        let head = self.commit(branch);
        self.github
            .moved(&self.project, branch, Some(&before), &head);
        self.tell().await;
        head
    }

    async fn merge(&self, number: i64, how: Merge) -> String {
        let merged = self.github.merge(&self.project, number, how).unwrap();
        self.tell().await;
        merged
    }

    fn tip(&self, branch: &str) -> String {
        let folder = &self.project.git_dir;
        git(folder, &["rev-parse", &format!("refs/heads/{branch}")])
    }

    /// The open pull requests into a branch: number, title and body.
    fn pulls_into(&self, base: &str) -> Vec<(i64, String, String)> {
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

    fn promotion(&self) -> (i64, String, String) {
        let mut pulls = self.pulls_into("production");
        assert_eq!(pulls.len(), 1, "{pulls:#?}");
        pulls.remove(0)
    }

    fn deployments(&self) -> Vec<Deployed> {
        self.state().deployments.clone()
    }

    /// Commit and state of every deployment.
    fn deployed(&self) -> Vec<(String, String)> {
        let all = self.deployments();
        let each = all.iter();
        each.map(|one| (one.commit.clone(), one.state().to_owned()))
            .collect()
    }

    async fn deploy_badge(&self) -> String {
        let (_, text) = self.get("/badges/octo/project/deploy.json").await;
        let value: Value = serde_json::from_str(&text).unwrap();
        value["message"].as_str().unwrap().to_owned()
    }

    /// Somebody presses a button under a check run.
    async fn press(&self, commit: &str, check: &str, button: &str, person: i64) {
        let check = self.newest_check(commit, check);
        let payload = self.github.button(&self.project, &check, button, person);
        self.deliver("check_run", &payload).await;
        self.tell().await;
    }
}

fn good(commit: &str) -> (String, String) {
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
