//! Every route, in one list.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use super::session::SignIn;
use super::{
    api, artifacts, badge_page, badges, deployments, errands, follow, health, insight, job_page,
    lines, logs, pages, quarantine, search, setup, setup_next, sign_in, standing, test_pages,
    webhook,
};
use crate::app::{App, Setup};

/// Checks a delivery's signature: the raw body and the header's value.
pub type Verify = Arc<dyn Fn(&[u8], &str) -> bool + Send + Sync>;

/// What the handlers work with.
#[derive(Clone)]
pub struct Web {
    /// The use cases.
    pub app: Arc<App>,
    /// Checks signatures; `None` while there are no credentials.
    pub verify: Option<Verify>,
    /// Signing in; `None` where the App has no client credentials.
    pub sign_in: Option<SignIn>,
    /// Whether new work is taken.
    pub ready: Arc<AtomicBool>,
    /// The setup of a server that was started without credentials.
    pub setup: Option<Arc<Setup>>,
}

impl std::fmt::Debug for Web {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Web").finish_non_exhaustive()
    }
}

/// The public listener.
pub fn router(web: Web) -> Router {
    // Nothing is done for each of these requests beside what they need: every view of a README asks for badges.
    let badges = Router::new()
        .route(
            "/badges/static/{label}/{message}/{color}",
            get(badges::fixed),
        )
        .route("/badges/{owner}/{repo}/{file}", get(badges::of_repository))
        .with_state(badges::Badges::new(Arc::clone(&web.app)));
    Router::new()
        .route("/", get(pages::overview))
        .route("/assets/herald.css", get(pages::stylesheet))
        .route("/assets/build.js", get(pages::build_script))
        .route("/assets/log.js", get(pages::log_script))
        .route("/setup", get(setup::show).post(setup::propose))
        .route("/setup/review", get(setup::review))
        .route("/setup/done", get(setup::done))
        .route("/setup/retry", post(setup::retry))
        .route("/setup/next", get(setup_next::show))
        .route("/login", get(sign_in::login))
        .route("/login/callback", get(sign_in::callback))
        .route("/logout", post(sign_in::logout))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/webhooks/github", post(webhook::receive))
        .route("/repos/{owner}/{repo}", get(pages::repository))
        .route("/repos/{owner}/{repo}/badges", get(badge_page::show))
        .route(
            "/repos/{owner}/{repo}/badges/token",
            post(badge_page::make_token),
        )
        .route("/repos/{owner}/{repo}/builds/{number}", get(pages::build))
        .route("/repos/{owner}/{repo}/tests", get(test_pages::all))
        .route("/repos/{owner}/{repo}/tests/{id}", get(test_pages::one))
        .route(
            "/repos/{owner}/{repo}/tests/{id}/quarantine",
            post(quarantine::press),
        )
        .route(
            "/repos/{owner}/{repo}/coverage",
            get(insight::latest_coverage),
        )
        .route("/repos/{owner}/{repo}/deployments", get(deployments::show))
        .route(
            "/repos/{owner}/{repo}/builds/{number}/tests",
            get(insight::tests),
        )
        .route(
            "/repos/{owner}/{repo}/builds/{number}/coverage",
            get(insight::coverage),
        )
        .route(
            "/repos/{owner}/{repo}/builds/{number}/rerun",
            post(errands::rerun),
        )
        .route(
            "/repos/{owner}/{repo}/builds/{number}/cancel",
            post(errands::cancel),
        )
        .route(
            "/repos/{owner}/{repo}/builds/{number}/approve",
            post(errands::approve),
        )
        .merge(of_jobs())
        .merge(api::router())
        .fallback(pages::not_found)
        .layer(middleware::from_fn_with_state(web.clone(), lead_to_setup))
        .layer(middleware::from_fn(guard))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&web.app.parts.meters),
            health::measure,
        ))
        .with_state(web)
        .merge(badges)
}

/// The pages of jobs, and what they ask for.
fn of_jobs() -> Router<Web> {
    Router::new()
        .route(
            "/repos/{owner}/{repo}/builds/{number}/jobs/{job}",
            get(job_page::show),
        )
        .route(
            "/repos/{owner}/{repo}/builds/{number}/jobs/{job}/log.txt",
            get(logs::raw),
        )
        .route(
            "/repos/{owner}/{repo}/builds/{number}/jobs/{job}/log/events",
            get(follow::events),
        )
        .route(
            "/repos/{owner}/{repo}/builds/{number}/jobs/{job}/log/steps",
            get(standing::events),
        )
        .route(
            "/repos/{owner}/{repo}/builds/{number}/jobs/{job}/log/lines",
            get(lines::show),
        )
        .route(
            "/repos/{owner}/{repo}/builds/{number}/jobs/{job}/log/search",
            get(search::text),
        )
        .route(
            "/repos/{owner}/{repo}/builds/{number}/jobs/{job}/log/errors",
            get(search::errors),
        )
        .route(
            "/repos/{owner}/{repo}/builds/{number}/jobs/{job}/artifacts/{*path}",
            get(artifacts::download),
        )
}

/// The listener for operators.
pub fn metrics_router(web: Web) -> Router {
    Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .with_state(web)
}

/// Without credentials every page leads to `/setup`.
async fn lead_to_setup(State(web): State<Web>, request: Request, next: Next) -> Response {
    const OPEN: [&str; 5] = ["/setup", "/healthz", "/readyz", "/webhooks/", "/assets/"];
    let path = request.uri().path();
    if web.verify.is_some() || OPEN.iter().any(|open| path.starts_with(open)) {
        return next.run(request).await;
    }
    Redirect::to("/setup").into_response()
}

/// Headers that keep a page from doing anything that we did not write: no script but our own files, no other
/// origin, no frame. A handler's own policy stays.
async fn guard(request: Request, next: Next) -> Response {
    const POLICY: HeaderValue = HeaderValue::from_static(
        "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; \
         img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    );
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut put = |name: HeaderName, value: HeaderValue| {
        headers.entry(name).or_insert(value);
    };
    put(CONTENT_SECURITY_POLICY, POLICY);
    put(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    put(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}
