//! The contract of uploads, on every engine.

use super::SqlStore;
use super::tests::{on_both, pull, repository, settle, sha};
use crate::domain::upload::{Kept, PARTS, PATIENCE_MS, QUIET_MS};
use crate::domain::{Change, Import, PersonId, Trust, Upload, UploadRequest};
use crate::ports::{Store, Uploads};

/// A part of a set of five, all of it there.
fn part(set: &str, label: Option<u32>, parts: Option<u32>, id: &str) -> Upload {
    let commit = sha('a');
    Upload {
        id: id.to_owned(),
        repository: repository().id,
        request: UploadRequest {
            occasion: pull(7, &commit, 1),
            commit,
            committed_ms: None,
            trust: Trust::Trusted,
            sender: PersonId::NOBODY,
            name: set.to_owned(),
            part: label.map(|label| label.to_string()),
            parts,
            wait_ms: None,
            path: "report".to_owned(),
        },
        length: 10,
        received: 0,
        set: None,
    }
}

async fn keep(store: &SqlStore, upload: &Upload, content: &str, now_ms: i64) -> Kept {
    store
        .keep_part(upload, content, false, now_ms)
        .await
        .unwrap()
}

/// Every order of five.
fn orders() -> Vec<[u32; 5]> {
    let mut all = Vec::new();
    for number in 0..5_usize.pow(5) {
        let digits: Vec<u32> = (0..5)
            .map(|place| u32::try_from(number / 5_usize.pow(place) % 5 + 1).unwrap())
            .collect();
        let mut sorted = digits.clone();
        sorted.sort_unstable();
        if sorted == [1, 2, 3, 4, 5] {
            all.push(digits.try_into().unwrap());
        }
    }
    all
}

/// Imports of triggers that wait, each taken.
async fn triggers(store: &SqlStore, now_ms: i64) -> Vec<Import> {
    let mut all = Vec::new();
    while let Some((trigger, _)) = store.claim_trigger(now_ms, now_ms + 1_000).await.unwrap() {
        all.extend(trigger.import);
    }
    all
}

