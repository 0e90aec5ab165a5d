//! What somebody who watches a server sees: its log, one id from the delivery to the check, and its figures.

use serde_json::Value;

use crate::serve::{Forge, Herald, get_from};

/// The lines of the log that were written under this delivery: what each says.
fn under(log: &str, guid: &str) -> Vec<String> {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| line["span"]["delivery"] == guid)
        .map(|line| line["fields"]["message"].as_str().unwrap().to_owned())
        .collect()
}

/// The value of a figure.
fn figure(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    let value = line.strip_prefix(name)?.trim();
    Some(value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_of_a_delivery_under_one_id_up_to_its_check_and_figures_count_it() {
    let forge = Forge::new(false).await;
    forge.write(".herald.yml", "execute: ['true']\n");
    let main = forge.commit("main");
    let mut command = Herald::command(&forge);
    command.env("HERALD_LOG_FORMAT", "json");
    let herald = Herald::spawn(command);
    let guid = "8f0c7f0e-3d4b-4c55-9d0e-5a3f1c2b6a77";
    let push = forge.github.push(&forge.project, "main", &main, &main);
    let other = "11111111-3d4b-4c55-9d0e-5a3f1c2b6a77";
    let ping = serde_json::json!({"zen": "Keep it logically awesome."});
    assert_eq!(herald.deliver_as(&forge, "ping", other, &ping).await, 202);
    for _ in 0..2 {
        assert_eq!(herald.deliver_as(&forge, "push", guid, &push).await, 202);
    }
    forge.completed(&main, "herald").await;
    let told = |text: &str| {
        under(&herald.log.lock().unwrap(), guid)
            .iter()
            .any(|line| line.contains(text))
    };
    // GitHub has it a moment before the log does.
    while !told("check `herald` of octo/project") {
        tokio::task::yield_now().await;
    }
    for text in [
        "(push)",
        "job build of build 1 of octo/project",
        "job build: ",
    ] {
        assert!(told(text), "{text}: {}", herald.log.lock().unwrap());
    }
    let of_ping = under(&herald.log.lock().unwrap(), other);
    assert_eq!(of_ping.len(), 1, "{of_ping:?}");

    let (status, text) = get_from(&herald.metrics, "/metrics").await;
    assert_eq!(status, 200);
    for (name, least) in [
        (
            "herald_deliveries_received_total{event=\"push\",outcome=\"kept\"}",
            1.0,
        ),
        (
            "herald_deliveries_received_total{event=\"push\",outcome=\"known\"}",
            1.0,
        ),
        ("herald_deliveries_handled_total{outcome=\"handled\"}", 2.0),
        ("herald_build_preparing_seconds_count", 1.0),
        ("herald_job_queued_seconds_count", 1.0),
        ("herald_jobs_total{conclusion=\"success\"}", 1.0),
        (
            "herald_publications_total{kind=\"check\",outcome=\"sent\"}",
            1.0,
        ),
        ("herald_github_requests_total{answer=\"good\"}", 3.0),
        (
            "herald_http_requests_total{method=\"POST\",route=\"/webhooks/github\",status=\"202\"}",
            3.0,
        ),
        ("process_resident_memory_bytes", 1e6),
        ("process_open_fds", 5.0),
        ("process_cpu_seconds_total", 0.0),
    ] {
        let value = figure(&text, name).unwrap_or_else(|| panic!("no {name} in {text}"));
        assert!(value >= least, "{name} {value}");
    }
    assert_eq!(
        figure(&text, "herald_waiting{queue=\"deliveries\"}"),
        Some(0.0)
    );
    assert!(text.ends_with("# EOF\n"), "{text}");
    for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
        let name = line.split(' ').nth(2).unwrap();
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        assert!(
            name.starts_with("herald_") || name.starts_with("process_"),
            "{name}"
        );
    }
}
