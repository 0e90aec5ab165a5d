//! Registering the App on GitHub: what is wished for, and what came of it.

use super::secret::Secret;

/// The longest name that GitHub gives an App ("Registering a GitHub App" in its documentation).
pub const NAME_MAX: usize = 34;

/// Where this server and its GitHub are. No address has a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The server's own public address.
    pub public_url: String,
    /// GitHub's pages.
    pub github_url: String,
    /// GitHub's REST API.
    pub api_url: String,
}

/// Whose the App is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// That of whoever is signed in on GitHub.
    Personal,
    /// An organisation, by its name.
    Organisation(String),
}

/// What somebody wishes to register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Where all is.
    pub home: Home,
    /// The origin by which the browser reaches this server: GitHub leads it back there.
    pub origin: String,
    /// Whose it is to be.
    pub account: Account,
    /// What it is to be called.
    pub name: String,
    /// Whether other accounts may install it.
    pub public: bool,
}

impl Proposal {
    /// Where the manifest goes (ways of GitHub's "Registering a GitHub App from a manifest").
    pub fn address(&self, state: &str) -> String {
        let github = &self.home.github_url;
        match &self.account {
            Account::Personal => format!("{github}/settings/apps/new?state={state}"),
            Account::Organisation(name) => {
                format!("{github}/organizations/{name}/settings/apps/new?state={state}")
            }
        }
    }
}

/// An App as GitHub has made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its id.
    pub id: u64,
    /// Its name in addresses.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub owner: String,
    /// Its page on GitHub.
    pub html_url: String,
    /// Its private key, PEM.
    pub private_key: Secret,
    /// The secret of its webhook.
    pub webhook_secret: Secret,
    /// By which people sign in.
    pub client_id: String,
    /// The secret that belongs to it.
    pub client_secret: Secret,
}

/// The App that `/setup` has registered, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredApp {
    /// The App.
    pub app: Registration,
    /// Where all was at that time.
    pub home: Home,
}

/// An address that begins with `http://` or `https://`, without a slash at its end; `None` where it
/// is none, or has credentials, a query or a fragment.
pub fn web_address(text: &str) -> Option<String> {
    let text = text.trim();
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))?;
    // Credentials in an address end up in logs.
    let plain =
        |char: char| !char.is_whitespace() && !char.is_control() && !"@?#\"'<>\\;,".contains(char);
    let good = !rest.is_empty() && !rest.starts_with('/') && rest.chars().all(plain);
    good.then(|| text.trim_end_matches('/').to_owned())
}

/// Scheme, host and port of an address.
pub fn origin_of(address: &str) -> &str {
    let after = address.find("://").map_or(0, |at| at + 3);
    let path = address
        .char_indices()
        .find(|(at, char)| *at >= after && *char == '/');
    path.map_or(address, |(at, _)| address.get(..at).unwrap_or(address))
}

/// Where the REST API of the GitHub at this address is.
pub fn api_of(github_url: &str) -> String {
    match github_url.strip_prefix("https://") {
        Some("github.com") => "https://api.github.com".to_owned(),
        // GitHub Enterprise Cloud with data residency has its API beside it.
        Some(host) if host.ends_with(".ghe.com") && !host.contains('/') => {
            format!("https://api.{host}")
        }
        _ => format!("{github_url}/api/v3"),
    }
}

/// Whether GitHub in the internet cannot reach this address: the machine itself, or a network of its
/// own.
pub fn is_local(address: &str) -> bool {
    let authority = origin_of(address).rsplit('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let host = host.to_ascii_lowercase();
    match host.parse::<core::net::IpAddr>() {
        Ok(core::net::IpAddr::V4(ip)) => {
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified()
        }
        Ok(core::net::IpAddr::V6(ip)) => {
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
        }
        Err(_) => {
            host == "localhost"
                || [".localhost", ".local", ".internal"]
                    .iter()
                    .any(|end| host.ends_with(end))
                || !host.contains('.')
        }
    }
}

/// A finding about a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How it is.
    pub health: Health,
    /// What was found.
    pub what: String,
    /// What to do about it; empty where there is nothing to do.
    pub way_out: String,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// As it should be.
    Good,
    /// To think about.
    Odd,
    /// To be mended.
    Bad,
}

#[cfg(test)]
mod tests {
    use super::{Account, Home, Proposal, api_of, is_local, origin_of, web_address};

    #[test]
    fn an_address_has_a_scheme_and_nothing_secret() {
        assert_eq!(
            web_address(" https://a.example/b/ ").as_deref(),
            Some("https://a.example/b")
        );
        for bad in [
            "",
            "a.example",
            "ftp://a",
            "https://",
            "https:///x",
            "https://u:p@a",
            "https://a?b",
            "https://a/\"x",
            "https://a b",
            "javascript://a;b",
        ] {
            assert_eq!(web_address(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_api_of_each_kind_of_github_is_known() {
        for (github, api) in [
            ("https://github.com", "https://api.github.com"),
            ("https://octo.ghe.com", "https://api.octo.ghe.com"),
            ("https://git.example", "https://git.example/api/v3"),
            ("http://127.0.0.1:9", "http://127.0.0.1:9/api/v3"),
        ] {
            assert_eq!(api_of(github), api);
        }
    }

    #[test]
    fn addresses_that_only_this_network_knows_are_told_apart() {
        for local in [
            "http://localhost:8080",
            "http://127.0.0.1",
            "http://[::1]:80/x",
            "http://10.1.2.3:80",
            "http://192.168.1.1",
            "http://box",
            "http://box.local",
        ] {
            assert!(is_local(local), "{local}");
        }
        for reached in [
            "https://herald.example",
            "http://203.0.113.7:8080/herald",
            "https://[2001:db8::1]",
        ] {
            assert!(!is_local(reached), "{reached}");
        }
        assert_eq!(origin_of("https://a.example:1/b/c"), "https://a.example:1");
        assert_eq!(origin_of("https://a.example"), "https://a.example");
    }

    #[test]
    fn the_manifest_of_an_organisation_goes_to_its_own_page() {
        let mut proposal = Proposal {
            home: Home {
                public_url: "https://h".to_owned(),
                github_url: "https://git.example".to_owned(),
                api_url: "https://git.example/api/v3".to_owned(),
            },
            origin: "https://h".to_owned(),
            account: Account::Personal,
            name: "Herald".to_owned(),
            public: false,
        };
        assert_eq!(
            proposal.address("s"),
            "https://git.example/settings/apps/new?state=s"
        );
        proposal.account = Account::Organisation("octo".to_owned());
        assert_eq!(
            proposal.address("s"),
            "https://git.example/organizations/octo/settings/apps/new?state=s"
        );
    }
}
