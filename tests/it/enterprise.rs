//! GitHub Enterprise Server, whose certificate an authority of its own has signed, with a proxy before it or without: the
//! real program against the simulated GitHub. No name is looked up and nothing leaves the machine; where
//! `tests/run --all` makes network namespaces, the program could not, either.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::containers::eventually;
use crate::documents::{blocks, page};
use crate::serve::{Forge, Herald, switch};

/// A name that nothing but our proxy knows.
const HOST: &str = "git.enterprise.test";
/// What the log and the doctor say of an authority that is not known.
const UNKNOWN: &str = "signed by an authority that this machine does not know; name the authority's certificate in HERALD_CA_FILE";

/// An authority of somebody's own, and its certificate in a file.
struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(folder: &Path) -> Self {
        let mut about = rcgen::CertificateParams::new([]).unwrap();
        about.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        about.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        about.not_after = rcgen::date_time_ymd(2100, 1, 1);
        let name = &mut about.distinguished_name;
        name.push(rcgen::DnType::CommonName, "Authority of a company");
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = about.self_signed(&key).unwrap();
        let file = folder.join("authority.pem");
        std::fs::write(&file, certificate.pem()).unwrap();
        let issuer = rcgen::Issuer::new(about, key);
        Self { issuer, file }
    }

    /// What a server at these names or addresses shows.
    fn acceptor(&self, hosts: &[&str]) -> TlsAcceptor {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut about = rcgen::CertificateParams::new(hosts).unwrap();
        about.not_after = rcgen::date_time_ymd(2100, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = about.signed_by(&key, &self.issuer).unwrap();
        let chain = vec![CertificateDer::from(certificate)];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key);
        TlsAcceptor::from(Arc::new(config.unwrap()))
    }
}

/// Takes TLS off for what is at `to`, a host and port; the port where it listens.
async fn terminate(address: &str, port: u16, acceptor: TlsAcceptor, to: String) -> u16 {
    let listener = TcpListener::bind((address, port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, to) = (acceptor.clone(), to.clone());
            tokio::spawn(async move {
                // Who does not trust the certificate goes away.
                let Ok(mut inside) = acceptor.accept(stream).await else {
                    return;
                };
                let mut plain = TcpStream::connect(to).await.unwrap();
                let _ = copy_bidirectional(&mut inside, &mut plain).await;
            });
        }
    });
    port
}

/// An HTTP proxy that lets those who know its password connect to the Enterprise Server, and to nothing else.
struct Gateway {
    address: String,
    /// The beginning of every request, with its answer.
    seen: Arc<Mutex<Vec<(String, u16)>>>,
}

impl Gateway {
    const LOGIN: &str = "herald:h%40sh";

    /// One that listens on an address, and what stands at [`HOST`].
    async fn new(address: &str, to: String) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen: Arc<Mutex<Vec<(String, u16)>>> = Arc::default();
        let kept = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Self::serve(stream, to.clone(), Arc::clone(&kept)));
            }
        });
        Self { address, seen }
    }

    async fn serve(mut stream: TcpStream, to: String, seen: Arc<Mutex<Vec<(String, u16)>>>) {
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else {
                    return;
                };
                head.push(byte);
            }
            let head = String::from_utf8(head).unwrap();
            let begins = head.lines().next().unwrap().to_owned();
            let login = format!("basic {}", STANDARD.encode("herald:h@sh")).to_lowercase();
            let known = head.to_lowercase().contains(&login);
            let is_there = begins == format!("CONNECT {HOST}:443 HTTP/1.1");
            let (status, more) = match (known, is_there) {
                (false, _) => (
                    407,
                    "Proxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n",
                ),
                (true, false) => (403, "Content-Length: 0\r\n"),
                (true, true) => (200, ""),
            };
            seen.lock().unwrap().push((begins, status));
            let answer = format!("HTTP/1.1 {status} x\r\n{more}\r\n");
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
            if status == 200 {
                let mut server = TcpStream::connect(to).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut server).await;
                return;
            }
        }
    }

    /// What was asked of it, each once.
    fn asked(&self) -> BTreeSet<(String, u16)> {
        self.seen.lock().unwrap().iter().cloned().collect()
    }
}

