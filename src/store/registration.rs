//! The App that was registered: one row, its secrets sealed.

use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, Row};

use super::database::StoreError;
use super::rows::Result;
use super::seal::SealKey;
use crate::domain::{Home, RegisteredApp, Registration, Secret};
use crate::ports::PortError;

/// What the sealed value is bound to.
const PLACE: (&str, &str) = ("app", "credentials");

/// What is sealed, together.
#[derive(Serialize, Deserialize)]
struct Sealed {
    private_key: String,
    webhook_secret: String,
    client_secret: String,
}

pub(super) async fn keep(
    on: &mut AnyConnection,
    key: &SealKey,
    registered: &RegisteredApp,
    now_ms: i64,
) -> Result<bool> {
    let RegisteredApp { app, home } = registered;
    let sealed = serde_json::to_string(&Sealed {
        private_key: app.private_key.expose().to_owned(),
        webhook_secret: app.webhook_secret.expose().to_owned(),
        client_secret: app.client_secret.expose().to_owned(),
    })?;
    let id = i64::try_from(app.id)
        .map_err(|_| StoreError::Stored(format!("{} is no id of an App", app.id)))?;
    let done = sqlx::query(
        "INSERT INTO app (one, id, slug, name, owner, html_url, client_id, public_url, \
         github_url, api_url, sealed, registered_ms) \
         VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (one) DO NOTHING",
    )
    .bind(id)
    .bind(&app.slug)
    .bind(&app.name)
    .bind(&app.owner)
    .bind(&app.html_url)
    .bind(&app.client_id)
    .bind(&home.public_url)
    .bind(&home.github_url)
    .bind(&home.api_url)
    .bind(key.seal(PLACE.0, PLACE.1, &Secret::new(sealed))?)
    .bind(now_ms)
    .execute(on)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// The App, where there is one.
pub(super) async fn read(
    on: &mut AnyConnection,
    key: Option<&SealKey>,
) -> std::result::Result<Option<RegisteredApp>, PortError> {
    let row = sqlx::query("SELECT * FROM app WHERE one = 1")
        .fetch_optional(on)
        .await
        .map_err(StoreError::from)?;
    let Some(row) = row else {
        return Ok(None);
    };
    let text = |name: &str| row.try_get::<String, _>(name).map_err(StoreError::from);
    let sealed = text("sealed")?;
    let opened = key.and_then(|key| key.open(PLACE.0, PLACE.1, &sealed).ok());
    let opened = opened.and_then(|opened| serde_json::from_str::<Sealed>(opened.expose()).ok());
    let Some(opened) = opened else {
        // Trying again does not help.
        return Err(PortError::refused(format!(
            "open the stored credentials of the App {}: they were sealed with another key. Bring \
             back secret.key in the data directory from a backup, or the HERALD_SECRET_KEY of that \
             time; or make a new private key and webhook secret on the App's page ({}) and set \
             HERALD_GITHUB_APP_ID, HERALD_GITHUB_PRIVATE_KEY_FILE and \
             HERALD_GITHUB_WEBHOOK_SECRET_FILE",
            text("name")?,
            text("html_url")?,
        )));
    };
    let id: i64 = row.try_get("id").map_err(StoreError::from)?;
    Ok(Some(RegisteredApp {
        app: Registration {
            id: id.unsigned_abs(),
            slug: text("slug")?,
            name: text("name")?,
            owner: text("owner")?,
            html_url: text("html_url")?,
            private_key: Secret::new(opened.private_key),
            webhook_secret: Secret::new(opened.webhook_secret),
            client_id: text("client_id")?,
            client_secret: Secret::new(opened.client_secret),
        },
        home: Home {
            public_url: text("public_url")?,
            github_url: text("github_url")?,
            api_url: text("api_url")?,
        },
    }))
}
