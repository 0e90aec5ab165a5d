//! A release as it is installed: the tarball, the service of systemd, the image, the stack of a Swarm. `docs/install.md` says
//! how, and its commands are run here as it says them, on what `tests/run --all` has made of these sources.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use herald::config::VARIABLES;
use herald::demo::GitHub;
use serde_json::Value;

use crate::containers::{Hold, engines, eventually, needed};
use crate::documents::{blocks, page};
use crate::serve::{Forge, deliver_to, get_from, switch, try_to_get_from};

/// Where a server listens that is installed as the page says.
const LOCAL: &str = "127.0.0.1:8080";
/// The beginning of the address at which its App is registered.
const SETUP: &str = "https://herald.example/setup?code=";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The commands of a section of the page, block by block.
fn commands(section: &str) -> Vec<String> {
    let text = page("install.md");
    let (_, rest) = text
        .split_once(&format!("\n## {section}\n"))
        .unwrap_or_else(|| panic!("no section {section}"));
    let part = rest.split("\n## ").next().unwrap();
    let shown = blocks(part).into_iter().filter(|block| block.kind == "sh");
    shown.map(|block| block.text).collect()
}

/// The name of the release, without its endings.
fn name() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "herald-{version}-{}-unknown-linux-gnu",
        std::env::consts::ARCH
    )
}

/// The files of a release in a folder of their own; `None` where none was made.
fn release(folder: &Path) -> Option<()> {
    let made = PathBuf::from(switch("HERALD_TEST_RELEASE")?);
    std::fs::create_dir_all(folder).unwrap();
    for ending in ["tar.gz", "image.tar.gz", "sha256"] {
        let file = format!("{}.{ending}", name());
        std::fs::copy(made.join(&file), folder.join(&file)).unwrap();
    }
    Some(())
}

/// The tarball, unpacked in a folder.
fn unpacked(folder: &Path) -> PathBuf {
    let file = format!("{}.tar.gz", name());
    run("tar", &["-xzf", &file], folder);
    folder.join(name())
}

/// What a command says, which must do well.
fn run(program: &str, arguments: &[&str], folder: &Path) -> String {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    said(command)
}

fn said(mut command: Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    out
}

/// One server at a time on the ports of the page.
fn ports() -> std::fs::File {
    let lock = std::env::temp_dir().join("herald-tests-ports.lock");
    let lock = std::fs::File::create(lock).unwrap();
    lock.lock().unwrap();
    lock
}

