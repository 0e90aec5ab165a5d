//! `herald doctor`: what is wrong with this server, and what to do about it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::arguments::ServeFlags;
use super::screen::{BOLD, GREEN, PLAIN, RED, Screen, YELLOW};
use super::{End, runtime, serve};
use crate::config::{Config, Database, ExecutorKind};
use crate::domain::Secret;
use crate::github::{AppKey, Client, ClientOptions, GitHub};
use crate::ports::Forge;
use crate::store::SqlStore;
use crate::wire::{SystemClock, install_crypto, place};

/// The manifest that the App is registered from.
const MANIFEST: &str = include_str!("../../app-manifest.yml");

/// Prints findings and remembers whether one was bad.
struct Findings<'a> {
    screen: &'a Screen,
    bad: bool,
}

impl Findings<'_> {
    fn good(&self, what: &str) {
        self.screen
            .result(&format!("{GREEN}ok{PLAIN}      {what}\n"));
    }

    fn odd(&self, what: &str) {
        self.screen
            .result(&format!("{YELLOW}warning{PLAIN} {what}\n"));
    }

    fn bad(&mut self, what: &str, way_out: &str) {
        self.bad = true;
        self.screen.result(&format!(
            "{RED}problem{PLAIN} {what}\n        {BOLD}→{PLAIN} {way_out}\n"
        ));
    }
}

pub(super) fn run(flags: ServeFlags, screen: &Screen) -> anyhow::Result<End> {
    let config = serve::config(flags)?;
    let mut findings = Findings { screen, bad: false };
    for warning in &config.warnings {
        findings.odd(warning);
    }
    findings.good("configuration");
    git(&mut findings);
    install_crypto();
    runtime()?.block_on(async {
        executor(&config, &mut findings).await;
        data(&config, &mut findings).await;
        github(&config, &mut findings).await;
    });
    ruleset(&config, screen);
    Ok(if findings.bad { End::Wrong } else { End::Good })
}

async fn executor(config: &Config, findings: &mut Findings<'_>) {
    match (place(config, "doctor").await, config.executor) {
        (Ok(_), ExecutorKind::Docker) => findings.good("executor: docker, the Engine answers"),
        (Ok(_), ExecutorKind::Swarm) => findings.good("executor: swarm, the manager answers"),
        (Ok(_), ExecutorKind::Process) if config.sandbox => {
            findings.good("executor: process, in a sandbox");
        }
        (Ok(_), ExecutorKind::Process) => findings
            .odd("executor: process without a sandbox; a step can read what Herald can read"),
        (Err(error), ExecutorKind::Process) => findings.bad(
            &format!("executor: {error:#}"),
            "apt-get install bubblewrap, or HERALD_PROCESS_SANDBOX=off on a machine of its own",
        ),
        (Err(error), _) => findings.bad(
            &format!("executor: {error:#}"),
            "the README's page for operators says how Docker and a Swarm are set up",
        ),
    }
}

fn git(findings: &mut Findings<'_>) {
    let output = std::process::Command::new("git").arg("--version").output();
    let version = output
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .and_then(|text| {
            let version = text.trim().strip_prefix("git version ")?.to_owned();
            let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
            Some(((parts.next()??, parts.next()??), version))
        });
    match version {
        Some((number, version)) if number >= (2, 30) => findings.good(&format!("git {version}")),
        Some((_, version)) => findings.bad(&format!("git {version}"), "install git 2.30 or newer"),
        None => findings.bad("git is missing", "install git 2.30 or newer"),
    }
}

async fn data(config: &Config, findings: &mut Findings<'_>) {
    let dir = config.data_dir.display();
    if !Path::new(&config.data_dir).is_dir() {
        findings.odd(&format!(
            "data directory {dir} is not there yet; `herald serve` makes it"
        ));
        return;
    }
    let opened = match &config.database {
        // A server may be using it: nothing of its state is touched.
        Database::Sqlite => SqlStore::sqlite_beside(&config.data_dir.join("herald.db"))
            .await
            .map(|_| ()),
        Database::Postgres(address) => SqlStore::postgres(address.expose()).await.map(|_| ()),
    };
    match opened {
        Ok(()) => findings.good(&format!("database, data directory {dir}")),
        Err(error) => findings.bad(
            &format!("database: {error:#}"),
            "stop another Herald on it, look at the disk's space and rights",
        ),
    }
}

