//! What the simulated GitHub has beside its API: a few plain pages for a browser to click through, and the issuer of tokens.

use axum::Router;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use super::state::GitHub;
use super::{look, oidc, register, sign_in};
use crate::text::xml::escape;

/// All of them.
pub(super) fn all() -> Router<GitHub> {
    sign_in::pages()
        .merge(register::page_routes())
        .merge(look::pages())
        .merge(oidc::routes())
}

/// A page with a title and content that is escaped already.
pub(super) fn page(status: StatusCode, title: &str, content: &str) -> Response {
    let title = escape(title);
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{title} · simulated GitHub</title>\
         <style>body{{max-width:40rem;margin:2rem auto;padding:0 1rem;font:16px/1.5 system-ui}}\
         input[type=text],textarea{{width:100%;box-sizing:border-box;font:inherit}}\
         textarea{{height:20rem;font-family:monospace}}</style></head>\
         <body><main><p>Simulated GitHub</p><h1>{title}</h1>{content}</main></body></html>"
    );
    (status, Html(html)).into_response()
}

/// A page that says what is wrong.
pub(super) fn wrong(text: &str) -> Response {
    let content = format!("<p role=\"alert\">{}</p>", escape(text));
    page(
        StatusCode::UNPROCESSABLE_ENTITY,
        "That did not work",
        &content,
    )
}

/// A field that is not shown.
pub(super) fn hidden(name: &str, value: &str) -> String {
    format!(
        "<input type=\"hidden\" name=\"{name}\" value=\"{}\">",
        escape(value)
    )
}
