//! What the reports of .NET have in common: names with their classes before them, paths of
//! assemblies, and the texts of a failure.

use super::excerpt::Excerpt;

/// The name of a test without that of its class.
pub(super) fn short_name<'a>(name: &'a str, class: &str) -> &'a str {
    name.strip_prefix(class)
        .and_then(|rest| rest.strip_prefix('.'))
        .filter(|rest| !rest.is_empty() && !class.is_empty())
        .unwrap_or(name)
}

/// The class of a test by its full name; its arguments may have points too.
pub(super) fn class_of(name: &str) -> Option<&str> {
    let end = name.find(['(', '<', '"', ' ']).unwrap_or(name.len());
    let (class, _) = name.get(..end)?.rsplit_once('.')?;
    Some(class).filter(|class| !class.is_empty())
}

/// The name of a file without its folders, which are those of some machine.
pub(super) fn base_name(path: &str) -> &str {
    path.trim().rsplit(['/', '\\']).next().unwrap_or(path)
}

/// `hh:mm:ss.fffffff`, perhaps with days before a point, in seconds.
pub(super) fn clock(text: &str) -> Option<f64> {
    let mut parts = text.trim().rsplitn(3, ':');
    let seconds = super::case::seconds(parts.next()?)?;
    let minutes: u32 = parts.next()?.parse().ok()?;
    let hours = parts.next()?;
    let (days, hours): (u32, u32) = match hours.split_once('.') {
        Some((days, hours)) => (days.parse().ok()?, hours.parse().ok()?),
        None => (0, hours.parse().ok()?),
    };
    Some(
        f64::from(days) * 86_400.0
            + f64::from(hours) * 3_600.0
            + f64::from(minutes) * 60.0
            + seconds,
    )
}

/// The texts of a test or suite.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub(super) message: Excerpt,
    pub(super) stack: Excerpt,
    pub(super) reason: Excerpt,
    pub(super) output: Excerpt,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Message,
    Stack,
    Reason,
    Output,
}

impl Texts {
    /// Adds to one, of which not much more than `most` bytes are held.
    pub(super) fn push(&mut self, slot: Slot, text: &str, most: usize) {
        let excerpt = match slot {
            Slot::Message => &mut self.message,
            Slot::Stack => &mut self.stack,
            Slot::Reason => &mut self.reason,
            Slot::Output => &mut self.output,
        };
        excerpt.push(text, most);
    }
}

#[cfg(test)]
mod tests {
    use super::{base_name, class_of, clock, short_name};

    #[test]
    fn names_come_without_their_class() {
        assert_eq!(short_name("N.C.m(1.5)", "N.C"), "m(1.5)");
        assert_eq!(short_name("N.Cm", "N.C"), "N.Cm");
        assert_eq!(short_name("m", ""), "m");
        assert_eq!(class_of("N.C.m(\"a.b\")"), Some("N.C"));
        assert_eq!(class_of("m(1.5)"), None);
        assert_eq!(base_name("C:\\a\\b.dll"), "b.dll");
    }

    #[test]
    fn durations_are_those_of_a_clock() {
        assert_eq!(clock("00:01:02.5000000"), Some(62.5));
        assert_eq!(clock("1.01:00:00"), Some(90_000.0));
        assert_eq!(clock("5"), None);
        assert_eq!(clock("a:b:c"), None);
    }
}
