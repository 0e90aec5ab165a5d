//! Jobs that are deployments: their order, what supersedes what, and approvals, on both databases.

use super::SqlStore;
use super::tests::{
    build, claim, draft, finish, on_both, order, pull, push, repository, settle, sha, view,
};
use crate::domain::{
    Again, Answers, Approved, Change, Conclusion, JobId, PersonId, Sha, State, pull_subject,
};
use crate::ports::store::{DraftJob, Heartbeat, Interruption};
use crate::ports::{Deployments, Store};
use crate::spec::Deploy;

/// Nothing is handed out.
const NONE: [i64; 0] = [];

/// A job that deploys.
fn deploys(key: &str, environment: &str, needs: &[&str], approval: bool) -> DraftJob {
    let mut job = order(key, needs);
    job.order.deploy = Some(Deploy {
        environment: environment.to_owned(),
        url: None,
        approval,
    });
    job
}

fn ships() -> Vec<DraftJob> {
    vec![deploys("ship", "Production", &[], false)]
}

/// A job, and a deployment that needs it.
fn tested() -> Vec<DraftJob> {
    let ship = deploys("ship", "live", &["test"], false);
    vec![order("test", &[]), ship]
}

/// A push to the branch `production`, whose build has these jobs.
async fn pushed(store: &SqlStore, commit: &Sha, jobs: Vec<DraftJob>, at_ms: i64) {
    let guid = format!("{commit} at {at_ms}");
    settle(store, &guid, vec![build(commit, push("production"))], at_ms).await;
    prepared(store, jobs, at_ms).await;
}

async fn prepared(store: &SqlStore, jobs: Vec<DraftJob>, at_ms: i64) {
    while let Some((trigger, _)) = store.claim_trigger(at_ms, at_ms + 500).await.unwrap() {
        let draft = draft(&trigger.commit, "spec", jobs.clone());
        store.attach(&trigger.id, draft, at_ms).await.unwrap();
    }
}

/// How the newest attempt of a job of a build stands: its state, conclusion and title.
async fn stands(store: &SqlStore, number: i64, key: &str) -> (State, Option<Conclusion>, String) {
    let view = view(store, number).await;
    let job = view.jobs.iter().find(|job| job.key == key).unwrap();
    let title = job.result.as_ref().map(|result| result.title.clone());
    (job.state, job.conclusion, title.unwrap_or_default())
}

fn superseded(by: i64) -> (State, Option<Conclusion>, String) {
    let words = format!("cancelled: superseded by build #{by}");
    (State::Finished, Some(Conclusion::Cancelled), words)
}

/// The numbers of the builds whose jobs are handed out now.
async fn claimed(store: &SqlStore, at_ms: i64) -> Vec<i64> {
    let mut numbers = Vec::new();
    while let Some(claim) = claim(store, at_ms).await {
        numbers.push(claim.build.number);
    }
    numbers
}

#[tokio::test]
async fn one_deployment_runs_and_of_those_that_wait_the_newest_stays() {
    on_both(async |store| {
        pushed(store, &sha('a'), ships(), 1_000).await;
        let first = claim(store, 1_001).await.unwrap();
        pushed(store, &sha('b'), ships(), 2_000).await;
        assert_eq!(claimed(store, 2_001).await, NONE, "one at a time");
        pushed(store, &sha('c'), ships(), 3_000).await;
        assert_eq!(stands(store, 2, "ship").await, superseded(3));
        let ended = view(store, 2).await.build;
        assert_eq!(ended.conclusion, Some(Conclusion::Cancelled));
        assert_eq!(claimed(store, 3_001).await, NONE);
        assert!(finish(store, &first, Conclusion::Success, 4_000).await);
        assert_eq!(claimed(store, 4_001).await, [3]);
    })
    .await;
}

