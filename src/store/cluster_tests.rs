//! Several processes on one PostgreSQL.

use std::task::Poll;

use super::SqlStore;
use super::tests::{ROOM, build, draft, on_both, order, push, settle, sha};
use crate::ports::store::{Lane, NewDelivery};
use crate::ports::{Cluster, Store};

/// Another process on the database of a store; `None` where there can be none.
async fn another(store: &SqlStore) -> Option<SqlStore> {
    let address = store.database.address()?;
    Some(SqlStore::postgres(address).await.unwrap())
}

#[tokio::test]
async fn who_is_alone_counts_as_one_and_leads() {
    on_both(async |store| {
        assert_eq!(store.appear("a", true, 1_000, 0).await.unwrap(), 1);
        assert!(store.lead("tidy", "a", 1_000, 2_000).await.unwrap());
        assert!(store.lead("tidy", "a", 1_500, 2_500).await.unwrap());
        store.tell_others().await.unwrap();
        store.disappear("a").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn one_of_several_leads_until_it_is_silent_or_goes() {
    on_both(async |store| {
        let Some(other) = another(store).await else {
            return;
        };
        assert!(store.lead("tidy", "a", 1_000, 2_000).await.unwrap());
        assert!(!other.lead("tidy", "b", 1_500, 2_500).await.unwrap());
        assert!(other.lead("other", "b", 1_500, 2_500).await.unwrap());
        assert!(other.lead("tidy", "b", 2_001, 3_000).await.unwrap());
        assert!(!store.lead("tidy", "a", 2_002, 3_000).await.unwrap());
        other.disappear("b").await.unwrap();
        assert!(store.lead("tidy", "a", 2_003, 3_000).await.unwrap());
    })
    .await;
}

/// Goes on with a future as often as is said, and drops it then.
async fn give_up_after<F: Future>(mut times: u32, future: F) {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| {
        if times == 0 {
            return Poll::Ready(());
        }
        times -= 1;
        future.as_mut().poll(context).map(|_| ())
    })
    .await;
}

#[tokio::test]
async fn a_transaction_given_up_while_it_begins_is_not_left_to_others() {
    on_both(async |store| {
        let Some(other) = another(store).await else {
            return;
        };
        for times in 1..6 {
            drop(store.database.read().await.unwrap());
            give_up_after(times, store.database.begin()).await;
            give_up_after(times, store.database.claims().begin()).await;
        }
        // Every connection of the pool: what is written on it by one statement is there for others at once.
        let mut connections = Vec::new();
        for number in 0..super::database::CONNECTIONS {
            let mut on = store.database.read().await.unwrap();
            sqlx::query("INSERT INTO settings (name, value) VALUES ($1, '')")
                .bind(format!("{number}"))
                .execute(&mut *on)
                .await
                .unwrap();
            connections.push(on);
        }
        let mut on = other.database.read().await.unwrap();
        let names: Vec<String> = sqlx::query_scalar("SELECT name FROM settings")
            .fetch_all(&mut *on)
            .await
            .unwrap();
        assert_eq!(names.len(), connections.len(), "{names:?}");
    })
    .await;
}

#[tokio::test]
async fn those_that_work_are_counted_while_they_are_heard_of() {
    on_both(async |store| {
        let Some(other) = another(store).await else {
            return;
        };
        assert_eq!(store.appear("a", true, 1_000, 0).await.unwrap(), 1);
        assert_eq!(store.appear("web", false, 1_000, 0).await.unwrap(), 1);
        assert_eq!(other.appear("b", true, 1_000, 0).await.unwrap(), 2);
        assert_eq!(store.appear("a", true, 9_000, 5_000).await.unwrap(), 1);
    })
    .await;
}

async fn claim(store: &SqlStore) -> Option<crate::ports::store::Delivery> {
    let claim = store.claim_delivery(Lane::Quick, 1_001, 900_000);
    claim.await.unwrap()
}

#[tokio::test]
async fn what_a_process_held_is_free_when_it_comes_back_or_is_gone() {
    on_both(async |store| {
        let Some(other) = another(store).await else {
            return;
        };
        let deliver = |guid: &str| NewDelivery {
            guid: guid.to_owned(),
            event: "push".to_owned(),
            body: "{}".to_owned(),
            received_ms: 1_000,
        };
        store.appear("a", true, 1_000, 0).await.unwrap();
        store.record_delivery(deliver("one")).await.unwrap();
        assert!(claim(store).await.is_some());
        assert!(claim(&other).await.is_none());
        // Killed, and started again.
        other.appear("a", true, 1_002, 0).await.unwrap();
        assert!(claim(&other).await.is_some());
        assert!(claim(store).await.is_none());
        // Killed, and never heard of again.
        store.appear("b", true, 50_000, 20_000).await.unwrap();
        assert!(claim(store).await.is_some());
    })
    .await;
}

#[tokio::test]
async fn each_hears_what_the_others_tell_and_not_itself() {
    on_both(async |store| {
        let Some(other) = another(store).await else {
            assert!(store.others().await.unwrap().is_none());
            return;
        };
        let mut heard = store.others().await.unwrap().unwrap();
        store.tell_others().await.unwrap();
        other.tell_others().await.unwrap();
        heard.next().await.unwrap();
        // What was told first came first.
        let more = tokio::time::timeout(std::time::Duration::ZERO, heard.next());
        assert!(more.await.is_err(), "its own");
    })
    .await;
}

#[tokio::test]
async fn each_worker_has_room_of_its_own() {
    on_both(async |store| {
        let jobs: Vec<_> = ["a", "b", "c"].map(|key| order(key, &[])).into();
        settle(store, "g", vec![build(&sha('a'), push("main"))], 1_000).await;
        let (trigger, _) = store.claim_trigger(1_000, 2_000).await.unwrap().unwrap();
        let draft = draft(&trigger.commit, "spec", jobs);
        store.attach(&trigger.id, draft, 1_000).await.unwrap();
        let one = crate::ports::store::Room { total: 1, ..ROOM };
        let claim = |worker: &'static str| store.claim_job(worker, 1_001, 9_000, one);
        assert!(claim("w").await.unwrap().is_some());
        assert!(claim("w").await.unwrap().is_none());
        assert!(claim("other").await.unwrap().is_some());
        assert!(claim("other").await.unwrap().is_none());
    })
    .await;
}
