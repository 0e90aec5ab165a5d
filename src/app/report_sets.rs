//! Sets of uploaded reports: published when they are due, read as one, and let go when they are old.

use tokio_util::sync::CancellationToken;

use super::attempt::{Begin, apart};
use super::checkout::{CheckedOut, Place};
use super::collect::Imported;
use super::import::{draft, specification_of};
use super::state::App;
use crate::domain::upload::{self, KEPT_MS, UNFINISHED_MS, UploadFacts};
use crate::domain::{
    Build, Conclusion, Import, JobResult, ReportPart, ReportSet, Repository, Trigger,
};
use crate::ports::PortError;
use crate::ports::error::Result;
use crate::ports::store::{BuildDraft, Claim, Nothing};

/// How many sets are published at once.
const AT_ONCE: i64 = 20;
/// How many rows and files go at once, so that who writes waits for moments only.
const STEP: i64 = 50;

impl App {
    /// Publishes sets that are due; `false` when none is.
    pub(super) async fn publish_sets(&self) -> Result<bool> {
        let published = self
            .parts
            .store
            .publish_sets(self.now_ms(), AT_ONCE)
            .await?;
        if published > 0 {
            self.stir();
        }
        Ok(published > 0)
    }

    /// The newest build of a set.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn build_of_set(&self, set: &ReportSet) -> Result<Option<Build>> {
        let import = import_of(set);
        let specification = specification_of(&import, &set.commit);
        self.parts.store.build_of_set(set, &specification).await
    }

    /// The build of a set.
    pub(super) async fn prepare_set(
        &self,
        trigger: &Trigger,
        repository: &Repository,
        set: &str,
    ) -> Result<std::result::Result<BuildDraft, Nothing>> {
        let Some(set) = self.parts.store.report_set(set).await? else {
            return Ok(Err(Nothing::Unselected));
        };
        let remote = self.parts.forge.remote(repository).await?;
        let specification = self.default_specification(repository, &remote).await?;
        let is_for_pull = trigger.occasion.pull().is_some();
        let mut occasions = set.occasions();
        let occasion = occasions
            .find(|occasion| occasion.pull().is_some() == is_for_pull)
            .unwrap_or(&set.occasion);
        let source = &self.parts.source;
        let commit = trigger.commit.as_str();
        source.fetch(&remote, commit, &occasion.refs()).await?;
        let mut draft = draft(trigger, import_of(&set), specification.as_ref());
        draft.occasion = Some(occasion.clone());
        Ok(Ok(draft))
    }

    /// Reads all parts of a set as one report.
    pub(super) async fn read_set(
        &self,
        claim: &Claim,
        set: &str,
        place: &Place,
    ) -> Result<JobResult> {
        let found = self.parts.store.report_set(set).await?;
        let Some(set) = found.filter(|set| !set.is_closed) else {
            let days = KEPT_MS / 86_400_000;
            let title =
                format!("cancelled: uploaded reports are deleted {days} days after the last part");
            return Ok(JobResult::without_run(Conclusion::Cancelled, title));
        };
        // Nothing of it runs, so no file of it is written.
        let CheckedOut {
            tree,
            quarantine,
            change,
            ..
        } = self.check_out(claim, place, Begin::Again).await?;
        let mut reports = Imported::new(&tree);
        let mut problems = Vec::new();
        for part in &set.parts {
            let path = self.parts.uploads.path(&part.upload)?;
            if !path.exists() {
                problems.push(self.lost(&set, part).await?);
                continue;
            }
            let part = part.clone();
            let (read, found) = apart(move || {
                let found = reports.add_upload(&part, &path);
                (reports, found)
            })
            .await?;
            reports = read;
            problems.extend(found?);
        }
        let weighed = self.weigh(claim, reports, change, quarantine.tests).await?;
        let said = upload::verdict(&UploadFacts {
            report: &weighed.report,
            tolerated: weighed.tolerated.len() as u64,
            problems: &problems,
            missing: set.missing(),
            min_tests: claim.build.plan.min_tests,
        });
        let seconds = weighed.report.totals().duration_seconds;
        let took = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Ok(weighed.result(said, quarantine.notes, took_ms))
    }

    /// What is said of a part whose file is not there.
    async fn lost(&self, set: &ReportSet, part: &ReportPart) -> Result<String> {
        if self.parts.store.is_part(&set.id, part).await? {
            return Ok(format!(
                "the part `{}` is not on this server's disk any more; upload it again",
                part.label
            ));
        }
        Err(PortError::transient(format!(
            "read the part {}: a newer one came meanwhile",
            part.label
        )))
    }

    /// Drops what nobody goes on uploading, parts of sets that are a week old, and files that are nobody's, in small
    /// steps, and says how many there were.
    ///
    /// # Errors
    /// When the store or the disk fails; what went before stays away.
    pub async fn drop_old_uploads(&self, stop: &CancellationToken) -> Result<u64> {
        let (store, now_ms) = (&self.parts.store, self.now_ms());
        let kept_ms = i64::try_from(self.settings.retention.history_ms).unwrap_or(i64::MAX);
        let mut all = 0;
        while !stop.is_cancelled() {
            let dropped = store
                .drop_uploads(
                    now_ms - UNFINISHED_MS,
                    now_ms - KEPT_MS,
                    now_ms.saturating_sub(kept_ms.max(KEPT_MS)),
                    STEP,
                )
                .await?;
            if dropped == 0 {
                break;
            }
            all += dropped;
        }
        let files = &self.parts.uploads;
        let listed = files.list().await?;
        for some in listed.chunks(usize::try_from(STEP).unwrap_or(1)) {
            if stop.is_cancelled() {
                break;
            }
            let known = store.known_uploads(some).await?;
            for id in some {
                if known.contains(id) {
                    continue;
                }
                // Not one that somebody is sending to; what was finished in between is known by then.
                let Some(_held) = files.hold(id).await? else {
                    continue;
                };
                if store
                    .known_uploads(std::slice::from_ref(id))
                    .await?
                    .is_empty()
                {
                    files.remove(id).await?;
                    all += 1;
                }
            }
        }
        Ok(all)
    }
}

fn import_of(set: &ReportSet) -> Import {
    Import::Uploads {
        set: set.id.clone(),
        name: set.name.clone(),
        received: u32::try_from(set.parts.len()).unwrap_or(u32::MAX),
        expected: set.expected,
    }
}
