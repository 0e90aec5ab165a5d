//! Putting tests away: what people ask for, and what the file of the repository says.

use super::state::App;
use crate::domain::quarantine::{self, FILE, Named, Quarantined};
use crate::domain::{Build, Change, Occasion, PersonId, Quarantining, Repository, pull_subject};
use crate::feedback::Asked;
use crate::ports::error::Result;
use crate::ports::source::Remote;
use crate::report::{Report, Test};

/// Bytes of the file that are read.
const LARGEST: usize = 256 * 1024;

/// What the file of a repository says.
#[derive(Default)]
pub(super) struct FromFile {
    pub(super) tests: Vec<Quarantined>,
    /// What is to be said about it.
    pub(super) notes: Vec<String>,
}

impl App {
    /// What the file says that counts for a build. That is the file of the base, for what is pushed to another branch
    /// that of the default branch: no change puts its own failures away.
    pub(super) async fn quarantine_file(
        &self,
        remote: &Remote,
        repository: &Repository,
        build: &Build,
    ) -> FromFile {
        let commit = match &build.occasion {
            Occasion::PullRequest { .. } | Occasion::MergeGroup { .. } => build
                .plan
                .base
                .as_ref()
                .or(build.occasion.base())
                .map(ToString::to_string),
            Occasion::Push { branch, .. } if *branch != repository.default_branch => {
                self.tip_of_default(remote, repository).await
            }
            Occasion::Push { .. } | Occasion::Tag { .. } => Some(build.tested.to_string()),
        };
        let Some(commit) = commit else {
            return FromFile::default();
        };
        // Without it failures count, which is on the safe side.
        let file = self.parts.source.file(&remote.id, &commit, FILE).await;
        let Ok(Some(bytes)) = file else {
            return FromFile::default();
        };
        if bytes.len() > LARGEST {
            let note = format!("{FILE} has more than {LARGEST} bytes, so nothing of it counts");
            return FromFile {
                notes: vec![note],
                ..FromFile::default()
            };
        }
        let text = String::from_utf8_lossy(&bytes);
        let (tests, unreadable) = quarantine::read_file(&text, self.now_ms());
        let said = |one: &quarantine::Unreadable| format!("{FILE}:{}: {}", one.line, one.text);
        FromFile {
            tests,
            notes: unreadable.iter().map(said).collect(),
        }
    }

    /// The newest commit of the default branch, present.
    async fn tip_of_default(&self, remote: &Remote, repository: &Repository) -> Option<String> {
        let source = &self.parts.source;
        let branch = &repository.default_branch;
        let tip = source.tip(remote, branch).await.ok()??;
        let names = [format!("refs/heads/{branch}")];
        source.fetch(remote, &tip, &names).await.ok()?;
        Some(tip)
    }

    /// What follows from `/herald quarantine`.
    pub(super) async fn put_away(
        &self,
        repository: &Repository,
        person: PersonId,
        asked: &Asked<'_>,
        text: &str,
    ) -> Result<Change> {
        let id = repository.id.clone();
        let say = |answer| Change::Say {
            repository: repository.id.clone(),
            answer,
        };
        let mut wanted = match quarantine::read_command(text, person, self.now_ms()) {
            Ok(wanted) => wanted,
            Err(why) => return Ok(say(asked.not_put_away(&why))),
        };
        let Some(report) = self.report_of_pull(repository, asked.pull).await? else {
            return Ok(say(asked.no_tests()));
        };
        let named = Named::new([&wanted]);
        let tests = report.tests.iter();
        let meant: Vec<&Test> = tests.filter(|test| named.find(test).is_some()).collect();
        let [test] = meant.as_slice() else {
            return Ok(say(asked.which_test(&wanted.test, &meant)));
        };
        wanted.test.clone_from(&test.id);
        wanted.name = test.full_name();
        Ok(Change::Quarantine {
            repository: id,
            answers: asked.put_away(&wanted),
            what: Quarantining::PutAway(wanted),
        })
    }

    /// What follows from `/herald unquarantine`.
    pub(super) async fn take_back(
        &self,
        repository: &Repository,
        asked: &Asked<'_>,
        name: &str,
    ) -> Result<Change> {
        let now_ms = self.now_ms();
        let all = self.parts.store.quarantined(&repository.id, now_ms).await?;
        let meant: Vec<&Quarantined> = all.iter().filter(|one| one.is_called(name)).collect();
        let answer = |answer| Change::Say {
            repository: repository.id.clone(),
            answer,
        };
        Ok(match meant.as_slice() {
            [one] => Change::Quarantine {
                repository: repository.id.clone(),
                what: Quarantining::TakenBack(one.test.clone()),
                answers: asked.taken_back(&one.name),
            },
            [] => answer(asked.not_quarantined(name, &all)),
            _ => answer(asked.which_quarantined(name, &meant)),
        })
    }

    /// What the newest build of a pull request reports.
    async fn report_of_pull(&self, repository: &Repository, pull: i64) -> Result<Option<Report>> {
        let store = &self.parts.store;
        let subject = pull_subject(pull);
        let Some(build) = store.newest_of(&repository.id, &subject).await? else {
            return Ok(None);
        };
        let view = store.view(&build).await?;
        let report = view.map(|view| view.report());
        Ok(report.filter(|report| !report.tests.is_empty()))
    }
}
