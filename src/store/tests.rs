//! The contract of the store, on SQLite and, where `HERALD_TEST_POSTGRES` names a server, on
//! PostgreSQL.

use std::collections::BTreeSet;
use std::future::{self, Future};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::future::maybe_done;
use sqlx::Executor;

use super::database::{Database, StoreError, transact};
use super::{SealKey, SqlStore};
use crate::domain::{
    BadgeValue, BuildId, Change, CheckRun, CheckState, Conclusion, Content, InstallationId,
    JobResult, Measure, Occasion, PersonId, Preparation, Publication, PullRequest, Repository,
    RepositoryId, Secret, Sha, State, Status, StatusState, Target, Trust,
};
use crate::ports::store::{
    BuildDraft, Claim, DraftJob, Heartbeat, Interruption, KnownPull, Lane, NewDelivery,
    Postponement, Recorded, Replayed, Room, Sent, Spoken,
};
use crate::ports::{Kind, PortError, Store};
use crate::report::Report;
use crate::spec::JobSpecification;

pub(super) const ROOM: Room = Room {
    total: 10,
    per_repository: 10,
};

/// A store of one engine with what keeps it alive.
struct Place {
    store: Arc<SqlStore>,
    dir: tempfile::TempDir,
}

fn key() -> SealKey {
    SealKey::parse(&"5e".repeat(32)).unwrap()
}

async fn sqlite() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let store = SqlStore::sqlite(&dir.path().join("herald.db"))
        .await
        .unwrap()
        .with_key(key());
    Place {
        store: Arc::new(store),
        dir,
    }
}

async fn postgres(server: &str) -> Place {
    sqlx::any::install_default_drivers();
    let name = format!("herald_{}", uuid::Uuid::new_v4().simple());
    let pool = sqlx::AnyPool::connect(&format!("{server}/postgres"))
        .await
        .unwrap();
    let create = format!("CREATE DATABASE {name}");
    sqlx::query(sqlx::AssertSqlSafe(create))
        .execute(&pool)
        .await
        .unwrap();
    let store = SqlStore::postgres(&format!("{server}/{name}"))
        .await
        .unwrap()
        .with_key(key());
    Place {
        store: Arc::new(store),
        dir: tempfile::tempdir().unwrap(),
    }
}

/// Runs a test on every engine that there is.
pub(super) async fn on_both(test: impl AsyncFn(&Arc<SqlStore>)) {
    let place = sqlite().await;
    test(&place.store).await;
    if let Ok(server) = std::env::var("HERALD_TEST_POSTGRES") {
        let place = postgres(&server).await;
        test(&place.store).await;
        drop(place.dir);
    }
}

pub(super) fn sha(digit: char) -> Sha {
    Sha::parse(&digit.to_string().repeat(40)).unwrap()
}

pub(super) fn repository() -> Repository {
    Repository {
        id: RepositoryId::new("github.test", 1),
        installation: InstallationId(5),
        owner: "Octo".to_owned(),
        name: "Project".to_owned(),
        private: false,
        default_branch: "main".to_owned(),
    }
}

fn check(commit: &Sha, state: CheckState) -> CheckRun {
    CheckRun {
        commit: commit.clone(),
        name: "herald".to_owned(),
        details_url: String::new(),
        state,
        started_ms: None,
        completed_ms: None,
        title: "t".to_owned(),
        summary: "s".to_owned(),
        annotations: Vec::new(),
        actions: Vec::new(),
    }
}

pub(super) fn pull(number: i64, head: &Sha, updated_ms: i64) -> Occasion {
    Occasion::PullRequest {
        pull: PullRequest {
            number,
            head: head.clone(),
            head_ref: "change".to_owned(),
            head_repository: Some(repository().id),
            base: sha('0'),
            base_ref: "main".to_owned(),
            author: PersonId(9),
            author_is_bot: false,
            updated_ms,
        },
    }
}

pub(super) fn push(branch: &str) -> Occasion {
    Occasion::Push {
        branch: branch.to_owned(),
        before: None,
    }
}

pub(super) fn build(commit: &Sha, occasion: Occasion) -> Change {
    Change::Build {
        repository: repository().id,
        commit: commit.clone(),
        supersedes: occasion.pull().is_some(),
        occasion,
        trust: Trust::Trusted,
        sender: PersonId(9),
        again: false,
        since_ms: None,
        announcement: Some(Box::new(check(commit, CheckState::Queued))),
    }
}

/// Takes in a delivery that leads to these changes.
pub(super) async fn settle(store: &SqlStore, guid: &str, changes: Vec<Change>, now_ms: i64) {
    let delivery = NewDelivery {
        guid: guid.to_owned(),
        event: "push".to_owned(),
        body: "{}".to_owned(),
        received_ms: now_ms,
    };
    assert_eq!(
        store.record_delivery(delivery).await.unwrap(),
        Recorded::Waiting
    );
    let mut all = vec![Change::KeepRepository(repository())];
    all.extend(changes);
    store.settle_delivery(guid, all, now_ms).await.unwrap();
}

pub(super) fn order(key: &str, needs: &[&str]) -> DraftJob {
    DraftJob {
        order: JobSpecification {
            key: key.to_owned(),
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
            ..JobSpecification::default()
        },
        skipped: None,
    }
}

pub(super) fn draft(commit: &Sha, specification: &str, jobs: Vec<DraftJob>) -> BuildDraft {
    BuildDraft {
        tested: commit.clone(),
        specification: specification.to_owned(),
        plan: Preparation::default(),
        jobs,
        ended: None,
        approved_by: None,
        occasion: None,
    }
}

/// Gives every waiting trigger a build with these jobs.
async fn attach_all(store: &SqlStore, jobs: &[DraftJob], now_ms: i64) {
    while let Some((trigger, _)) = store.claim_trigger(now_ms, now_ms + 60_000).await.unwrap() {
        let draft = draft(&trigger.commit, "spec", jobs.to_vec());
        store.attach(&trigger.id, draft, now_ms).await.unwrap();
    }
}

