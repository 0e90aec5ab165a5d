//! What the App is installed on.

use super::{Account, NO_INSTALLATION, Payload, ignored, missing};
use crate::domain::{Event, Installation, InstallationId, PersonId, RepositoryId};
use crate::ports::error::Result;

pub(super) fn changed(host: &str, payload: &Payload) -> Result<Event> {
    let row = payload
        .installation
        .as_ref()
        .ok_or_else(|| missing("installation"))?;
    let id = InstallationId(row.id);
    Ok(match payload.action.as_deref() {
        Some(action @ ("deleted" | "suspend")) => Event::Uninstalled {
            host: host.to_owned(),
            installation: id,
            reason: if action == "suspend" {
                "the installation was suspended"
            } else {
                "Herald was uninstalled"
            },
            for_good: action == "deleted",
        },
        Some("created" | "unsuspend" | "new_permissions_accepted" | "added" | "removed") => {
            let account = row.account.as_ref();
            let reached = [&payload.repositories, &payload.repositories_added];
            let left = payload.repositories_removed.iter().flatten();
            Event::Installed {
                installation: Installation {
                    host: host.to_owned(),
                    id,
                    account: PersonId(account.map_or(0, |account| account.id)),
                    login: account.map_or_else(String::new, Account::login),
                    selected_by_hand: row.repository_selection.as_deref() != Some("all"),
                },
                reached: reached
                    .into_iter()
                    .flatten()
                    .flatten()
                    .filter_map(|row| row.read(host, id))
                    .collect(),
                left: left
                    .map(|repository| RepositoryId::new(host, repository.id))
                    .collect(),
            }
        }
        _ => ignored("an action that changes nothing for Herald"),
    })
}

pub(super) fn repository(host: &str, payload: &Payload) -> Result<Event> {
    let action = payload.action.as_deref().unwrap_or_default();
    if action == "deleted" {
        let row = payload
            .repository
            .as_ref()
            .ok_or_else(|| missing("repository"))?;
        return Ok(Event::RepositoryDeleted {
            repository: RepositoryId::new(host, row.id),
        });
    }
    Ok(match super::repository(host, payload)? {
        Some(repository) => Event::RepositoryChanged { repository },
        None => ignored(NO_INSTALLATION),
    })
}