#[tokio::test]
async fn five_parts_in_every_order_one_of_them_twice_are_published_once_with_the_last() {
    on_both(async |store| {
        settle(store, "g", vec![Change::KeepRepository(repository())], 0).await;
        let orders = orders();
        assert_eq!(orders.len(), 120);
        for (number, order) in orders.iter().enumerate() {
            let (set, now_ms) = (format!("set {number}"), 1_000);
            for (at, label) in order.iter().enumerate() {
                let id = format!("{number}.{label}");
                let one = part(&set, Some(*label), Some(5), &id);
                assert!(matches!(
                    keep(store, &one, &label.to_string(), now_ms).await,
                    Kept::New(_)
                ));
                let again = part(&set, Some(order[0]), Some(5), &format!("{id} again"));
                let kept = keep(store, &again, &order[0].to_string(), now_ms).await;
                assert!(matches!(kept, Kept::Known(..)), "{kept:?}");
                let published = store.publish_sets(now_ms, 10).await.unwrap();
                assert_eq!(published, u64::from(at == 4), "{order:?} after {}", at + 1);
            }
        }
        let found = triggers(store, 2_000).await;
        assert_eq!(found.len(), 120);
        for import in found {
            let Import::Uploads {
                received, expected, ..
            } = import
            else {
                panic!("{import:?}");
            };
            assert_eq!((received, expected), (5, Some(5)));
        }
        assert_eq!(store.publish_sets(i64::MAX, 1_000).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn what_is_not_all_there_is_published_when_its_time_is_up_and_again_with_what_comes_late() {
    on_both(async |store| {
        settle(store, "g", vec![Change::KeepRepository(repository())], 0).await;
        for label in 1..=4 {
            let one = part("unit", Some(label), Some(5), &format!("u{label}"));
            keep(store, &one, &format!("c{label}"), 1_000 + i64::from(label)).await;
        }
        let up_ms = 1_001 + PATIENCE_MS;
        assert_eq!(store.publish_sets(up_ms - 1, 10).await.unwrap(), 0);
        assert_eq!(store.publish_sets(up_ms, 10).await.unwrap(), 1);
        assert_eq!(triggers(store, up_ms).await.len(), 1);
        let late = part("unit", Some(5), Some(5), "u5");
        let Kept::New(set) = keep(store, &late, "c5", up_ms + 5).await else {
            panic!("not kept");
        };
        assert_eq!((set.parts.len(), set.published), (5, 1));
        assert_eq!(store.publish_sets(up_ms + 5, 10).await.unwrap(), 1);
        // Another content in the place of an old one; the order of its parts stays that of their numbers.
        let newer = part("unit", Some(2), None, "u6");
        keep(store, &newer, "other", up_ms + 9).await;
        assert_eq!(store.publish_sets(up_ms + 9, 10).await.unwrap(), 1);
        let set = store.report_set(&set.id).await.unwrap().unwrap();
        let uploads: Vec<&str> = set.parts.iter().map(|part| part.upload.as_str()).collect();
        assert_eq!(uploads, ["u1", "u6", "u3", "u4", "u5"]);
        assert_eq!((set.published, set.due_ms), (3, None));
        let known = ["u1", "u2", "u6", "nothing"].map(str::to_owned);
        assert_eq!(store.known_uploads(&known).await.unwrap(), ["u1", "u6"]);
    })
    .await;
}

#[tokio::test]
async fn without_a_number_of_parts_quiet_is_waited_for_and_content_tells_parts_apart() {
    on_both(async |store| {
        settle(store, "g", vec![Change::KeepRepository(repository())], 0).await;
        keep(store, &part("unit", None, None, "u1"), "c1", 1_000).await;
        keep(store, &part("unit", None, None, "u2"), "c2", 2_000).await;
        let kept = keep(store, &part("unit", None, None, "u3"), "c1", 9_000).await;
        let Kept::Known(set, _) = kept else {
            panic!("{kept:?}");
        };
        assert_eq!(set.parts.len(), 2);
        assert_eq!(store.publish_sets(1_999 + QUIET_MS, 10).await.unwrap(), 0);
        assert_eq!(store.publish_sets(2_000 + QUIET_MS, 10).await.unwrap(), 1);
        // Less trusted from now on, also where the trigger stands already.
        let mut less = part("unit", Some(3), Some(3), "u4");
        less.request.trust = Trust::Fork;
        keep(store, &less, "c4", 500_000).await;
        assert_eq!(store.publish_sets(500_000, 10).await.unwrap(), 1);
        let (trigger, _) = store
            .claim_trigger(500_000, 600_000)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(trigger.trust, Trust::Fork);
        assert!(
            store
                .claim_trigger(500_000, 600_000)
                .await
                .unwrap()
                .is_none()
        );
    })
    .await;
}

#[tokio::test]
async fn an_upload_is_confirmed_byte_by_byte_and_by_one_sender() {
    on_both(async |store| {
        settle(store, "g", vec![Change::KeepRepository(repository())], 0).await;
        let one = part("unit", Some(1), None, "u1");
        assert!(store.begin_upload(&one, 2, 1_000).await.unwrap());
        assert!(
            store
                .begin_upload(&part("unit", Some(2), None, "u2"), 2, 1_000)
                .await
                .unwrap()
        );
        assert!(
            !store
                .begin_upload(&part("unit", Some(3), None, "u3"), 2, 1_000)
                .await
                .unwrap()
        );
        assert!(store.note_received("u1", 0, 4, 2_000).await.unwrap());
        assert!(
            !store.note_received("u1", 0, 6, 2_000).await.unwrap(),
            "it was at 4"
        );
        let found = store.upload(&one.repository, "u1").await.unwrap().unwrap();
        assert_eq!((found.received, found.set.is_none()), (4, true));
        let elsewhere = crate::domain::RepositoryId::new("github.test", 2);
        assert_eq!(store.upload(&elsewhere, "u1").await.unwrap(), None);
        keep(store, &found, "c1", 3_000).await;
        let found = store.upload(&one.repository, "u1").await.unwrap().unwrap();
        assert_eq!((found.received, found.set.is_some()), (10, true));
        assert!(!store.note_received("u1", 10, 11, 2_000).await.unwrap());
        // A finished one is not among those that are too many, and is forgotten with time, its part is not.
        assert!(
            store
                .begin_upload(&part("unit", Some(3), None, "u3"), 2, 1_000)
                .await
                .unwrap()
        );
        assert_eq!(store.drop_uploads(3_001, 0, 0, 50).await.unwrap(), 3);
        assert_eq!(store.upload(&one.repository, "u1").await.unwrap(), None);
        assert_eq!(
            store.known_uploads(&["u1".to_owned()]).await.unwrap(),
            ["u1"]
        );
        // What waits to be published is not let go, as long as it can be; what was, is closed, and forgotten in the end.
        assert_eq!(store.drop_uploads(0, 9_000, 0, 50).await.unwrap(), 0);
        store.publish_sets(i64::MAX, 10).await.unwrap();
        assert_eq!(store.drop_uploads(0, 9_000, 0, 50).await.unwrap(), 1);
        assert_eq!(keep(store, &one, "c1", 9_000).await, Kept::Closed);
        assert_eq!(store.drop_uploads(0, 0, 9_000, 50).await.unwrap(), 1);
        assert!(matches!(keep(store, &one, "c1", 9_000).await, Kept::New(_)));
    })
    .await;
}

#[tokio::test]
async fn what_waits_in_a_repository_that_herald_has_left_is_let_go() {
    on_both(async |store| {
        let id = repository().id;
        settle(store, "g", vec![Change::KeepRepository(repository())], 0).await;
        keep(store, &part("unit", Some(1), Some(2), "u1"), "c1", 1_000).await;
        settle(store, "gone", vec![Change::PauseRepository(id)], 2_000).await;
        assert_eq!(store.publish_sets(i64::MAX, 10).await.unwrap(), 0);
        assert_eq!(store.drop_uploads(0, 1_000, 0, 50).await.unwrap(), 0);
        assert_eq!(store.drop_uploads(0, 1_001, 0, 50).await.unwrap(), 1);
        assert!(
            store
                .known_uploads(&["u1".to_owned()])
                .await
                .unwrap()
                .is_empty()
        );
    })
    .await;
}

#[tokio::test]
async fn a_set_takes_two_hundred_parts_and_newer_ones_in_their_places() {
    on_both(async |store| {
        settle(store, "g", vec![Change::KeepRepository(repository())], 0).await;
        for label in 1..=PARTS {
            let one = part("unit", Some(label), None, &format!("u{label}"));
            keep(store, &one, "same", 1_000).await;
        }
        let more = part("unit", Some(PARTS + 1), None, "more");
        assert_eq!(keep(store, &more, "same", 2_000).await, Kept::Full);
        assert_eq!(store.upload(&more.repository, "more").await.unwrap(), None);
        let newer = part("unit", Some(7), None, "newer");
        let Kept::New(set) = keep(store, &newer, "other", 3_000).await else {
            panic!("not kept");
        };
        assert_eq!(set.parts.len(), usize::try_from(PARTS).unwrap());
        assert_eq!(set.parts[6].upload, "newer");
    })
    .await;
}
