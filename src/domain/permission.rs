//! What a person may do in a repository.

/// What a person may do in a repository, in GitHub's coarse words ("Get repository permissions for a
/// user" in its REST documentation), from nothing to everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// It does not exist for them.
    None,
    /// They may look; the role `triage` too.
    Read,
    /// They may push; the role `maintain` too.
    Write,
    /// They may change its settings.
    Admin,
}

impl Permission {
    /// Reads GitHub's word; one that is not known gives nothing.
    pub fn parse(word: &str) -> Self {
        match word {
            "admin" => Self::Admin,
            "maintain" | "write" => Self::Write,
            "triage" | "read" => Self::Read,
            _ => Self::None,
        }
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}
