//! What badges say: words and colour names.

use super::render::Badge;

/// A grey badge that says that nothing is known.
pub fn unknown(label: &str) -> Badge {
    Badge {
        label: label.to_owned(),
        message: "unknown".to_owned(),
        color: "lightgrey".to_owned(),
        ..Badge::default()
    }
}

/// The state of a branch's last build: `passing`, `failing`, `error`; anything else is unknown.
pub fn build(word: &str) -> (String, &'static str) {
    let color = match word {
        "passing" => "brightgreen",
        "failing" => "red",
        "error" => "orange",
        _ => return ("unknown".to_owned(), "lightgrey"),
    };
    (word.to_owned(), color)
}

/// `412 passed, 3 failed, 2 skipped`; parts that are zero are left out.
pub fn tests(passed: u64, failed: u64, skipped: u64) -> (String, &'static str) {
    let parts: Vec<String> = [(passed, "passed"), (failed, "failed"), (skipped, "skipped")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    if parts.is_empty() {
        return ("no tests".to_owned(), "yellow");
    }
    let color = match (passed, failed) {
        (_, 1..) => "red",
        (0, 0) => "yellow",
        _ => "brightgreen",
    };
    (parts.join(", "), color)
}

/// Covered lines in percent: rounded down to a tenth, so that 100 % is said only when it is
/// exact. Below 50 red, below 60 orange, below 80 yellow, else bright green.
pub fn coverage(covered: u64, total: u64) -> (String, &'static str) {
    coverage_by(covered, total, [5_000, 6_000, 8_000])
}

/// The same with other thresholds, in hundredths of a percent: below the first red, below the second
/// orange, below the third yellow.
pub fn coverage_by(covered: u64, total: u64, below: [u32; 3]) -> (String, &'static str) {
    if total == 0 {
        return ("unknown".to_owned(), "lightgrey");
    }
    let tenths = u128::from(covered.min(total)) * 1000 / u128::from(total);
    let hundredths = u128::from(covered.min(total)) * 10_000 / u128::from(total);
    let color = ["red", "orange", "yellow"]
        .into_iter()
        .zip(below)
        .find(|(_, below)| hundredths < u128::from(*below))
        .map_or("brightgreen", |(color, _)| color);
    let text = match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole}%"),
        (whole, tenth) => format!("{whole}.{tenth}%"),
    };
    (text, color)
}

/// The newest release: orange where it is not one to rely on, else blue.
pub fn release(tag: &str, is_early: bool) -> (String, &'static str) {
    (tag.to_owned(), if is_early { "orange" } else { "blue" })
}

/// Environment and state of a deployment, in GitHub's words.
pub fn deploy(environment: &str, state: &str) -> (String, &'static str) {
    let color = match state {
        "success" => "brightgreen",
        "failure" | "error" => "red",
        "queued" | "pending" | "in_progress" => "yellow",
        _ => "lightgrey",
    };
    (format!("{environment} {}", state.replace('_', " ")), color)
}

#[cfg(test)]
mod tests {
    use super::{coverage, coverage_by, deploy, tests};

    #[test]
    fn coverage_is_rounded_down() {
        for (covered, total, text, color) in [
            (0, 10, "0%", "red"),
            (4_999, 10_000, "49.9%", "red"),
            (50, 100, "50%", "orange"),
            (60, 100, "60%", "yellow"),
            (799, 1_000, "79.9%", "yellow"),
            (80, 100, "80%", "brightgreen"),
            (99_999, 100_000, "99.9%", "brightgreen"),
            (7, 7, "100%", "brightgreen"),
            (0, 0, "unknown", "lightgrey"),
        ] {
            assert_eq!(coverage(covered, total), (text.to_owned(), color));
        }
    }

    #[test]
    fn a_repository_says_from_where_on_coverage_has_which_colour() {
        let color = |covered| coverage_by(covered, 1_000, [9_000, 9_500, 9_990]).1;
        assert_eq!(color(899), "red");
        assert_eq!(color(900), "orange");
        assert_eq!(color(950), "yellow");
        assert_eq!(color(999), "brightgreen");
    }

    #[test]
    fn a_deployment_is_told_with_its_state() {
        assert_eq!(
            deploy("production", "in_progress"),
            ("production in progress".to_owned(), "yellow")
        );
        assert_eq!(deploy("staging", "inactive").1, "lightgrey");
    }

    #[test]
    fn parts_that_are_zero_are_left_out() {
        assert_eq!(tests(412, 3, 0), ("412 passed, 3 failed".to_owned(), "red"));
        assert_eq!(tests(0, 0, 2), ("2 skipped".to_owned(), "yellow"));
        assert_eq!(tests(0, 0, 0), ("no tests".to_owned(), "yellow"));
    }
}
