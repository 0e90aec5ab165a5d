//! The `badges` key: labels, and from where on coverage has which colour.

use super::fields::{self, Fields};
use super::keys;
use super::model::{BadgeSettings, Percent};
use super::problem::{Problems, quoted};
use super::tree::Node;

/// A longer label is none.
const LABEL_MAX: usize = 60;

pub(super) fn badges(top: &Fields<'_>, problems: &mut Problems) -> BadgeSettings {
    let mut badges = BadgeSettings::default();
    let Some(fields) = top
        .get("badges")
        .and_then(|node| Fields::of(node, "`badges`", keys::BADGES, problems))
    else {
        return badges;
    };
    if let Some(labels) = fields
        .get("labels")
        .and_then(|node| Fields::of(node, "`badges.labels`", keys::BADGE_LABELS, problems))
    {
        for key in keys::BADGE_LABELS {
            let label = labels
                .get(key.name)
                .and_then(|node| label(node, key.name, problems));
            badges
                .labels
                .extend(label.map(|label| (key.name.to_owned(), label)));
        }
    }
    if let Some(node) = fields.get("coverage")
        && let Some(colors) = Fields::of(node, "`badges.coverage`", keys::BADGE_COLORS, problems)
    {
        let mut below = |key: &str, standard: Percent| {
            let what = format!("`badges.coverage.{key}`");
            let given = colors.get(key);
            given
                .and_then(|node| fields::percent(node, &what, problems))
                .unwrap_or(standard)
        };
        badges.red_below = below("red", badges.red_below);
        badges.orange_below = below("orange", badges.orange_below);
        badges.yellow_below = below("yellow", badges.yellow_below);
        let rises =
            badges.red_below <= badges.orange_below && badges.orange_below <= badges.yellow_below;
        if !rises {
            problems.hinted(
                node.at,
                format!(
                    "`badges.coverage` goes down: red below {}, orange below {}, yellow below {}",
                    badges.red_below, badges.orange_below, badges.yellow_below
                ),
                "red is the least, as {red: 50%, orange: 60%, yellow: 80%}".to_owned(),
            );
        }
    }
    badges
}

fn label(node: &Node, kind: &str, problems: &mut Problems) -> Option<String> {
    let what = format!("`badges.labels.{kind}`");
    let label = fields::word(node, &what, problems)?;
    if label.chars().count() > LABEL_MAX || label.chars().any(char::is_control) {
        problems.error(
            node.at,
            format!(
                "{} is no label: one line of at most {LABEL_MAX} letters",
                quoted(&label)
            ),
        );
        return None;
    }
    Some(label)
}

#[cfg(test)]
mod tests {
    use crate::spec::{Percent, parse};

    fn problems(badges: &str) -> Vec<String> {
        let text = format!("execute: [true]\nbadges: {badges}\n");
        let parsed = parse(text.as_bytes());
        parsed.problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn labels_and_thresholds_are_read() {
        let text = "execute: [true]\nbadges: {labels: {build: CI}, coverage: {yellow: 92.5%}}\n";
        let badges = parse(text.as_bytes()).specification.unwrap().badges;
        assert_eq!(badges.labels["build"], "CI");
        assert_eq!(badges.yellow_below, Percent(9_250));
        assert_eq!(badges.red_below, Percent(5_000), "the rest stays as it is");
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        for (badges, words) in [
            ("{label: {build: CI}}", "labels"),
            ("{labels: {bulid: CI}}", "build"),
            ("{labels: {build: 'a\u{7}'}}", "no label"),
            ("{coverage: {red: 101%}}", "must be a percentage"),
            ("{coverage: {red: 70%}}", "goes down"),
            ("[build]", "`badges`"),
        ] {
            let problems = problems(badges);
            assert!(
                problems.iter().any(|text| text.contains(words)),
                "{badges}: {problems:?}"
            );
        }
    }
}
