//! The way out of this machine: straight or through a proxy, and which authorities may vouch for who is there.
//!
//! It knows no variables; errors of what it is given are for the operator, errors on the way are those of a request.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use http::uri::Scheme;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::{TokioExecutor, TokioIo};
use octocrab::{AuthState, Octocrab, OctocrabBuilder};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower::{BoxError, Service as _, service_fn};

use crate::domain::Secret;
use crate::ports::PortError;
use crate::ports::error::Result;

/// How long it may take until somebody is there, with all that a proxy and TLS need, and how long nothing may be heard.
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(30);

/// How requests leave this machine. Copies share what they have found out.
#[derive(Debug, Clone, Default)]
pub struct Outbound(Arc<Way>);

#[derive(Debug, Default)]
struct Way {
    proxy: Option<Proxy>,
    authorities: Option<Authorities>,
    /// Made with the first connection that needs it: most tests need none, and reading what a machine
    /// trusts takes a moment.
    tls: OnceLock<Arc<ClientConfig>>,
}

impl Outbound {
    /// Through this proxy where there is one, trusting these authorities beside those of the machine.
    pub fn new(proxy: Option<Proxy>, authorities: Option<Authorities>) -> Self {
        Self(Arc::new(Way {
            proxy,
            authorities,
            tls: OnceLock::new(),
        }))
    }

    /// The proxy for all that it is not too good for.
    pub fn proxy(&self) -> Option<&Proxy> {
        self.0.proxy.as_ref()
    }

    /// The authorities that were named.
    pub fn authorities(&self) -> Option<&Authorities> {
        self.0.authorities.as_ref()
    }

    /// What carries requests to whole addresses, each once, without credentials of its own. Needs a
    /// runtime.
    ///
    /// # Errors
    /// `Refused` when no client can be made.
    pub(super) fn client(&self) -> Result<Octocrab> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        let outbound = self.clone();
        let connector = service_fn(move |to: Uri| outbound.clone().connect(http.clone(), to));
        let connector = Octocrab::builder()
            .set_connect_timeout(Some(CONNECT))
            .set_read_timeout(Some(SILENCE))
            .set_write_timeout(Some(SILENCE))
            .set_connect_timeout_service(connector);
        let client = legacy::Client::builder(TokioExecutor::new()).build(connector);
        OctocrabBuilder::new_empty()
            .with_service(client)
            .with_auth(AuthState::None)
            .build()
            .map_err(|error| PortError::refused(format!("make an HTTP client: {error}")))
    }
}

impl Way {
    /// Whom to trust.
    fn tls(&self) -> Arc<ClientConfig> {
        Arc::clone(self.tls.get_or_init(|| {
            let mut roots = RootCertStore::empty();
            for certificate in machine_authorities() {
                // One that cannot be read vouches for nobody.
                let _ = roots.add(certificate);
            }
            if roots.is_empty() {
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            }
            if let Some(more) = &self.authorities {
                roots.extend(more.roots.roots.iter().cloned());
            }
            let config = ClientConfig::builder().with_root_certificates(roots);
            Arc::new(config.with_no_client_auth())
        }))
    }
}

/// Whom this machine trusts, as `SSL_CERT_FILE`, `SSL_CERT_DIR` or the usual places of its system say. Git
/// trusts the same.
fn machine_authorities() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}

/// TCP, or TLS with the proxy.
type Line = MaybeHttpsStream<TokioIo<TcpStream>>;

impl Outbound {
    /// A connection with the host of an address, with TLS for `https`. Only that goes through the proxy.
    async fn connect(
        self,
        mut http: HttpConnector,
        to: Uri,
    ) -> std::result::Result<MaybeHttpsStream<Line>, BoxError> {
        if to.scheme() != Some(&Scheme::HTTPS) {
            let stream = http.call(to).await?;
            return Ok(MaybeHttpsStream::Http(MaybeHttpsStream::Http(stream)));
        }
        let tls = self.0.tls();
        let line = service_fn(move |to: Uri| self.clone().line(http.clone(), to));
        HttpsConnector::from((line, tls)).call(to).await
    }

