//! What changed between two reports.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::model::{Outcome, Report};

/// Ids of tests, each list in the order of its report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Red now, and not before.
    pub new: Vec<String>,
    /// Red before, and passed now.
    pub fixed: Vec<String>,
    /// Red before and now.
    pub still_failing: Vec<String>,
    /// Passed now after a run that did not.
    pub flaky: Vec<String>,
    /// Not there any more.
    pub removed: Vec<String>,
}

/// Compares the tests of two reports by their ids.
pub fn compare(before: &Report, after: &Report) -> Comparison {
    let earlier: HashMap<&str, Outcome> = before
        .tests
        .iter()
        .map(|test| (test.id.as_str(), test.outcome))
        .collect();
    let mut comparison = Comparison::default();
    let mut there = HashSet::new();
    for test in &after.tests {
        there.insert(test.id.as_str());
        let was_red = earlier
            .get(test.id.as_str())
            .is_some_and(|outcome| outcome.is_red());
        let list = match (was_red, test.outcome) {
            (false, outcome) if outcome.is_red() => &mut comparison.new,
            (true, outcome) if outcome.is_red() => &mut comparison.still_failing,
            (true, Outcome::Passed) => &mut comparison.fixed,
            _ => continue,
        };
        list.push(test.id.clone());
    }
    comparison.flaky = ids(after, |test| test.flaky);
    comparison.removed = ids(before, |test| !there.contains(test.id.as_str()));
    comparison
}

fn ids(report: &Report, wanted: impl Fn(&super::model::Test) -> bool) -> Vec<String> {
    report
        .tests
        .iter()
        .filter(|test| wanted(test))
        .map(|test| test.id.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::junit;
    use super::compare;

    #[test]
    fn every_test_is_in_its_list() {
        let before = junit(
            "<testsuite><testcase name='a'/><testcase name='b'><failure/></testcase>\
             <testcase name='c'><error/></testcase><testcase name='d'/><testcase name='g'><failure/></testcase></testsuite>",
        );
        let after = junit(
            "<testsuite><testcase name='a'><failure/></testcase><testcase name='b'/>\
             <testcase name='c'><failure/></testcase><testcase name='e'><error/></testcase>\
             <testcase name='f'><flakyFailure/></testcase><testcase name='g'><skipped/></testcase></testsuite>",
        );
        let id = |name: &str| super::super::test_id(&[], None, name);
        let found = compare(&before, &after);
        assert_eq!(found.new, [id("a"), id("e")]);
        assert_eq!(found.fixed, [id("b")]);
        assert_eq!(found.still_failing, [id("c")]);
        assert_eq!(found.flaky, [id("f")]);
        assert_eq!(found.removed, [id("d")]);
    }
}