#[tokio::test]
async fn environments_and_repositories_do_not_wait_for_one_another() {
    on_both(async |store| {
        pushed(store, &sha('a'), ships(), 1_000).await;
        let staging = vec![deploys("ship", "staging", &[], false)];
        pushed(store, &sha('b'), staging, 2_000).await;
        // GitHub takes names that differ in case for the same.
        let same = vec![deploys("ship", "PRODUCTION", &[], false)];
        pushed(store, &sha('c'), same, 3_000).await;
        assert_eq!(stands(store, 1, "ship").await, superseded(3));
        assert_eq!(claimed(store, 3_001).await, [2, 3]);
    })
    .await;
}

#[tokio::test]
async fn members_of_one_build_deploy_one_after_another() {
    on_both(async |store| {
        let both = vec![
            deploys("ship.1", "live", &[], false),
            deploys("ship.2", "live", &[], false),
        ];
        pushed(store, &sha('a'), both, 1_000).await;
        let first = claim(store, 1_001).await.unwrap();
        assert_eq!(first.job.key, "ship.1");
        assert!(claim(store, 1_001).await.is_none());
        assert!(finish(store, &first, Conclusion::Failure, 1_002).await);
        assert_eq!(claim(store, 1_003).await.unwrap().job.key, "ship.2");
    })
    .await;
}

#[tokio::test]
async fn an_older_one_that_becomes_ready_late_does_not_deploy() {
    on_both(async |store| {
        pushed(store, &sha('a'), tested(), 1_000).await;
        let slow = claim(store, 1_001).await.unwrap();
        pushed(store, &sha('b'), tested(), 2_000).await;
        let quick = claim(store, 2_001).await.unwrap();
        assert!(finish(store, &quick, Conclusion::Success, 2_002).await);
        let deploys = claim(store, 2_003).await.unwrap();
        assert_eq!(
            (deploys.build.number, deploys.job.key.as_str()),
            (2, "ship")
        );
        assert!(finish(store, &deploys, Conclusion::Failure, 2_004).await);
        assert!(finish(store, &slow, Conclusion::Success, 2_005).await);
        assert_eq!(stands(store, 1, "ship").await, superseded(2));
        assert_eq!(claimed(store, 2_006).await, NONE);
    })
    .await;
}

#[tokio::test]
async fn what_a_person_runs_again_goes_before_what_was_deployed_after_it() {
    on_both(async |store| {
        pushed(store, &sha('a'), ships(), 1_000).await;
        let first = claim(store, 1_001).await.unwrap();
        assert!(finish(store, &first, Conclusion::Success, 1_002).await);
        pushed(store, &sha('b'), ships(), 2_000).await;
        let second = claim(store, 2_001).await.unwrap();
        pushed(store, &sha('c'), ships(), 3_000).await;
        rerun(store, first.build.id.clone(), 4_000).await;
        assert_eq!(stands(store, 3, "ship").await, superseded(1), "it waited");
        assert_eq!(claimed(store, 4_001).await, NONE, "the second still runs");
        assert!(finish(store, &second, Conclusion::Success, 4_002).await);
        assert_eq!(claimed(store, 4_003).await, [1]);
    })
    .await;
}

async fn rerun(store: &SqlStore, build: crate::domain::BuildId, at_ms: i64) {
    let change = Change::Rerun {
        repository: repository().id,
        again: Again::JobOfBuild(build, "ship".to_owned()),
        answers: Answers::default(),
    };
    store.apply(vec![change], at_ms).await.unwrap();
}

