//! As whom requests are sent.

use super::limit::Urgency;
use crate::domain::{InstallationId, Repository};

/// As whom a request is sent, and how urgent it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct As {
    /// An installation; `None` for the App itself.
    pub(super) who: Option<InstallationId>,
    /// The number of the one repository that it is about; `None` where it is about all of them.
    pub(super) repository: Option<i64>,
    pub(super) urgency: Urgency,
}

impl As {
    /// The App itself.
    pub(super) const APP: Self = Self {
        who: None,
        repository: None,
        urgency: Urgency::First,
    };

    /// One of its installations, with all that it reaches.
    pub(super) fn installation(id: InstallationId) -> Self {
        Self {
            who: Some(id),
            ..Self::APP
        }
    }

    /// An installation in one of its repositories.
    pub(super) fn in_repository(repository: &Repository) -> Self {
        Self {
            repository: Some(repository.id.number()),
            ..Self::installation(repository.installation)
        }
    }

    /// The same, this urgent.
    pub(super) fn when(self, urgency: Urgency) -> Self {
        Self { urgency, ..self }
    }
}
