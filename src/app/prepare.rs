//! From a trigger to a build: reads the specification at the commit and decides what to do.

use sha2::{Digest, Sha256};
use tracing::{Instrument, info, info_span, warn};

use super::deploying::{no_deployment, without_when};
use super::ended::{bad_specification, conflict, emptied, ended};
use super::refusal::{Ground, refusals};
use super::state::{App, ForkPolicy, again_at};
use crate::domain::{
    Conclusion, Import, Occasion, Permission, PersonId, Preparation, PullRequest, Repository, Sha,
    Trigger, Trust,
};
use crate::ports::error::Result;
use crate::ports::source::{Merged, Remote};
use crate::ports::store::{BuildDraft, DraftJob, Nothing, Postponement};
use crate::ports::{Kind, PortError};
use crate::spec::{self, BuiltTree, Decision, Specification};
use crate::text::markdown;

/// How long preparing may take before another worker tries, in milliseconds.
const LEASE_MS: i64 = 10 * 60 * 1000;

/// What a build says that waits for a person.
const WAITS: &str = "someone with write permission must approve this commit";

/// A specification file as it was found.
pub(super) struct Found {
    pub(super) path: &'static str,
    pub(super) bytes: Vec<u8>,
}

impl App {
    /// Prepares one trigger; `false` when none waits.
    pub(super) async fn handle_trigger(&self) -> Result<bool> {
        let store = &self.parts.store;
        let now_ms = self.now_ms();
        let Some((trigger, repository)) = store.claim_trigger(now_ms, now_ms + LEASE_MS).await?
        else {
            return Ok(false);
        };
        let span = info_span!("prepare", delivery = trigger.delivery);
        self.prepared(&trigger, &repository)
            .instrument(span)
            .await?;
        self.stir();
        Ok(true)
    }

    async fn prepared(&self, trigger: &Trigger, repository: &Repository) -> Result<()> {
        let store = &self.parts.store;
        match self.prepare(trigger, repository).await {
            Ok(Ok(draft)) => {
                let settings = draft.plan.badges.clone();
                store.attach(&trigger.id, draft, self.now_ms()).await?;
                let waited_ms = self.now_ms() - trigger.created_ms;
                self.parts.meters.prepared(waited_ms);
                self.speak_of_repository(trigger, repository, &settings)
                    .await?;
            }
            Ok(Err(why)) => {
                info!(
                    repository = repository.full_name(),
                    commit = trigger.commit.as_str(),
                    "nothing to build for {} of {}",
                    trigger.occasion.subject(),
                    repository.full_name()
                );
                store.drop_trigger(&trigger.id, why, self.now_ms()).await?;
            }
            Err(error) => self.trigger_failed(trigger, &error).await?,
        }
        Ok(())
    }

    /// GitHub or git failed: that says nothing about the commit, so it is tried again; what will
    /// never work ends in a check that says so.
    async fn trigger_failed(&self, trigger: &Trigger, error: &PortError) -> Result<()> {
        const TRIES: u32 = 20;
        warn!(
            commit = trigger.commit.as_str(),
            "failed to prepare a build of {}: {error}", trigger.commit
        );
        let store = &self.parts.store;
        let hopeless = match error.kind {
            Kind::Refused => true,
            // GitHub tells of a commit before it can be read everywhere.
            Kind::Gone | Kind::Denied => trigger.tries >= 5,
            Kind::Transient => trigger.tries >= TRIES,
            // Waiting is not failing.
            Kind::Throttled { .. } => false,
        };
        if hopeless {
            if let Some(Import::Actions { run, .. }) = &trigger.import
                && !store.is_import_known(trigger).await?
            {
                // Whether anybody asks for its reports is not known, and most workflows have none.
                warn!(
                    "let run {} of `{}` go, which was never asked for",
                    run.id, run.name
                );
                return store
                    .drop_trigger(&trigger.id, Nothing::Unselected, self.now_ms())
                    .await;
            }
            let what = format!("Herald could not finish: {error}");
            let escaped = markdown::escape(&what);
            let mut draft = ended(trigger, Conclusion::Cancelled, &what, &escaped);
            draft.plan.import.clone_from(&trigger.import);
            return store.attach(&trigger.id, draft, self.now_ms()).await;
        }
        let postponement = Postponement {
            what: error.message.clone(),
            retry_ms: again_at(error, self.now_ms(), trigger.tries),
            counts: !matches!(error.kind, Kind::Throttled { .. }),
        };
        store.postpone_trigger(&trigger.id, postponement).await
    }

