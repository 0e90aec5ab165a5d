//! What a test is called.

use crate::report::Test;
use crate::text::shorten;

/// Characters of each part that are kept.
const LONG: usize = 300;
/// Between the suites, the outermost first.
const WITHIN: &str = " › ";

/// A test as people know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestName {
    /// 32 lower-case hex digits; see [`crate::report::test_id`].
    pub id: String,
    /// The suites around it, in one text; at most 300 characters, as the others.
    pub suite: String,
    /// The class, module or file it belongs to; empty where there is none.
    pub class: String,
    /// Its own name.
    pub name: String,
}

impl TestName {
    /// That of a test of a report.
    pub fn of(test: &Test) -> Self {
        Self {
            id: test.id.clone(),
            suite: kept(&test.suite.join(WITHIN)),
            class: kept(test.class.as_deref().unwrap_or_default()),
            name: kept(&test.name),
        }
    }

    /// Its own name, or where it has none its id.
    pub fn shown(&self) -> &str {
        if self.name.is_empty() {
            &self.id
        } else {
            &self.name
        }
    }
}

/// A part as it is kept. PostgreSQL has no NUL in texts.
fn kept(text: &str) -> String {
    shorten::chars(text, LONG).replace('\0', "\u{fffd}")
}

/// A test that has a number in its repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownTest {
    /// By which its runs are kept.
    pub number: u32,
    /// What it is called.
    pub name: TestName,
}

#[cfg(test)]
mod tests {
    use super::TestName;
    use crate::report::{Collector, Limits};

    #[test]
    fn a_name_is_kept_as_people_read_it_and_not_without_end() {
        let long = "n".repeat(1_000);
        let text = format!(
            "<testsuite name='outer'><testsuite name='inner'><testcase classname='C' name='{long}'/></testsuite></testsuite>"
        );
        let mut collector = Collector::new(Limits::default());
        collector.read("junit.xml", text.as_bytes());
        let report = collector.finish();
        let mut test = report.tests[0].clone();
        test.class = Some("C\0".to_owned());
        let name = TestName::of(&test);
        assert_eq!(
            (name.suite.as_str(), name.class.as_str()),
            ("outer › inner", "C\u{fffd}")
        );
        assert_eq!(name.name.chars().count(), 300);
        assert_eq!(name.id, test.id);
    }
}
