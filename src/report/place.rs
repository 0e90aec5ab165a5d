//! Where failures and covered files are in the repository.

use super::coverage::FileCoverage;
use super::frame::{self, Frame};
use super::index::Index;
use super::model::{Location, Place, Report, Test};

/// Folders of code that others wrote: a frame in them counts only when no other fits, and only for
/// a file that the repository has there.
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
    "deps",
    ".build",
    ".pub-cache",
    "hostedtoolcache",
];
/// What is not in any repository, by the beginning of its path: systems, compilers and the
/// standard libraries of languages (`/_/` stands for the root of a package's sources in .NET).
const SYSTEM: &[&str] = &[
    "/usr/lib",
    "/usr/local/lib",
    "/usr/include",
    "/usr/local/go/",
    "/usr/share/",
    "/rustc/",
    "/_/",
    "node:",
    "internal/",
    "dart:",
    "<",
];
/// Where Go keeps modules.
const GO_MODULES: &str = "/pkg/mod/";

impl Report {
    /// Finds the place of every failure and the file of all coverage among the files of the
    /// repository. What cannot be placed stays without a place.
    pub fn locate(&mut self, index: &Index) {
        for test in &mut self.tests {
            let place = Placing { test, index };
            let failed = test.outcome.is_red() || test.flaky;
            test.location = failed.then(|| place.find()).flatten();
        }
        if let Some(coverage) = &mut self.coverage {
            for file in &mut coverage.files {
                file.resolved = resolved(file, index);
            }
            coverage.unite();
        }
    }
}

/// The search for the place of one failure.
struct Placing<'a> {
    test: &'a Test,
    index: &'a Index,
}

impl<'a> Placing<'a> {
    fn find(&self) -> Option<Location> {
        let hints = &self.test.hints;
        let details = frame::plain(self.test.details.as_deref().unwrap_or_default());
        let message = frame::plain(self.test.message.as_deref().unwrap_or_default());
        let leading = |text| {
            let (path, line) = frame::leading(text)?;
            // Words may be before it.
            if path.split_whitespace().any(is_system) {
                return None;
            }
            let file = self.resolve(path)?;
            at(file, line).filter(|_| !is_foreign(path) || is_foreign(file))
        };
        hints
            .failure
            .as_ref()
            .and_then(|place| at(self.resolve(&place.path)?, place.line?))
            .or_else(|| self.innermost(&details))
            .or_else(|| self.innermost(&message))
            .or_else(|| leading(&message))
            .or_else(|| leading(&details))
            .or_else(|| hints.case.as_ref().and_then(|place| self.whole(place)))
            .or_else(|| hints.suite.as_ref().and_then(|place| self.whole(place)))
            .or_else(|| at(of_class(self.test.class.as_deref()?, self.index)?, 1))
    }

    fn resolve(&self, path: &str) -> Option<&'a str> {
        self.index
            .resolve_near(path, self.test.hints.near.as_deref())
    }

    /// The place of a case or suite; the beginning of its file, when no line is known.
    fn whole(&self, place: &Place) -> Option<Location> {
        at(self.resolve(&place.path)?, place.line.unwrap_or(1))
    }

    fn innermost(&self, text: &str) -> Option<Location> {
        let frames = frame::frames(text);
        let mut foreign = None;
        for frame in &frames {
            // Most are of no file here, and this is the quickest to know.
            let Some(file) = self.file_of(frame).filter(|_| !is_system(&frame.path)) else {
                continue;
            };
            let is_own = !is_foreign(&frame.path);
            if !is_own && foreign.is_some() {
                continue;
            }
            if is_own {
                return at(file, frame.line);
            }
            foreign = at(file, frame.line).filter(|_| is_foreign(file));
        }
        foreign
    }

    fn file_of(&self, frame: &Frame<'_>) -> Option<&'a str> {
        let path = frame.path.as_ref();
        match frame::extension(path) {
            // Go says the name of the file alone; its folder is the package.
            "go" if !path.contains('/') => self.in_package(path).or_else(|| self.resolve(path)),
            // Files of these need not lie in the folders of their package, or only in the last.
            "kt" | "kts" | "scala" | "groovy" | "clj" => self.resolve(path).or_else(|| {
                let below = path
                    .match_indices('/')
                    .filter_map(|(at, _)| path.get(at + 1..));
                below.into_iter().find_map(|shorter| self.resolve(shorter))
            }),
            _ => self.resolve(path),
        }
    }

    fn in_package(&self, name: &str) -> Option<&'a str> {
        let packages = self.test.class.iter().chain(self.test.suite.iter().rev());
        packages.into_iter().find_map(|package| {
            let file = self.resolve(&format!("{package}/{name}"))?;
            let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
            package.ends_with(folder).then_some(file)
        })
    }
}

