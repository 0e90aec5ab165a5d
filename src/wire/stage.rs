//! A listener's routes, which others can take the place of while it serves.

use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::Request;
use tower::ServiceExt;

/// The routes of now. A request that has begun ends with those that it began with.
#[derive(Clone)]
pub(super) struct Stage(Arc<RwLock<Router>>);

impl Stage {
    pub(super) fn new(first: Router) -> Self {
        Self(Arc::new(RwLock::new(first)))
    }

    /// From now on requests go there.
    pub(super) fn set(&self, next: Router) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = next;
    }

    fn now(&self) -> Router {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What a listener serves.
    pub(super) fn router(&self) -> Router {
        let stage = self.clone();
        Router::new().fallback(move |request: Request| stage.now().oneshot(request))
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::extract::Request;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::Stage;

    #[tokio::test]
    async fn the_next_request_goes_to_the_new_routes() {
        let stage = Stage::new(Router::new().route("/", get(|| async { "first" })));
        let served = stage.router();
        let ask = async |path: &str| {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let answer = served.clone().oneshot(request).await.unwrap();
            let status = answer.status().as_u16();
            let body = to_bytes(answer.into_body(), 100).await.unwrap();
            (status, String::from_utf8(body.to_vec()).unwrap())
        };
        assert_eq!(ask("/").await, (200, "first".to_owned()));
        assert_eq!(ask("/a/b").await.0, 404);
        stage.set(Router::new().route("/a/{*rest}", get(|| async { "second" })));
        assert_eq!(ask("/a/b").await, (200, "second".to_owned()));
        assert_eq!(ask("/").await.0, 404);
    }
}