    /// The build that the trigger asks for; or why it asks for nothing.
    async fn prepare(
        &self,
        trigger: &Trigger,
        repository: &Repository,
    ) -> Result<std::result::Result<BuildDraft, Nothing>> {
        if let Some(import) = &trigger.import {
            return self.prepare_import(trigger, repository, import).await;
        }
        if let Some(refused) = self.refused_fork(trigger, repository).await? {
            return Ok(refused);
        }
        let source = &self.parts.source;
        let remote = self.parts.forge.remote(repository).await?;
        source
            .fetch(&remote, trigger.commit.as_str(), &trigger.occasion.refs())
            .await?;
        let base = self.fetch_base(&remote, trigger).await?;
        let head = self.find(&remote.id, &trigger.commit).await?;
        let before = match &base {
            Some(base) => self.find(&remote.id, base).await?,
            None => None,
        };
        let by_default = is_default(&trigger.occasion, repository);
        // Where something is built by default, only the lack of a specification says no.
        let nothing = if by_default {
            Nothing::Unspecified
        } else {
            Nothing::Unselected
        };
        let Some(head) = head else {
            let draft = self
                .without_specification(trigger, repository, before.as_ref(), by_default)
                .await?;
            return Ok(draft.ok_or(nothing));
        };
        let differs = before
            .as_ref()
            .is_some_and(|before| before.bytes != head.bytes);
        let parsed = spec::parse(&head.bytes);
        let preparation = Preparation {
            path: Some(head.path.to_owned()),
            problems: parsed.problems,
            differs_from_base: differs,
            min_tests: 1,
            login_images: match (trigger.trust, &before) {
                (Trust::Trusted, _) | (_, None) => Vec::new(),
                (_, Some(before)) => images(&before.bytes),
            },
            ..Preparation::default()
        };
        let Some(specification) = parsed.specification else {
            // A branch that nobody asked to build says nothing.
            let draft = by_default.then(|| bad_specification(trigger, &head, preparation));
            return Ok(draft.ok_or(nothing));
        };
        if specification.jobs.is_empty() {
            let draft = before.as_ref().and_then(|before| emptied(trigger, before));
            return Ok(draft.ok_or(Nothing::ReportsOnly));
        }
        let places = parsed.places;
        let promoted = specification.promote.as_ref().map(|promote| &promote.to);
        let by_default =
            by_default || promoted.is_some_and(|to| trigger.occasion.pushed_branch() == Some(to));
        let changed = match &base {
            Some(base) => self.changed(&remote.id, base, &trigger.commit).await,
            None => None,
        };
        let occasion = occasion(&trigger.occasion, by_default, changed.as_deref());
        let mut plan = spec::plan(&specification, &occasion);
        if plan.skips_everything() {
            if !by_default {
                return Ok(Err(nothing));
            }
            // A change must not switch off its own gate: the `when` of the base decides.
            let former = before
                .filter(|_| differs)
                .and_then(|before| spec::parse(&before.bytes).specification);
            if let Some(former) = former
                && !spec::plan(&former, &occasion).skips_everything()
            {
                plan = without_when(&specification, &occasion, &plan);
            }
        }
        let refused = self.refused(trigger, &plan, &places);
        if !refused.is_empty() {
            let mut preparation = preparation;
            preparation.problems.extend(refused);
            return Ok(Ok(bad_specification(trigger, &head, preparation)));
        }
        let mut draft = draft(trigger, &head, preparation, &specification, plan);
        draft.plan.group = self.group(&remote, trigger).await?;
        if let (BuiltTree::Merge, Some(pull)) = (specification.build, trigger.occasion.pull())
            && let Err(conflict) = self.merge(&remote, trigger, pull, &mut draft).await?
        {
            return Ok(Ok(conflict));
        }
        if trigger.trust == Trust::Fork {
            self.ask_for_approval(trigger, repository, &mut draft)
                .await?;
        }
        Ok(Ok(draft))
    }

    /// What becomes of a stranger's code that this server does not build.
    async fn refused_fork(
        &self,
        trigger: &Trigger,
        repository: &Repository,
    ) -> Result<Option<std::result::Result<BuildDraft, Nothing>>> {
        let Some(why) = self.no_forks().filter(|_| trigger.trust == Trust::Fork) else {
            return Ok(None);
        };
        let remote = self.parts.forge.remote(repository).await?;
        let standing = self.default_specification(repository, &remote).await?;
        if standing.is_some_and(|standing| standing.jobs.is_empty()) {
            return Ok(Some(Err(Nothing::ReportsOnly)));
        }
        let summary = format!("This pull request comes from a fork, and {why}.");
        let draft = ended(trigger, Conclusion::ActionRequired, why, &summary);
        Ok(Some(Ok(draft)))
    }

    /// Why jobs that would run cannot.
    fn refused(
        &self,
        trigger: &Trigger,
        plan: &spec::Plan,
        places: &spec::Places,
    ) -> Vec<spec::Problem> {
        let executor = &self.parts.executor;
        let ground = Ground {
            executor: executor.name(),
            abilities: executor.abilities(),
            server: true,
        };
        let due = plan
            .jobs
            .iter()
            .filter(|planned| planned.decision == Decision::Run)
            .map(|planned| &planned.job);
        refusals(due, &ground, trigger.trust, places)
    }

