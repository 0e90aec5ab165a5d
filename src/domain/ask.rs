//! What people ask Herald for: by comments, by buttons, and on the server itself.

use super::id::PersonId;

/// Something that a person asks for on GitHub. It is carried out only when GitHub says that they
/// may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Who asks.
    pub person: PersonId,
    /// What for.
    pub wish: Wish,
    /// Where they said it.
    pub place: Place,
}

/// Where somebody asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a comment on a pull request.
    Comment {
        /// The pull request.
        pull: i64,
        /// GitHub's id of the comment.
        comment: i64,
        /// When it was written, in unix milliseconds.
        at_ms: i64,
    },
    /// With a button on a check run.
    Button {
        /// The check run's `external_id`.
        check: String,
    },
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// To run again: one job, or what failed (everything when nothing did).
    Retry {
        /// The job's key, or its name with the values of its matrix.
        job: Option<String>,
    },
    /// To end what runs.
    Cancel,
    /// To build code of a stranger.
    Approve {
        /// The commit's id, or its beginning; what there is without it.
        commit: Option<String>,
    },
    /// Not to count a test's failures for a while.
    Quarantine {
        /// Which, until when and why, as it was written.
        text: String,
    },
    /// To count them again.
    Unquarantine {
        /// The test.
        test: String,
    },
    /// Words that are no command.
    Unclear,
}

/// What begins a command.
const WORD: &str = "/herald";

impl Wish {
    /// The command in a comment: the first line that begins with `/herald`, outside of code
    /// blocks. `None` where there is no such line.
    pub fn in_comment(body: &str) -> Option<Self> {
        let mut fence: Option<&str> = None;
        for line in body.lines() {
            let mark = ["```", "~~~"]
                .into_iter()
                .find(|mark| line.trim_start().starts_with(mark));
            match (fence, mark) {
                (None, Some(mark)) => fence = Some(mark),
                (Some(open), Some(mark)) if open == mark => fence = None,
                _ => {}
            }
            if fence.is_some() || mark.is_some() {
                continue;
            }
            let mut words = line.split_whitespace();
            if line.starts_with(WORD) && words.next() == Some(WORD) {
                let (verb, rest) = (words.next().unwrap_or_default(), words.collect::<Vec<_>>());
                return Some(Self::of(verb, &rest.join(" ")));
            }
        }
        None
    }

    fn of(verb: &str, rest: &str) -> Self {
        match (verb, rest) {
            ("retry", "") => Self::Retry { job: None },
            ("retry", job) => Self::Retry {
                job: Some(job.to_owned()),
            },
            ("quarantine", text) if !text.is_empty() => Self::Quarantine {
                text: text.to_owned(),
            },
            ("unquarantine", test) if !test.is_empty() => Self::Unquarantine {
                test: test.to_owned(),
            },
            ("cancel", "") => Self::Cancel,
            ("approve", "") => Self::Approve { commit: None },
            ("approve", commit) if is_abbreviation(commit) => Self::Approve {
                commit: Some(commit.to_ascii_lowercase()),
            },
            _ => Self::Unclear,
        }
    }

    /// What a button asks for, by the identifier that it was made with.
    pub fn of_button(identifier: &str) -> Option<Self> {
        match identifier {
            RERUN_FAILED => Some(Self::Retry { job: None }),
            APPROVE => Some(Self::Approve { commit: None }),
            _ => None,
        }
    }
}

/// The identifier of the button that runs failed jobs again. At most 20 characters.
pub const RERUN_FAILED: &str = "rerun_failed";
/// The identifier of the button that approves. At most 20 characters.
pub const APPROVE: &str = "approve";

/// Whether a text is long enough and of the right letters for the beginning of a commit's id.
fn is_abbreviation(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The least digits of a commit's id that say anything: another commit that begins with the same seven
/// is found in a minute. Somebody can have made two beforehand that share more than that, so nothing
/// but the whole id is enough alone.
pub const TELLING: usize = 16;

#[cfg(test)]
mod tests {
    use super::Wish;

    #[test]
    fn commands_are_lines_that_begin_with_the_word() {
        let retry = |job: Option<&str>| {
            Some(Wish::Retry {
                job: job.map(str::to_owned),
            })
        };
        assert_eq!(Wish::in_comment("/herald retry"), retry(None));
        assert_eq!(
            Wish::in_comment("Flaky again.\r\n/herald  retry test (3.12, musl)\r\nThanks"),
            retry(Some("test (3.12, musl)"))
        );
        assert_eq!(Wish::in_comment("/herald cancel"), Some(Wish::Cancel));
        assert_eq!(
            Wish::in_comment("/herald approve 1234ABC"),
            Some(Wish::Approve {
                commit: Some("1234abc".to_owned())
            })
        );
        assert_eq!(
            Wish::in_comment("/herald quarantine t.test_a for 3d # slow"),
            Some(Wish::Quarantine {
                text: "t.test_a for 3d # slow".to_owned()
            })
        );
        for unclear in [
            "/herald",
            "/herald quarantine",
            "/herald unquarantine",
            "/herald dance",
            "/herald approve main",
            "/herald cancel now",
        ] {
            assert_eq!(Wish::in_comment(unclear), Some(Wish::Unclear), "{unclear}");
        }
        for nothing in [
            "",
            "please /herald retry",
            "> /herald retry",
            " /herald retry",
            "/heraldry",
            "/Herald retry",
            "```\n/herald retry\n```",
            "~~~ sh\n```\n/herald approve\n~~~",
        ] {
            assert_eq!(Wish::in_comment(nothing), None, "{nothing}");
        }
    }
}
