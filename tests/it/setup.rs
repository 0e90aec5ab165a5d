//! From a server without credentials to a registered App, in a browser, against the simulated GitHub.

use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use herald::app::{Decided, Entry, Setup, Trouble};
use herald::demo::{Fault, GitHub, What};
use herald::domain::{Account, Finding, Home, Proposal, Registration, Secret};
use herald::ports::{Clock, PortError, Registrar, Store};
use herald::store::{SealKey, SqlStore};
use http::Method;
use serde_json::{Value, json};

use crate::serve::{Forge, Herald};
use crate::surfer::{Browser, Form, Page, origin};

/// `herald serve` without a word about GitHub.
pub(crate) fn bare(forge: &Forge) -> Command {
    let mut command = Herald::command(forge);
    for name in [
        "HERALD_PUBLIC_URL",
        "HERALD_GITHUB_URL",
        "HERALD_GITHUB_API_URL",
        "HERALD_GITHUB_APP_ID",
        "HERALD_GITHUB_PRIVATE_KEY_FILE",
        "HERALD_GITHUB_WEBHOOK_SECRET",
    ] {
        command.env_remove(name);
    }
    command
}

/// The addresses that the log shows, the newest last.
pub(crate) fn links(herald: &Herald) -> Vec<String> {
    let log = herald.log.lock().unwrap();
    let mut links: Vec<String> = log
        .split_whitespace()
        .filter(|word| word.contains("/setup?code="))
        .map(|word| {
            word.trim_matches(|char: char| !char.is_ascii_alphanumeric())
                .to_owned()
        })
        .collect();
    links.dedup();
    links
}

/// A browser that has opened the address from the terminal, and what it shows.
async fn let_in(herald: &Herald) -> (Browser, Page) {
    let mut browser = Browser::default();
    let page = browser.get(links(herald).last().unwrap()).await;
    assert_eq!(page.status, 200, "{}", page.text);
    (browser, page)
}

/// The form, filled in for the simulated GitHub.
fn filled(page: &Page, forge: &Forge) -> Form {
    let mut form = page.form("/setup");
    form.set("github", "enterprise");
    form.set("github_url", &forge.url);
    form
}

/// From the form to GitHub's question.
async fn ask_github(browser: &mut Browser, page: &Page, form: &Form) -> Page {
    let review = browser.submit(page, form).await;
    assert_eq!(review.status, 200, "{}", review.text);
    let manifest = review.form("/settings/apps/new?state=");
    browser.submit(&review, &manifest).await
}

/// From the form to what Herald says in the end.
async fn register(browser: &mut Browser, page: &Page, forge: &Forge) -> Page {
    let question = ask_github(browser, page, &filled(page, forge)).await;
    let agree = question.form("/settings/apps");
    browser.submit(&question, &agree).await
}

fn fault(forge: &Forge, what: What) {
    forge.github.state().faults.push(Fault {
        method: "POST".to_owned(),
        path: "/conversions".to_owned(),
        after: 0,
        times: 1,
        what,
    });
}