/// The simulated GitHub as an Enterprise Server, and a pull request on it.
struct Enterprise {
    forge: Forge,
    authority: Authority,
    head: String,
    main: String,
}

impl Enterprise {
    async fn new() -> Self {
        let forge = Forge::new(true).await;
        let authority = Authority::new(forge.dir.path());
        forge.write("README.md", "# Project\n");
        let main = forge.commit("Begin");
        forge.branch("change");
        forge.write(".herald.yml", "execute: [\"echo built\"]\n");
        let head = forge.commit("Build it");
        Self {
            forge,
            authority,
            head,
            main,
        }
    }

    /// Host and port without TLS.
    fn plain(&self) -> String {
        self.forge.url.strip_prefix("http://").unwrap().to_owned()
    }

    /// `herald serve` for it at this address, and `herald doctor` with the same settings.
    fn settings(&self, url: &str, more: &[(&str, &str)]) -> [Command; 2] {
        ["serve", "doctor"].map(|verb| {
            let settings = Herald::command(&self.forge);
            let mut command = Command::new(settings.get_program());
            command.arg(verb).env_clear();
            for (name, value) in settings.get_envs() {
                command.env(name, value.unwrap());
            }
            command
                .env("HERALD_GITHUB_URL", url)
                .env("HERALD_GITHUB_API_URL", format!("{url}/api/v3"))
                .stdin(std::process::Stdio::null())
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::piped());
            for (name, value) in more {
                command.env(name, value);
            }
            command
        })
    }

    async fn deliver(&self, herald: &Herald) {
        let payload = self.forge.pull_request("opened", &self.head, &self.main);
        let status = herald.deliver(&self.forge, "pull_request", &payload).await;
        assert_eq!(status, 202);
    }

    /// Waits until the pull request is built and everything that it needs has been said.
    async fn is_built(&self) {
        let check = self.forge.completed(&self.head, "herald").await;
        assert_eq!(check.conclusion.as_deref(), Some("success"), "{check:#?}");
    }
}

