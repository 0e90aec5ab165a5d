//! Following the log of a job while it is written.

use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt;
use futures_util::future::join_all;
use herald::ports::store::Interruption;
use http::Request;
use serde_json::Value;
use tower::ServiceExt;

use crate::world::{World, world};

const JOB: &str = "/repos/octo/project/builds/1/jobs/build";

/// One event of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: Value,
}

/// A connection that follows a log.
pub(crate) struct Follower {
    body: BodyDataStream,
    read: String,
}

impl Follower {
    pub(crate) async fn new(w: &World, last: Option<&str>) -> Self {
        Self::of(w, "events", last).await
    }

    /// One of the streams of the job's log.
    pub(crate) async fn of(w: &World, stream: &str, last: Option<&str>) -> Self {
        let mut request = Request::get(format!("{JOB}/log/{stream}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(Body::empty()).unwrap();
        let answer = w.router().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self {
            body: answer.into_body().into_data_stream(),
            read: String::new(),
        }
    }

    /// The next event; `None` when there is none any more.
    pub(crate) async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let field = |name: &str| {
                    let prefix = format!("{name}: ");
                    let mut lines = event.lines();
                    let found = lines.find_map(|line| line.strip_prefix(prefix.as_str()));
                    found.unwrap_or_default().to_owned()
                };
                let told = Told {
                    name: field("event"),
                    id: field("id"),
                    data: serde_json::from_str(&field("data")).unwrap_or_default(),
                };
                self.read = rest.to_string();
                return Some(told);
            }
            let bytes = self.body.next().await?.unwrap();
            self.read.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    /// What is written until the stream ends or `enough` has been read; with the last event.
    async fn text(&mut self, enough: Option<&str>) -> (String, Told) {
        let mut text = String::new();
        while let Some(told) = self.next().await {
            match told.name.as_str() {
                "output" => text.push_str(told.data["text"].as_str().unwrap()),
                _ => return (text, told),
            }
            if enough.is_some_and(|enough| text.contains(enough)) {
                return (text, told);
            }
        }
        panic!("it broke off after {text:?}");
    }
}

#[tokio::test]
async fn a_log_is_followed_line_by_line_also_after_a_break() {
    world(async |w: &mut World| {
        let (main, _) = w.change("execute: [exit 0, hold, exit 0]\n");
        w.push("main", &main, &main).await;
        w.until_queued(|_| {}).await;
        // From before it begins.
        let mut from_the_beginning = Follower::new(w, None).await;
        let mut cut_off = Follower::new(w, None).await;
        let (all, (before, after)) = {
            let follow = async {
                let (before, told) = cut_off.text(Some("hold\n")).await;
                drop(cut_off);
                w.executor.release();
                let mut again = Follower::new(w, Some(&told.id)).await;
                (before, again.text(None).await.0)
            };
            let (all, parts, ()) = tokio::join!(from_the_beginning.text(None), follow, w.drain());
            (all, parts)
        };
        let log = w.get(&format!("{JOB}/log.txt")).await.1;
        assert_eq!(log, "playing exit 0\nplaying hold\nplaying exit 0\n");
        assert_eq!(all.0, log);
        assert_eq!(before + &after, log, "each line once");
        assert_eq!(all.1.name, "end");
        assert_eq!(all.1.data["conclusion"], "success");

        // A former attempt's id is of no use, nonsense neither.
        let again = w.github.rerequested(&w.project, &main, None);
        w.deliver("check_suite", &again).await;
        w.drain().await;
        for last in [Some(all.1.id.as_str()), Some("nonsense"), None] {
            let (text, told) = Follower::new(w, last).await.text(None).await;
            assert_eq!(text, log, "{last:?}");
            assert!(told.id.starts_with("2-"), "{told:?}");
        }
        let other = format!("{JOB}x/log/events");
        assert_eq!(w.get(&other).await.0, 404);
    })
    .await;
}

#[tokio::test]
async fn who_follows_a_job_hears_of_its_next_attempt() {
    world(async |w: &mut World| {
        let (main, _) = w.change("execute: [exit 0, hold, exit 0]\n");
        w.push("main", &main, &main).await;
        w.until_queued(|_| {}).await;
        let mut follower = Follower::new(w, None).await;
        {
            // The server dies while the job runs, and the next one begins it again.
            let drain = w.drain();
            let follow = follower.text(Some("hold\n"));
            tokio::pin!(drain);
            tokio::select! {
                _ = follow => {}
                () = &mut drain => panic!("it holds"),
            }
        }
        let store = &w.app.parts.store;
        let (job, worker) = store.lost_jobs("test", i64::MAX).await.unwrap().remove(0);
        let why = Interruption {
            what: "the node was lost".to_owned(),
            attempts: Some(3),
            not_before_ms: 0,
        };
        let interrupted = store.interrupt_job(&job, &worker, &why, w.app.now_ms());
        interrupted.await.unwrap();
        w.executor.release();
        let told = follower.next().await.unwrap();
        assert_eq!((told.name.as_str(), told.id.as_str()), ("attempt", "2-0"));
        let (followed, ()) = tokio::join!(follower.text(None), w.drain_patiently());
        assert_eq!(followed.0, "playing exit 0\nplaying hold\nplaying exit 0\n");
        assert_eq!(followed.1.name, "end");
    })
    .await;
}

#[tokio::test]
async fn five_hundred_followers_get_every_line_once_and_in_order() {
    world(async |w: &mut World| {
        let (main, _) = w.change("execute: [count 3000, hold, count 3000]\n");
        w.push("main", &main, &main).await;
        w.until_queued(|_| {}).await;
        let mut followers = Vec::new();
        for _ in 0..500 {
            followers.push(Follower::new(w, None).await);
        }
        let mut cut_off = Follower::new(w, None).await;
        let follow = followers.iter_mut().map(|follower| follower.text(None));
        let (all, (before, told), ()) = tokio::join!(
            join_all(follow),
            async {
                let read = cut_off.text(Some("hold\n")).await;
                drop(cut_off);
                w.executor.release();
                read
            },
            w.drain()
        );
        let numbers = (1..=3000).map(|line| format!("line {line:06}\n"));
        let numbers: String = numbers.collect();
        let wanted =
            format!("playing count 3000\n{numbers}playing hold\nplaying count 3000\n{numbers}");
        for (text, end) in &all {
            assert!(*text == wanted, "{} of {} bytes", text.len(), wanted.len());
            assert_eq!(end.name, "end");
        }
        // All the rest was written while this one was away.
        let after = Follower::new(w, Some(&told.id)).await.text(None).await.0;
        assert!(!after.is_empty());
        assert_eq!(before + &after, wanted);
    })
    .await;
}