fn at(path: &str, line: u32) -> Option<Location> {
    (line > 0).then(|| Location {
        path: path.to_owned(),
        line,
    })
}

fn is_system(path: &str) -> bool {
    SYSTEM.iter().any(|start| path.starts_with(start)) || path.contains(GO_MODULES)
}

fn is_foreign(path: &str) -> bool {
    path.split(['/', '\\'])
        .any(|segment| FOREIGN.contains(&segment))
}

/// Languages where a class lies in the folders of its package, and nowhere else.
const IN_PACKAGE: &[&str] = &["py", "java", "kt", "scala", "groovy", "cs", "php", "swift"];
/// Languages where the name of a class says the name of the file, wherever that lies.
const BY_NAME: &[&str] = &["kt", "scala", "groovy", "cs", "php", "swift"];
/// Languages where that name is in small letters with underscores.
const BY_SNAKE: &[&str] = &["rb", "exs", "ex"];

/// The file of a class, when exactly one fits: a class may be a path already, a dotted Python
/// module with classes behind it, or a Java class in the folder of its package.
fn of_class<'a>(class: &str, index: &'a Index) -> Option<&'a str> {
    if let Some(file) = index.resolve(class) {
        return Some(file);
    }
    if class.contains(['/', ' ']) || class.len() > 1024 {
        return None;
    }
    let outer = class.split(['$', '+', '(']).next()?;
    let dotted = outer.replace("::", ".").replace('\\', ".");
    let mut path = dotted.replace('.', "/");
    for depth in 0..8 {
        let whole = depth == 0;
        // What has no file of its name has none with any of the endings.
        let endings = if index.has_name(&path) {
            IN_PACKAGE
        } else {
            &[]
        };
        let mut files = endings
            .iter()
            .filter_map(|extension| index.resolve_counted(&format!("{path}.{extension}")))
            // A file that is only the end of the class's path would be a guess.
            .filter(|(_, segments)| *segments == path.split('/').count())
            // Nor is the first of many names enough, unless it lies at the root.
            .filter(|(file, _)| whole || path.contains('/') || !file.contains('/'));
        let file = files.next();
        if file.is_some() {
            return file
                .map(|(file, _)| file)
                .filter(|_| files.next().is_none());
        }
        // `tests.test_a.TestB`: the last name is a class within the module.
        let Some(end) = path.rfind('/') else { break };
        path.truncate(end);
    }
    let name = dotted.rsplit('.').next()?;
    let snake = snake(name);
    let by_name = BY_NAME
        .iter()
        .map(|extension| format!("{name}.{extension}"));
    let by_snake = BY_SNAKE
        .iter()
        .map(|extension| format!("{snake}.{extension}"));
    let mut files = by_name.chain(by_snake).filter_map(|name| index.only(&name));
    let only = files.next()?;
    files.next().is_none().then_some(only)
}

/// `CartTest` is `cart_test`.
fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    let mut before = '_';
    for char in name.chars() {
        if char.is_uppercase() && before.is_lowercase() {
            snake.push('_');
        }
        snake.extend(char.to_lowercase());
        before = char;
    }
    snake
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
