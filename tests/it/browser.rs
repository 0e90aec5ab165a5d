//! Somebody with a browser: keeps cookies, follows redirects between Herald and GitHub.

use std::collections::BTreeMap;

use axum::body::Body;
use http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, Request, StatusCode};
use tower::ServiceExt;

use crate::world::World;

/// A browser.
#[derive(Debug, Default, Clone)]
pub(crate) struct Browser {
    pub(crate) cookies: BTreeMap<String, String>,
}

/// What it got.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Got {
    /// Where it leads, when it leads somewhere.
    pub(crate) fn location(&self) -> String {
        let location = self.headers.get(LOCATION).unwrap();
        location.to_str().unwrap().to_owned()
    }

    /// The mark that forms of this page carry.
    pub(crate) fn csrf(&self) -> String {
        let (_, rest) = self.text.split_once("name=\"csrf\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    }
}

impl Browser {
    /// Somebody who has signed in as this person.
    pub(crate) async fn signed_in(w: &World, person: i64) -> Self {
        let mut browser = Self::default();
        let got = browser.sign_in(w, person, "/").await;
        assert_eq!(got.location(), "/");
        browser
    }

    /// Goes to `/login`, to GitHub, and back; says what Herald answered.
    pub(crate) async fn sign_in(&mut self, w: &World, person: i64, next: &str) -> Got {
        w.state().signed_in = Some(person);
        let got = self.get(w, &format!("/login?next={next}")).await;
        let back = Self::at_github(w, &got.location()).await;
        self.get(w, &back).await
    }

    /// What GitHub does with somebody who comes with this address: the path it sends them back to.
    pub(crate) async fn at_github(w: &World, address: &str) -> String {
        let path = path_of(address);
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = w.github.router().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 303, "{address}");
        path_of(answer.headers()[LOCATION].to_str().unwrap()).to_owned()
    }

    pub(crate) async fn get(&mut self, w: &World, path: &str) -> Got {
        let request = Request::get(path).body(Body::empty()).unwrap();
        self.send(w, request).await
    }

    /// Sends a form.
    pub(crate) async fn post(&mut self, w: &World, path: &str, fields: &[(&str, &str)]) -> Got {
        let body: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = Request::post(path)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(body.join("&")))
            .unwrap();
        self.send(w, request).await
    }

    async fn send(&mut self, w: &World, mut request: Request<Body>) -> Got {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            let value = cookies.join("; ").parse().unwrap();
            request.headers_mut().insert(COOKIE, value);
        }
        let (status, headers, text) = w.request(request).await;
        for set in headers.get_all(SET_COOKIE) {
            let set = set.to_str().unwrap();
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            if set.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Got {
            status,
            headers,
            text,
        }
    }
}

/// The path and query of an address.
fn path_of(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.find('/').map_or("/", |at| &rest[at..])
}
