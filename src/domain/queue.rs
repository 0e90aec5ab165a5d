//! Branches of GitHub's merge queues.

use super::id::Sha;

/// What their names begin with, and those of no other branch ("Managing a merge queue" in GitHub's documentation).
pub const QUEUES: &str = "gh-readonly-queue/";

/// What the name of such a branch says, as in `gh-readonly-queue/main/pr-7-SHA`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueBranch {
    /// The branch that the queue is for.
    pub base_ref: String,
    /// The commit of it that the group stands on.
    pub base: Sha,
    /// The last pull request in the group.
    pub last: i64,
}

impl QueueBranch {
    /// Reads a name. `None` for that of another branch.
    pub fn parse(branch: &str) -> Option<Self> {
        let (base_ref, group) = branch.strip_prefix(QUEUES)?.rsplit_once("/pr-")?;
        let (last, base) = group.split_once('-')?;
        Some(Self {
            base_ref: base_ref.to_owned(),
            base: Sha::parse(base).ok()?,
            last: last.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::QueueBranch;

    #[test]
    fn a_branch_of_a_queue_is_named_after_its_base_and_the_last_pull_request() {
        let base = "b".repeat(40);
        for (branch, expected) in [
            (
                format!("gh-readonly-queue/main/pr-12-{base}"),
                Some(("main", 12)),
            ),
            (
                format!("gh-readonly-queue/rel/pr-1-x/pr-7-{base}"),
                Some(("rel/pr-1-x", 7)),
            ),
            (format!("gh-readonly-queue/main/pr-x-{base}"), None),
            ("gh-readonly-queue/main/pr-7-1".to_owned(), None),
            (format!("main/pr-12-{base}"), None),
        ] {
            let found = QueueBranch::parse(&branch);
            let found = found.as_ref();
            let said = found.map(|queue| (queue.base_ref.as_str(), queue.last));
            assert_eq!(said, expected, "{branch}");
            assert!(found.is_none_or(|queue| queue.base.as_str() == base));
        }
    }
}
