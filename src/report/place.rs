//! Where failures and covered files are in the repository.

use super::coverage::FileCoverage;
use super::frame::{self, Frame};
use super::index::Index;
use super::model::{Location, Place, Report, Test};

/// Folders of code that others wrote: a frame in them counts only when no other fits.
const FOREIGN: &[&str] = &[
    "site-packages",
    "dist-packages",
    "node_modules",
    "vendor",
    ".venv",
    "venv",
    ".tox",
    ".nox",
    ".cargo",
    "gems",
    "hostedtoolcache",
];
/// The same, at the beginning of a path.
const SYSTEM: &[&str] = &["/usr/lib", "/usr/local/lib", "/rustc/", "node:", "<frozen "];

impl Report {
    /// Finds the place of every failure and the file of all coverage among the files of the
    /// repository. What cannot be placed stays without a place.
    pub fn locate(&mut self, index: &Index) {
        for test in &mut self.tests {
            test.location = test
                .outcome
                .is_red()
                .then(|| location(test, index))
                .flatten();
        }
        if let Some(coverage) = &mut self.coverage {
            for file in &mut coverage.files {
                file.resolved = resolved(file, index);
            }
            coverage.unite();
        }
    }
}

fn location(test: &Test, index: &Index) -> Option<Location> {
    let hints = &test.hints;
    let details = test.details.as_deref().unwrap_or_default();
    let message = test.message.as_deref().unwrap_or_default();
    let leading =
        |text| frame::leading(text).and_then(|(path, line)| at(index.resolve(path)?, line));
    hints
        .failure
        .as_ref()
        .and_then(|place| at(index.resolve(&place.path)?, place.line?))
        .or_else(|| innermost(test, details, index))
        .or_else(|| innermost(test, message, index))
        .or_else(|| leading(message))
        .or_else(|| leading(details))
        .or_else(|| hints.case.as_ref().and_then(|place| whole(place, index)))
        .or_else(|| hints.suite.as_ref().and_then(|place| whole(place, index)))
        .or_else(|| at(of_class(test.class.as_deref()?, index)?, 1))
}

fn at(path: &str, line: u32) -> Option<Location> {
    (line > 0).then(|| Location {
        path: path.to_owned(),
        line,
    })
}

/// The place of a case or suite; the beginning of its file, when no line is known.
fn whole(place: &Place, index: &Index) -> Option<Location> {
    at(index.resolve(&place.path)?, place.line.unwrap_or(1))
}

fn innermost(owner: &Test, text: &str, index: &Index) -> Option<Location> {
    let frames = frame::frames(text);
    let find = |foreign: bool| {
        frames
            .iter()
            .filter(|frame| is_foreign(&frame.path) == foreign)
            .find_map(|frame| at(file_of(frame, owner, index)?, frame.line))
    };
    find(false).or_else(|| find(true))
}

fn is_foreign(path: &str) -> bool {
    SYSTEM.iter().any(|start| path.starts_with(start))
        || path
            .split(['/', '\\'])
            .any(|segment| FOREIGN.contains(&segment))
}

fn file_of<'a>(frame: &Frame, test: &Test, index: &'a Index) -> Option<&'a str> {
    // Go says the name of the file alone; its folder is the package.
    if frame
        .path
        .rsplit_once('.')
        .is_some_and(|(_, extension)| extension == "go")
        && !frame.path.contains('/')
    {
        let packages = test.class.iter().chain(test.suite.iter().rev());
        let found = packages.into_iter().find_map(|package| {
            let file = index.resolve(&format!("{package}/{}", frame.path))?;
            let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
            package.ends_with(folder).then_some(file)
        });
        if found.is_some() {
            return found;
        }
    }
    index.resolve(&frame.path)
}

/// The file of a class, when exactly one fits: a class may be a path already, a dotted Python
/// module with classes behind it, or a Java class in the folder of its package.
fn of_class<'a>(class: &str, index: &'a Index) -> Option<&'a str> {
    if let Some(file) = index.resolve(class) {
        return Some(file);
    }
    if class.contains(['/', '\\', ' ']) || class.len() > 1024 {
        return None;
    }
    let outer = class.split(['$', '+']).next()?;
    let mut path = outer.replace("::", ".").replace('.', "/");
    for depth in 0..8 {
        let whole = depth == 0;
        let mut files = [
            "py", "java", "kt", "scala", "groovy", "cs", "php", "rb", "ex", "exs", "swift",
        ]
        .iter()
        .filter_map(|extension| index.resolve_counted(&format!("{path}.{extension}")))
        // A file that is only the end of the class's path would be a guess.
        .filter(|(_, segments)| *segments == path.split('/').count())
        // Nor is the first of many names enough, unless it lies at the root.
        .filter(|(file, _)| whole || path.contains('/') || index.has(file) && !file.contains('/'));
        let file = files.next();
        if file.is_some() {
            return file
                .map(|(file, _)| file)
                .filter(|_| files.next().is_none());
        }
        // `tests.test_a.TestB`: the last name is a class within the module.
        path.truncate(path.rfind('/')?);
    }
    None
}

/// The file of the repository that coverage speaks of: below one of its sources, or as it is.
fn resolved(file: &FileCoverage, index: &Index) -> Option<String> {
    let below = file
        .sources
        .iter()
        .map(|source| source.trim_end_matches(['/', '\\']))
        .filter_map(|source| index.resolve_counted(&format!("{source}/{}", file.path)));
    let mut best: Option<(&str, usize)> = None;
    for found in below {
        if best.is_none_or(|best| found.1 > best.1) {
            best = Some(found);
        }
    }
    best.map(|(path, _)| path)
        .or_else(|| index.resolve(&file.path))
        .map(str::to_owned)
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
