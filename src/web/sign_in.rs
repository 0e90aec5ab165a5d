//! Signing in and out.

use axum::extract::{Form, Query, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cookie::Cookie;
use super::error::Error;
use super::router::Web;
use super::session::{SESSION, SESSION_SECONDS, Session, SignIn, Who};
use crate::ports::Kind;
use crate::ports::people::SignInRequest;
use crate::store;

/// How long somebody may take on GitHub's page, in seconds.
const MINUTES_10: i64 = 600;

/// Ties the answer of GitHub to the browser that was sent there.
const ERRAND: Cookie = Cookie {
    name: "herald_login",
    path: "/login",
    seconds: MINUTES_10,
};

/// What is kept while somebody is on GitHub's page.
#[derive(Serialize, Deserialize)]
struct OnTheWay {
    state: String,
    /// RFC 7636, 4.1.
    verifier: String,
    /// Where they were going.
    next: String,
    ends_ms: i64,
}

#[derive(Deserialize)]
pub(super) struct Wishes {
    next: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Returned {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
}

/// A form that carries nothing but the mark of its session.
#[derive(Deserialize)]
pub(super) struct Marked {
    #[serde(default)]
    pub(super) csrf: String,
}

fn available(web: &Web) -> Result<&SignIn, Error> {
    web.sign_in.as_ref().ok_or_else(|| {
        Error::SignIn(
            "Nobody can sign in here yet: this server has no HERALD_GITHUB_CLIENT_ID and \
             HERALD_GITHUB_CLIENT_SECRET. Its operator finds them on the App's page on GitHub."
                .to_owned(),
        )
    })
}

/// Cookies go over https only, where the server is reached by it.
fn is_secure(web: &Web) -> bool {
    web.app.settings.links.public_url.starts_with("https://")
}

fn redirect_url(web: &Web) -> String {
    format!("{}/login/callback", web.app.settings.links.public_url)
}

/// An address on this server, and nothing that a browser could take for another.
fn local(next: Option<String>) -> String {
    next.filter(|next| {
        let plain = next.bytes().all(|byte| byte.is_ascii_graphic());
        next.starts_with('/') && plain && !next.starts_with("//") && !next.contains('\\')
    })
    .unwrap_or_else(|| "/".to_owned())
}

/// A text that nobody can guess.
pub(super) fn chance() -> Result<String, Error> {
    store::chance().map_err(|error| Error::Internal(format!("draw random bytes: {error}")))
}

fn with_cookie(response: impl IntoResponse, cookie: Option<HeaderValue>) -> Response {
    let mut response = response.into_response();
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// `/login`: to GitHub, and back to `next`.
pub(super) async fn login(
    State(web): State<Web>,
    Query(wishes): Query<Wishes>,
) -> Result<Response, Error> {
    let sign_in = available(&web)?;
    let way = OnTheWay {
        state: chance()?,
        verifier: chance()?,
        next: local(wishes.next),
        ends_ms: web.app.now_ms() + MINUTES_10 * 1000,
    };
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(way.verifier.as_bytes()));
    let address = sign_in.people.sign_in_address(&SignInRequest {
        redirect_url: &redirect_url(&web),
        state: &way.state,
        challenge: &challenge,
    });
    let text = serde_json::to_string(&way).map_err(|error| Error::Internal(error.to_string()))?;
    let cookie = ERRAND.keep(&sign_in.key, &text, is_secure(&web));
    Ok(with_cookie(Redirect::to(&address), cookie))
}

/// `/login/callback`: GitHub has sent somebody back.
pub(super) async fn callback(
    State(web): State<Web>,
    Query(returned): Query<Returned>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let sign_in = available(&web)?;
    let again = |why: &str| Error::SignIn(format!("{why} Go to /login and try again."));
    let way = ERRAND
        .read(&sign_in.key, &headers)
        .and_then(|text| serde_json::from_str::<OnTheWay>(&text).ok())
        .filter(|way| web.app.now_ms() < way.ends_ms)
        .ok_or_else(|| {
            again("Signing in was not begun in this browser in the last ten minutes.")
        })?;
    let state = returned.state.unwrap_or_default();
    if !store::is_same(&state, &way.state) {
        return Err(again("This answer belongs to another sign-in."));
    }
    let Some(code) = returned.code.filter(|_| returned.error.is_none()) else {
        return Err(again("GitHub did not let you sign in."));
    };
    let taken = sign_in
        .people
        .sign_in(&code, &way.verifier, &redirect_url(&web))
        .await;
    let signed_in = taken.map_err(|error| match error.kind {
        Kind::Denied | Kind::Refused | Kind::Gone => {
            tracing::warn!("failed to {error}");
            again("GitHub did not take its own answer any more.")
        }
        _ => error.into(),
    })?;
    let seconds = signed_in.seconds.unwrap_or(SESSION_SECONDS);
    let session = Session {
        person: signed_in.person.0,
        login: signed_in.login,
        token: signed_in.token.expose().to_owned(),
        ends_ms: web.app.now_ms() + seconds.clamp(0, SESSION_SECONDS) * 1000,
        csrf: chance()?,
    };
    let text =
        serde_json::to_string(&session).map_err(|error| Error::Internal(error.to_string()))?;
    let secure = is_secure(&web);
    let cookie = SESSION.keep(&sign_in.key, &text, secure);
    let response = with_cookie(Redirect::to(&way.next), cookie);
    Ok(with_cookie(response, ERRAND.forget(secure)))
}

/// `POST /logout`.
pub(super) async fn logout(
    State(web): State<Web>,
    who: Who,
    Form(form): Form<Marked>,
) -> Result<Response, Error> {
    marked(&who, &form.csrf)?;
    Ok(with_cookie(
        Redirect::to("/"),
        SESSION.forget(is_secure(&web)),
    ))
}

/// Whether a form comes from a page of this session.
pub(super) fn marked(who: &Who, csrf: &str) -> Result<(), Error> {
    let session = who.session.as_ref();
    if session.is_some_and(|session| store::is_same(&session.csrf, csrf)) {
        return Ok(());
    }
    Err(Error::Forbidden(
        "This form is from another session, or yours has ended. Go back, load the page anew and \
         try again."
            .to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn nobody_is_led_to_another_server() {
        let to = |next: &str| local(Some(next.to_owned()));
        assert_eq!(to("/repos/octo/project?x=1#y"), "/repos/octo/project?x=1#y");
        for elsewhere in [
            "https://example.com/",
            "//example.com",
            "/\\example.com",
            "/\t/example.com",
            "javascript:alert(1)",
            "",
        ] {
            assert_eq!(to(elsewhere), "/", "{elsewhere}");
        }
        assert_eq!(local(None), "/");
    }
}
