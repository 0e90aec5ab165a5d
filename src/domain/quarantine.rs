//! Tests whose failures do not count for a while.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::id::PersonId;
use crate::report::Test;
use crate::text::shorten;

/// The file of the repository that names tests.
pub const FILE: &str = ".herald-quarantine";
/// For how many days a test is put away where nobody says until when.
pub const DAYS: u16 = 14;
/// The most days: what nobody mends for longer is no test any more.
pub const MOST_DAYS: u16 = 90;
/// Bytes of a reason.
pub const REASON: usize = 200;
/// Bytes of a name.
const NAME: usize = 500;
/// Lines of a file that are read.
const LINES: usize = 2_000;

/// A test whose failures do not count until some day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The test, as it was named: its id, its name, or class and name.
    pub test: String,
    /// What it is called in front of people.
    pub name: String,
    /// The end, in unix milliseconds.
    pub until_ms: i64,
    /// Why, as it was written; empty where nobody said.
    pub reason: String,
    /// Who put it away; `None` for what stands in the file.
    pub person: Option<PersonId>,
}

impl Quarantined {
    /// Whether it is called so, by its id or its name.
    pub fn is_called(&self, written: &str) -> bool {
        self.test == written
            || self.name == written
            || spellings(written).contains(&plain(&self.name))
    }
}

/// What is put away, by the ways in which tests are named: by the id, by the name, or by class and name as tools join
/// them: `pkg.Class.name`, `pkg.Class name`, `pkg::class::name`, and pytest's `pkg/file.py::Class::name`.
#[derive(Debug)]
pub struct Named<'a> {
    as_written: HashMap<&'a str, &'a Quarantined>,
    joined: HashMap<String, &'a Quarantined>,
}

impl<'a> Named<'a> {
    /// Of two that mean the same test, the first one counts.
    pub fn new(all: impl IntoIterator<Item = &'a Quarantined>) -> Self {
        let (mut as_written, mut joined) = (HashMap::new(), HashMap::new());
        for one in all {
            as_written.entry(one.test.as_str()).or_insert(one);
            for spelling in spellings(&one.test) {
                joined.entry(spelling).or_insert(one);
            }
        }
        Self { as_written, joined }
    }

    /// What puts a test away.
    pub fn find(&self, test: &Test) -> Option<&'a Quarantined> {
        let by = |name: &str| self.as_written.get(name).copied();
        by(&test.id).or_else(|| by(&test.name)).or_else(|| {
            let class = test.class.as_ref()?;
            let name = plain(&format!("{class}.{}", test.name));
            self.joined.get(&name).copied()
        })
    }
}

/// What somebody may mean who writes a test's class and name.
fn spellings(written: &str) -> [String; 2] {
    [plain(written), plain(&written.replacen(".py::", "::", 1))]
}

/// With one sign between the parts of a name.
fn plain(name: &str) -> String {
    name.replace("::", ".")
        .replace(" > ", ".")
        .replace(['/', ' ', '#', '$'], ".")
}

/// Something in a file, or in a command, that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The line, from 1.
    pub line: u32,
    /// What about it, and what to write.
    pub text: String,
}

/// Reads the file: a test on each line, `NAME until 2026-12-31 # reason`; `#` begins a comment. What is over is left out.
pub fn read_file(text: &str, now_ms: i64) -> (Vec<Quarantined>, Vec<Unreadable>) {
    let (mut tests, mut unreadable) = (Vec::new(), Vec::new());
    for (at, line) in text.lines().enumerate() {
        let number = u32::try_from(at + 1).unwrap_or(u32::MAX);
        if at == LINES {
            let text = format!("only {LINES} lines are read");
            unreadable.push(Unreadable { line: number, text });
            break;
        }
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match entry(line, now_ms) {
            Ok((_, None, _)) => unreadable.push(Unreadable {
                line: number,
                text: "it has no end: write `NAME until 2026-12-31`, at most 90 days from now"
                    .to_owned(),
            }),
            Ok((_, Some(until_ms), _)) if until_ms <= now_ms => {}
            Ok((test, Some(until_ms), reason)) => tests.push(Quarantined {
                name: test.clone(),
                test,
                until_ms,
                reason,
                person: None,
            }),
            Err(text) => unreadable.push(Unreadable { line: number, text }),
        }
    }
    (tests, unreadable)
}

/// Reads what stands behind the verb of a command: `NAME`, `NAME until 2026-12-31`, `NAME for 14d`, each with
/// `# reason` after it.
///
/// # Errors
/// What is wrong, and what to write.
pub fn read_command(text: &str, person: PersonId, now_ms: i64) -> Result<Quarantined, String> {
    let (test, until_ms, reason) = entry(text.trim(), now_ms)?;
    let until_ms = until_ms.unwrap_or_else(|| after_days(DAYS, now_ms));
    if until_ms <= now_ms {
        return Err("that day is over".to_owned());
    }
    Ok(Quarantined {
        name: test.clone(),
        test,
        until_ms,
        reason,
        person: Some(person),
    })
}

type Entry = (String, Option<i64>, String);