#[tokio::test]
async fn running_an_old_test_again_does_not_deploy_what_is_old() {
    on_both(async |store| {
        pushed(store, &sha('a'), tested(), 1_000).await;
        let red = claim(store, 1_001).await.unwrap();
        assert!(finish(store, &red, Conclusion::Failure, 1_002).await);
        pushed(store, &sha('b'), tested(), 2_000).await;
        for at_ms in [2_001, 2_003] {
            let claim = claim(store, at_ms).await.unwrap();
            assert!(finish(store, &claim, Conclusion::Success, at_ms + 1).await);
        }
        let change = Change::Rerun {
            repository: repository().id,
            again: Again::FailedOfBuild(red.build.id.clone()),
            answers: Answers::default(),
        };
        store.apply(vec![change], 3_000).await.unwrap();
        let again = claim(store, 3_001).await.unwrap();
        assert_eq!((again.build.number, again.job.key.as_str()), (1, "test"));
        assert!(finish(store, &again, Conclusion::Success, 3_002).await);
        assert_eq!(stands(store, 1, "ship").await, superseded(2));
        // Nor does it when that is pressed once more, with nothing else red.
        let change = Change::Rerun {
            repository: repository().id,
            again: Again::FailedOfBuild(red.build.id.clone()),
            answers: Answers::default(),
        };
        store.apply(vec![change], 4_000).await.unwrap();
        assert_eq!(claimed(store, 4_001).await, NONE);
        assert_eq!(stands(store, 1, "ship").await, superseded(2));
    })
    .await;
}

#[tokio::test]
async fn a_branch_that_is_set_back_deploys_its_commit_again() {
    on_both(async |store| {
        for (digit, at_ms) in [('a', 1_000), ('b', 2_000)] {
            pushed(store, &sha(digit), ships(), at_ms).await;
            let claim = claim(store, at_ms + 1).await.unwrap();
            assert!(finish(store, &claim, Conclusion::Success, at_ms + 2).await);
        }
        // The same push told twice is no new wish.
        pushed(store, &sha('b'), ships(), 2_500).await;
        assert_eq!(claimed(store, 2_501).await, NONE);
        pushed(store, &sha('a'), ships(), 3_000).await;
        let again = claim(store, 3_001).await.unwrap();
        assert_eq!((again.build.number, again.job.attempt), (1, 2));
        // And on again, while that still runs.
        pushed(store, &sha('b'), ships(), 4_000).await;
        assert_eq!(claimed(store, 4_001).await, NONE);
        pushed(store, &sha('a'), ships(), 5_000).await;
        assert_eq!(stands(store, 2, "ship").await.0, State::Queued);
        assert!(finish(store, &again, Conclusion::Success, 5_001).await);
        // The first build has ended, so that it can be deployed once more, and the second is not any more.
        prepared(store, ships(), 5_002).await;
        assert_eq!(stands(store, 2, "ship").await, superseded(1));
        assert_eq!(claimed(store, 5_003).await, [1]);
    })
    .await;
}

#[tokio::test]
async fn a_branch_that_is_set_back_does_not_deploy_what_it_was_set_back_from() {
    on_both(async |store| {
        pushed(store, &sha('a'), tested(), 1_000).await;
        for at_ms in [1_001, 1_003] {
            let claim = claim(store, at_ms).await.unwrap();
            assert!(finish(store, &claim, Conclusion::Success, at_ms + 1).await);
        }
        pushed(store, &sha('b'), tested(), 2_000).await;
        let tests = claim(store, 2_001).await.unwrap();
        pushed(store, &sha('a'), tested(), 3_000).await;
        assert!(finish(store, &tests, Conclusion::Success, 3_001).await);
        assert_eq!(stands(store, 2, "ship").await, superseded(1));
        assert_eq!(claimed(store, 3_002).await, NONE, "the first is deployed");
        // Forward again, it is.
        pushed(store, &sha('b'), tested(), 4_000).await;
        assert_eq!(claimed(store, 4_001).await, [2]);
    })
    .await;
}

#[tokio::test]
async fn a_deployment_is_not_begun_beside_one_whose_server_is_silent() {
    on_both(async |store| {
        pushed(store, &sha('a'), ships(), 1_000).await;
        let first = claim(store, 10_000).await.unwrap();
        let (lease_ended, hour) = (80_000, 3_600_000);
        assert_eq!(store.lost_jobs("other", lease_ended).await.unwrap(), []);
        let lost = [(first.job.id.clone(), "w".to_owned())];
        // The server itself knows that nothing runs, and after its time limit everybody does.
        assert_eq!(store.lost_jobs("w", lease_ended).await.unwrap(), lost);
        let later = 10_000 + hour + 200_000;
        assert_eq!(store.lost_jobs("other", later).await.unwrap(), lost);
        store
            .apply(
                vec![Change::CancelBuild {
                    build: first.build.id.clone(),
                    reason: "by octocat".to_owned(),
                }],
                lease_ended,
            )
            .await
            .unwrap();
        assert_eq!(store.lost_jobs("other", lease_ended).await.unwrap(), lost);
    })
    .await;
}

