//! Who Herald is to GitHub: by variables, and under them by what `/setup` stored.

use super::read::{Problems, Reader};
use super::settings::Config;
use crate::domain::{RegisteredApp, Secret};

/// Who we are to GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The App's id.
    pub app_id: u64,
    /// Its private key, PEM.
    pub private_key: Secret,
    /// The webhook secret, and the one before it while it is changed.
    pub webhook_secrets: Vec<Secret>,
    /// For the sign-in of people; `None` where only the App itself is known.
    pub client: Option<OAuthClient>,
}

/// Who we are to GitHub when people sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthClient {
    /// The App's client id.
    pub id: String,
    /// Its client secret.
    pub secret: Secret,
}

impl Config {
    /// Whether a flag or variable says this.
    pub fn is_given(&self, name: &str) -> bool {
        self.given.is_given(name)
    }

    /// The same settings over what `/setup` stored, if it did. Where the variables name another App,
    /// nothing of the stored one is used.
    ///
    /// # Errors
    /// What of the credentials is missing in both.
    pub fn over(&self, stored: Option<&RegisteredApp>) -> Result<Self, Problems> {
        let mut reader = self.given.clone();
        if let Some(stored) = stored {
            put_beneath(&mut reader, stored);
        }
        let all = Self::read(reader)?;
        if !all.missing.is_empty() {
            return Err(Problems(all.missing));
        }
        Ok(Self {
            public_url: all.public_url,
            github_url: all.github_url,
            github_api_url: all.github_api_url,
            credentials: all.credentials,
            missing: Vec::new(),
            ..self.clone()
        })
    }
}

fn put_beneath(reader: &mut Reader, stored: &RegisteredApp) {
    let RegisteredApp { app, home } = stored;
    reader.beneath("HERALD_PUBLIC_URL", &home.public_url);
    // The API belongs to its GitHub.
    if !reader.is_given("HERALD_GITHUB_URL") {
        reader.beneath("HERALD_GITHUB_API_URL", &home.api_url);
    }
    reader.beneath("HERALD_GITHUB_URL", &home.github_url);
    let id = app.id.to_string();
    let other = reader.text("HERALD_GITHUB_APP_ID");
    if other.is_some_and(|other| other.trim() != id) {
        return;
    }
    reader.beneath("HERALD_GITHUB_APP_ID", &id);
    for (name, secret) in [
        ("HERALD_GITHUB_PRIVATE_KEY", &app.private_key),
        ("HERALD_GITHUB_WEBHOOK_SECRET", &app.webhook_secret),
    ] {
        reader.beneath(name, secret.expose());
    }
    // Both of the same client, or both as they are given.
    let client = reader.text("HERALD_GITHUB_CLIENT_ID");
    if client.is_none_or(|client| client.trim() == app.client_id) {
        reader.beneath("HERALD_GITHUB_CLIENT_ID", &app.client_id);
        reader.beneath("HERALD_GITHUB_CLIENT_SECRET", app.client_secret.expose());
    }
}

/// Client id and secret, or neither.
fn oauth_client(reader: &mut Reader) -> Option<OAuthClient> {
    let id = reader
        .text("HERALD_GITHUB_CLIENT_ID")
        .map(|id| id.trim().to_owned());
    let problems = reader.problems.len();
    let secret = reader.secret("HERALD_GITHUB_CLIENT_SECRET");
    let missing = match (&id, &secret) {
        (Some(_), None) if reader.problems.len() == problems => "HERALD_GITHUB_CLIENT_SECRET",
        (None, Some(_)) => "HERALD_GITHUB_CLIENT_ID",
        _ => {
            return Some(OAuthClient {
                id: id?,
                secret: secret?,
            });
        }
    };
    reader.missing.push(format!(
        "{missing} is missing; people sign in by the App's client id and client secret together"
    ));
    None
}