async fn github(config: &Config, findings: &mut Findings<'_>) {
    let Some(credentials) = &config.credentials else {
        findings.bad(
            "no GitHub credentials",
            "register an App (permissions and events: app-manifest.yml) and set \
             HERALD_GITHUB_APP_ID, HERALD_GITHUB_PRIVATE_KEY_FILE and HERALD_GITHUB_WEBHOOK_SECRET",
        );
        return;
    };
    let key: Result<AppKey, _> = AppKey::new(credentials.app_id, &credentials.private_key);
    let client = key.and_then(|key| {
        let options = ClientOptions {
            api_url: config.github_api_url.clone(),
            key: Some(key),
            rested: true,
        };
        Client::new(options, std::sync::Arc::new(SystemClock))
    });
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            let way_out = "take the key that GitHub gave when it was made, whole";
            findings.bad(&format!("credentials: {error}"), way_out);
            return;
        }
    };
    let github = GitHub::new(client, &config.github_url);
    match github.app().await {
        Ok(app) => {
            findings.good(&format!(
                "GitHub knows the App as {} ({})",
                app.name, app.id
            ));
            permissions(&app, findings);
            hook(config, &github, findings).await;
            deliveries(&github, findings).await;
            installations(&github, findings).await;
        }
        Err(error) => findings.bad(
            &format!("GitHub: failed to {error}"),
            "compare HERALD_GITHUB_APP_ID and the key with the App's page; look at \
             HERALD_GITHUB_API_URL, proxy and firewall",
        ),
    }
    let skew_ms = github.client().clock_skew_ms();
    if skew_ms.abs() >= 30_000 {
        findings.bad(
            &format!("this clock is {} s off GitHub's", skew_ms / 1000),
            "let NTP set the clock (timedatectl set-ntp true)",
        );
    }
    let long_enough = |secret: &Secret| secret.expose().len() >= 16;
    if !credentials.webhook_secrets.iter().all(long_enough) {
        findings.odd("the webhook secret is short; take 32 random characters or more");
    }
}

/// Where GitHub sends deliveries.
async fn hook(config: &Config, github: &GitHub, findings: &mut Findings<'_>) {
    let hook = match github.hook().await {
        Ok(hook) => hook,
        Err(error) => {
            let way_out = "ask again later; the webhook's settings are on the App's page";
            findings.bad(&format!("webhook: failed to {error}"), way_out);
            return;
        }
    };
    let wanted = format!(
        "{}/webhooks/github",
        config.public_url.trim_end_matches('/')
    );
    let mut good = true;
    match hook.url.as_deref() {
        Some(url) if url.trim_end_matches('/') == wanted => {}
        Some(url) => {
            good = false;
            findings.bad(
                &format!("webhook: GitHub sends deliveries to {url}"),
                &format!(
                    "set it to {wanted} on the App's page, or HERALD_PUBLIC_URL to what it is"
                ),
            );
        }
        None => {
            good = false;
            let way_out = format!("set it to {wanted} on the App's page, and \"Active\"");
            findings.bad("webhook: GitHub has no address for deliveries", &way_out);
        }
    }
    if hook.content_type.as_deref() != Some("json") {
        good = false;
        findings.bad(
            "webhook: deliveries do not come as JSON",
            "choose the content type application/json on the App's page",
        );
    }
    let insecure = hook.insecure_ssl.as_str() == Some("1") || hook.insecure_ssl == json!(1);
    if insecure {
        good = false;
        findings.bad(
            "webhook: GitHub does not look at this server's certificate",
            "enable SSL verification on the App's page",
        );
    }
    if good {
        findings.good(&format!("webhook: {wanted}"));
    }
}