#[tokio::test]
async fn events_do_not_end_a_deployment_that_runs_and_people_do() {
    on_both(async |store| {
        let jobs = vec![
            deploys("ship", "preview", &[], false),
            order("test", &[]),
            order("after", &["ship"]),
        ];
        let change = build(&sha('a'), pull(7, &sha('a'), 0));
        settle(store, "pull", vec![change], 1_000).await;
        prepared(store, jobs, 1_000).await;
        let ship = claim(store, 1_001).await.unwrap();
        let test = claim(store, 1_001).await.unwrap();
        let closed = |by_person| Change::CancelSubject {
            repository: repository().id,
            subject: pull_subject(7),
            reason: "closed".to_owned(),
            by_person,
            answers: Answers::default(),
        };
        store.apply(vec![closed(false)], 1_002).await.unwrap();
        let beats = async |job: &JobId| store.heartbeat(job, "w", 9_000).await.unwrap();
        assert_eq!(beats(&ship.job.id).await, Heartbeat::Go);
        assert_eq!(
            beats(&test.job.id).await,
            Heartbeat::Cancel("closed".into())
        );
        // Nor does a crash: what was begun is carried on.
        let why = Interruption {
            what: "it went away".to_owned(),
            attempts: None,
            not_before_ms: 0,
        };
        let (job, at_ms) = (&ship.job.id, 1_003);
        store.interrupt_job(job, "w", &why, at_ms).await.unwrap();
        let ship = claim(store, 1_004).await.unwrap();
        assert_eq!((ship.job.key.as_str(), ship.job.attempt), ("ship", 2));
        let cancel = Change::CancelBuild {
            build: ship.build.id.clone(),
            reason: "by a person".to_owned(),
        };
        store.apply(vec![cancel], 1_005).await.unwrap();
        let told = Heartbeat::Cancel("by a person".into());
        assert_eq!(beats(&ship.job.id).await, told);
    })
    .await;
}

#[tokio::test]
async fn what_needs_approval_waits_for_it_and_for_no_other_build() {
    on_both(async |store| {
        let jobs = || {
            vec![
                order("test", &[]),
                deploys("ship", "live", &["test"], true),
                order("tell", &["ship"]),
            ]
        };
        pushed(store, &sha('a'), jobs(), 1_000).await;
        let test = claim(store, 1_001).await.unwrap();
        assert!(finish(store, &test, Conclusion::Success, 1_002).await);
        let waits = (
            State::Finished,
            Some(Conclusion::ActionRequired),
            "waits for approval to deploy to live".to_owned(),
        );
        assert_eq!(stands(store, 1, "ship").await, waits);
        assert_eq!(stands(store, 1, "tell").await.1, Some(Conclusion::Skipped));
        let ended = view(store, 1).await.build.conclusion;
        assert_eq!(ended, Some(Conclusion::ActionRequired));
        // A second trigger of the same commit does not ask again, nor run what has run.
        let tagged = build(&sha('a'), push("other"));
        settle(store, "other", vec![tagged], 1_500).await;
        prepared(store, jobs(), 1_500).await;
        assert_eq!(claimed(store, 1_501).await, NONE);

        let build = test.build.id.clone();
        let approve = |key: &str, at_ms| {
            let change = Change::Approve {
                repository: repository().id,
                what: Approved::Job(build.clone(), key.to_owned()),
                person: Some(PersonId(5)),
                answers: Answers::default(),
            };
            let store = store.clone();
            async move { store.apply(vec![change], at_ms).await.unwrap() }
        };
        approve("test", 1_600).await;
        assert_eq!(
            claimed(store, 1_601).await,
            NONE,
            "no such deployment waits"
        );
        approve("ship", 2_000).await;
        let ship = claim(store, 2_001).await.unwrap();
        let approval = ship.job.approval;
        assert_eq!((ship.job.key.as_str(), ship.job.attempt), ("ship", 2));
        assert_eq!(approval, None, "the worker need not know");
        let shown = view(store, 1).await.jobs[1].approval.unwrap();
        assert_eq!((shown.person, shown.at_ms), (PersonId(5), 2_000));
        assert!(finish(store, &ship, Conclusion::Success, 2_002).await);
        let tell = claim(store, 2_003).await.unwrap();
        assert_eq!((tell.job.key.as_str(), tell.job.attempt), ("tell", 2));
        assert!(finish(store, &tell, Conclusion::Success, 2_004).await);
        // It holds for this build when it is deployed again, and for none that comes after it.
        rerun(store, ship.build.id.clone(), 2_500).await;
        assert_eq!(claimed(store, 2_501).await, [1]);
        pushed(store, &sha('b'), jobs(), 3_000).await;
        let test = claim(store, 3_001).await.unwrap();
        assert!(finish(store, &test, Conclusion::Success, 3_002).await);
        assert_eq!(stands(store, 2, "ship").await, waits);
    })
    .await;
}

