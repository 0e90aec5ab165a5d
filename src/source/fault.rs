//! What git says when it fails, classed by what the caller does next.
//!
//! Git has no error codes, but its words are stable under `LC_ALL=C`; each is from git's own
//! sources (`remote-curl.c`, `fetch-pack.c`, `upload-pack.c`, `transport.c`, `fsck.c`).

use super::command::Answer;
use crate::ports::error::{Kind, PortError};

/// Words, in lower case, and what they mean; the first that are found count.
const WORDS: &[(&str, Kind)] = &[
    ("not our ref", Kind::Gone),
    ("unadvertised object", Kind::Gone),
    ("couldn't find remote ref", Kind::Gone),
    ("no such remote ref", Kind::Gone),
    ("authentication failed", Kind::Denied),
    ("could not read username", Kind::Denied),
    ("could not read password", Kind::Denied),
    ("terminal prompts disabled", Kind::Denied),
    ("returned error: 401", Kind::Denied),
    ("returned error: 403", Kind::Denied),
    ("repository not found", Kind::Gone),
    ("returned error: 404", Kind::Gone),
    ("returned error: 410", Kind::Gone),
    ("does not appear to be a git repository", Kind::Gone),
    ("does not exist", Kind::Gone),
    ("' not found", Kind::Gone),
    ("returned error: 30", Kind::Refused),
    ("not allowed", Kind::Refused),
    ("fsck error", Kind::Refused),
    ("error in object", Kind::Refused),
    ("not a valid object name", Kind::Gone),
    ("bad object", Kind::Gone),
    ("not a git repository", Kind::Gone),
];

/// Words, in lower case, about certificates that are signed by nobody known: those of its libraries for TLS.
const UNKNOWN: &[&str] = &[
    "server certificate verification failed",
    "unable to get local issuer certificate",
    "self signed certificate",
    "self-signed certificate",
];

/// The error for a failed call.
pub(super) fn error(verb: &str, answer: &Answer) -> PortError {
    let said = answer.stderr.to_lowercase();
    let kind = WORDS
        .iter()
        .find(|(words, _)| said.contains(words))
        .map_or(Kind::Transient, |(_, kind)| *kind);
    let way_out = if kind == Kind::Transient && UNKNOWN.iter().any(|words| said.contains(words)) {
        "; where an authority of your own has signed its certificate, name the authority's in HERALD_CA_FILE"
    } else {
        ""
    };
    PortError::new(kind, format!("git {verb}: {}{way_out}", line(answer)))
}

/// The line that says most: git's own `fatal:` or `error:`, else the last one.
fn line(answer: &Answer) -> String {
    let lines = || answer.stderr.lines().map(str::trim);
    let line = lines()
        .find(|line| line.starts_with("fatal: ") || line.starts_with("error: "))
        .or_else(|| lines().rfind(|line| !line.is_empty()));
    let line = match line {
        Some(line) => line
            .split_once(": ")
            .map_or(line, |(start, rest)| match start {
                "fatal" | "error" => rest,
                _ => line,
            }),
        None => "it failed without a word",
    };
    line.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::{Answer, Kind, error};

    #[test]
    fn what_git_says_is_classed_by_what_to_do_next() {
        let table = [
            (
                "fatal: remote error: upload-pack: not our ref 1234\n",
                Kind::Gone,
            ),
            (
                "remote: Repository not found.\nfatal: repository 'https://h/a/b.git/' not found\n",
                Kind::Gone,
            ),
            (
                "fatal: Authentication failed for 'https://h/a/b.git/'\n",
                Kind::Denied,
            ),
            (
                "fatal: could not read Username for 'https://h': terminal prompts disabled\n",
                Kind::Denied,
            ),
            (
                "fatal: unable to access 'https://h/': The requested URL returned error: 403\n",
                Kind::Denied,
            ),
            (
                "fatal: unable to access 'https://h/': The requested URL returned error: 502\n",
                Kind::Transient,
            ),
            (
                "fatal: unable to access 'https://h/': Could not resolve host: h\n",
                Kind::Transient,
            ),
            (
                "fatal: unable to update url base from redirection\nThe requested URL returned error: 301",
                Kind::Refused,
            ),
            ("fatal: transport 'ext' not allowed\n", Kind::Refused),
            (
                "error: object 12: treeNotSorted\nfatal: fsck error in packed object\n",
                Kind::Refused,
            ),
            ("", Kind::Transient),
        ];
        for (stderr, kind) in table {
            let answer = Answer {
                code: Some(128),
                stdout: Vec::new(),
                stderr: stderr.to_owned(),
            };
            assert_eq!(error("fetch", &answer).kind, kind, "{stderr}");
        }
    }

    #[test]
    fn a_certificate_that_nobody_knows_leads_to_the_variable_for_it() {
        for reason in [
            "server certificate verification failed. CAfile: none CRLfile: none",
            "SSL certificate problem: unable to get local issuer certificate",
            "SSL certificate problem: self-signed certificate in certificate chain",
        ] {
            let stderr = format!("fatal: unable to access 'https://h/a/b.git/': {reason}\n");
            let answer = Answer {
                code: Some(128),
                stdout: Vec::new(),
                stderr,
            };
            let error = error("fetch", &answer);
            assert_eq!(error.kind, Kind::Transient);
            assert!(error.message.ends_with("in HERALD_CA_FILE"), "{error}");
        }
    }

    #[test]
    fn the_words_are_those_that_git_found_important() {
        let answer = Answer {
            code: Some(128),
            stdout: Vec::new(),
            stderr: "remote: hint\nfatal: no\u{1b} way\nmore\n".to_owned(),
        };
        assert_eq!(error("fetch", &answer).message, "git fetch: no way");
    }
}