/// All of the App's credentials, or none of them; what lacks is `missing`, for it may be stored.
pub(super) fn credentials(reader: &mut Reader) -> Option<Credentials> {
    let app_id = reader.parsed("HERALD_GITHUB_APP_ID", "a whole number", |text| {
        text.parse::<u64>().ok()
    });
    let private_key = reader
        .secret("HERALD_GITHUB_PRIVATE_KEY")
        .map(|key| Secret::new(key.expose().replace("\\n", "\n")));
    let secret = reader.secret("HERALD_GITHUB_WEBHOOK_SECRET");
    let previous = reader.secret("HERALD_GITHUB_WEBHOOK_SECRET_PREVIOUS");
    let client = oauth_client(reader);
    if let Some(key) = &private_key
        && !key.expose().contains("-----BEGIN")
    {
        reader.problems.push(
            "HERALD_GITHUB_PRIVATE_KEY is no PEM text (-----BEGIN …); paste the whole file that \
             GitHub gave, or name it in HERALD_GITHUB_PRIVATE_KEY_FILE"
                .to_owned(),
        );
    }
    match (app_id, private_key, secret) {
        (Some(app_id), Some(private_key), Some(secret)) => Some(Credentials {
            app_id,
            private_key,
            webhook_secrets: std::iter::once(secret).chain(previous).collect(),
            client,
        }),
        (None, None, None) => None,
        (app_id, private_key, secret) => {
            for (missing, name) in [
                (app_id.is_none(), "HERALD_GITHUB_APP_ID"),
                (private_key.is_none(), "HERALD_GITHUB_PRIVATE_KEY"),
                (secret.is_none(), "HERALD_GITHUB_WEBHOOK_SECRET"),
            ] {
                if missing && !reader.is_given(name) {
                    reader.missing.push(format!(
                        "{name} is missing; the App needs its id, private key and webhook secret \
                         together"
                    ));
                }
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, Reader, RegisteredApp};
    use crate::domain::{Home, Registration, Secret};

    const KEY: &str = "-----BEGIN RSA PRIVATE KEY-----";

    fn stored() -> RegisteredApp {
        RegisteredApp {
            app: Registration {
                id: 12,
                slug: "herald".to_owned(),
                name: "Herald".to_owned(),
                owner: "octo".to_owned(),
                html_url: "https://git.example/apps/herald".to_owned(),
                private_key: Secret::new(KEY),
                webhook_secret: Secret::new("stored"),
                client_id: "Iv1.stored".to_owned(),
                client_secret: Secret::new("client"),
            },
            home: Home {
                public_url: "https://herald.example".to_owned(),
                github_url: "https://git.example".to_owned(),
                api_url: "https://api.git.example".to_owned(),
            },
        }
    }

    fn over(variables: &[(&str, &str)], stored: Option<&RegisteredApp>) -> Result<Config, String> {
        let environment = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Config::read(Reader::new(environment, [])).map_err(|all| all.to_string())?;
        config.over(stored).map_err(|all| all.to_string())
    }

    #[test]
    fn what_is_stored_counts_where_no_variable_says_otherwise() {
        let config = over(&[], Some(&stored())).unwrap();
        assert_eq!(config.public_url, "https://herald.example");
        assert_eq!(config.github_api_url, "https://api.git.example");
        let known = config.credentials.unwrap();
        assert_eq!((known.app_id, known.private_key.expose()), (12, KEY));
        assert_eq!(known.client.unwrap().id, "Iv1.stored");
        let variables = [
            ("HERALD_PUBLIC_URL", "https://other.example"),
            ("HERALD_GITHUB_URL", "https://moved.example"),
            ("HERALD_GITHUB_WEBHOOK_SECRET", "new"),
            ("HERALD_GITHUB_WEBHOOK_SECRET_PREVIOUS", "old"),
        ];
        let config = over(&variables, Some(&stored())).unwrap();
        assert_eq!(config.public_url, "https://other.example");
        assert_eq!(config.github_api_url, "https://moved.example/api/v3");
        let known = config.credentials.unwrap();
        let secrets = known.webhook_secrets.iter().map(Secret::expose);
        assert_eq!(secrets.collect::<Vec<_>>(), ["new", "old"]);
        assert_eq!(known.app_id, 12);
    }

    #[test]
    fn of_an_app_that_variables_do_not_name_nothing_is_used() {
        let other = [
            ("HERALD_GITHUB_APP_ID", "13"),
            ("HERALD_GITHUB_PRIVATE_KEY", KEY),
            ("HERALD_GITHUB_WEBHOOK_SECRET", "given"),
        ];
        let known = over(&other, Some(&stored())).unwrap().credentials.unwrap();
        assert_eq!((known.app_id, known.client), (13, None));
        let problems = over(&other[..2], Some(&stored())).unwrap_err();
        assert!(problems.contains("WEBHOOK_SECRET is missing"), "{problems}");
        let same = [("HERALD_GITHUB_APP_ID", "12")];
        let known = over(&same, Some(&stored())).unwrap().credentials.unwrap();
        assert_eq!(known.webhook_secrets.len(), 1);
        assert!(
            over(&same, None)
                .unwrap_err()
                .contains("PRIVATE_KEY is missing")
        );
    }
}