fn entry(text: &str, now_ms: i64) -> Result<Entry, String> {
    let (text, reason) = match text.rsplit_once(" # ") {
        Some((text, reason)) => (text.trim(), reason.trim()),
        None => (text, ""),
    };
    let (test, until_ms) = if let Some((test, day)) = text.rsplit_once(" until ") {
        (test, Some(end_of(day.trim(), now_ms)?))
    } else if let Some((test, days)) = text.rsplit_once(" for ")
        && let Some(days) = days.trim().strip_suffix('d')
        && let Ok(days) = days.parse::<u16>()
    {
        if days == 0 || days > MOST_DAYS {
            return Err(format!("{days}d: from 1d to {MOST_DAYS}d can be asked for"));
        }
        (test, Some(after_days(days, now_ms)))
    } else {
        (text, None)
    };
    let test = test.trim();
    if test.is_empty() {
        return Err("no test is named".to_owned());
    }
    Ok((
        shorten::bytes(test, NAME).into_owned(),
        until_ms,
        shorten::bytes(reason, REASON).into_owned(),
    ))
}

/// The end of a day that is written as `2026-12-31`, in UTC.
fn end_of(day: &str, now_ms: i64) -> Result<i64, String> {
    let Ok(date) = day.parse::<NaiveDate>() else {
        return Err(format!("`{day}` is no day: write it as 2026-12-31"));
    };
    let end = date
        .succ_opt()
        .and_then(|next| next.and_hms_opt(0, 0, 0))
        .map_or(i64::MAX, |end| end.and_utc().timestamp_millis());
    let most = after_days(MOST_DAYS + 1, now_ms);
    if end > most {
        let last = DateTime::<Utc>::from_timestamp_millis(after_days(MOST_DAYS, now_ms));
        let last = last.map_or_else(String::new, |last| last.format("%Y-%m-%d").to_string());
        return Err(format!(
            "{day} is more than {MOST_DAYS} days away: the last day for now is {last}"
        ));
    }
    Ok(end)
}

/// So many days from now, in unix milliseconds.
pub fn after_days(days: u16, now_ms: i64) -> i64 {
    now_ms.saturating_add(TimeDelta::days(days.into()).num_milliseconds())
}

/// The last day, as people read it.
pub fn last_day(until_ms: i64) -> String {
    let day = DateTime::<Utc>::from_timestamp_millis(until_ms.saturating_sub(1));
    day.map_or_else(String::new, |day| day.format("%-d %B %Y").to_string())
}

#[cfg(test)]
mod tests {
    use super::{Named, Quarantined, read_command, read_file};
    use crate::domain::PersonId;
    use crate::report::Test;

    /// 26 November 2026, 12:00.
    const NOW: i64 = 1_795_694_400_000;
    const DAY: i64 = 24 * 60 * 60 * 1000;

    fn read_one(mut collector: crate::report::Collector) -> Test {
        let text = "<testsuite name='s'><testcase classname='tests.test_api.TestRetry' name='test_once'/></testsuite>";
        collector.read("junit.xml", text.as_bytes());
        collector.finish().tests.remove(0)
    }

    fn quarantined(test: &str) -> Quarantined {
        read_command(test, PersonId(7), NOW).expect("a command")
    }

    #[test]
    fn a_file_names_a_test_and_its_end_on_each_line() {
        let text = "# flaky ones\n\ntests/test_api.py::test_retry until 2026-12-31 # issue 12\nold until 2026-11-25\n\
                    forever\nfar until 2027-12-31\nodd until tomorrow\n";
        let (tests, unreadable) = read_file(text, NOW);
        let [test] = tests.as_slice() else {
            panic!("{tests:?}")
        };
        assert_eq!(test.test, "tests/test_api.py::test_retry");
        assert_eq!((test.reason.as_str(), test.person), ("issue 12", None));
        assert_eq!(super::last_day(test.until_ms), "31 December 2026");
        let said: Vec<_> = unreadable
            .iter()
            .map(|one| (one.line, one.text.as_str()))
            .collect();
        assert_eq!(
            said,
            [
                (
                    5,
                    "it has no end: write `NAME until 2026-12-31`, at most 90 days from now"
                ),
                (
                    6,
                    "2027-12-31 is more than 90 days away: the last day for now is 2027-02-24"
                ),
                (7, "`tomorrow` is no day: write it as 2026-12-31"),
            ]
        );
    }

    #[test]
    fn a_command_may_leave_out_the_end() {
        let plain = quarantined("test retry # later");
        assert_eq!(
            (plain.test.as_str(), plain.reason.as_str()),
            ("test retry", "later")
        );
        assert_eq!(plain.until_ms, NOW + 14 * DAY);
        assert_eq!(quarantined("a for 3d").until_ms, NOW + 3 * DAY);
        // Words of a name.
        assert_eq!(quarantined("waits for you").test, "waits for you");
        for (text, why) in [
            ("", "no test is named"),
            ("a for 91d", "91d: from 1d to 90d can be asked for"),
            ("a until 2026-11-25", "that day is over"),
        ] {
            let error = read_command(text, PersonId(7), NOW);
            assert_eq!(error, Err(why.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_test_is_meant_by_its_id_its_name_or_as_tools_write_it() {
        let report = crate::report::Collector::new(crate::report::Limits::default());
        let test = read_one(report);
        for name in [
            test.id.as_str(),
            "test_once",
            "tests.test_api.TestRetry.test_once",
            "tests.test_api.TestRetry test_once",
            "tests/test_api.py::TestRetry::test_once",
        ] {
            let one = quarantined(name);
            assert!(Named::new([&one]).find(&test).is_some(), "{name}");
        }
        for name in ["test_on", "TestRetry.test_once", "other.test_once"] {
            let one = quarantined(name);
            assert!(Named::new([&one]).find(&test).is_none(), "{name}");
        }
    }
}
