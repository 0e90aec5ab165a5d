//! Reading single values out of the tree, each with its own words when it is not what it must be.

use std::ops::RangeInclusive;

use globset::GlobBuilder;

use super::keys::{self, Key};
use super::model::Percent;
use super::problem::{Place, Problems, quoted};
use super::tree::{Name, Node, Value};
use crate::text;

/// At most so many entries in one list.
const MAX_ENTRIES: usize = 500;

/// The entries of a map whose keys are those of a table.
pub(super) struct Fields<'a> {
    entries: Vec<(&'a Name, &'a Node)>,
    /// Where the map begins.
    pub(super) at: Place,
}

impl<'a> Fields<'a> {
    /// Checks the keys of a map; `None` when it is not a map.
    pub(super) fn of(
        node: &'a Node,
        what: &str,
        table: &[Key],
        problems: &mut Problems,
    ) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            problems.error(
                node.at,
                format!(
                    "{what} must be a map of keys to values, not {}",
                    node.kind()
                ),
            );
            return None;
        };
        let mut known = Vec::new();
        for (name, value) in entries {
            match table.iter().find(|key| key.name == name.text) {
                Some(_) => known.push((name, value)),
                None => problems.hinted(
                    name.at,
                    format!("unknown key {} in {what}", quoted(&name.text)),
                    unknown_key_hint(&name.text, table),
                ),
            }
        }
        Some(Self {
            entries: known,
            at: node.at,
        })
    }

    /// The value at a key.
    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        self.entry(key).map(|(_, node)| node)
    }

    /// The key itself and its value.
    pub(super) fn entry(&self, key: &str) -> Option<(&'a Name, &'a Node)> {
        self.entries
            .iter()
            .find(|(name, _)| name.text == key)
            .copied()
    }
}

fn unknown_key_hint(word: &str, table: &[Key]) -> Option<String> {
    if word == "<<" {
        return Some("merge keys are not used here".to_owned());
    }
    let is_top = table.iter().any(|key| key.name == "jobs");
    if is_top && keys::JOB.iter().any(|key| key.name == word) {
        return Some("it stands in a job, below `jobs`".to_owned());
    }
    did_you_mean(word, table.iter().map(|key| key.name))
}

/// A hint with the nearest of the words, if one is near.
pub(super) fn did_you_mean<'a>(
    word: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    text::nearest(word, words).map(|near| format!("did you mean {}?", quoted(near)))
}

/// A text that is not empty.
pub(super) fn word(node: &Node, what: &str, problems: &mut Problems) -> Option<String> {
    match &node.value {
        Value::Scalar { text, .. } if !node.is_null() && !text.trim().is_empty() => {
            if text.contains('\0') {
                problems.error(node.at, format!("{what} contains a zero byte"));
                return None;
            }
            Some(text.clone())
        }
        Value::Scalar { .. } => {
            problems.error(node.at, format!("{what} is empty"));
            None
        }
        Value::List(_) | Value::Map(_) => {
            problems.error(node.at, format!("{what} must be text, not {}", node.kind()));
            None
        }
    }
}

/// The items of a list that is not empty.
pub(super) fn items<'a>(node: &'a Node, what: &str, problems: &mut Problems) -> Option<&'a [Node]> {
    match &node.value {
        Value::List(items) if items.is_empty() => {
            problems.error(node.at, format!("{what} is an empty list"));
            None
        }
        Value::List(items) if items.len() > MAX_ENTRIES => {
            problems.error(
                node.at,
                format!("{what} has more than {MAX_ENTRIES} entries"),
            );
            None
        }
        Value::List(items) => Some(items),
        Value::Scalar { text, .. } if !node.is_null() => {
            let hint = (!text.contains('\n')).then(|| {
                format!(
                    "write it as a list, a line `- {}`",
                    short(text.trim_start_matches(['-', ' ']))
                )
            });
            problems.hinted(node.at, format!("{what} must be a list, not text"), hint);
            None
        }
        Value::Scalar { .. } | Value::Map(_) => {
            problems.error(
                node.at,
                format!("{what} must be a list, not {}", node.kind()),
            );
            None
        }
    }
}

pub(super) fn short(text: &str) -> String {
    if text.chars().count() > 40 {
        text.chars().take(40).chain(['…']).collect()
    } else {
        text.to_owned()
    }
}

/// A list of texts, with their places.
pub(super) fn words(
    node: &Node,
    what: &str,
    problems: &mut Problems,
) -> Option<Vec<(Place, String)>> {
    let mut list = Vec::new();
    for item in items(node, what, problems)? {
        if let Some(text) = word(item, &format!("an entry of {what}"), problems) {
            list.push((item.at, text));
        }
    }
    Some(list)
}

/// A list of globs of files of the repository.
pub(super) fn path_globs(node: &Node, what: &str, problems: &mut Problems) -> Option<Vec<String>> {
    let mut globs = Vec::new();
    for (at, glob) in words(node, what, problems)? {
        if glob.starts_with('/') || glob.split('/').any(|part| part == "..") {
            problems.error(at, format!("{} leads out of the repository", quoted(&glob)));
        } else if check_glob(&glob, at, problems) {
            globs.push(glob);
        }
    }
    Some(globs)
}

