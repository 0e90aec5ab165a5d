//! GitHub's limits, kept by the simulated one where it is asked to: windows of a fixed minute and a
//! fixed hour, as "Rate limits for the REST API" describes them.

use axum::http::HeaderMap;
use axum::http::header::{HeaderValue, RETRY_AFTER};

/// Limits and what was used of them.
#[derive(Debug, Clone)]
pub struct RateLimits {
    /// Requests an hour.
    pub primary: u32,
    /// Points a minute: one for a read, five for a write.
    pub points: u32,
    /// Things made a minute.
    pub created_minute: u32,
    /// Things made an hour.
    pub created_hour: u32,
    /// How many requests were refused.
    pub refused: u32,
    /// Requests in this hour.
    requests: Used,
    points_used: Used,
    made_in_minute: Used,
    made_in_hour: Used,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            primary: 5_000,
            points: 900,
            created_minute: 80,
            created_hour: 500,
            refused: 0,
            requests: Used::new(HOUR_MS),
            points_used: Used::new(MINUTE_MS),
            made_in_minute: Used::new(MINUTE_MS),
            made_in_hour: Used::new(HOUR_MS),
        }
    }
}

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;

/// What was used since the window began.
#[derive(Debug, Clone)]
struct Used {
    span_ms: i64,
    since_ms: i64,
    count: u32,
    most: u32,
}

impl Used {
    fn new(span_ms: i64) -> Self {
        Self {
            span_ms,
            since_ms: 0,
            count: 0,
            most: 0,
        }
    }

    fn add(&mut self, now_ms: i64, cost: u32) -> u32 {
        if now_ms >= self.since_ms + self.span_ms {
            self.since_ms = now_ms - now_ms % self.span_ms;
            self.count = 0;
        }
        self.count += cost;
        self.most = self.most.max(self.count);
        self.count
    }

    fn ends_ms(&self) -> i64 {
        self.since_ms + self.span_ms
    }
}

/// A refusal: with the seconds to wait, or because the primary limit is used up.
pub(super) enum Refused {
    Secondary(i64),
    Primary,
}

impl RateLimits {
    /// Counts a request of an installation; `free` is one that was answered 304.
    pub(super) fn count(&mut self, now_ms: i64, method: &str, path: &str) -> Option<Refused> {
        let reads = matches!(method, "GET" | "HEAD");
        let points = self.points_used.add(now_ms, if reads { 1 } else { 5 });
        let (mut minute, mut hour) = (0, 0);
        if method == "POST" && path.contains("/repos/") {
            minute = self.made_in_minute.add(now_ms, 1);
            hour = self.made_in_hour.add(now_ms, 1);
        }
        let wait = |used: &Used| (used.ends_ms() - now_ms).div_euclid(1000) + 1;
        let refused = if self.requests.add(now_ms, 1) > self.primary {
            Some(Refused::Primary)
        } else if points > self.points || minute > self.created_minute {
            Some(Refused::Secondary(wait(&self.points_used)))
        } else if hour > self.created_hour {
            Some(Refused::Secondary(wait(&self.made_in_hour)))
        } else {
            None
        };
        self.refused += u32::from(refused.is_some());
        refused
    }

    /// An answer 304 costs nothing of the primary limit.
    pub(super) fn give_back(&mut self) {
        self.requests.count = self.requests.count.saturating_sub(1);
    }

    /// The primary limit, and what is left of it.
    pub(super) fn left(&self, now_ms: i64) -> (u32, u32) {
        let used = if now_ms < self.requests.ends_ms() {
            self.requests.count
        } else {
            0
        };
        (self.primary, self.primary.saturating_sub(used))
    }

    /// The most that was used: requests an hour, points a minute, things made a minute and an hour.
    pub fn most(&self) -> [u32; 4] {
        [
            self.requests.most,
            self.points_used.most,
            self.made_in_minute.most,
            self.made_in_hour.most,
        ]
    }

    /// What GitHub writes on every answer.
    pub(super) fn describe(&self, now_ms: i64, skew_ms: i64, headers: &mut HeaderMap) {
        let (limit, left) = self.left(now_ms);
        let reset = (self.requests.ends_ms() + skew_ms).div_euclid(1000) + 1;
        headers.insert("x-ratelimit-limit", HeaderValue::from(limit));
        headers.insert("x-ratelimit-remaining", HeaderValue::from(left));
        headers.insert("x-ratelimit-reset", HeaderValue::from(reset));
        headers.insert("x-ratelimit-resource", HeaderValue::from_static("core"));
    }
}

/// Says how long to wait.
pub(super) fn retry_after(headers: &mut HeaderMap, seconds: i64) {
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
}
