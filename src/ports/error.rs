//! The kinds of error that an adapter reports, classed by what the caller does next.

/// What the caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The thing does not exist (any more): stop asking for it.
    Gone,
    /// We may not: tell people, do not repeat.
    Denied,
    /// Not before this moment (unix milliseconds): wait, then repeat.
    Throttled {
        /// The first moment at which a repetition is allowed, in unix milliseconds.
        until_ms: i64,
    },
    /// A passing fault: repeat with back-off. Whether it took effect is unknown.
    Transient,
    /// The request itself is wrong: repeating it unchanged is useless.
    Refused,
}

/// An error of an adapter: its kind, and words that read after "failed to …".
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct PortError {
    /// What the caller can do about it.
    pub kind: Kind,
    /// A lower-case fragment that names the place and, where there is one, the way out.
    pub message: String,
}

impl PortError {
    /// An error of the given kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// The thing does not exist (any more).
    pub fn gone(message: impl Into<String>) -> Self {
        Self::new(Kind::Gone, message)
    }

    /// We may not.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(Kind::Denied, message)
    }

    /// A passing fault.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(Kind::Transient, message)
    }

    /// The request itself is wrong.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message)
    }
}

/// The result of a call to an adapter.
pub type Result<T, E = PortError> = std::result::Result<T, E>;