    /// The bytes between here and a host.
    async fn line(self, mut http: HttpConnector, to: Uri) -> std::result::Result<Line, BoxError> {
        let Some((proxy, rule)) = self
            .proxy()
            .and_then(|proxy| Some((proxy, proxy.rule(&to)?)))
        else {
            return Ok(MaybeHttpsStream::Http(http.call(to).await?));
        };
        let there = HttpsConnector::from((http, self.0.tls()));
        let mut tunnel = Tunnel::new(rule.uri().clone(), there);
        if let Some(login) = rule.basic_auth() {
            tunnel = tunnel.with_auth(login.clone());
        }
        let host = to.host().unwrap_or_default().to_owned();
        tunnel.call(to).await.map_err(|error| {
            let said = error.to_string();
            let what = if said.contains("authorization required") {
                "does not know the name and password, which HTTPS_PROXY gives as http://NAME:PASSWORD@HOST:PORT".to_owned()
            } else if said.contains("unsuccessful") {
                format!("does not connect to {host}")
            } else {
                "does not answer as a proxy does".to_owned()
            };
            BoxError::from(ProxyFault {
                text: format!("the proxy {} {what}", proxy.shown),
                source: error.into(),
            })
        })
    }
}

/// What is wrong on the way to or at the proxy.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct ProxyFault {
    text: String,
    source: BoxError,
}

/// A proxy that is asked by `CONNECT`, and for whom it is not.
#[derive(Clone)]
pub struct Proxy {
    address: Secret,
    /// The address without name and password.
    shown: String,
    except: String,
    rules: Arc<Matcher>,
}

impl Proxy {
    /// A proxy at `http://` or `https://[NAME:PASSWORD@]HOST:PORT`, asked for everything but the hosts of
    /// `except`: names (with all below them), addresses and networks, or `*`, between commas or white space, as
    /// curl reads `NO_PROXY`. `None` where the address is another one.
    pub fn parse(address: &str, except: &str) -> Option<Self> {
        let whole = match address.split_once("://") {
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => address.to_owned(),
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => address.to_owned(),
            Some(_) => return None,
            // As curl takes it.
            None => format!("http://{address}"),
        };
        let uri: Uri = whole.parse().ok()?;
        // Where none is named, programs differ in what they take.
        uri.port_u16()?;
        // Not as the library splits them: for curl, and so for git, `*` is for addresses too.
        let except: Vec<&str> = except
            .split(|char: char| char == ',' || char.is_whitespace())
            .map(|part| part.trim_end_matches('.').trim_matches(['[', ']']))
            .filter(|part| !part.is_empty())
            .collect();
        let rules = Matcher::builder().https(whole.as_str());
        let rules = rules.no(except.join(",")).build();
        let proxy = rules.intercept(&Uri::from_static("https://a.invalid/"));
        let shown = match proxy {
            Some(proxy) => shown(proxy.uri()),
            // Nothing goes through it.
            None => {
                let all = Matcher::builder().https(whole.as_str()).build();
                shown(
                    all.intercept(&Uri::from_static("https://a.invalid/"))?
                        .uri(),
                )
            }
        };
        Some(Self {
            address: Secret::new(whole),
            shown,
            except: except.join(","),
            rules: Arc::new(rules),
        })
    }

    /// The whole address, with name and password.
    pub fn address(&self) -> &Secret {
        &self.address
    }

    /// For whom it is not, between commas.
    pub fn except(&self) -> &str {
        &self.except
    }

    /// Whether what is at this address is reached through it.
    pub fn is_for(&self, url: &str) -> bool {
        url.parse().is_ok_and(|to| self.rule(&to).is_some())
    }

    fn rule(&self, to: &Uri) -> Option<Intercept> {
        if self.except.split(',').any(|part| part == "*") {
            return None;
        }
        self.rules.intercept(to)
    }
}

/// An address without what is secret in it.
fn shown(uri: &Uri) -> String {
    uri.to_string().trim_end_matches('/').to_owned()
}

impl std::fmt::Display for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Proxy").field(&self.shown).finish()
    }
}