/// A list of globs of names.
pub(super) fn name_globs(node: &Node, what: &str, problems: &mut Problems) -> Option<Vec<String>> {
    let mut globs = Vec::new();
    for (at, glob) in words(node, what, problems)? {
        if check_glob(&glob, at, problems) {
            globs.push(glob);
        }
    }
    Some(globs)
}

fn check_glob(glob: &str, at: Place, problems: &mut Problems) -> bool {
    // Long globs with many alternatives compile to large machines.
    if glob.len() > 500 || glob.matches(['{', ',']).count() > 50 {
        problems.error(at, format!("the glob {} is too long", quoted(glob)));
        return false;
    }
    match GlobBuilder::new(glob).literal_separator(true).build() {
        Ok(_) => true,
        Err(error) => {
            problems.error(
                at,
                format!("{} is not a glob: {}", quoted(glob), error.kind()),
            );
            false
        }
    }
}

/// `true` or `false`.
pub(super) fn flag(node: &Node, what: &str, problems: &mut Problems) -> Option<bool> {
    if let Value::Scalar { text, plain: true } = &node.value {
        match text.as_str() {
            "true" | "True" | "TRUE" => return Some(true),
            "false" | "False" | "FALSE" => return Some(false),
            _ => {}
        }
    }
    problems.error(
        node.at,
        format!("{what} must be true or false, not {}", shown(node)),
    );
    None
}

/// A whole number from 0.
pub(super) fn count(node: &Node, what: &str, problems: &mut Problems) -> Option<u64> {
    if let Value::Scalar { text, plain: true } = &node.value
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(number) = text.parse()
    {
        return Some(number);
    }
    problems.error(
        node.at,
        format!("{what} must be a whole number, not {}", shown(node)),
    );
    None
}

/// A whole number within bounds.
pub(super) fn whole(
    node: &Node,
    what: &str,
    bounds: RangeInclusive<u64>,
    problems: &mut Problems,
) -> Option<u64> {
    let number = match &node.value {
        Value::Scalar { text, .. } if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().ok()
        }
        _ => None,
    };
    let number = number.filter(|number| bounds.contains(number));
    if number.is_none() {
        problems.error(
            node.at,
            format!(
                "{what} must be a whole number from {} to {}, not {}",
                bounds.start(),
                bounds.end(),
                shown(node)
            ),
        );
    }
    number
}

/// One of some words.
pub(super) fn choice<'a>(
    node: &Node,
    what: &str,
    choices: &[&'a str],
    problems: &mut Problems,
) -> Option<&'a str> {
    if let Value::Scalar { text, .. } = &node.value
        && let Some(choice) = choices.iter().find(|choice| *choice == text)
    {
        return Some(choice);
    }
    let hint = match &node.value {
        Value::Scalar { text, .. } if choices.len() > 2 => {
            did_you_mean(text, choices.iter().copied())
        }
        _ => None,
    };
    let expected = match choices {
        [only] => quoted(only),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(|choice| quoted(choice)).collect();
            format!("{} or {}", first.join(", "), quoted(last))
        }
        [] => String::new(),
    };
    problems.hinted(
        node.at,
        format!("{what} must be {expected}, not {}", shown(node)),
        hint,
    );
    None
}

/// A duration in milliseconds, at least one second.
pub(super) fn duration(node: &Node, what: &str, problems: &mut Problems) -> Option<u64> {
    let parsed = match &node.value {
        Value::Scalar { text, .. } => text::parse_duration(text).ok(),
        Value::List(_) | Value::Map(_) => None,
    };
    match parsed.map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)) {
        Some(0) => {
            problems.error(node.at, format!("{what} must be longer than nothing"));
            None
        }
        Some(milliseconds) => Some(milliseconds),
        None => {
            problems.hinted(
                node.at,
                format!("{what} must be a duration, not {}", shown(node)),
                "as 90s, 10m or 1h30m".to_owned(),
            );
            None
        }
    }
}

/// A percentage; the sign may be left out.
pub(super) fn percent(node: &Node, what: &str, problems: &mut Problems) -> Option<Percent> {
    if let Value::Scalar { text, .. } = &node.value
        && let Some(percent) = parse_percent(text)
    {
        return Some(percent);
    }
    problems.hinted(
        node.at,
        format!("{what} must be a percentage, not {}", shown(node)),
        "as 80% or 72.5%".to_owned(),
    );
    None
}

fn parse_percent(text: &str) -> Option<Percent> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 2 {
        return None;
    }
    let hundredths: u32 = format!("{fraction:0<2}").parse().ok()?;
    let value = whole
        .parse::<u32>()
        .ok()?
        .checked_mul(100)?
        .checked_add(hundredths)?;
    (value <= 10_000).then_some(Percent(value))
}

/// A node as a message shows it.
pub(super) fn shown(node: &Node) -> String {
    match &node.value {
        Value::Scalar { text, .. } if !node.is_null() => quoted(text),
        _ => node.kind().to_owned(),
    }
}