/// A build of a commit for pull request 7, with these jobs.
async fn built(store: &SqlStore, commit: &Sha, jobs: &[DraftJob]) {
    let guid = format!("build {commit}");
    settle(store, &guid, vec![build(commit, pull(7, commit, 0))], 1_000).await;
    attach_all(store, jobs, 1_000).await;
}

fn result(conclusion: Conclusion) -> JobResult {
    JobResult {
        conclusion,
        title: conclusion.as_str().to_owned(),
        failures: Vec::new(),
        notes: Vec::new(),
        duration_ms: 1,
        report: Report::default(),
        patch: None,
        in_diff: Vec::new(),
        insight: None,
        tolerated: Vec::new(),
        artifacts: Vec::new(),
    }
}

/// Trouble that is borne twice.
fn trouble() -> Interruption {
    Interruption {
        what: "it went away".to_owned(),
        attempts: Some(3),
        not_before_ms: 0,
    }
}

pub(super) async fn claim(store: &SqlStore, now_ms: i64) -> Option<Claim> {
    store
        .claim_job("w", now_ms, now_ms + 60_000, ROOM)
        .await
        .unwrap()
}

pub(super) async fn finish(
    store: &SqlStore,
    claim: &Claim,
    conclusion: Conclusion,
    now_ms: i64,
) -> bool {
    store
        .finish_job(&claim.job.id, "w", &[], result(conclusion), now_ms)
        .await
        .unwrap()
}