/// Whether the newest deliveries arrived: each by the best of its attempts.
async fn deliveries(github: &GitHub, findings: &mut Findings<'_>) {
    let listed = match github.deliveries(None).await {
        Ok((listed, _)) => listed,
        Err(error) => {
            let way_out = "ask again later; the App's page has them under Advanced";
            findings.bad(&format!("deliveries: failed to {error}"), way_out);
            return;
        }
    };
    let mut arrived: BTreeMap<&str, bool> = BTreeMap::new();
    for attempt in &listed {
        *arrived.entry(&attempt.guid).or_default() |= attempt.arrived;
    }
    let failed = arrived.values().filter(|arrived| !**arrived).count();
    if failed == 0 {
        findings.good(&format!("the newest {} deliveries arrived", arrived.len()));
    } else {
        findings.bad(
            &format!("{failed} of the newest {} deliveries did not arrive", arrived.len()),
            "see what was answered on the App's page under Advanced; a running server takes up what \
             it missed by itself",
        );
    }
}

/// What each installation has accepted, and whether it can be reached.
async fn installations(github: &GitHub, findings: &mut Findings<'_>) {
    let all = match github.installations().await {
        Ok(all) => all,
        Err(error) => {
            findings.bad(
                &format!("installations: failed to {error}"),
                "ask again later",
            );
            return;
        }
    };
    if all.is_empty() {
        findings.odd("the App is installed nowhere; install it from its page");
    }
    let wanted = crate::github::manifest_permissions(MANIFEST);
    for installation in &all {
        let who = installation.account.as_ref().map_or_else(
            || installation.id.to_string(),
            |account| account.login.clone(),
        );
        if installation.suspended_at.is_some() {
            findings.odd(&format!("the installation on {who} is suspended"));
            continue;
        }
        for (name, level) in &wanted {
            let given = installation.permissions.get(name).map(String::as_str);
            if given != Some("write") && given != Some(level.as_str()) {
                findings.bad(
                    &format!("the installation on {who} has not accepted {name}: {level}"),
                    "an owner accepts it under Settings, GitHub Apps, Configure",
                );
            }
        }
        match github.reach(installation).await {
            Ok(count) => findings.good(&format!("installed on {who}: {count} repositories")),
            Err(error) => findings.bad(
                &format!("the installation on {who}: failed to {error}"),
                "ask again later; if it stays so, install the App there again",
            ),
        }
        match github.rate_left(installation).await {
            Ok(Some(left)) if left.remaining * 10 < left.limit => findings.odd(&format!(
                "{} of {} requests of {who} are left in this hour; Herald waits when none is",
                left.remaining, left.limit
            )),
            Ok(Some(left)) => findings.good(&format!(
                "{} of {} requests of {who} are left in this hour",
                left.remaining, left.limit
            )),
            Ok(None) => {}
            Err(error) => findings.odd(&format!("rate limit of {who}: failed to {error}")),
        }
    }
}

/// Compares what the App may do with what the manifest asks for.
fn permissions(app: &crate::github::AppInfo, findings: &mut Findings<'_>) {
    let wanted = crate::github::manifest_permissions(MANIFEST);
    for (name, level) in &wanted {
        let given = app.permissions.get(name).map(String::as_str);
        let enough = given == Some("write") || given == Some(level.as_str());
        if !enough {
            findings.bad(
                &format!("the App lacks the permission {name}: {level}"),
                "grant it on the App's page, then accept it in the installation",
            );
        }
    }
    for event in crate::github::manifest_events(MANIFEST) {
        if !app.events.contains(&event) {
            findings.bad(
                &format!("the App does not get the event {event}"),
                "subscribe to it on the App's page",
            );
        }
    }
}

/// The ruleset that requires Herald's check from this App and nobody else.
fn ruleset(config: &Config, screen: &Screen) {
    let Some(credentials) = &config.credentials else {
        return;
    };
    let ruleset = json!({
        "name": "Herald",
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
        "rules": [{
            "type": "required_status_checks",
            "parameters": {
                "strict_required_status_checks_policy": false,
                "required_status_checks": [
                    {"context": "herald", "integration_id": credentials.app_id},
                ],
            },
        }],
    });
    screen.result(&format!(
        "\nTo require Herald's check, from this App only, import this ruleset:\n{ruleset:#}\n"
    ));
}