#[tokio::test]
async fn an_approval_does_not_wait_for_the_rest_of_the_build() {
    on_both(async |store| {
        let jobs = vec![deploys("ship", "live", &[], true), order("slow", &[])];
        pushed(store, &sha('a'), jobs, 1_000).await;
        let slow = claim(store, 1_001).await.unwrap();
        assert_eq!(slow.job.key, "slow");
        let approve = Change::Approve {
            repository: repository().id,
            what: Approved::Build(slow.build.id.clone()),
            person: None,
            answers: Answers::default(),
        };
        store.apply(vec![approve], 1_002).await.unwrap();
        let ship = claim(store, 1_003).await.unwrap();
        assert_eq!((ship.job.key.as_str(), ship.job.attempt), ("ship", 2));
        assert!(finish(store, &ship, Conclusion::Success, 1_004).await);
        assert!(finish(store, &slow, Conclusion::Success, 1_005).await);
        let ended = view(store, 1).await.build.conclusion;
        assert_eq!(ended, Some(Conclusion::Success));
    })
    .await;
}

#[tokio::test]
async fn what_is_deployed_where_is_the_newest_that_succeeded() {
    on_both(async |store| {
        let id = repository().id;
        assert_eq!(store.environments(&id).await.unwrap(), []);
        for (digit, conclusion, at_ms) in [
            ('a', Conclusion::Success, 1_000),
            ('b', Conclusion::Failure, 2_000),
        ] {
            pushed(store, &sha(digit), ships(), at_ms).await;
            let claim = claim(store, at_ms + 1).await.unwrap();
            assert!(finish(store, &claim, conclusion, at_ms + 2).await);
        }
        // What waits is deployed nowhere.
        let staging = vec![deploys("ship", "staging", &[], true)];
        pushed(store, &sha('c'), staging, 3_000).await;
        let all = store.environments(&id).await.unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].newest.commit, sha('b'));
        let live = all[0].live.as_ref().unwrap();
        assert_eq!((live.build, live.environment.as_str()), (1, "Production"));
        assert_eq!(live.commit, sha('a'));
        let numbers = async |environment, before_ms| {
            let found = store.deployments(&id, environment, before_ms, 10).await;
            let found = found.unwrap().into_iter();
            found.map(|one| one.build).collect::<Vec<_>>()
        };
        assert_eq!(numbers(Some("PRODUCTION"), i64::MAX).await, [2, 1]);
        assert_eq!(numbers(None, 2_001).await, [1]);
        assert_eq!(numbers(Some("staging"), i64::MAX).await, NONE);
    })
    .await;
}