    /// Why this server builds no code of strangers, if it does not.
    pub(super) fn no_forks(&self) -> Option<&'static str> {
        if self.settings.forks == ForkPolicy::Ignore {
            Some("builds of forks are off")
        } else if self.parts.executor.isolates() {
            None
        } else {
            Some("this server has no isolating executor")
        }
    }

    /// Code of a fork runs only after someone with write permission has approved this commit with
    /// this specification. Who has that permission approves their own by asking for it.
    async fn ask_for_approval(
        &self,
        trigger: &Trigger,
        repository: &Repository,
        draft: &mut BuildDraft,
    ) -> Result<()> {
        let Some(pull) = trigger.occasion.pull() else {
            return Ok(());
        };
        if draft.jobs.iter().all(|job| job.skipped.is_some()) {
            return Ok(());
        }
        let store = &self.parts.store;
        if store
            .is_approved(
                &repository.id,
                pull.number,
                &trigger.commit,
                &draft.specification,
            )
            .await?
        {
            return Ok(());
        }
        let forge = &self.parts.forge;
        let own = pull.author == trigger.sender && pull.author != PersonId::NOBODY;
        if own && forge.permission(repository, pull.author).await? >= Permission::Write {
            draft.approved_by = Some(pull.author);
            return Ok(());
        }
        let commit = &trigger.commit;
        let changed = match (&draft.plan.path, draft.plan.differs_from_base) {
            (Some(path), true) => format!(" It changes `{path}`, which says what is run."),
            _ => String::new(),
        };
        let summary = format!(
            "This pull request comes from a fork.{changed} Its code runs, without secrets, when \
             someone with write permission has looked at commit {commit} and approves it: with the \
             button above, or with the comment\n\n```\n/herald approve {commit}\n```\n\nA new push \
             or another base needs a new approval."
        );
        draft.jobs.clear();
        draft.plan.awaits_approval = true;
        draft.plan.verdict = Some((WAITS.to_owned(), summary));
        draft.ended = Some((Conclusion::ActionRequired, WAITS.to_owned()));
        Ok(())
    }

    /// Has the tree tested that merging would give; the draft of a failure where it does not
    /// merge.
    async fn merge(
        &self,
        remote: &Remote,
        trigger: &Trigger,
        pull: &PullRequest,
        draft: &mut BuildDraft,
    ) -> Result<std::result::Result<(), BuildDraft>> {
        let source = &self.parts.source;
        // Where the base is now, which the event need not know.
        let tip = source.tip(remote, &pull.base_ref).await?;
        let base = tip.and_then(|tip| Sha::parse(&tip).ok());
        let base = base.unwrap_or_else(|| pull.base.clone());
        let refs = [format!("refs/heads/{}", pull.base_ref)];
        source.fetch(remote, base.as_str(), &refs).await?;
        let head = trigger.commit.as_str();
        match source.merge(&remote.id, base.as_str(), head).await? {
            Merged::Clean(commit) => {
                draft.tested = Sha::parse(&commit)
                    .map_err(|error| PortError::transient(format!("merge: {error}")))?;
                draft.plan.base = Some(base);
                Ok(Ok(()))
            }
            Merged::Conflict(paths) => Ok(Err(conflict(trigger, pull, &paths))),
        }
    }

    /// The base commit, made present; `None` when there is none or it is gone.
    async fn fetch_base(&self, remote: &Remote, trigger: &Trigger) -> Result<Option<Sha>> {
        let Some(base) = trigger.occasion.base() else {
            return Ok(None);
        };
        let refs = match &trigger.occasion {
            Occasion::PullRequest { pull } => vec![format!("refs/heads/{}", pull.base_ref)],
            Occasion::MergeGroup { base_ref, .. } => vec![format!("refs/heads/{base_ref}")],
            Occasion::Push { .. } | Occasion::Tag { .. } => Vec::new(),
        };
        let source = &self.parts.source;
        match source.fetch(remote, base.as_str(), &refs).await {
            Ok(()) => {}
            Err(error) if error.kind == Kind::Gone => return Ok(None),
            Err(error) => return Err(error),
        }
        // What the change does counts from where it left the base, not from where the base is.
        let fork_point = source
            .merge_base(&remote.id, base.as_str(), trigger.commit.as_str())
            .await?;
        Ok(Some(
            fork_point
                .and_then(|commit| Sha::parse(&commit).ok())
                .unwrap_or_else(|| base.clone()),
        ))
    }

    pub(super) async fn find(&self, repository: &str, commit: &Sha) -> Result<Option<Found>> {
        for path in spec::FILES {
            let file = self
                .parts
                .source
                .file(repository, commit.as_str(), path)
                .await?;
            if let Some(bytes) = file {
                return Ok(Some(Found { path, bytes }));
            }
        }
        Ok(None)
    }

    /// The paths that changed; `None` (which matches everything) when that cannot be told.
    async fn changed(&self, repository: &str, base: &Sha, head: &Sha) -> Option<Vec<String>> {
        self.parts
            .source
            .changed_paths(repository, base.as_str(), head.as_str())
            .await
            .ok()
    }

    async fn without_specification(
        &self,
        trigger: &Trigger,
        repository: &Repository,
        before: Option<&Found>,
        by_default: bool,
    ) -> Result<Option<BuildDraft>> {
        if let (Occasion::PullRequest { .. }, Some(before)) = (&trigger.occasion, before) {
            let title = format!("this change removes {}", before.path);
            let summary = format!(
                "The base has `{}`, this commit has not. Without it nothing proves the change; \
                 put it back, or merge by overriding this check.",
                before.path
            );
            let mut draft = ended(trigger, Conclusion::Failure, &title, &summary);
            draft.plan.specification_failed = true;
            return Ok(Some(draft));
        }
        let by_hand = self.parts.store.selected_by_hand(&repository.id).await?;
        if !by_default || !by_hand {
            return Ok(None);
        }
        let summary = "Herald builds what `.herald.yml` in the root of the repository says. To \
                       begin, add one:\n\n```yaml\nexecute:\n  - make test\n```\n";
        Ok(Some(ended(
            trigger,
            Conclusion::Neutral,
            "no .herald.yml",
            summary,
        )))
    }
}