pub(super) async fn view(store: &SqlStore, number: i64) -> crate::domain::BuildView {
    store
        .build(&repository().id, number)
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn a_delivery_is_kept_once_and_handled_once() {
    on_both(async |store| {
        let delivery = || NewDelivery {
            guid: "a".to_owned(),
            event: "ping".to_owned(),
            body: "{\"ü\":1}".to_owned(),
            received_ms: 5,
        };
        let record = || store.record_delivery(delivery());
        assert_eq!(record().await.unwrap(), Recorded::Waiting);
        assert_eq!(record().await.unwrap(), Recorded::Known);
        let first = store
            .claim_delivery(Lane::Quick, 10, 100)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((first.body.as_str(), first.tries), ("{\"ü\":1}", 0));
        assert!(
            store
                .claim_delivery(Lane::Quick, 10, 100)
                .await
                .unwrap()
                .is_none(),
            "leased"
        );
        let again = store
            .claim_delivery(Lane::Quick, 101, 200)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(again.tries, 1, "the lease has ended");
        store.settle_delivery("a", Vec::new(), 110).await.unwrap();
        assert_eq!(record().await.unwrap(), Recorded::Known);
        assert!(
            store
                .claim_delivery(Lane::Quick, 999, 1_000)
                .await
                .unwrap()
                .is_none()
        );
    })
    .await;
}

#[tokio::test]
async fn a_delivery_that_failed_waits_and_one_that_was_given_up_can_come_again() {
    on_both(async |store| {
        let delivery = || NewDelivery {
            guid: "a".to_owned(),
            event: "ping".to_owned(),
            body: "{}".to_owned(),
            received_ms: 5,
        };
        store.record_delivery(delivery()).await.unwrap();
        store
            .claim_delivery(Lane::Quick, 10, 100)
            .await
            .unwrap()
            .unwrap();
        store.fail_delivery("a", "no", Some(50)).await.unwrap();
        assert!(
            store
                .claim_delivery(Lane::Quick, 49, 100)
                .await
                .unwrap()
                .is_none()
        );
        store
            .claim_delivery(Lane::Quick, 50, 100)
            .await
            .unwrap()
            .unwrap();
        store.fail_delivery("a", "never", None).await.unwrap();
        assert!(
            store
                .claim_delivery(Lane::Quick, 999, 1_000)
                .await
                .unwrap()
                .is_none()
        );
        assert_eq!(
            store.record_delivery(delivery()).await.unwrap(),
            Recorded::Waiting
        );
        assert!(
            store
                .claim_delivery(Lane::Quick, 999, 1_000)
                .await
                .unwrap()
                .is_some()
        );
    })
    .await;
}

#[tokio::test]
async fn changes_of_a_delivery_take_effect_once() {
    on_both(async |store| {
        let changes = vec![build(&sha('a'), push("main"))];
        settle(store, "a", changes.clone(), 10).await;
        store.settle_delivery("a", changes, 10).await.unwrap();
        attach_all(store, &[order("build", &[])], 20).await;
        assert_eq!(
            store
                .builds(&repository().id, i64::MAX, 10)
                .await
                .unwrap()
                .len(),
            1
        );
    })
    .await;
}

#[tokio::test]
async fn twenty_triggers_at_once_share_one_build_or_get_their_own_numbers() {
    on_both(async |store| {
        for pull_number in 0..20 {
            let commit = sha(if pull_number % 2 == 0 { 'a' } else { 'b' });
            let change = build(&commit, pull(pull_number, &commit, 0));
            settle(store, &format!("{pull_number}"), vec![change], 10).await;
        }
        let mut tasks = tokio::task::JoinSet::new();
        while let Some((trigger, _)) = store.claim_trigger(10, 100).await.unwrap() {
            let store = Arc::clone(store);
            tasks.spawn(async move {
                let draft = draft(&trigger.commit, "spec", vec![order("build", &[])]);
                store.attach(&trigger.id, draft, 10).await
            });
        }
        assert_eq!(tasks.len(), 20);
        while let Some(done) = tasks.join_next().await {
            done.unwrap().unwrap();
        }
        let builds = store.builds(&repository().id, i64::MAX, 50).await.unwrap();
        let numbers: BTreeSet<i64> = builds.iter().map(|build| build.number).collect();
        assert_eq!(numbers, BTreeSet::from([1, 2]));
        assert_eq!(view(store, 1).await.pulls.len(), 10);
        assert_eq!(store.waiting(10).await.unwrap().jobs, 2);
    })
    .await;
}

#[tokio::test]
async fn a_newer_head_ends_the_triggers_of_the_older_one() {
    on_both(async |store| {
        built(
            store,
            &sha('a'),
            &[order("one", &[]), order("two", &["one"])],
        )
        .await;
        let running = claim(store, 2_000).await.unwrap();
        let newer = build(&sha('b'), pull(7, &sha('b'), 1));
        settle(store, "newer", vec![newer], 3_000).await;
        let told = store.heartbeat(&running.job.id, "w", 9_000).await.unwrap();
        assert_eq!(told, Heartbeat::Cancel("superseded by bbbbbbb".to_owned()));
        assert!(finish(store, &running, Conclusion::Cancelled, 4_000).await);
        let old = view(store, 1).await;
        assert_eq!(old.build.conclusion, Some(Conclusion::Cancelled));
        assert_eq!(old.build.reason.as_deref(), Some("superseded by bbbbbbb"));
        assert!(
            old.pulls.is_empty(),
            "it speaks for no pull request any more"
        );
        // An old delivery does not bring the old head back.
        settle(
            store,
            "late",
            vec![build(&sha('a'), pull(7, &sha('a'), 0))],
            5_000,
        )
        .await;
        attach_all(store, &[order("one", &[])], 5_000).await;
        assert_eq!(
            store
                .builds(&repository().id, i64::MAX, 10)
                .await
                .unwrap()
                .len(),
            2
        );
    })
    .await;
}

#[tokio::test]
async fn an_older_delivery_that_is_handled_late_does_not_make_a_repository_public_again() {
    on_both(async |store| {
        let private = Repository {
            private: true,
            ..repository()
        };
        settle(store, "new", vec![Change::KeepRepository(private)], 2_000).await;
        settle(store, "old", vec![], 1_000).await;
        let found = store.repository("Octo", "Project").await.unwrap().unwrap();
        assert!(found.private);
    })
    .await;
}

#[tokio::test]
async fn an_older_closing_does_not_end_what_was_opened_again() {
    on_both(async |store| {
        let Occasion::PullRequest { pull: closed } = pull(7, &sha('a'), 5_000) else {
            unreachable!()
        };
        let open = build(&sha('a'), pull(7, &sha('a'), 9_000));
        settle(store, "reopened", vec![open], 10_000).await;
        let cancel = Change::Cancel {
            repository: repository().id,
            pull: closed,
            reason: "closed".to_owned(),
        };
        settle(store, "closed", vec![cancel], 11_000).await;
        attach_all(store, &[order("", &[])], 12_000).await;
        assert!(claim(store, 13_000).await.is_some());
    })
    .await;
}

#[tokio::test]
async fn jobs_start_within_the_room_there_is_and_after_those_they_need() {
    on_both(async |store| {
        let jobs = [order("a", &[]), order("b", &[]), order("c", &["a", "b"])];
        built(store, &sha('a'), &jobs).await;
        let narrow = Room {
            total: 1,
            per_repository: 1,
        };
        let first = store
            .claim_job("w", 10_000, 70_000, narrow)
            .await
            .unwrap()
            .unwrap();
        assert!(
            store
                .claim_job("w", 10_000, 70_000, narrow)
                .await
                .unwrap()
                .is_none()
        );
        let second = claim(store, 10_000).await.unwrap();
        assert!(claim(store, 10_000).await.is_none(), "c needs both");
        assert!(finish(store, &first, Conclusion::Success, 11_000).await);
        assert!(claim(store, 11_000).await.is_none());
        assert!(finish(store, &second, Conclusion::Success, 12_000).await);
        let third = claim(store, 12_000).await.unwrap();
        assert_eq!(third.job.key, "c");
        assert!(finish(store, &third, Conclusion::Failure, 13_000).await);
        let build = view(store, 1).await.build;
        assert_eq!(
            (build.state, build.conclusion),
            (State::Finished, Some(Conclusion::Failure))
        );
    })
    .await;
}

#[tokio::test]
async fn who_lost_a_job_can_say_nothing_about_it() {
    on_both(async |store| {
        built(store, &sha('a'), &[order("build", &[])]).await;
        let first = claim(store, 10_000).await.unwrap();
        assert!(store.lost_jobs("other", 69_999).await.unwrap().is_empty());
        let lost = store.lost_jobs("other", 70_001).await.unwrap();
        assert_eq!(lost, [(first.job.id.clone(), "w".to_owned())]);
        let interrupt = |id: crate::domain::JobId| async move {
            store
                .interrupt_job(&id, "w", &trouble(), 71_000)
                .await
                .unwrap();
        };
        interrupt(first.job.id.clone()).await;
        let told = store.heartbeat(&first.job.id, "w", 99_000).await.unwrap();
        assert_eq!(told, Heartbeat::Lost);
        assert!(!finish(store, &first, Conclusion::Success, 72_000).await);
        for attempt in [2, 3] {
            assert!(claim(store, 71_999).await.is_none(), "not at once");
            let again = claim(store, 80_000).await.unwrap();
            assert_eq!(again.job.attempt, attempt);
            interrupt(again.job.id).await;
        }
        assert!(
            claim(store, 90_000).await.is_none(),
            "three attempts are enough"
        );
        let ended = view(store, 1).await;
        assert_eq!(ended.build.conclusion, Some(Conclusion::Cancelled));
        let title = ended.jobs[0].result.as_ref().unwrap().title.clone();
        assert_eq!(title, "Herald could not finish: it went away");
    })
    .await;
}

#[tokio::test]
async fn what_has_ended_stays_so() {
    on_both(async |store| {
        built(store, &sha('a'), &[order("build", &[])]).await;
        let job = claim(store, 10_000).await.unwrap();
        assert!(finish(store, &job, Conclusion::Success, 11_000).await);
        assert!(!finish(store, &job, Conclusion::Failure, 12_000).await);
        let cancel = Change::Cancel {
            repository: repository().id,
            pull: match pull(7, &sha('a'), 9) {
                Occasion::PullRequest { pull } => pull,
                _ => unreachable!(),
            },
            reason: "closed".to_owned(),
        };
        settle(store, "closed", vec![cancel], 13_000).await;
        store
            .interrupt_job(&job.job.id, "w", &trouble(), 14_000)
            .await
            .unwrap();
        let build = view(store, 1).await.build;
        assert_eq!(build.conclusion, Some(Conclusion::Success));
        assert_eq!(build.attempt, 1);
    })
    .await;
}

#[tokio::test]
async fn a_build_that_is_wanted_again_while_it_is_cancelled_gets_a_new_attempt() {
    on_both(async |store| {
        built(store, &sha('a'), &[order("build", &[])]).await;
        let running = claim(store, 2_000).await.unwrap();
        for (number, digit) in [(1, 'b'), (2, 'a')] {
            let change = build(&sha(digit), pull(7, &sha(digit), number));
            settle(store, &format!("{number}"), vec![change], 3_000).await;
        }
        attach_all(store, &[order("build", &[])], 3_000).await;
        assert!(finish(store, &running, Conclusion::Cancelled, 4_000).await);
        let again = claim(store, 5_000).await.unwrap();
        assert_eq!((again.job.attempt, again.build.commit), (2, sha('a')));
    })
    .await;
}

fn status(state: StatusState) -> Publication {
    Publication {
        target: Target::Status {
            context: "herald/build".to_owned(),
        },
        content: Content::Status(Status {
            commit: sha('a'),
            context: "herald/build".to_owned(),
            state,
            description: "d".to_owned(),
            target_url: String::new(),
        }),
    }
}

/// The next publication about the status.
async fn next(store: &SqlStore, now_ms: i64) -> Option<crate::ports::store::Outgoing> {
    loop {
        let outgoing = store
            .claim_publication(now_ms, now_ms + 100)
            .await
            .unwrap()?;
        if matches!(outgoing.content, Content::Status(_)) {
            return Some(outgoing);
        }
        store.sent(&outgoing, Sent::All).await.unwrap();
    }
}

#[tokio::test]
async fn the_newest_content_is_sent_once_and_looked_for_after_doubt() {
    on_both(async |store| {
        built(store, &sha('a'), &[order("build", &[])]).await;
        let first = view(store, 1).await;
        let publish = |view, state| async move {
            let publications = vec![status(state)];
            store
                .publish(&view, publications, Spoken::default(), 1_000)
                .await
                .unwrap();
        };
        publish(first, StatusState::Pending).await;
        assert!(store.unpublished(10).await.unwrap().is_empty());
        let job = claim(store, 2_000).await.unwrap();
        assert_eq!(store.unpublished(10).await.unwrap().len(), 1);
        assert!(finish(store, &job, Conclusion::Success, 3_000).await);
        publish(view(store, 1).await, StatusState::Success).await;

        let mut outgoing = next(store, 4_000).await.unwrap();
        assert!(!outgoing.uncertain);
        let Content::Status(sent) = &outgoing.content else {
            panic!("a status");
        };
        assert_eq!(
            sent.state,
            StatusState::Success,
            "what was in between is not sent"
        );
        assert!(next(store, 4_000).await.is_none(), "leased");
        // The sender died.
        outgoing = next(store, 5_000).await.unwrap();
        assert!(outgoing.uncertain);
        outgoing.remote = Some("12".to_owned());
        let later = Sent::Later {
            at_ms: 6_000,
            error: "500".to_owned(),
            uncertain: true,
        };
        store.sent(&outgoing, later).await.unwrap();
        assert!(next(store, 5_999).await.is_none());
        outgoing = next(store, 6_000).await.unwrap();
        assert_eq!(
            (outgoing.tries, outgoing.remote.as_deref()),
            (2, Some("12"))
        );
        store.sent(&outgoing, Sent::All).await.unwrap();
        assert!(next(store, 99_000).await.is_none());
    })
    .await;
}

#[tokio::test]
async fn an_answer_after_the_lease_has_ended_does_not_count() {
    on_both(async |store| {
        settle(
            store,
            "one",
            vec![build(&sha('a'), pull(7, &sha('a'), 0))],
            1_000,
        )
        .await;
        let late = store
            .claim_publication(1_000, 2_000)
            .await
            .unwrap()
            .unwrap();
        let other = store
            .claim_publication(2_000, 9_000)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(other.id, late.id);
        store.sent(&late, Sent::All).await.unwrap();
        assert!(store.waiting(9_000).await.unwrap().publications > 0);
        store.sent(&other, Sent::All).await.unwrap();
        assert_eq!(store.waiting(9_000).await.unwrap().publications, 0);
    })
    .await;
}

#[tokio::test]
async fn a_publication_that_cannot_be_read_holds_up_no_other() {
    on_both(async |store| {
        for (digit, number) in [('a', 7), ('b', 8)] {
            let wanted = build(&sha(digit), pull(number, &sha(digit), 0));
            settle(store, &digit.to_string(), vec![wanted], 1_000).await;
        }
        let mut tx = store.database.begin().await.unwrap();
        let spoilt = sqlx::query("UPDATE publications SET content = '{}' WHERE target LIKE $1")
            .bind(format!("%{}%", sha('a')))
            .execute(&mut *tx.on())
            .await
            .unwrap();
        assert_eq!(spoilt.rows_affected(), 1);
        tx.commit().await.unwrap();
        let sent = store
            .claim_publication(2_000, 9_000)
            .await
            .unwrap()
            .unwrap();
        assert!(matches!(sent.content, Content::Check(check) if check.commit == sha('b')));
        assert!(
            store
                .claim_publication(2_000, 9_000)
                .await
                .unwrap()
                .is_none()
        );
    })
    .await;
}

#[tokio::test]
async fn a_limited_installation_waits_as_a_whole() {
    on_both(async |store| {
        built(store, &sha('a'), &[order("build", &[])]).await;
        let outgoing = store
            .claim_publication(2_000, 2_100)
            .await
            .unwrap()
            .unwrap();
        store
            .publish(
                &view(store, 1).await,
                vec![status(StatusState::Pending)],
                Spoken::default(),
                2_000,
            )
            .await
            .unwrap();
        let us = outgoing.repository.installation;
        for (who, until_ms) in [(Some(us), 60_000), (None, 90_000), (Some(us), 50_000)] {
            store.keep_throttle(who, until_ms).await.unwrap();
        }
        assert_eq!(
            store.throttled(60_000).await.unwrap(),
            [(None, 90_000)],
            "the App's own"
        );
        let limited = Sent::Wait { until_ms: 60_000 };
        store.sent(&outgoing, limited).await.unwrap();
        assert!(
            store
                .claim_publication(59_999, 60_100)
                .await
                .unwrap()
                .is_none()
        );
        assert!(
            store
                .claim_publication(60_000, 60_100)
                .await
                .unwrap()
                .is_some()
        );
    })
    .await;
}

#[tokio::test]
async fn more_of_the_same_waits_and_the_end_does_not() {
    on_both(async |store| {
        built(store, &sha('a'), &[order("build", &[])]).await;
        let tell = async |description: &str, state, now_ms| {
            let mut publication = status(state);
            if let Content::Status(status) = &mut publication.content {
                description.clone_into(&mut status.description);
            }
            let view = view(store, 1).await;
            // As if the build had changed.
            let mut tx = store.database.begin().await.unwrap();
            sqlx::query("UPDATE builds SET published = revision - 1")
                .execute(tx.on())
                .await
                .unwrap();
            tx.commit().await.unwrap();
            store
                .publish(&view, vec![publication], Spoken::default(), now_ms)
                .await
                .unwrap();
        };
        let sent = async |now_ms| {
            let mut sent = Vec::new();
            while let Some(outgoing) = next(store, now_ms).await {
                store.sent(&outgoing, Sent::All).await.unwrap();
                if let Content::Status(status) = outgoing.content {
                    sent.push(status.description);
                }
            }
            sent
        };
        tell("1 of 9", StatusState::Pending, 10_000).await;
        assert_eq!(sent(10_000).await, ["1 of 9"]);
        tell("2 of 9", StatusState::Pending, 11_000).await;
        tell("3 of 9", StatusState::Pending, 12_000).await;
        assert!(sent(14_999).await.is_empty());
        assert_eq!(sent(15_000).await, ["3 of 9"], "the newest only");
        tell("4 of 9", StatusState::Pending, 16_000).await;
        assert!(sent(29_999).await.is_empty(), "longer each time");
        tell("9 of 9", StatusState::Success, 29_999).await;
        assert_eq!(sent(29_999).await, ["9 of 9"], "the end comes at once");
    })
    .await;
}

#[tokio::test]
async fn a_check_that_nobody_would_complete_is_completed() {
    on_both(async |store| {
        built(store, &sha('a'), &[order("build", &[])]).await;
        assert_eq!(store.close_stuck(2_000).await.unwrap(), 0, "it runs");
        let mut tx = store.database.begin().await.unwrap();
        sqlx::query("UPDATE builds SET state = 'finished', published = revision")
            .execute(tx.on())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(store.close_stuck(2_000).await.unwrap(), 1);
        let outgoing = store.claim_publication(2_000, 2_100).await.unwrap();
        let outgoing = outgoing.unwrap();
        let Content::Check(check) = outgoing.content else {
            panic!("a check run");
        };
        assert_eq!(
            check.state,
            CheckState::Completed(Conclusion::Cancelled),
            "{}",
            check.title
        );
        assert_eq!(store.close_stuck(2_000).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn operators_see_deliveries_and_only_what_was_not_handled_is_handled_again() {
    on_both(async |store| {
        let record = async |guid: &str, received_ms| {
            let delivery = NewDelivery {
                guid: guid.to_owned(),
                event: "ping".to_owned(),
                body: "{}".to_owned(),
                received_ms,
            };
            store.record_delivery(delivery).await.unwrap();
            store
                .claim_delivery(Lane::Quick, 50, 100)
                .await
                .unwrap()
                .unwrap();
        };
        record("good", 5).await;
        store.settle_delivery("good", Vec::new(), 60).await.unwrap();
        record("bad", 6).await;
        store.fail_delivery("bad", "no", None).await.unwrap();
        let list = async |failed, limit| -> Vec<(String, String)> {
            let kept = store.list_deliveries(failed, limit).await.unwrap();
            kept.into_iter().map(|one| (one.guid, one.state)).collect()
        };
        let one = |guid: &str, state: &str| (guid.to_owned(), state.to_owned());
        let all = [one("bad", "failed"), one("good", "handled")];
        assert_eq!(list(false, 9).await, all);
        assert_eq!(list(false, 1).await, all[..1]);
        assert_eq!(list(true, 9).await, all[..1]);
        let asked = ["good", "other", "bad"].map(str::to_owned);
        let known = store.known_deliveries(&asked).await.unwrap();
        assert_eq!(known, ["good", "bad"]);
        let replay = async |guid: &str| store.replay_delivery(guid, 70).await.unwrap();
        assert_eq!(replay("good").await, Replayed::Handled);
        assert_eq!(replay("other").await, Replayed::Unknown);
        assert_eq!(replay("bad").await, Replayed::Waiting);
        let again = store
            .claim_delivery(Lane::Quick, 70, 200)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((again.guid.as_str(), again.tries), ("bad", 0));
        assert_eq!(
            replay("bad").await,
            Replayed::Waiting,
            "it is being handled"
        );
        assert!(
            store
                .claim_delivery(Lane::Quick, 80, 200)
                .await
                .unwrap()
                .is_none(),
            "and not by two at once"
        );

        for value in ["1", "2"] {
            store.keep_setting("a", value).await.unwrap();
            assert_eq!(store.setting("a").await.unwrap().as_deref(), Some(value));
        }
    })
    .await;
}

#[tokio::test]
async fn a_head_is_known_while_something_holds_it() {
    on_both(async |store| {
        let id = &repository().id;
        assert!(store.active_repositories().await.unwrap().is_empty());
        settle(
            store,
            "a",
            vec![build(&sha('a'), pull(7, &sha('a'), 1))],
            10,
        )
        .await;
        assert_eq!(store.active_repositories().await.unwrap().len(), 1);
        let known = async |number, head| {
            let pull = pull(number, &sha(head), 9);
            store.known_pull(id, pull.pull().unwrap()).await.unwrap()
        };
        assert_eq!(known(7, 'a').await, KnownPull::Yes);
        assert_eq!(known(8, 'a').await, KnownPull::No, "with the same head");
        assert_eq!(known(7, 'b').await, KnownPull::No);
        store
            .apply(vec![build(&sha('b'), pull(7, &sha('b'), 2))], 20)
            .await
            .unwrap();
        assert_eq!(known(7, 'b').await, KnownPull::Yes);
        assert_eq!(known(7, 'a').await, KnownPull::No, "it was pushed over");
        assert_eq!(
            store.newest_of_pull(id, 7).await.unwrap(),
            Some((sha('b'), 2))
        );
        assert_eq!(store.throttled(0).await.unwrap(), Vec::new());
    })
    .await;
}

#[tokio::test]
async fn repositories_are_compared_in_turns_and_new_ones_first() {
    on_both(async |store| {
        let named = |number: i64, name: &str| Repository {
            id: RepositoryId::new("github.test", number),
            name: name.to_owned(),
            ..repository()
        };
        let keep = |repository: Repository| vec![Change::KeepRepository(repository)];
        let all = [named(1, "a"), named(2, "b")];
        for repository in all.clone() {
            store.apply(keep(repository), 1).await.unwrap();
        }
        let next = async |before_ms| {
            let next = store.longest_not_compared(before_ms).await.unwrap();
            next.map(|repository| repository.name)
        };
        assert_eq!(next(100).await.as_deref(), Some("a"));
        store.keep_compared(&all[0].id, 50).await.unwrap();
        assert_eq!(next(100).await.as_deref(), Some("b"));
        store.keep_compared(&all[1].id, 60).await.unwrap();
        assert_eq!(next(100).await.as_deref(), Some("a"));
        assert_eq!(next(50).await, None);
        // Another delivery of it is no reason; that it came back is one, and a new one is first.
        store.apply(keep(named(1, "a")), 70).await.unwrap();
        assert_eq!(next(50).await, None);
        let gone = vec![Change::PauseRepository(all[1].id.clone())];
        store.apply(gone, 80).await.unwrap();
        assert_eq!(next(100).await.as_deref(), Some("a"));
        store.apply(keep(named(2, "b")), 90).await.unwrap();
        assert_eq!(next(50).await.as_deref(), Some("b"));
    })
    .await;
}

#[tokio::test]
async fn waiting_is_not_failing() {
    on_both(async |store| {
        settle(store, "a", vec![build(&sha('a'), push("main"))], 1).await;
        for (counts, tries) in [(false, 0), (true, 0), (false, 1), (true, 1), (true, 2)] {
            let (trigger, _) = store.claim_trigger(10, 20).await.unwrap().unwrap();
            assert_eq!(trigger.tries, tries);
            let postponement = Postponement {
                what: "GitHub asks for patience".to_owned(),
                retry_ms: 5,
                counts,
            };
            store
                .postpone_trigger(&trigger.id, postponement)
                .await
                .unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_badge_keeps_what_the_later_push_said() {
    on_both(async |store| {
        let said = |message: &str| Spoken {
            badges: vec![BadgeValue {
                kind: "build".to_owned(),
                job: String::new(),
                label: Some("CI".to_owned()),
                message: message.to_owned(),
                color: "red".to_owned(),
            }],
            measure: Some(Measure {
                number: if message == "new" { 2 } else { 1 },
                red: true,
                duration_ms: None,
                passed: 1,
                failed: 2,
                skipped: 3,
                covered: 4,
                coverable: 5,
            }),
        };
        settle(store, "old", vec![build(&sha('a'), push("main"))], 1_000).await;
        settle(store, "new", vec![build(&sha('b'), push("main"))], 2_000).await;
        attach_all(store, &[order("build", &[])], 3_000).await;
        let (old, new) = (view(store, 1).await, view(store, 2).await);
        store
            .publish(&new, Vec::new(), said("new"), 4_000)
            .await
            .unwrap();
        store
            .publish(&old, Vec::new(), said("old"), 5_000)
            .await
            .unwrap();
        let badge = |branch| store.badge("OCTO", "project", "build", branch, "");
        assert_eq!(badge(None).await.unwrap().unwrap().value.message, "new");
        assert_eq!(
            badge(Some("main")).await.unwrap().unwrap().value.message,
            "new"
        );
        assert!(badge(Some("other")).await.unwrap().is_none());
        // Of what was read before nothing is left when it changes.
        let mut private = repository();
        private.private = true;
        settle(
            store,
            "private",
            vec![Change::KeepRepository(private)],
            7_000,
        )
        .await;
        assert!(badge(None).await.unwrap().unwrap().private);
        let measures = store.measures(&repository().id, "main", 10).await.unwrap();
        let numbers: Vec<i64> = measures.iter().map(|one| one.number).collect();
        assert_eq!(numbers, [2, 1], "the newest first, whatever came last");
        assert_eq!(Some(measures[0]), said("new").measure);
        let last = store.last_of_branch(&repository().id, "other").await;
        assert_eq!(last.unwrap(), None);
        let branches = store.branches(&repository().id, 10).await.unwrap();
        assert_eq!(branches, [("main".to_owned(), measures[0])]);
        let builds = store
            .builds_of_branch(&repository().id, "main", 2, 10)
            .await;
        let numbers: Vec<i64> = builds.unwrap().iter().map(|build| build.number).collect();
        assert_eq!(numbers, [1]);
    })
    .await;
}

#[tokio::test]
async fn public_repositories_are_found_by_part_of_their_names() {
    on_both(async |store| {
        let keep = Change::KeepRepository(repository());
        settle(store, "repository", vec![keep], 1_000).await;
        let names = async |words, after| -> Vec<String> {
            let found = store.public_repositories(words, after, 10).await.unwrap();
            found.iter().map(Repository::full_name).collect()
        };
        for words in ["", "O/Pro", "octo/project"] {
            assert_eq!(names(words, ("", "")).await, ["Octo/Project"], "{words}");
        }
        for words in ["%", "o_to", "!"] {
            assert!(names(words, ("", "")).await.is_empty(), "{words}");
        }
        assert!(names("", ("Octo", "Project")).await.is_empty());
        assert_eq!(names("", ("Octo", "P")).await, ["Octo/Project"]);
    })
    .await;
}

#[tokio::test]
async fn a_hundred_writers_at_once_all_get_their_word() {
    on_both(async |store| {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..100 {
            let store = Arc::clone(store);
            tasks.spawn(async move {
                let delivery = NewDelivery {
                    guid: format!("{number}"),
                    event: "ping".to_owned(),
                    body: "{}".to_owned(),
                    received_ms: number,
                };
                store.record_delivery(delivery).await
            });
        }
        while let Some(done) = tasks.join_next().await {
            assert_eq!(done.unwrap().unwrap(), Recorded::Waiting);
        }
        assert_eq!(store.waiting(1_000).await.unwrap().deliveries, 100);
    })
    .await;
}

#[tokio::test]
async fn what_was_said_is_there_after_opening_the_file_again() {
    let place = sqlite().await;
    built(&place.store, &sha('a'), &[order("build", &[])]).await;
    let claimed = claim(&place.store, 10_000).await.unwrap();
    place
        .store
        .claim_publication(10_000, 999_000)
        .await
        .unwrap()
        .unwrap();
    let file = place.dir.path().join("herald.db");
    let again = SqlStore::sqlite(&file).await.unwrap();
    assert_eq!(view(&again, 1).await.build.state, State::Running);
    // The leases of the process before are taken back; its jobs are known as lost.
    let outgoing = again
        .claim_publication(10_001, 10_100)
        .await
        .unwrap()
        .unwrap();
    assert!(outgoing.uncertain);
    assert_eq!(again.held_jobs("w").await.unwrap(), [claimed.job.id]);
    assert!(
        again
            .view(&BuildId::from_stored("none"))
            .await
            .unwrap()
            .is_none()
    );
}

const INSERT: &str = "INSERT INTO settings (name, value) VALUES ($1, 'x')";

/// Inserts a setting, and fails after that unless `good`.
async fn put(database: &Database, name: &str, good: bool) -> crate::ports::error::Result<()> {
    transact!(database, tx => {
        sqlx::query(INSERT).bind(name).execute(tx.on()).await?;
        if good {
            Ok(())
        } else {
            Err(StoreError::Stored("on purpose".to_owned()))
        }
    })
}

/// The settings that are there.
async fn names(database: &Database) -> Vec<String> {
    let mut on = database.read().await.unwrap();
    let names = sqlx::query_scalar("SELECT name FROM settings ORDER BY name");
    names.fetch_all(&mut *on).await.unwrap()
}

#[tokio::test]
async fn a_transaction_that_is_dropped_in_the_middle_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::sqlite(&dir.path().join("herald.db"))
        .await
        .unwrap();
    {
        let mut torn = database.begin().await.unwrap();
        sqlx::query(INSERT)
            .bind("torn")
            .execute(torn.on())
            .await
            .unwrap();
    }
    put(&database, "kept", true).await.unwrap();
    assert!(put(&database, "failed", false).await.is_err());
    assert_eq!(names(&database).await, ["kept"]);
}

#[tokio::test]
async fn what_sqlite_rolls_back_by_itself_is_not_called_done() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::sqlite(&dir.path().join("herald.db"))
        .await
        .unwrap();
    // In one group: the first is ended and waits for the commit; under the second SQLite rolls back, as it does when it cannot write
    // a page; the third comes before anybody commits.
    let mut first = database.begin().await.unwrap();
    let put_first = sqlx::query(INSERT).bind("lost").execute(first.on());
    put_first.await.unwrap();
    let mut first = pin!(first.commit());
    // Its savepoint may be made at once.
    let mut second = pin!(maybe_done(database.begin()));
    let mut third = pin!(put(&database, "kept", true));
    let waits = future::poll_fn(|context| {
        let first = first.as_mut().poll(context).is_pending();
        let _ = second.as_mut().poll(context);
        Poll::Ready([first, third.as_mut().poll(context).is_pending()])
    });
    assert_eq!(waits.await, [true; 2]);
    {
        second.as_mut().await;
        let mut second = second.as_mut().take_output().unwrap().unwrap();
        second.on().execute("ROLLBACK").await.unwrap();
    }
    third.await.unwrap();
    assert!(first.await.is_err());
    assert_eq!(names(&database).await, ["kept"]);
}

#[tokio::test]
async fn a_secret_is_stored_sealed_replaced_and_forgotten() {
    on_both(async |store| {
        let (here, there) = (repository().id, RepositoryId::new("github.test", 2));
        let first = Secret::new("hunter2");
        store.keep_secret(&here, "TOKEN", &first, 5).await.unwrap();
        store.keep_secret(&here, "A", &first, 6).await.unwrap();
        assert_eq!(store.secret(&here, "TOKEN").await.unwrap(), Some(first));
        assert_eq!(store.secret(&here, "OTHER").await.unwrap(), None);
        assert_eq!(store.secret(&there, "TOKEN").await.unwrap(), None);
        let sealed: String = {
            let mut on = store.database.read().await.unwrap();
            sqlx::query_scalar("SELECT sealed FROM secrets WHERE name = 'TOKEN'")
                .fetch_one(&mut *on)
                .await
                .unwrap()
        };
        assert!(!sealed.contains("hunter2"));
        let second = Secret::new("a new one\nwith lines");
        store.keep_secret(&here, "TOKEN", &second, 7).await.unwrap();
        assert_eq!(store.secret(&here, "TOKEN").await.unwrap(), Some(second));
        let names: Vec<_> = store.secrets(&here).await.unwrap();
        let names: Vec<_> = names
            .iter()
            .map(|secret| (secret.name.as_str(), secret.updated_ms))
            .collect();
        assert_eq!(names, [("A", 6), ("TOKEN", 7)]);
        assert!(store.remove_secret(&here, "A").await.unwrap());
        assert!(!store.remove_secret(&here, "A").await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_secret_that_was_moved_or_sealed_with_another_key_does_not_open() {
    on_both(async |store| {
        let here = repository().id;
        let value = Secret::new("hunter2");
        store.keep_secret(&here, "TOKEN", &value, 5).await.unwrap();
        let moved: Result<(), PortError> = async {
            transact!(store.database, tx => {
                sqlx::query("UPDATE secrets SET name = 'OTHER'").execute(tx.on()).await?;
                Ok(())
            })
        }
        .await;
        moved.unwrap();
        let error = store.secret(&here, "OTHER").await.unwrap_err();
        assert_eq!(error.kind, Kind::Refused, "{error}");
        assert!(error.message.contains("herald admin secret set"), "{error}");
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let keyless = SqlStore::sqlite(&dir.path().join("herald.db"))
        .await
        .unwrap();
    let error = keyless.secret(&repository().id, "TOKEN").await.unwrap_err();
    assert_eq!(error.kind, Kind::Refused, "{error}");
}

/// Builds these occasions, a second apart, one job each.
async fn queue_up(store: &SqlStore, occasions: &[(char, Occasion)]) {
    for (at, (digit, occasion)) in (1_i64..).zip(occasions) {
        let change = build(&sha(*digit), occasion.clone());
        settle(store, &format!("queue {at}"), vec![change], at * 1_000).await;
        attach_all(store, &[order("build", &[])], at * 1_000).await;
    }
}

async fn started_next(store: &SqlStore, now_ms: i64) -> String {
    let claim = store.claim_job("w", now_ms, now_ms + 60_000, ROOM).await;
    let commit = claim.unwrap().unwrap().build.commit;
    commit.as_str().chars().take(1).collect()
}

#[tokio::test]
async fn the_default_branch_and_tags_come_first_then_the_oldest() {
    on_both(async |store| {
        let tag = Occasion::Tag {
            tag: "v1".to_owned(),
        };
        let occasions = [
            ('a', pull(1, &sha('a'), 0)),
            ('b', push("feature")),
            ('c', pull(3, &sha('c'), 0)),
            ('d', push("main")),
            ('e', tag),
        ];
        queue_up(store, &occasions).await;
        let mut started = String::new();
        for _ in 0..5 {
            started.push_str(&started_next(store, 10_000).await);
        }
        assert_eq!(started, "deabc");
    })
    .await;
}

#[tokio::test]
async fn a_pull_request_that_waits_for_half_an_hour_comes_first_too() {
    on_both(async |store| {
        let occasions = [('a', pull(1, &sha('a'), 0)), ('d', push("main"))];
        queue_up(store, &occasions).await;
        assert_eq!(started_next(store, 1_000 + 30 * 60_000).await, "a");
    })
    .await;
}

#[tokio::test]
async fn a_build_that_the_default_branch_comes_to_want_hurries() {
    on_both(async |store| {
        let occasions = [
            ('a', pull(1, &sha('a'), 0)),
            ('b', pull(2, &sha('b'), 0)),
            ('b', push("main")),
        ];
        queue_up(store, &occasions).await;
        assert_eq!(started_next(store, 4_000).await, "b");
    })
    .await;
}

#[tokio::test]
async fn a_build_knows_how_many_jobs_come_before_it() {
    on_both(async |store| {
        let occasions = [
            ('a', pull(1, &sha('a'), 0)),
            ('b', pull(2, &sha('b'), 0)),
            ('c', push("main")),
            ('d', pull(4, &sha('d'), 0)),
        ];
        queue_up(store, &occasions).await;
        let last = view(store, 4).await.build.id;
        let queue = store.queue(&last, 5_000).await.unwrap().unwrap();
        assert_eq!((queue.ahead, queue.ahead_here, queue.running), (3, 3, 0));
        assert_eq!(started_next(store, 5_000).await, "c");
        let queue = store.queue(&last, 5_000).await.unwrap().unwrap();
        assert_eq!((queue.ahead, queue.running, queue.running_here), (2, 1, 1));
        let room = |total, per_repository| Room {
            total,
            per_repository,
        };
        assert_eq!(queue.waits_for(room(1, 1)), 2);
        assert_eq!(queue.waits_for(room(2, 1)), 2);
        assert_eq!(queue.waits_for(room(2, 2)), 0);
        let running = view(store, 3).await.build.id;
        assert_eq!(store.queue(&running, 5_000).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn builds_that_wait_are_rendered_again_a_few_at_a_time() {
    on_both(async |store| {
        let occasions = [
            ('a', pull(1, &sha('a'), 0)),
            ('b', pull(2, &sha('b'), 0)),
            ('c', pull(3, &sha('c'), 0)),
            ('d', pull(4, &sha('d'), 0)),
        ];
        queue_up(store, &occasions).await;
        assert_eq!(started_next(store, 5_000).await, "a");
        // What was not rendered yet will be anyway.
        assert_eq!(store.refresh_queue(10).await.unwrap(), 0);
        for number in 1..=4 {
            let view = view(store, number).await;
            store
                .publish(&view, Vec::new(), Spoken::default(), 5_000)
                .await
                .unwrap();
        }
        assert_eq!(store.unpublished(10).await.unwrap(), []);
        assert_eq!(store.refresh_queue(2).await.unwrap(), 2);
        assert_eq!(store.unpublished(10).await.unwrap().len(), 2);
        assert_eq!(store.refresh_queue(10).await.unwrap(), 1);
        assert_eq!(store.refresh_queue(10).await.unwrap(), 0);
    })
    .await;
}