/// Waits until a server answers so.
async fn answers(address: &str, path: &str, wanted: u16) -> String {
    let began = Instant::now();
    loop {
        // Where one server takes the place of another, a connection may lead to neither.
        match try_to_get_from(address, path).await {
            Some((status, text)) if status == wanted => return text,
            other => assert!(
                began.elapsed() < Duration::from_secs(90),
                "{address}{path}: {other:?}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A pull request whose build has this specification, built by the server there; how it ended.
async fn built(address: &str, forge: &Forge, specification: &str) -> (String, String) {
    forge.write("README.md", "# Project\n");
    let main = forge.commit("Begin");
    forge.branch("change");
    forge.write(".herald.yml", specification);
    let head = forge.commit("Build it");
    let payload = forge.pull_request("opened", &head, &main);
    let status = deliver_to(address, forge, "pull_request", "11111111-aaaa", &payload).await;
    assert_eq!(status, 202);
    let check = forge.completed(&head, "herald").await;
    let (_, log) = get_from(address, "/repos/octo/project/builds/1/jobs/build/log.txt").await;
    (format!("{:?}: {}", check.conclusion, check.title), log)
}

#[test]
fn the_page_names_the_files_of_this_version() {
    let text = page("install.md");
    let version = env!("CARGO_PKG_VERSION");
    for named in text.split("herald-").skip(1) {
        let number: String = named
            .chars()
            .take_while(|char| char.is_ascii_digit() || *char == '.')
            .collect();
        let number = number.trim_end_matches('.');
        assert!(number.is_empty() || number == version, "herald-{named:.40}");
    }
    for named in text.split("deploy/").skip(1) {
        let file: String = named
            .chars()
            .take_while(|char| char.is_alphanumeric() || ".-".contains(*char))
            .collect();
        assert!(root().join("deploy").join(&file).is_file(), "deploy/{file}");
    }
}

#[test]
fn the_packages_set_only_variables_that_herald_reads() {
    let mut seen = 0;
    for file in [
        "Dockerfile",
        "deploy/image",
        "deploy/herald.service",
        "deploy/herald-secrets.conf",
        "deploy/stack.yml",
        "deploy/stack-secrets.yml",
    ] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let is_stack = file.contains("stack");
        for line in text.lines().filter(|line| !line.trim().starts_with('#')) {
            let mark = if is_stack { ':' } else { '=' };
            let words = line
                .split([' ', '"', ','])
                .filter(|word| word.starts_with("HERALD_"));
            for (variable, _) in words.filter_map(|word| word.split_once(mark)) {
                let known = variable.strip_suffix("_FILE").unwrap_or(variable);
                assert!(VARIABLES.contains(&known), "{file}: {variable}");
                seen += 1;
            }
        }
    }
    assert!(seen > 12, "{seen}");
}

/// Runs a script in the machine with systemd.
fn in_machine(script: &str) -> String {
    let machine = needed("HERALD_TEST_MACHINE");
    let mut words = machine.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    command
        .args(words)
        .args(["sh", "-e", "-u", "-c", script])
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
        .env("HOME", "/root");
    said(command)
}

/// What is in a release beside its programs.
fn looks_whole(folder: &Path) {
    for file in [
        "README.md",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "Dockerfile",
        "completions/_herald",
        "completions/herald.fish",
        "man/man1/herald.1",
        "man/man1/herald-serve.1",
        "docs/install.md",
        "deploy/stack.yml",
    ] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    run("bash", &["-n", "completions/herald.bash"], folder);
    let bill = |program: &str| {
        let path = folder.join(format!("sbom/{program}.cdx.json"));
        let text = std::fs::read_to_string(path).unwrap();
        // Nothing of the machine that it was made on.
        assert!(!text.contains("path+file"), "{program}");
        let bill: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(bill["bomFormat"], "CycloneDX");
        assert_eq!(bill["metadata"]["component"]["name"], program);
        let parts = bill["components"].as_array().unwrap();
        let names = parts
            .iter()
            .map(|part| part["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let herald = bill("herald");
    for linked in ["octocrab", "axum", "sqlx-sqlite", "libsqlite3-sys", "nix"] {
        assert!(herald.iter().any(|name| name == linked), "{linked}");
    }
    // Of a macro, of tests, and of what no feature asks for.
    for other in ["syn", "insta", "sqlx-mysql", "quinn"] {
        assert!(herald.iter().all(|name| name != other), "{other}");
    }
    let runner = bill("herald-runner");
    assert!(runner.iter().all(|name| herald.contains(name)));
    assert!(runner.len() < herald.len() / 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tarball_installs_a_service_that_builds_in_its_sandbox() {
    if switch("HERALD_TEST_MACHINE").is_none() {
        return;
    }
    let _ports = ports();
    let machine = PathBuf::from(needed("HERALD_TEST_MACHINE_ROOT"));
    release(&machine.join("root")).expect("a release is made where there is a machine");
    let [tarball] = commands("The tarball").try_into().unwrap();
    let shown = in_machine(&format!("cd /root\n{tarball}"));
    assert!(shown.contains("2 failed, 1 passed, 1 skipped"), "{shown}");
    looks_whole(&machine.join("root").join(name()));
    let version = in_machine("herald --version");
    assert_eq!(version, format!("herald {}\n", env!("CARGO_PKG_VERSION")));

    let [service, secrets, docker] = commands("A service of systemd").try_into().unwrap();
    let cd = format!("cd /root/{}\n", name());
    in_machine(&format!("{cd}{service}"));
    answers(LOCAL, "/healthz", 200).await;
    answers(LOCAL, "/readyz", 503).await;
    // The journal is a moment behind.
    eventually("the address of the setup", || {
        in_machine("journalctl -u herald --output cat").contains(SETUP)
    })
    .await;

    // Its rules are what the page says, and nothing in it is unknown to systemd.
    let verified = "systemd-analyze verify --man=no /etc/systemd/system/herald.service 2>&1";
    assert_eq!(in_machine(verified), "");
    let score = in_machine("systemd-analyze security --no-pager herald | tail -n 1");
    let score = score.split(": ").nth(1).unwrap().split(' ').next().unwrap();
    let said = format!("says {score} of 10");
    assert!(page("install.md").contains(&said), "{said}");

    let forge = Forge::new(false).await;
    let at_home = machine.join("root").join(name());
    let key = forge.github.private_key().expose().to_owned();
    std::fs::write(at_home.join("app.pem"), key).unwrap();
    let secret = forge.github.webhook_secret().expose().to_owned();
    std::fs::write(at_home.join("webhook-secret.txt"), secret).unwrap();
    let settings = format!(
        "HERALD_GITHUB_URL={url}\nHERALD_GITHUB_API_URL={url}/api/v3\n",
        url = forge.url
    );
    let id = GitHub::APP_ID.to_string();
    in_machine(&format!(
        "printf '%s' '{settings}' >> /etc/herald/herald.env\n{cd}{}",
        secrets.replace("12345", &id)
    ));
    answers(LOCAL, "/readyz", 200).await;
    let specification = "\
execute:
  - name: looks around
    run: |
      test ! -e /var/lib/herald && test ! -e /run/credentials && test ! -e /etc/herald
      test \"$(cat /proc/sys/kernel/hostname)\" = herald
      git --version
      ip route
      curl -s -o /dev/null -w 'answer %{http_code}\\n' http://127.0.0.1:8080/healthz || true
      echo done
";
    let (ended, log) = built(LOCAL, &forge, specification).await;
    assert!(ended.starts_with("Some(\"success\")"), "{ended}\n{log}");
    // It has a network of its own, in which Herald's loopback is not.
    assert!(log.contains("default via 10.0.2.2"), "{log}");
    assert!(log.contains("answer 000") && log.contains("done"), "{log}");

    // A job that runs is ended with the service, and nothing of it is left.
    forge.write(".herald.yml", "execute: [\"sleep 600\"]\n");
    let next = forge.commit("Take long");
    let payload = forge.pull_request("synchronize", &next, &next);
    let status = deliver_to(LOCAL, &forge, "pull_request", "11111111-bbbb", &payload).await;
    assert_eq!(status, 202);
    forge
        .until("a job that runs", |state| {
            let checks = state.checks_of(&next, "herald");
            checks.iter().any(|check| check.status == "in_progress")
        })
        .await;
    let began = Instant::now();
    in_machine("systemctl stop herald");
    assert!(began.elapsed() < Duration::from_secs(20));
    in_machine("test ! -e /sys/fs/cgroup/system.slice/herald.service");
    let result = in_machine("systemctl show --property Result --value herald");
    assert_eq!(result, "success\n");
    in_machine(&format!("{docker}\nsystemctl daemon-reload\n{verified}"));
}

/// The Docker of the tests, for commands that mean that of the machine.
fn docker_script(script: &str, folder: &Path, environment: &[(&str, String)]) -> String {
    let engine = needed("HERALD_TEST_DOCKER");
    let socket = engine.strip_prefix("unix://").unwrap();
    let script = script
        .replace(
            "stat -c %g /var/run/docker.sock",
            &format!("stat -c %g {socket}"),
        )
        .replace("/var/run/docker.sock:/", &format!("{socket}:/"))
        .replace("registry.example", &needed("HERALD_TEST_REGISTRY"))
        .replace("10.0.0.1", &needed("HERALD_TEST_ADDRESS"));
    let mut command = Command::new("sh");
    command
        .args(["-e", "-u", "-c", &script])
        .current_dir(folder)
        .env("DOCKER_HOST", &engine)
        .env("HERALD_DOCKER_SOCKET", socket);
    for (name, value) in environment {
        command.env(name, value);
    }
    said(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_serves_read_only_as_nobody_and_holds_no_package_manager() {
    let Some(_engines) = engines(Hold::Shared) else {
        return;
    };
    let _ports = ports();
    let dir = tempfile::tempdir().unwrap();
    if release(dir.path()).is_none() {
        return;
    }
    let [container, dockerfile] = commands("A container").try_into().unwrap();
    let shell = |script: &str| docker_script(script, dir.path(), &[]);
    shell(&container);
    answers(LOCAL, "/healthz", 200).await;
    let log = shell("docker logs herald 2>&1");
    assert!(log.contains(SETUP), "{log}");
    let user = shell(
        "docker exec herald sh -c 'read -r l < /proc/1/loginuid; while read -r a b c; do test $a != Uid: || echo $b; done < /proc/1/status'",
    );
    assert_eq!(user, "65534\n");
    assert!(shell("docker exec herald git --version").starts_with("git version 2."));
    shell("! docker exec herald sh -c 'echo x > /x' 2>/dev/null");
    let doctor = shell("docker exec herald herald doctor --data-dir /tmp/doctor || true");
    assert!(
        doctor.contains("executor: docker, the Engine answers"),
        "{doctor}"
    );

    contents(&shell("docker export herald | tar -tv --numeric-owner"));
    let began = Instant::now();
    shell("docker stop --time 30 herald");
    assert!(began.elapsed() < Duration::from_secs(20));
    let code = shell("docker inspect --format '{{.State.ExitCode}}' herald");
    assert_eq!(code, "0\n");
    let clean = "docker rm --force herald; docker volume rm herald";
    shell(clean);

    // With an App, whose secrets are files; a job is a container beside it.
    let forge = Forge::new(false).await;
    let key = forge.github.private_key().expose();
    std::fs::write(dir.path().join("app.pem"), key).unwrap();
    let secret = forge.github.webhook_secret().expose();
    std::fs::write(dir.path().join("webhook-secret.txt"), secret).unwrap();
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path(), everybody).unwrap();
    let version = format!("herald:{}", env!("CARGO_PKG_VERSION"));
    let settings = format!(
        "--volume {folder}:/run/secrets:ro --env HERALD_GITHUB_PRIVATE_KEY_FILE=/run/secrets/app.pem \
         --env HERALD_GITHUB_WEBHOOK_SECRET_FILE=/run/secrets/webhook-secret.txt --env HERALD_GITHUB_APP_ID={id} \
         --env HERALD_GITHUB_URL={url} --env HERALD_GITHUB_API_URL={url}/api/v3 {version}\n",
        folder = dir.path().display(),
        id = GitHub::APP_ID,
        url = forge.url,
    );
    shell(&container.replace(&format!("{version}\n"), &settings));
    answers(LOCAL, "/readyz", 200).await;
    let image = format!("{}/busybox:1", needed("HERALD_TEST_REGISTRY"));
    let (ended, log) = built(LOCAL, &forge, &in_image(&image)).await;
    assert!(ended.starts_with("Some(\"success\")"), "{ended}\n{log}");
    assert!(log.contains("built in yes"), "{log}");
    shell(clean);

    // The other way to it. There is no registry with Debian's image here, so it begins with the Debian of this one.
    unpacked(dir.path());
    let debian = needed("HERALD_TEST_DEBIAN");
    shell(&format!("docker import - herald-test/debian:1 < {debian}"));
    let build = "docker build --network host --build-arg DEBIAN=herald-test/debian:1";
    let dockerfile = dockerfile.replace("docker build", build);
    shell(&dockerfile.replace("herald:0.1.0", "herald-test/dockerfile:1"));
    // Modes, owners, sizes and names of all files; settings.
    let of = |image: &str| {
        let files = "tar -tv --numeric-owner | awk '{ print $1, $2, $3, $6, $7, $8 }' | sort";
        let fields = "{{.Config.User}} {{.Config.Env}} {{.Config.Entrypoint}} {{.Config.Cmd}} {{.Config.WorkingDir}} \
                      {{.Config.Volumes}} {{.Config.ExposedPorts}} {{.Config.StopSignal}}";
        let script = format!(
            "id=$(docker create {image}); docker export $id | {files}; docker rm $id >/dev/null
            docker inspect --format '{fields}' {image}"
        );
        shell(&script)
    };
    same_lines(&of(&version), &of("herald-test/dockerfile:1"));
}

/// A job in this image, which has a variable.
fn in_image(image: &str) -> String {
    format!(
        "image: {image}\nresources: {{cpus: 0.5, memory: 256MiB}}\nexecute:\n  - echo built in $FROM_IMAGE\n"
    )
}

/// Tells the lines that differ, and not all of them.
fn same_lines(left: &str, right: &str) {
    let only = |one: &str, other: &str| {
        let lines = one
            .lines()
            .filter(|line| !other.lines().any(|known| known == *line));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(only(left, right), only(right, left));
}

/// Looks at all that is in the image.
fn contents(files: &str) {
    let (mut seen, mut data) = (0, 0);
    for line in files.lines() {
        let mut words = line.split_whitespace();
        let mode = words.next().unwrap();
        let owner = words.next().unwrap();
        let path = words.nth(3).unwrap();
        assert!(!mode.contains(['s', 'S']), "setuid: {line}");
        let program = path.rsplit('/').next().unwrap();
        let others = [
            "apt",
            "apt-get",
            "dpkg",
            "dpkg-query",
            "perl",
            "bash",
            "su",
            "mount",
            "curl",
        ];
        assert!(!others.contains(&program), "{line}");
        let is_program = path.starts_with("usr/bin/") && mode.starts_with('-');
        let known = ["dash", "git", "herald", "herald-runner"];
        assert!(!is_program || known.contains(&program), "{line}");
        if path == "data/" {
            data += 1;
            assert_eq!(owner, "65534/65534");
        } else if mode.starts_with('-') {
            assert_eq!(owner, "0/0", "{line}");
        }
        seen += 1;
    }
    assert_eq!(data, 1);
    assert!((100..1000).contains(&seen), "{seen}");
}

/// What the stack leaves behind is removed, but for the runner, which other tests use.
struct Stack;

impl Drop for Stack {
    fn drop(&mut self) {
        let engine = needed("HERALD_TEST_DOCKER");
        let clean = "docker service logs herald_herald 2>&1 | tail -n 40 >&2
            docker service rm herald_herald; docker secret rm herald-private-key herald-webhook-secret
            for i in $(seq 100); do
              docker volume inspect herald_data && ! docker volume rm herald_data && sleep 0.3 || break
            done";
        let done = Command::new("sh")
            .args(["-c", clean])
            .env("DOCKER_HOST", engine)
            .output();
        if std::thread::panicking() {
            eprintln!("{}", String::from_utf8_lossy(&done.unwrap().stderr));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stack_starts_a_server_whose_jobs_run_on_the_other_node() {
    let Some(_engines) = engines(Hold::Shared) else {
        return;
    };
    let _ports = ports();
    let dir = tempfile::tempdir().unwrap();
    if release(dir.path()).is_none() {
        return;
    }
    let address = needed("HERALD_TEST_ADDRESS");
    let forge = Forge::at(&address, "octo", "project", false).await;
    let folder = unpacked(dir.path());
    let key = forge.github.private_key().expose();
    std::fs::write(folder.join("app.pem"), key).unwrap();
    let secret = forge.github.webhook_secret().expose();
    std::fs::write(folder.join("webhook-secret.txt"), secret).unwrap();
    let [images, stack, secrets] = commands("A Swarm").try_into().unwrap();
    let settings = [
        ("HERALD_GITHUB_URL", forge.url.clone()),
        ("HERALD_GITHUB_API_URL", format!("{}/api/v3", forge.url)),
        (
            "HERALD_SWARM_CONSTRAINTS",
            "node.labels.name==two".to_owned(),
        ),
    ];
    let shell = |script: &str| docker_script(script, dir.path(), &settings);
    let _removed = Stack;
    shell(&images);
    shell(&stack);
    let server = format!("{address}:8080");
    answers(&server, "/healthz", 200).await;
    answers(&server, "/readyz", 503).await;
    // The same again, with an App.
    let secrets = secrets.replace("12345", &GitHub::APP_ID.to_string());
    shell(&format!("{stack}\n{secrets}"));
    answers(&server, "/readyz", 200).await;
    let image = format!("{}/busybox:1", needed("HERALD_TEST_REGISTRY"));
    let (ended, log) = built(&server, &forge, &in_image(&image)).await;
    assert!(ended.starts_with("Some(\"success\")"), "{ended}\n{log}");
    assert!(log.contains("built in yes"), "{log}");
}

/// `herald-shuttle` as a process, with this in the place of the service's API. Killed when it is dropped.
struct Shuttle(std::process::Child);

impl Drop for Shuttle {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn herald_shuttle_serves_where_something_answers_for_its_service() {
    let Some(program) = switch("HERALD_TEST_SHUTTLE") else {
        return;
    };
    // All that the runtime asks for where a service needs no resources.
    let secrets = axum::Json(serde_json::json!({
        "type": "secrets", "state": "ready", "config": null, "output": {},
    }));
    let path = "/projects/{id}/resources/secrets";
    let router = axum::Router::new().route(path, axum::routing::get(async || secrets));
    let api = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", api.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(api, router).await });
    // The runtime wants to know the port before anybody has it.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let dir = tempfile::tempdir().unwrap();
    let child = Command::new(program)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .env("SHUTTLE_ENV", "local")
        .env("SHUTTLE_PROJECT_ID", "proj_herald")
        .env("SHUTTLE_PROJECT_NAME", "herald")
        .env("SHUTTLE_API", url)
        .env("SHUTTLE_RUNTIME_IP", address.ip().to_string())
        .env("SHUTTLE_RUNTIME_PORT", address.port().to_string())
        .env("HERALD_DATA_DIR", dir.path().join("data"))
        .env("HERALD_METRICS_LISTEN", "127.0.0.1:0")
        .env("HERALD_PROCESS_SANDBOX", "off")
        .spawn()
        .unwrap();
    let mut shuttle = Shuttle(child);
    let address = address.to_string();
    answers(&address, "/healthz", 200).await;
    answers(&address, "/readyz", 503).await;
    let (status, page) = get_from(&address, "/setup").await;
    assert_eq!(status, 200, "{page}");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(shuttle.0.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    // The runtime's own word for having been stopped.
    assert_eq!(shuttle.0.wait().unwrap().code(), Some(10));
}