/// What `herald doctor` says.
async fn told(mut doctor: Command) -> String {
    doctor.stdout(std::process::Stdio::piped());
    let output = tokio::task::spawn_blocking(move || doctor.output().unwrap());
    String::from_utf8(output.await.unwrap().stdout).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn work_waits_until_the_authority_of_an_enterprise_server_is_named() {
    let enterprise = Enterprise::new().await;
    let acceptor = enterprise.authority.acceptor(&["localhost"]);
    let port = terminate("127.0.0.1", 0, acceptor, enterprise.plain()).await;
    let url = format!("https://localhost:{port}");

    let [serve, doctor] = enterprise.settings(&url, &[]);
    let mut herald = Herald::spawn(serve);
    enterprise.deliver(&herald).await;
    eventually("what the log says", || {
        herald.log.lock().unwrap().contains(UNKNOWN)
    })
    .await;
    herald.kill();
    let text_of_doctor = told(doctor).await;
    assert!(text_of_doctor.contains(UNKNOWN), "{text_of_doctor}");
    assert!(enterprise.forge.github.state().checks.is_empty());

    // A path as people write it, and a proxy that does not answer, which is not for this host.
    let folder = enterprise.forge.dir.path();
    let more = [
        ("HERALD_CA_FILE", "authority.pem"),
        ("HTTPS_PROXY", "http://127.0.0.1:1"),
        ("NO_PROXY", "example.com,localhost"),
    ];
    let [mut serve, mut doctor] = enterprise.settings(&url, &more);
    serve.current_dir(folder);
    doctor.current_dir(folder);
    let _herald = Herald::spawn(serve);
    enterprise.is_built().await;
    let text = told(doctor).await;
    assert!(
        text.contains("HERALD_CA_FILE: 1 certificate trusted"),
        "{text}"
    );
    assert!(
        text.contains("NO_PROXY spares it the proxy http://127.0.0.1:1"),
        "{text}"
    );
    assert!(text.contains("GitHub knows the App as"), "{text}");
}

/// A proxy is the only way to a server that no other name leads to.
async fn is_built_through_the_proxy(enterprise: &Enterprise, gateway: &Gateway, place: &Place) {
    let proxy = format!("http://{}@{}", Gateway::LOGIN, gateway.address);
    let more = [
        ("HERALD_CA_FILE", text(&enterprise.authority.file)),
        ("https_proxy", proxy.as_str()),
        ("NO_PROXY", "example.com"),
        ("HERALD_LISTEN", place.listen()),
    ];
    let [serve, doctor] = enterprise.settings(&format!("https://{HOST}"), &more);
    let herald = Herald::spawn(place.within(serve));
    enterprise.deliver(&herald).await;
    enterprise.is_built().await;
    let said = told(place.within(doctor)).await;
    let through = format!(
        "https://{HOST}/api/v3 is reached through the proxy http://{}\n",
        gateway.address
    );
    assert!(said.contains(&through), "{said}");
    assert!(said.contains("GitHub knows the App as"), "{said}");
    // Git asks without the password first, to hear which way of giving it the proxy wants.
    let connect = format!("CONNECT {HOST}:443 HTTP/1.1");
    let asked = Vec::from_iter(gateway.asked());
    assert_eq!(asked, [(connect.clone(), 200), (connect, 407)]);
    let log = herald.log.lock().unwrap().clone();
    assert!(!log.contains("h@sh") && !log.contains("h%40sh"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_through_the_proxy_with_its_password() {
    let enterprise = Enterprise::new().await;
    let acceptor = enterprise.authority.acceptor(&[HOST]);
    let port = terminate("127.0.0.1", 0, acceptor, enterprise.plain()).await;
    let gateway = Gateway::new("127.0.0.1", format!("127.0.0.1:{port}")).await;
    is_built_through_the_proxy(&enterprise, &gateway, &Place::Here).await;

    // What is wrong with a proxy is said in words.
    let file = text(&enterprise.authority.file);
    let wrong = format!("http://herald:other@{}", gateway.address);
    let right = format!("http://{}@{}", Gateway::LOGIN, gateway.address);
    for (url, proxy, words) in [
        (HOST, wrong, "does not know the name and password"),
        ("other.test", right, "does not connect to other.test"),
    ] {
        let more = [("HERALD_CA_FILE", file), ("HTTPS_PROXY", proxy.as_str())];
        let [_, doctor] = enterprise.settings(&format!("https://{url}"), &more);
        let said = told(doctor).await;
        assert!(said.contains(words), "{said}");
        assert!(
            !said.contains("other@") && !said.contains("h%40sh"),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_file_of_authorities_or_proxy_ends_the_start() {
    let enterprise = Enterprise::new().await;
    let file = enterprise.forge.dir.path().join("empty.pem");
    std::fs::write(&file, "").unwrap();
    let proxy = "ftp://herald:hush@proxy.test:21";
    let more = [("HERALD_CA_FILE", text(&file)), ("HTTPS_PROXY", proxy)];
    for mut command in enterprise.settings("https://localhost:1", &more) {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("HERALD_CA_FILE: ") && said.contains(text(&file)),
            "{said}"
        );
        assert!(said.contains("HTTPS_PROXY is not an address"), "{said}");
        assert!(!said.contains("hush"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_leads_to_a_server_with_an_authority_of_its_own_and_through_a_proxy() {
    let enterprise = Enterprise::new().await;
    let acceptor = enterprise.authority.acceptor(&["localhost", HOST]);
    let port = terminate("127.0.0.1", 0, acceptor, enterprise.plain()).await;
    let gateway = Gateway::new("127.0.0.1", format!("127.0.0.1:{port}")).await;
    let here = format!("localhost:{port}");
    let text_of_page = page("enterprise.md");
    let commands = blocks(&text_of_page)
        .into_iter()
        .filter(|block| block.kind == "sh");
    let [server, authority, proxy] = commands
        .map(|block| block.text)
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    let script = |commands: &[&str], host: &str| {
        let [_, doctor] = enterprise.settings("https://unset.test", &[]);
        let script = commands
            .concat()
            .replace("git.example", host)
            .replace(
                "/etc/herald/authority.pem",
                text(&enterprise.authority.file),
            )
            .replace("herald:PASSWORD", Gateway::LOGIN)
            .replace("proxy.example:3128", &gateway.address);
        let herald = Path::new(doctor.get_program()).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", &script]).env_clear();
        for (name, value) in doctor.get_envs() {
            command.env(name, value.unwrap());
        }
        command
            .env_remove("HERALD_GITHUB_URL")
            .env_remove("HERALD_GITHUB_API_URL")
            .env("PATH", format!("{}:{path}", herald.display()));
        command
    };
    let said = told(script(&[&server], &here)).await;
    assert!(said.contains(UNKNOWN), "{said}");
    let said = told(script(&[&server, &authority], &here)).await;
    assert!(
        said.matches("GitHub knows the App as").count() == 1,
        "{said}"
    );
    let said = told(script(&[&server, &authority, &proxy], HOST)).await;
    assert!(
        said.matches("GitHub knows the App as").count() == 1,
        "{said}"
    );
    assert!(
        said.contains(&format!("through the proxy http://{}", gateway.address)),
        "{said}"
    );
}

/// Where programs run.
enum Place {
    /// As all tests do.
    Here,
    /// In a network of its own, from which only this machine can be reached, by a cable.
    Island(Island),
}

impl Place {
    /// Where a server listens that this test reaches.
    fn listen(&self) -> &'static str {
        match self {
            Self::Here => "127.0.0.1:0",
            Self::Island(_) => "10.213.78.2:0",
        }
    }

    fn within(&self, command: Command) -> Command {
        match self {
            Self::Here => command,
            Self::Island(island) => island.within(&command),
        }
    }
}

/// A network namespace with a cable to this machine and no way on from there, held by a process.
struct Island {
    holder: Child,
    /// No two at a time: their addresses are the same.
    _alone: std::fs::File,
}

impl Island {
    /// The two ends of the cable: this machine, and whoever is on the island.
    const HERE: &str = "10.213.78.1";
    const THERE: &str = "10.213.78.2";
    const CABLE: &str = "heraldisle0";

    /// One whose names would be looked up here. `None` where there is none to be made.
    async fn new(folder: &Path) -> Option<Self> {
        switch("HERALD_TEST_NETNS")?;
        let lock = std::env::temp_dir().join("herald-tests-island.lock");
        let lock = std::fs::File::create(lock).unwrap();
        lock.lock().unwrap();
        let names = folder.join("resolv.conf");
        std::fs::write(
            &names,
            format!("nameserver {}\noptions timeout:1 attempts:1\n", Self::HERE),
        )
        .unwrap();
        let script = format!(
            "mount --bind {} \"$(realpath /etc/resolv.conf)\" && echo ready > {} && exec sleep 1d",
            names.display(),
            folder.join("ready").display()
        );
        let holder = Command::new("unshare")
            .args(["--net", "--mount", "sh", "-c", &script])
            .spawn()
            .unwrap();
        let island = Self {
            holder,
            _alone: lock,
        };
        eventually("a namespace", || folder.join("ready").is_file()).await;
        let pid = island.holder.id().to_string();
        // What a test before this one left, if it was killed.
        let _ = Command::new("ip")
            .args(["link", "del", Self::CABLE])
            .output();
        let (here, there) = (format!("{}/24", Self::HERE), format!("{}/24", Self::THERE));
        let cable = Self::CABLE;
        let commands = [
            vec![
                "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", &pid,
            ],
            vec!["addr", "add", &here, "dev", cable],
            vec!["link", "set", cable, "up"],
        ];
        for arguments in commands {
            run(Command::new("ip").args(arguments));
        }
        for arguments in [
            vec!["link", "set", "lo", "up"],
            vec!["addr", "add", &there, "dev", "eth0"],
            vec!["link", "set", "eth0", "up"],
        ] {
            let mut command = Command::new("ip");
            command.args(arguments);
            run(&mut island.within(&command));
        }
        Some(island)
    }

    /// The same command there.
    fn within(&self, command: &Command) -> Command {
        let mut there = Command::new("nsenter");
        there
            .args([
                "--net",
                "--mount",
                "--target",
                &self.holder.id().to_string(),
                "--",
            ])
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                there.env(name, value);
            }
        }
        there
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        let _ = Command::new("ip")
            .args(["link", "del", Self::CABLE])
            .output();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// Whoever asks this machine for a name: how many bytes each asked with.
async fn questions() -> Arc<Mutex<Vec<Vec<u8>>>> {
    let socket = tokio::net::UdpSocket::bind((Island::HERE, 53))
        .await
        .unwrap();
    let seen: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let kept = Arc::clone(&seen);
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, _)) = socket.recv_from(&mut buffer).await {
            kept.lock().unwrap().push(buffer[..length].to_vec());
        }
    });
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_way_out_pull_requests_of_an_enterprise_server_are_built() {
    let enterprise = Enterprise::new().await;
    let Some(island) = Island::new(enterprise.forge.dir.path()).await else {
        return;
    };
    let names = questions().await;
    // Whoever looks a name up there is heard here, and nothing else can be reached.
    let mut probe = Command::new("getent");
    probe.args(["hosts", "herald-test-probe.example"]);
    assert!(!island.within(&probe).output().unwrap().status.success());
    assert!(!std::mem::take(&mut *names.lock().unwrap()).is_empty());
    let mut probe = Command::new("sh");
    probe.args(["-c", "ip route | grep -v '^10.213.78.0/24 '"]);
    assert!(!island.within(&probe).output().unwrap().status.success());

    let acceptor = enterprise.authority.acceptor(&[Island::HERE]);
    terminate(Island::HERE, 443, acceptor, enterprise.plain()).await;
    let place = Place::Island(island);
    let more = [
        ("HERALD_CA_FILE", text(&enterprise.authority.file)),
        ("HERALD_LISTEN", place.listen()),
    ];
    let [serve, doctor] = enterprise.settings(&format!("https://{}", Island::HERE), &more);
    let herald = Herald::spawn(place.within(serve));
    enterprise.deliver(&herald).await;
    enterprise.is_built().await;
    let said = told(place.within(doctor)).await;
    assert!(said.contains("GitHub knows the App as"), "{said}");
    assert_eq!(*names.lock().unwrap(), Vec::<Vec<u8>>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_a_way_out_where_there_is_no_other() {
    let enterprise = Enterprise::new().await;
    let Some(island) = Island::new(enterprise.forge.dir.path()).await else {
        return;
    };
    let names = questions().await;
    let acceptor = enterprise.authority.acceptor(&[HOST]);
    // On the loopback of this machine, which is none of the island's.
    let port = terminate("127.0.0.1", 0, acceptor, enterprise.plain()).await;
    let gateway = Gateway::new(Island::HERE, format!("127.0.0.1:{port}")).await;
    is_built_through_the_proxy(&enterprise, &gateway, &Place::Island(island)).await;
    assert_eq!(*names.lock().unwrap(), Vec::<Vec<u8>>::new());
}