/// The names of cookies and what the files of the server hold must not be readable by others.
fn assert_sealed(forge: &Forge) {
    let key = forge.github.private_key().expose();
    let line = key.lines().nth(3).unwrap();
    for entry in walkdir::WalkDir::new(forge.dir.path().join("data")) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let bytes = std::fs::read(entry.path()).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            for secret in [
                line,
                forge.github.webhook_secret().expose(),
                forge.github.client_secret().expose(),
            ] {
                assert!(!text.contains(secret), "{}", entry.path().display());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_with_the_code_gets_from_nothing_to_a_finished_check() {
    let forge = Forge::new(false).await;
    forge.write("Cargo.toml", "[package]\nname = \"x\"\n");
    forge.commit("Begin");
    let mut herald = Herald::spawn(bare(&forge));
    assert_eq!(herald.get("/readyz").await.0, 503);
    assert_eq!(herald.deliver(&forge, "ping", &json!({})).await, 503);
    let mut stranger = Browser::default();
    let door = stranger.get(&format!("http://{}/", herald.address)).await;
    assert!(door.address.ends_with("/setup"), "{}", door.address);
    assert!(door.text.contains("Code from the terminal"));

    let (mut browser, page) = let_in(&herald).await;
    assert!(
        page.address.ends_with("/setup"),
        "the code stays in {}",
        page.address
    );
    let cookie = &browser.set[0];
    assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
    let form = filled(&page, &forge);
    assert_eq!(form.get("public_url"), format!("http://{}", herald.address));
    let review = browser.submit(&page, &form).await;
    let policy = review.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains(&format!("form-action {};", forge.url)),
        "{policy}"
    );
    let manifest = review.form("/settings/apps/new?state=");
    let question = browser.submit(&review, &manifest).await;
    let next = browser
        .submit(&question, &question.form("/settings/apps"))
        .await;
    assert!(
        next.address.ends_with("/setup/next"),
        "{}: {}",
        next.address,
        next.text
    );
    assert!(next.text.contains("is registered"));

    // It works from this moment on, and the setup is closed.
    assert_eq!(herald.get("/readyz").await.0, 200);
    assert_eq!(herald.deliver(&forge, "ping", &json!({})).await, 202);
    assert_eq!(herald.get("/").await.0, 200);
    let login = stranger
        .step(
            Method::GET,
            &format!("http://{}/login", herald.address),
            None,
            None,
        )
        .await;
    let to = login.headers["location"].to_str().unwrap();
    assert!(
        to.starts_with(&forge.url) && to.contains(GitHub::CLIENT_ID),
        "{to}"
    );
    let closed = stranger.get(&door.address).await;
    assert!(closed.text.contains("Herald is set up"));
    assert_sealed(&forge);

    let install = browser.get(&next.link("Install on repositories")).await;
    let next = browser
        .submit(&install, &install.form("/installations/new"))
        .await;
    assert!(
        next.address.contains("/setup/next?installation_id="),
        "{}",
        next.address
    );
    for good in [
        "octo/project",
        "open><summary>Rust</summary>",
        "installed on octo: 1 repositories",
        &format!("webhook: http://{}/webhooks/github", herald.address),
        &format!("http://{}/badges/octo/project/build.svg", herald.address),
    ] {
        assert!(
            next.text.contains(good),
            "{good:?} is not in\n{}",
            next.text
        );
    }
    let file = browser.get(&next.link("Add .herald.yml on GitHub")).await;
    let mut commit = file.form("/new/main");
    assert!(commit.get("value").contains("cargo-nextest"));
    commit.set("value", "execute: [\"true\"]\n");
    let committed = browser.submit(&file, &commit).await;
    let head = committed.text.split("<p>").last().unwrap()[..40].to_owned();
    let check = forge.completed(&head, "herald").await;
    assert_eq!(check.conclusion.as_deref(), Some("success"));
    assert!(
        check
            .details_url
            .starts_with(&format!("http://{}/repos/", herald.address))
    );

    herald.kill();
    let herald = Herald::spawn(bare(&forge));
    assert_eq!(links(&herald), Vec::<String>::new());
    assert_eq!(herald.get("/readyz").await.0, 200);
    assert_eq!(herald.deliver(&forge, "ping", &json!({})).await, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_code_nothing_of_the_setup_answers() {
    let forge = Forge::new(false).await;
    let herald = Herald::spawn(bare(&forge));
    let at = |path: &str| format!("http://{}{path}", herald.address);
    let mut stranger = Browser::default();
    let data = || Some("public_url=https://evil.example&name=x".to_owned());
    for path in ["/setup", "/setup/retry"] {
        let page = stranger
            .step(Method::POST, &at(path), data(), Some(&at("")))
            .await;
        assert_eq!(page.status, 403, "{path}");
    }
    for path in [
        "/setup/review",
        "/setup/done?code=x&state=y",
        "/setup?code=abcde",
    ] {
        let page = stranger.step(Method::GET, &at(path), None, None).await;
        assert_eq!(page.status, 403, "{path}");
        assert!(!page.text.contains("manifest\" value"));
    }
    assert_eq!(stranger.get(&at("/setup/next")).await.status, 200);
    assert!(stranger.set.is_empty());

    let (mut browser, page) = let_in(&herald).await;
    let used = links(&herald)[0].clone();
    // Who has the cookie may open the address again; somebody else may not.
    assert_eq!(browser.get(&used).await.status, 200);
    let again = stranger.get(&used).await;
    assert_eq!(again.status, 403);
    assert!(again.text.contains("not the code"));
    while links(&herald).len() < 2 {
        tokio::task::yield_now().await;
    }
    let_in(&herald).await;
    let done = register(&mut browser, &page, &forge).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert!(
        stranger
            .get(links(&herald).last().unwrap())
            .await
            .text
            .contains("Herald is set up")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_github_brings_back_must_belong_to_what_this_browser_began() {
    let forge = Forge::new(false).await;
    let herald = Herald::spawn(bare(&forge));
    let (mut browser, page) = let_in(&herald).await;
    let question = ask_github(&mut browser, &page, &filled(&page, &forge)).await;
    let agree = question.form("/settings/apps");
    let back = browser
        .step(
            Method::POST,
            &format!("{}/settings/apps", forge.url),
            Some(encode(&agree)),
            Some(&forge.url),
        )
        .await;
    let back = back.headers["location"].to_str().unwrap().to_owned();
    let (before, state) = back.split_once("&state=").unwrap();
    for wrong in [
        before.to_owned(),
        format!("{before}&state="),
        format!("{before}&state={}", state.replace(&state[..1], "_")),
    ] {
        let page = browser.get(&wrong).await;
        assert_eq!(page.status, 400, "{wrong}");
        assert!(page.text.contains("Nothing was stored"));
    }
    // Another browser has no session, and one of its own began nothing.
    assert_eq!(Browser::default().get(&back).await.status, 403);
    fault(&forge, What::Status(404));
    assert_eq!(browser.get(&back).await.status, 502);
    let reused = browser.get(&back).await;
    assert_eq!(reused.status, 400, "{}", reused.text);
    assert_eq!(herald.get("/readyz").await.0, 503);
    let page = browser
        .get(&format!("http://{}/setup", herald.address))
        .await;
    assert_eq!(register(&mut browser, &page, &forge).await.status, 200);
    assert_eq!(herald.get("/readyz").await.0, 200);
}

fn encode(form: &Form) -> String {
    let pairs = form.fields.iter().map(|(name, value)| {
        let value: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
        format!("{name}={value}")
    });
    pairs.collect::<Vec<_>>().join("&")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversion_that_fails_can_be_tried_again_or_begun_anew() {
    let forge = Forge::new(false).await;
    let herald = Herald::spawn(bare(&forge));
    let (mut browser, page) = let_in(&herald).await;
    let begin = format!("http://{}/setup", herald.address);
    // The code is used up at GitHub although no answer came: to begin again is the way out.
    for what in [What::NotJson, What::Truncated, What::LostAnswer] {
        fault(&forge, what);
        let failed = register(&mut browser, &page, &forge).await;
        assert_eq!(failed.status, 502, "{what:?}");
        let retried = browser.submit(&failed, &failed.form("/setup/retry")).await;
        assert_eq!(retried.status, 502, "{what:?}");
        assert!(
            retried.text.contains("does not take its code"),
            "{}",
            retried.text
        );
        assert_eq!(
            retried.link("look at those of the account"),
            format!("{}/settings/apps", forge.url)
        );
        assert_eq!(herald.get("/readyz").await.0, 503);
    }
    // What was typed is still there.
    let page = browser.get(&begin).await;
    assert_eq!(page.form("/setup").get("github_url"), forge.url);
    // GitHub has not seen this one: the same code will do.
    fault(&forge, What::Status(502));
    let failed = register(&mut browser, &page, &forge).await;
    assert!(
        failed.text.contains("Something came in between"),
        "{}",
        failed.text
    );
    let done = browser.submit(&failed, &failed.form("/setup/retry")).await;
    assert!(done.address.ends_with("/setup/next"), "{}", done.text);
    assert_eq!(herald.deliver(&forge, "ping", &json!({})).await, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_win_over_what_is_stored() {
    let forge = Forge::new(false).await;
    let mut herald = Herald::spawn(bare(&forge));
    let (mut browser, page) = let_in(&herald).await;
    register(&mut browser, &page, &forge).await;
    herald.kill();
    let mut command = bare(&forge);
    command.env(
        "HERALD_GITHUB_WEBHOOK_SECRET",
        "another secret of some length",
    );
    let mut herald = Herald::spawn(command);
    assert_eq!(herald.deliver(&forge, "ping", &json!({})).await, 401);
    herald.kill();
    // Of another App nothing is stored.
    let mut command = bare(&forge);
    command.env("HERALD_GITHUB_APP_ID", "12");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains("HERALD_GITHUB_PRIVATE_KEY is missing"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_key_is_said_with_the_way_out() {
    let forge = Forge::new(false).await;
    let mut herald = Herald::spawn(bare(&forge));
    let (mut browser, page) = let_in(&herald).await;
    register(&mut browser, &page, &forge).await;
    herald.kill();
    let mut doctor = bare(&forge);
    let doctor_says = |command: &mut Command| {
        let mut doctor = Command::new(command.get_program());
        doctor.arg("doctor").env_clear();
        let variables = command.get_envs();
        doctor.envs(variables.filter_map(|(name, value)| Some((name, value?))));
        let output = doctor.output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (status, text) = doctor_says(&mut doctor);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("GitHub knows the App as Herald"), "{text}");
    let key = forge.dir.path().join("data/secret.key");
    std::fs::remove_file(&key).unwrap();
    let (status, text) = doctor_says(&mut doctor);
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("Bring back secret.key"), "{text}");
    assert!(!key.exists(), "the doctor makes nothing");
    let output = bare(&forge).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{text}");
    for word in ["Bring back secret.key", "HERALD_GITHUB_PRIVATE_KEY_FILE"] {
        assert!(text.contains(word), "{text}");
    }
    // With all credentials given, what is stored is not needed.
    let herald = Herald::start(&forge);
    assert_eq!(herald.deliver(&forge, "ping", &json!({})).await, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_says_field_by_field_what_is_wrong_and_leads_to_the_right_page_of_github() {
    let forge = Forge::new(false).await;
    let herald = Herald::spawn(bare(&forge));
    let (mut browser, page) = let_in(&herald).await;
    let mut form = page.form("/setup");
    // github.com cannot reach this machine by what was proposed.
    let local = browser.submit(&page, &form).await;
    assert_eq!(local.status, 422);
    assert!(
        local.text.contains("github.com cannot reach 127.0.0.1"),
        "{}",
        local.text
    );
    form.set("public_url", "ftp://herald.example");
    form.set("account", "organisation");
    form.set("organisation", "octo/../org");
    form.set("name", &"x".repeat(35));
    let wrong = browser.submit(&page, &form).await;
    assert_eq!(wrong.status, 422);
    for field in ["public_url-error", "organisation-error", "name-error"] {
        assert!(
            wrong.text.contains(&format!("id=\"{field}\"")),
            "{field}: {}",
            wrong.text
        );
    }
    assert_eq!(wrong.form("/setup").get("organisation"), "octo/../org");
    form.set("public_url", "https://herald.example/");
    form.set("organisation", "octo-org");
    form.set("name", "Herald");
    form.set("visibility", "public");
    let review = browser.submit(&page, &form).await;
    let manifest =
        review.form("https://github.com/organizations/octo-org/settings/apps/new?state=");
    let policy = review.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("form-action https://github.com;"),
        "{policy}"
    );
    let sent: Value = serde_json::from_str(manifest.get("manifest")).unwrap();
    assert_eq!(
        sent["hook_attributes"]["url"],
        "https://herald.example/webhooks/github"
    );
    assert_eq!(
        sent["callback_urls"],
        json!(["https://herald.example/login/callback"])
    );
    // The browser is led back to where it is: only the webhook has to be reached from outside.
    assert_eq!(
        sent["redirect_url"],
        format!("{}/setup/done", origin(&page.address))
    );
    assert_eq!(
        (&sent["public"], &sent["name"]),
        (&json!(true), &json!("Herald"))
    );

    form.set("github", "enterprise");
    form.set("github_url", "https://git.example/");
    let review = browser.submit(&page, &form).await;
    review.form("https://git.example/organizations/octo-org/settings/apps/new?state=");
    form.set("account", "personal");
    let review = browser.submit(&page, &form).await;
    review.form("https://git.example/settings/apps/new?state=");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_variables_decide_is_not_asked_for() {
    let forge = Forge::new(false).await;
    let mut command = bare(&forge);
    command
        .env("HERALD_PUBLIC_URL", "https://decided.example")
        .env("HERALD_GITHUB_URL", &forge.url);
    let herald = Herald::spawn(command);
    assert!(links(&herald)[0].starts_with("https://decided.example/setup?code="));
    let code = links(&herald)[0].split_once('?').unwrap().1.to_owned();
    let mut browser = Browser::default();
    let page = browser
        .get(&format!("http://{}/setup?{code}", herald.address))
        .await;
    let mut form = page.form("/setup");
    assert!(page.text.contains(" readonly>"));
    form.set("public_url", "https://typed.example");
    form.set("github", "com");
    let review = browser.submit(&page, &form).await;
    let manifest = review.form(&format!("{}/settings/apps/new?state=", forge.url));
    assert!(
        manifest
            .get("manifest")
            .contains("https://decided.example/webhooks/github")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_in_githubs_answer_stay_text() {
    let forge = Forge::named("octo", "p", false).await;
    let herald = Herald::spawn(bare(&forge));
    let (mut browser, page) = let_in(&herald).await;
    let hostile = "<img src=x onerror=alert(1)>";
    let mut form = filled(&page, &forge);
    form.set("name", hostile);
    let question = ask_github(&mut browser, &page, &form).await;
    let next = browser
        .submit(&question, &question.form("/settings/apps"))
        .await;
    assert_eq!(next.status, 200);
    assert!(next.text.contains("onerror=alert(1)"), "{}", next.text);
    assert!(!next.text.contains("<img"), "{}", next.text);
}

/// A clock that only the test moves.
#[derive(Debug)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Answers as it is told.
struct Told {
    begun: Mutex<Vec<Result<(), PortError>>>,
}

#[async_trait]
impl Registrar for Told {
    fn manifest(&self, _: &Proposal) -> String {
        "{}".to_owned()
    }

    async fn convert(&self, _: &Proposal, code: &str) -> Result<Registration, PortError> {
        Ok(Registration {
            id: GitHub::APP_ID,
            slug: code.to_owned(),
            name: "Herald".to_owned(),
            owner: "octo".to_owned(),
            html_url: "https://git.example/apps/herald".to_owned(),
            private_key: Secret::new("key"),
            webhook_secret: Secret::new("hook"),
            client_id: "id".to_owned(),
            client_secret: Secret::new("secret"),
        })
    }

    async fn begin(&self) -> Result<(), PortError> {
        self.begun.lock().unwrap().pop().unwrap_or(Ok(()))
    }

    async fn examine(&self) -> Vec<Finding> {
        Vec::new()
    }
}

struct Desk {
    setup: Arc<Setup>,
    store: Arc<SqlStore>,
    clock: Arc<Hand>,
    told: Arc<Told>,
    _dir: tempfile::TempDir,
}

async fn desk(key: bool) -> Desk {
    let dir = tempfile::tempdir().unwrap();
    let store = SqlStore::sqlite(&dir.path().join("herald.db"))
        .await
        .unwrap();
    let store = if key {
        store.with_key(SealKey::parse(&"5e".repeat(32)).unwrap())
    } else {
        store
    };
    let store = Arc::new(store);
    let clock = Arc::new(Hand(AtomicI64::new(1_790_000_000_000)));
    let told = Arc::new(Told {
        begun: Mutex::new(Vec::new()),
    });
    let setup = Setup::new(
        Arc::<Told>::clone(&told),
        Arc::<SqlStore>::clone(&store),
        Arc::<Hand>::clone(&clock),
        Decided::default(),
    );
    Desk {
        setup: Arc::new(setup),
        store,
        clock,
        told,
        _dir: dir,
    }
}

impl Desk {
    /// A browser that has come as far as GitHub's answer.
    fn brought(&self, code: &str) -> Secret {
        let session = self.enter();
        let home = Home {
            public_url: "https://herald.example".to_owned(),
            github_url: "https://git.example".to_owned(),
            api_url: "https://git.example/api/v3".to_owned(),
        };
        let proposal = Proposal {
            origin: home.public_url.clone(),
            home,
            account: Account::Personal,
            name: "Herald".to_owned(),
            public: false,
        };
        self.setup.keep_proposal(session.expose(), proposal);
        let (_, address, _) = self.setup.manifest(session.expose()).unwrap();
        let state = address.split_once("state=").unwrap().1;
        self.setup.take(session.expose(), state, code).unwrap();
        session
    }

    fn enter(&self) -> Secret {
        let code = self.setup.codes().borrow().clone();
        // As it may be typed.
        match self
            .setup
            .enter(&format!(" {} ", code.to_uppercase().replace('-', "")))
        {
            Entry::Open(session) => session,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn wrong_codes_are_slowed_down_and_a_session_ends_after_an_hour() {
    let desk = desk(true).await;
    let session = desk.enter();
    for _ in 0..20 {
        assert!(matches!(desk.setup.enter("wrong"), Entry::Wrong));
    }
    let code = desk.setup.codes().borrow().clone();
    assert!(matches!(desk.setup.enter(&code), Entry::Wait(3)));
    desk.clock.0.fetch_add(2_999, Ordering::SeqCst);
    assert!(matches!(desk.setup.enter(&code), Entry::Wait(1)));
    desk.clock.0.fetch_add(1, Ordering::SeqCst);
    assert!(matches!(desk.setup.enter("wrong"), Entry::Wrong));
    assert!(matches!(desk.setup.enter(&code), Entry::Wait(3)));
    assert!(desk.setup.knows(session.expose()), "who is in stays in");
    desk.clock.0.fetch_add(60 * 60 * 1000, Ordering::SeqCst);
    assert!(!desk.setup.knows(session.expose()));
    assert!(matches!(desk.setup.enter(&code), Entry::Open(_)));
}

#[tokio::test]
async fn of_two_browsers_one_registers_the_app() {
    let desk = desk(true).await;
    let (first, second) = (desk.brought("one"), desk.brought("two"));
    desk.setup.register(first.expose()).await.unwrap();
    let late = desk.setup.register(second.expose()).await;
    assert_eq!(late, Err(Trouble::Taken));
    let stored = desk.store.registered_app().await.unwrap().unwrap();
    assert_eq!(stored.app.slug, "one");
    let other = herald::domain::RegisteredApp {
        app: Registration {
            slug: "three".to_owned(),
            ..stored.app.clone()
        },
        home: stored.home.clone(),
    };
    assert!(!desk.store.keep_registered_app(&other, 0).await.unwrap());
    assert_eq!(desk.store.registered_app().await.unwrap().unwrap(), stored);
}

#[tokio::test]
async fn an_app_that_cannot_be_stored_is_not_lost_and_leaves_nothing_half() {
    let without = desk(false).await;
    let session = without.brought("one");
    for _ in 0..2 {
        let failed = without.setup.register(session.expose()).await;
        assert!(matches!(failed, Err(Trouble::Again(_))), "{failed:?}");
    }
    assert!(!without.setup.is_closed());
    assert_eq!(without.store.registered_app().await.unwrap(), None);

    let desk = desk(true).await;
    let refusal = PortError::refused("begin: no room");
    desk.told.begun.lock().unwrap().push(Err(refusal));
    let session = desk.brought("one");
    let failed = desk.setup.register(session.expose()).await;
    assert_eq!(failed, Err(Trouble::Restart("begin: no room".to_owned())));
    assert!(desk.store.registered_app().await.unwrap().is_some());
}
