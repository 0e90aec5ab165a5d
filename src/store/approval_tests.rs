//! Approvals, and new attempts of builds that need them, on both databases.

use super::SqlStore;
use super::tests::{
    build, claim, draft, finish, on_both, order, pull, repository, settle, sha, view,
};
use crate::domain::{
    Again, Answers, Approved, Change, Conclusion, PersonId, Preparation, Sha, State, Trust,
};
use crate::ports::Store;
use crate::ports::store::BuildDraft;

/// A stranger's pull request 7 with this head; `again`: with another base.
fn strange(head: &Sha, again: bool, updated_ms: i64) -> Change {
    let mut change = build(head, pull(7, head, updated_ms));
    if let Change::Build {
        trust, again: anew, ..
    } = &mut change
    {
        *trust = Trust::Fork;
        *anew = again;
    }
    change
}

/// A build that waits for approval.
fn waits(head: &Sha) -> BuildDraft {
    BuildDraft {
        plan: Preparation {
            awaits_approval: true,
            ..Preparation::default()
        },
        ended: Some((Conclusion::ActionRequired, "waits".to_owned())),
        ..draft(head, "spec", Vec::new())
    }
}

fn approve(pull: i64, head: &Sha) -> Change {
    Change::Approve {
        repository: repository().id,
        what: Approved::Head {
            pull,
            commit: head.clone(),
        },
        person: Some(PersonId(5)),
        answers: Answers::default(),
    }
}

/// Gives the waiting trigger this draft; `false` when none is due.
async fn attach(store: &SqlStore, draft: BuildDraft, now_ms: i64) -> bool {
    let Some((trigger, _)) = store.claim_trigger(now_ms, now_ms + 500).await.unwrap() else {
        return false;
    };
    store.attach(&trigger.id, draft, now_ms).await.unwrap();
    true
}

async fn is_approved(store: &SqlStore, pull: i64, head: &Sha, specification: &str) -> bool {
    store
        .is_approved(&repository().id, pull, head, specification)
        .await
        .unwrap()
}

#[tokio::test]
async fn an_approval_is_for_a_pull_request_a_commit_and_a_specification() {
    on_both(async |store| {
        let (head, other) = (sha('a'), sha('b'));
        settle(store, "1", vec![strange(&head, false, 1_000)], 1_000).await;
        assert!(attach(store, waits(&head), 1_000).await);
        let waiting = store.awaiting_approval(&repository().id, 7).await.unwrap();
        assert_eq!(waiting.map(|waiting| waiting.commit), Some(head.clone()));
        let none = store.awaiting_approval(&repository().id, 8).await.unwrap();
        assert_eq!(none, None);

        // Neither of another pull request nor of another commit.
        settle(
            store,
            "2",
            vec![approve(8, &head), approve(7, &other)],
            1_000,
        )
        .await;
        assert!(!is_approved(store, 7, &head, "spec").await);
        settle(store, "3", vec![approve(7, &head)], 1_000).await;
        assert!(is_approved(store, 7, &head, "spec").await);
        assert!(!is_approved(store, 7, &head, "another").await);
        assert!(!is_approved(store, 8, &head, "spec").await);

        // The build that waited runs, as its second attempt.
        let jobs = || vec![order("build", &[])];
        assert!(attach(store, draft(&head, "spec", jobs()), 1_000).await);
        let running = view(store, 1).await;
        assert_eq!((running.build.attempt, running.jobs.len()), (2, 1));
        let job = claim(store, 1_000).await.unwrap();
        assert!(finish(store, &job, Conclusion::Success, 1_001).await);

        // Approved it may run again; with another base it may not, and waits for what runs.
        let rerun = Change::Rerun {
            repository: repository().id,
            again: Again::Commit(head.clone()),
            answers: Answers::default(),
        };
        settle(store, "4", vec![rerun.clone()], 1_002).await;
        let job = claim(store, 1_002).await.unwrap();
        settle(store, "5", vec![strange(&head, true, 1_003)], 1_003).await;
        assert!(!is_approved(store, 7, &head, "spec").await);
        assert!(attach(store, waits(&head), 1_003).await);
        assert_eq!(view(store, 1).await.build.state, State::Running);
        assert!(finish(store, &job, Conclusion::Cancelled, 1_004).await);
        assert!(claim(store, 1_004).await.is_none(), "nothing runs again");
        assert!(attach(store, waits(&head), 9_000).await);
        let build = view(store, 1).await.build;
        assert_eq!(build.conclusion, Some(Conclusion::ActionRequired));
        settle(store, "6", vec![rerun], 9_001).await;
        assert!(attach(store, waits(&head), 9_001).await, "looked at again");
        assert!(claim(store, 9_001).await.is_none());
    })
    .await;
}