/// What is built without a word from the specification.
fn is_default(occasion: &Occasion, repository: &Repository) -> bool {
    match occasion {
        Occasion::PullRequest { .. } | Occasion::Tag { .. } | Occasion::MergeGroup { .. } => true,
        Occasion::Push { branch, .. } => *branch == repository.default_branch,
    }
}

fn occasion<'a>(
    occasion: &'a Occasion,
    by_default: bool,
    changed_paths: Option<&'a [String]>,
) -> spec::Occasion<'a> {
    let (event, branch, tag) = match occasion {
        Occasion::PullRequest { pull } => {
            (spec::Event::PullRequest, Some(pull.base_ref.as_str()), None)
        }
        Occasion::Push { branch, .. } => (spec::Event::Push, Some(branch.as_str()), None),
        Occasion::Tag { tag } => (spec::Event::Tag, None, Some(tag.as_str())),
        Occasion::MergeGroup { base_ref, .. } => {
            (spec::Event::MergeGroup, Some(base_ref.as_str()), None)
        }
    };
    spec::Occasion {
        event,
        branch,
        tag,
        changed_paths,
        by_default,
    }
}

/// The images that a specification names.
fn images(specification: &[u8]) -> Vec<String> {
    let jobs = spec::parse(specification)
        .specification
        .map_or_else(Vec::new, |specification| specification.jobs);
    jobs.into_iter()
        .flat_map(|job| {
            let services = job.services.into_iter().map(|service| service.image);
            job.image.into_iter().chain(services)
        })
        .collect()
}

fn draft(
    trigger: &Trigger,
    found: &Found,
    mut preparation: Preparation,
    specification: &Specification,
    plan: spec::Plan,
) -> BuildDraft {
    preparation.publish = specification.publish.clone();
    preparation.badges = specification.badges.clone();
    preparation.min_tests = specification.gates.min_tests;
    preparation.partial_lines_miss = specification.gates.coverage.partial_lines_miss;
    preparation.coverage_gates = specification.gates.coverage.clone();
    preparation.allow_known_flaky = specification.gates.allow_known_flaky;
    preparation.is_judged = true;
    preparation.promote.clone_from(&specification.promote);
    let mut selection = String::new();
    let mut jobs = Vec::new();
    for planned in plan.jobs {
        let skipped = match planned.decision {
            Decision::Run if planned.job.deploy.is_some() => no_deployment(trigger.trust),
            Decision::Run => None,
            Decision::Skipped(reason) => Some(reason),
        };
        if skipped.is_none() {
            // Two occasions that select the same jobs have the same result.
            selection.push_str(&planned.job.key);
            selection.push('\n');
            preparation.declares_tests |= planned.job.reports.tests.is_some();
            preparation.declares_coverage |= planned.job.reports.coverage.is_some();
        }
        jobs.push(DraftJob {
            order: planned.job,
            skipped,
        });
    }
    BuildDraft {
        tested: trigger.commit.clone(),
        specification: hash(&[&found.bytes, selection.as_bytes()]),
        plan: preparation,
        jobs,
        ended: None,
        approved_by: None,
        occasion: None,
    }
}

/// SHA-256 over length-prefixed parts, in hex.
pub(super) fn hash(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
