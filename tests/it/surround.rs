//! Members of a matrix, and what a job wants around it, from delivery to what people see.

use herald::ports::executor::{Network, Probe, Readiness, Resources};
use serde_json::json;

use crate::world::{World, world};

const MATRIX: &str = "
jobs:
  test:
    matrix: {v: [a, b]}
    execute: [exit 0]
  named:
    name: On ${os}
    matrix: {os: [linux]}
    execute: [exit 0]
  end: {needs: [test], execute: [exit 0]}
";

#[tokio::test]
async fn every_member_of_a_matrix_has_its_check_log_and_page() {
    world(async |w: &mut World| {
        let (main, head) = w.change(MATRIX);
        w.pull("opened", &head, &main).await;
        w.drain().await;
        for name in ["test (a)", "test (b)", "On linux", "end"] {
            let ended = w.ended(&head, &format!("herald / {name}"));
            assert_eq!(ended.0, "success", "{name}");
        }
        assert_eq!(w.state().checks.len(), 5);
        let check = w.check(&head, "herald / test (b)");
        assert_eq!(
            check.details_url,
            "https://herald.test/repos/octo/project/builds/1/jobs/test.2"
        );
        let path = "/repos/octo/project/builds/1";
        let (status, log) = w.get(&format!("{path}/jobs/test.2/log.txt")).await;
        assert_eq!(status, 200);
        assert!(log.contains("playing exit 0"), "{log}");
        let (status, page) = w.get(&format!("{path}/jobs/test.2")).await;
        assert_eq!(status, 200);
        assert!(page.contains("test (b)"), "{page}");
        let orders = w.executor.orders();
        assert_eq!(orders.len(), 4);
        let second = orders
            .iter()
            .map(|order| &order.job.environment)
            .find(|set| set.contains(&("HERALD_JOB".into(), "test.2".into())))
            .unwrap();
        assert!(second.contains(&("v".into(), "b".into())));

        let again = w
            .github
            .rerequested(&w.project, &head, Some(&check.external_id));
        w.deliver("check_run", &again).await;
        w.drain().await;
        assert_eq!(w.checks(&head, "herald / test (b)").len(), 2);
        assert_eq!(w.checks(&head, "herald / test (a)").len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_needs_a_matrix_waits_for_all_of_its_members() {
    world(async |w: &mut World| {
        let (main, head) = w.change(
            "jobs:\n  test:\n    matrix: {v: [1, 2]}\n    image: 'x:${v}'\n    execute: [exit 1]\n  end: {needs: [test], image: x, execute: [exit 0]}\n",
        );
        w.pull("opened", &head, &main).await;
        w.drain().await;
        assert_eq!(w.ended(&head, "herald / test (1)").0, "failure");
        let end = w.ended(&head, "herald / end");
        assert_eq!(end.0, "skipped");
        assert!(end.1.contains("test."), "{}", end.1);
        let images: Vec<_> = w.executor.orders().into_iter().map(|o| o.image).collect();
        assert!(images.contains(&Some("x:2".to_owned())));
        w.next_comment();
    })
    .await;
}

#[tokio::test]
async fn the_executor_is_told_what_a_job_wants_around_it() {
    world(async |w: &mut World| {
        let (main, head) = w.change(
            "jobs:\n  test:\n    execute: [exit 0]\n    resources: {cpus: 0.5, memory: 1GiB, pids: 50}\n    network: none\n    ports: {web: 8080}\n    services:\n      db: {image: postgres, environment: {A: b}, ready: {port: 5432, timeout: 5s}}\n",
        );
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let orders = w.executor.orders();
        let order = &orders[0];
        assert_eq!(
            order.resources,
            Resources { cpus_milli: 500, memory_bytes: 1 << 30, pids: 50 }
        );
        assert_eq!(order.network, Network::None);
        assert_eq!(order.ports, [("web".to_owned(), 8080)]);
        let db = &order.services[0];
        assert_eq!((db.name.as_str(), db.image.as_str()), ("db", "postgres"));
        assert_eq!(db.environment, [("A".to_owned(), "b".to_owned())]);
        assert_eq!(
            db.ready,
            Some(Readiness { probe: Probe::Port(5432), timeout_ms: 5000 })
        );
    })
    .await;
}

#[tokio::test]
async fn what_the_executor_cannot_do_is_said_on_the_file_before_anything_runs() {
    world(async |w: &mut World| {
        w.abilities.lock().unwrap().services = false;
        let (main, head) = w.change(
            "jobs:\n  lint: {execute: [exit 0]}\n  test:\n    matrix: {v: [1, 2]}\n    execute: [exit 0]\n    services: {db: {image: x}}\n",
        );
        w.pull("opened", &head, &main).await;
        w.drain().await;
        assert!(w.executor.orders().is_empty());
        let check = w.check(&head, "herald");
        assert_eq!(check.conclusion.as_deref(), Some("failure"));
        assert_eq!(
            check.title,
            ".herald.yml:6: job `test`: `services` need containers, and this server runs jobs as processes (executor `scripted`)"
        );
        assert_eq!(w.status(&head, "herald/build").0, "error");
        let [annotation] = &check.annotations[..] else {
            panic!("one annotation: {check:#?}");
        };
        assert_eq!(annotation["path"], json!(".herald.yml"));
        assert_eq!(annotation["start_line"], json!(6));
        w.next_comment();

        // A job that its `when` leaves out needs nothing.
        w.write(
            ".herald.yml",
            "jobs:\n  lint: {execute: [exit 0]}\n  test:\n    when: {events: [push]}\n    execute: [exit 0]\n    services: {db: {image: x}}\n",
        );
        let second = w.commit("change");
        w.pull("synchronize", &second, &main).await;
        w.drain().await;
        assert_eq!(w.ended(&second, "herald").0, "success");
    })
    .await;
}