/// Authorities beside those that the machine trusts.
#[derive(Clone)]
pub struct Authorities {
    roots: RootCertStore,
    certificates: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// Reads a file of certificates in PEM.
    ///
    /// # Errors
    /// In words, when it cannot be read, or there is anything but good certificates in it, or none.
    pub fn read(file: &Path) -> std::result::Result<Self, String> {
        let all = CertificateDer::pem_file_iter(file).map_err(|error| match error {
            rustls::pki_types::pem::Error::Io(error) => format!("cannot read it: {error}"),
            other => format!("it is no PEM: {other}"),
        })?;
        let (mut roots, mut certificates) = (RootCertStore::empty(), Vec::new());
        for (index, certificate) in all.enumerate() {
            let number = index + 1;
            let certificate = certificate
                .map_err(|error| format!("certificate {number} in it is no PEM: {error}"))?;
            roots
                .add(certificate.clone())
                .map_err(|error| format!("certificate {number} in it is none: {error}"))?;
            certificates.push(certificate);
        }
        if certificates.is_empty() {
            return Err(
                "there is no certificate in it; each begins with -----BEGIN CERTIFICATE-----"
                    .to_owned(),
            );
        }
        Ok(Self {
            roots,
            certificates,
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.certificates.len()
    }

    /// These and those that the machine trusts, in PEM, for programs that take one file instead of what they
    /// have. Takes a moment.
    pub fn with_those_of_the_machine(&self) -> String {
        let machine = machine_authorities();
        let mut text = String::new();
        for certificate in self.certificates.iter().chain(&machine) {
            text.push_str("-----BEGIN CERTIFICATE-----\n");
            let lines = STANDARD.encode(certificate);
            for line in lines.as_bytes().chunks(64) {
                text.push_str(&String::from_utf8_lossy(line));
                text.push('\n');
            }
            text.push_str("-----END CERTIFICATE-----\n");
        }
        text
    }
}

impl std::fmt::Debug for Authorities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Authorities").field(&self.count()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Proxy;

    #[test]
    fn a_proxy_is_for_https_and_not_for_whom_no_proxy_names() {
        let proxy = |except: &str| Proxy::parse("http://proxy.test:3128", except).unwrap();
        assert!(proxy("").is_for("https://github.com/a"));
        assert!(!proxy("").is_for("http://github.com/a"));
        for (except, to) in [
            ("git.test", "https://git.test/x"),
            ("git.test", "https://api.git.test"),
            (".git.test", "https://api.git.test"),
            ("a.test, git.test.", "https://git.test"),
            ("a.test git.test", "https://GIT.test:8443"),
            ("10.0.0.0/8", "https://10.1.2.3"),
            ("10.1.2.3", "https://10.1.2.3"),
            ("[::1]", "https://[::1]:1"),
            ("*", "https://git.test"),
            ("*", "https://10.1.2.3"),
            ("a.test,*", "https://[::1]"),
        ] {
            assert!(!proxy(except).is_for(to), "{except} {to}");
        }
        for (except, to) in [
            ("git.test", "https://notgit.test"),
            ("git.test", "https://git.test.example"),
            ("10.0.0.0/8", "https://11.1.2.3"),
            ("*.git.test", "https://git.test"),
        ] {
            assert!(proxy(except).is_for(to), "{except} {to}");
        }
    }

    #[test]
    fn what_is_shown_of_a_proxy_has_no_secret_in_it() {
        for (except, address) in [
            ("", "http://herald:hush%40@proxy.test:3128/"),
            ("*", "herald:hush%40@proxy.test:3128"),
        ] {
            let proxy = Proxy::parse(address, except).unwrap();
            assert_eq!(proxy.to_string(), "http://proxy.test:3128");
            assert!(!format!("{proxy:?}").contains("hush"));
            assert!(
                proxy
                    .address()
                    .expose()
                    .starts_with("http://herald:hush%40@")
            );
        }
    }

    #[test]
    fn what_is_no_such_proxy_is_none() {
        for address in [
            "http://proxy.test",
            "socks5://proxy.test:1080",
            "proxy.test",
            "http://:3128x",
            "",
        ] {
            assert!(Proxy::parse(address, "").is_none(), "{address}");
        }
    }
}
