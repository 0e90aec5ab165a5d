//! `herald doctor` against a GitHub.

use std::process::Command;

use serde_json::json;

use crate::serve::Forge;

/// What the doctor says, and its exit status.
async fn doctor(forge: &Forge) -> (i32, String) {
    let key = forge.dir.path().join("app.pem");
    std::fs::write(&key, forge.github.private_key().expose()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_herald"));
    command
        .args(["doctor", "--color", "never"])
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .env("HERALD_PUBLIC_URL", "https://herald.test")
        .env("HERALD_DATA_DIR", forge.dir.path().join("data"))
        .env("HERALD_GITHUB_URL", &forge.url)
        .env("HERALD_GITHUB_API_URL", format!("{}/api/v3", forge.url))
        .env(
            "HERALD_GITHUB_APP_ID",
            herald::demo::GitHub::APP_ID.to_string(),
        )
        .env("HERALD_GITHUB_PRIVATE_KEY_FILE", key)
        .env(
            "HERALD_GITHUB_WEBHOOK_SECRET",
            forge.github.webhook_secret().expose(),
        )
        .env("HERALD_PROCESS_SANDBOX", "off");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_what_is_wrong_on_github_and_says_the_way_out() {
    let forge = Forge::new(false).await;
    let ping = json!({"zen": "x"});
    forge.github.note_delivery("a", "ping", &ping, 0);
    forge.github.note_delivery("a", "ping", &ping, 202);
    let (status, text) = doctor(&forge).await;
    assert_eq!(status, 0, "{text}");
    for good in [
        "GitHub knows the App as herald-demo",
        "webhook: https://herald.test/webhooks/github",
        "the newest 1 deliveries arrived",
        "installed on octo: 1 repositories",
        "5000 of 5000 requests of octo are left",
        "\"integration_id\": 4711",
    ] {
        assert!(text.contains(good), "{good:?} is not in\n{text}");
    }

    forge.github.note_delivery("b", "ping", &ping, 0);
    {
        let mut state = forge.github.state();
        state.hook.url = "https://old.test/webhooks/github".to_owned();
        state.hook.content_type = "form".to_owned();
        state.hook.insecure_ssl = "1".to_owned();
        state.accepted = Some(json!({"checks": "read"}));
    }
    let (status, text) = doctor(&forge).await;
    assert_eq!(status, 2, "{text}");
    for problem in [
        "GitHub sends deliveries to https://old.test/webhooks/github",
        "set it to https://herald.test/webhooks/github",
        "deliveries do not come as JSON",
        "does not look at this server's certificate",
        "1 of the newest 2 deliveries did not arrive",
        "the installation on octo has not accepted checks: write",
    ] {
        assert!(text.contains(problem), "{problem:?} is not in\n{text}");
    }
}
