//! `/api/v1`: what the pages show, as JSON, and what their buttons do.
//!
//! Each handler carries its own description; `/api/v1/openapi.json` is put together from them and from
//! the types that they answer with, so it cannot say anything else than what is served.
#![allow(
    unused_qualifications,
    reason = "what the macros make of handlers with queries"
)]

mod builds;
mod environments;
mod errands;
mod error;
mod history;
mod model;
mod quarantine;
mod reports;
mod repositories;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::router::Web;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Herald",
        description = "Builds, their jobs, tests and coverage as the pages show them. Public repositories need no \
                       token. Errors are `{\"error\", \"message\"}`. Times are RFC 3339 in UTC.",
    ),
    modifiers(&Bearer),
    security((), ("token" = []))
)]
struct Document;

/// Tokens are made by `herald admin token create`.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token that `herald admin token create` has made."))
            .build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(token));
    }
}

fn described() -> OpenApiRouter<Web> {
    let routes = OpenApiRouter::new()
        .routes(routes!(repositories::viewer))
        .routes(routes!(repositories::list))
        .routes(routes!(repositories::one))
        .routes(routes!(environments::list))
        .routes(routes!(builds::list))
        .routes(routes!(builds::one))
        .routes(routes!(builds::tests))
        .routes(routes!(builds::coverage))
        .routes(routes!(history::test))
        .routes(routes!(history::flaky))
        .routes(routes!(quarantine::list))
        .routes(routes!(quarantine::put, quarantine::delete))
        .routes(routes!(errands::rerun))
        .routes(routes!(errands::cancel))
        .routes(routes!(errands::approve))
        .routes(routes!(reports::create, reports::options))
        .routes(routes!(reports::show, reports::append));
    OpenApiRouter::with_openapi(Document::openapi()).nest("/api/v1", routes)
}

/// All of `/api/v1`.
pub(super) fn router() -> Router<Web> {
    let (router, document) = described().split_for_parts();
    // What cannot be written is not there; a test reads it.
    let document = document.to_json().unwrap_or_default();
    router
        .route(
            "/api/v1/openapi.json",
            get(|| async move { ([(CONTENT_TYPE, "application/json")], document).into_response() }),
        )
        .route("/api/{*path}", get(error::nothing).post(error::nothing))
}
