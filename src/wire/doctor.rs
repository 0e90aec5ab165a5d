//! What is wrong with a server, and what to do about it: `herald doctor`, and the end of the setup.

use std::collections::BTreeMap;

use serde_json::json;

use super::clock::SystemClock;
use super::place::place;
use super::server::install_crypto;
use super::settle::open_beside;
use crate::config::{Config, ExecutorKind, Problems};
use crate::domain::{Finding, Health, Secret};
use crate::github::{
    AppInfo, AppKey, Client, ClientOptions, GitHub, MANIFEST, manifest_events, manifest_permissions,
};
use crate::ports::{Forge, Kind, Store};
use crate::text::plural;

/// What was found, in the order in which it was looked at.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, health: Health, what: &str, way_out: &str) {
        self.0.push(Finding {
            health,
            what: what.to_owned(),
            way_out: way_out.to_owned(),
        });
    }

    fn good(&mut self, what: &str) {
        self.add(Health::Good, what, "");
    }

    fn odd(&mut self, what: &str) {
        self.add(Health::Odd, what, "");
    }

    fn bad(&mut self, what: &str, way_out: &str) {
        self.add(Health::Bad, what, way_out);
    }
}

/// Examines the server of these settings, whether it runs or not, and says with which settings and
/// credentials it works.
pub async fn examine(config: &Config) -> (Vec<Finding>, Option<Config>) {
    let mut findings = Findings::default();
    for warning in &config.warnings {
        findings.odd(warning);
    }
    findings.good("configuration");
    git(&mut findings).await;
    install_crypto();
    executor(config, &mut findings).await;
    let settled = data(config, &mut findings).await;
    if let Some(config) = &settled {
        github(config, &mut findings).await;
    }
    (findings.0, settled)
}

async fn executor(config: &Config, findings: &mut Findings) {
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

async fn git(findings: &mut Findings) {
    let output = tokio::process::Command::new("git")
        .arg("--version")
        .output()
        .await;
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

/// The settings with what is stored in the database underneath.
async fn data(config: &Config, findings: &mut Findings) -> Option<Config> {
    let dir = config.data_dir.display();
    if !config.data_dir.is_dir() {
        findings.odd(&format!(
            "data directory {dir} is not there yet; `herald serve` makes it"
        ));
        return settled(config.over(None), findings);
    }
    let store = match open_beside(config).await {
        Ok(store) => store,
        Err(error) => {
            findings.bad(
                &format!("database: {error:#}"),
                "stop another Herald on it, look at the disk's space and rights",
            );
            return settled(config.over(None), findings);
        }
    };
    findings.good(&format!("database, data directory {dir}"));
    match store.registered_app().await {
        Ok(stored) => settled(config.over(stored.as_ref()), findings),
        Err(error) => {
            let way_out = "or leave the stored App alone, and set the variables of another one";
            findings.bad(&format!("failed to {error}"), way_out);
            config.over(None).ok()
        }
    }
}

/// Without what is missing nothing more can be found out.
fn settled(config: Result<Config, Problems>, findings: &mut Findings) -> Option<Config> {
    match config {
        Ok(config) => Some(config),
        Err(problems) => {
            for problem in problems.0 {
                findings.bad(&problem, "set it, or open /setup on the running server");
            }
            None
        }
    }
}

/// How GitHub is reached, where anything is said of it.
fn way(config: &Config, findings: &mut Findings) {
    if let Some(proxy) = config.outbound.proxy() {
        let url = &config.github_api_url;
        findings.good(&match (proxy.is_for(url), url.starts_with("https://")) {
            (true, _) => format!("{url} is reached through the proxy {proxy}"),
            (false, true) => {
                format!("{url} is reached directly: NO_PROXY spares it the proxy {proxy}")
            }
            (false, false) => format!("{url} is reached directly: the proxy {proxy} is for https"),
        });
    }
    if let Some(authorities) = config.outbound.authorities() {
        findings.good(&format!(
            "HERALD_CA_FILE: {} trusted beside those of this machine",
            plural(authorities.count() as u64, "certificate")
        ));
    }
}

async fn github(config: &Config, findings: &mut Findings) {
    way(config, findings);
    let Some(credentials) = &config.credentials else {
        findings.bad(
            "no GitHub credentials",
            "start `herald serve` and open the address that it prints: /setup registers the App; by \
             hand, set HERALD_GITHUB_APP_ID, HERALD_GITHUB_PRIVATE_KEY_FILE and \
             HERALD_GITHUB_WEBHOOK_SECRET_FILE (permissions and events: app-manifest.yml)",
        );
        return;
    };
    let key: Result<AppKey, _> = AppKey::new(credentials.app_id, &credentials.private_key);
    let client = key.and_then(|key| {
        let options = ClientOptions {
            api_url: config.github_api_url.clone(),
            key: Some(key),
            rested: true,
            outbound: config.outbound.clone(),
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
            match error.kind {
                Kind::Transient => {
                    "look at HERALD_GITHUB_API_URL, HTTPS_PROXY, NO_PROXY and HERALD_CA_FILE, and at the firewall"
                }
                _ => {
                    "compare HERALD_GITHUB_APP_ID and the key with the App's page, HERALD_GITHUB_API_URL with \
                     where that is"
                }
            },
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
async fn hook(config: &Config, github: &GitHub, findings: &mut Findings) {
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
async fn deliveries(github: &GitHub, findings: &mut Findings) {
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
async fn installations(github: &GitHub, findings: &mut Findings) {
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
    let wanted = manifest_permissions(MANIFEST);
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
fn permissions(app: &AppInfo, findings: &mut Findings) {
    let wanted = manifest_permissions(MANIFEST);
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
    for event in manifest_events(MANIFEST) {
        if !app.events.contains(&event) {
            findings.bad(
                &format!("the App does not get the event {event}"),
                "subscribe to it on the App's page",
            );
        }
    }
}
