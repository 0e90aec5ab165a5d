//! The time, so that tests can move it by hand.

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Milliseconds since the unix epoch.
    fn now_ms(&self) -> i64;
}
