//! The house: which module may use which, how long files may be, what the documents name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Module, floor, and the modules of the same floor that it may use.
const FLOORS: [(&str, u8, &[&str]); 22] = [
    ("text", 0, &[]),
    ("report", 0, &["text"]),
    ("spec", 0, &["text"]),
    ("badge", 0, &["text"]),
    ("protocol", 0, &["text"]),
    ("domain", 1, &[]),
    ("ports", 2, &[]),
    ("feedback", 2, &[]),
    ("app", 3, &[]),
    ("github", 4, &[]),
    ("store", 4, &[]),
    ("executor", 4, &[]),
    ("logs", 4, &[]),
    ("source", 4, &[]),
    ("depot", 4, &[]),
    ("runner", 4, &[]),
    ("web", 5, &[]),
    ("admin", 5, &[]),
    ("demo", 5, &[]),
    ("config", 6, &[]),
    // The commands put servers together.
    ("wire", 6, &["config"]),
    ("cli", 6, &["config", "wire"]),
];

/// Crates, and the modules that may know them.
const VENDORS: [(&str, &[&str]); 7] = [
    ("octocrab", &["github"]),
    ("jsonwebtoken", &["github", "demo"]),
    ("sqlx", &["store"]),
    ("bollard", &["executor"]),
    // `store` seals, `demo` makes the key of its App, `wire` chooses the provider of TLS.
    ("aws_lc_rs", &["store", "demo", "wire"]),
    // The demonstration serves two routers; `wire` serves those of the server.
    ("axum", &["web", "demo", "wire", "cli"]),
    ("quick_xml", &["report"]),
];

/// What is not pure: not on the floors 0 to 2.
const IMPURE: [&str; 9] = [
    "tokio::",
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "Instant::now",
    "SystemTime::now",
    "Utc::now",
    "Uuid::",
];

/// Files over 600 lines of production code, and why they are not cut.
const LONG: [(&str, &str); 0] = [];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of production code: its path below `src`, its module, and its text without tests.
struct Source {
    path: String,
    module: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let mut all = Vec::new();
    for entry in walkdir::WalkDir::new(&src).sort_by_file_name() {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(&src).unwrap();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let is_test = name == "tests" || name.ends_with("_tests") || is_test_module(entry.path());
        if path.extension().is_none_or(|ending| ending != "rs") || is_test {
            continue;
        }
        let path = path.to_string_lossy().into_owned();
        let module = path.split(['/', '.']).next().unwrap().to_owned();
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let text = match text.split_once("\n#[cfg(test)]\nmod tests {") {
            Some((production, _)) => production.to_owned(),
            None => text,
        };
        all.push(Source { path, module, text });
    }
    all
}

/// Whether the module above declares this file for tests only.
fn is_test_module(file: &Path) -> bool {
    let Some(folder) = file.parent() else {
        return false;
    };
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let above = std::fs::read_to_string(folder.join("mod.rs")).unwrap_or_default();
    let lines: Vec<&str> = above.lines().collect();
    lines.windows(2).any(|pair| {
        pair[0].starts_with("#[cfg(")
            && pair[0].contains("test")
            && pair[1]
                .trim_start_matches("pub ")
                .trim_start_matches("pub(crate) ")
                == format!("mod {name};")
    })
}

/// Lines of code, without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
}

/// The names that follow `crate::` in a text, also in lists.
fn used(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in code(text) {
        for (_, rest) in line
            .match_indices("crate::")
            .map(|(at, _)| line.split_at(at + 7))
        {
            let list = rest.strip_prefix('{').unwrap_or(rest);
            let many = list.len() != rest.len();
            for part in list.split(',').take(if many { usize::MAX } else { 1 }) {
                let name: String = part
                    .trim()
                    .chars()
                    .take_while(|char| char.is_alphanumeric() || *char == '_')
                    .collect();
                names.insert(name);
            }
        }
    }
    names
}

#[test]
fn every_module_uses_only_what_is_below_it() {
    let floor = |module: &str| FLOORS.iter().find(|(name, ..)| *name == module);
    let mut seen = BTreeSet::new();
    for source in sources() {
        if ["lib", "main", "bin"].contains(&source.module.as_str()) {
            continue;
        }
        let (module, level, same) =
            floor(&source.module).unwrap_or_else(|| panic!("{} is on no floor", source.path));
        seen.insert(*module);
        for name in used(&source.text) {
            let Some((other, below, _)) = floor(&name) else {
                continue;
            };
            let allowed = other == module
                || (*level > 0 && below < level)
                || (*level == 0 && same.contains(other))
                || same.contains(other);
            assert!(
                allowed,
                "{} (floor {level}) uses {other} (floor {below})",
                source.path
            );
        }
        if *module == "runner" {
            let beyond: Vec<_> = used(&source.text)
                .into_iter()
                .filter(|name| floor(name).is_some())
                .filter(|name| !["runner", "protocol", "text"].contains(&name.as_str()))
                .collect();
            assert!(
                beyond.is_empty(),
                "the runner is a small program: {beyond:?}"
            );
        }
    }
    assert_eq!(seen.len(), FLOORS.len(), "a floor has no module any more");
}

#[test]
fn vendors_stay_in_their_modules() {
    for source in sources() {
        for (vendor, homes) in VENDORS {
            let mentions = code(&source.text)
                .any(|line| line.contains(&format!("{vendor}::")) && !line.contains('"'));
            let at_home = homes.contains(&source.module.as_str());
            assert!(!mentions || at_home, "{} knows {vendor}", source.path);
        }
    }
}

#[test]
fn the_lower_floors_are_pure() {
    for source in sources() {
        let low = FLOORS
            .iter()
            .any(|(name, floor, _)| *name == source.module && *floor <= 2);
        if !low {
            continue;
        }
        for impure in IMPURE {
            let found = code(&source.text).find(|line| line.contains(impure));
            assert!(found.is_none(), "{}: {found:?}", source.path);
        }
    }
}

#[test]
fn files_are_short_documented_and_finished() {
    for source in sources() {
        let lines = source.text.lines().count();
        let reason = LONG.iter().find(|(path, _)| *path == source.path);
        assert!(
            lines <= 600 || reason.is_some(),
            "{} has {lines} lines; cut it, or say why not",
            source.path
        );
        assert!(
            source.text.starts_with("//!"),
            "{} says not what it is for",
            source.path
        );
        // With its colon or bracket: TAP has a directive of the same name.
        for mark in [
            "TODO:",
            "TODO(",
            "FIXME",
            "XXX",
            "todo!(",
            "unimplemented!(",
        ] {
            assert!(!source.text.contains(mark), "{}: {mark}", source.path);
        }
    }
}

#[test]
fn what_the_architecture_names_exists() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    assert!(text.lines().count() < 200);
    let all: String = sources().into_iter().map(|source| source.text).collect();
    let mut checked = 0;
    for name in text.split('`').skip(1).step_by(2) {
        if name.contains('\n') {
            continue;
        }
        if name.starts_with("src/") || name.starts_with("tests/") || name == "templates" {
            assert!(root().join(name).exists(), "{name}");
            checked += 1;
        } else if let Some((_, item)) = name.rsplit_once("::") {
            let defined = ["fn ", "struct ", "enum ", "trait ", "type "]
                .iter()
                .any(|kind| all.contains(&format!("{kind}{item}")));
            assert!(defined, "{name}");
            checked += 1;
        }
    }
    assert!(checked > 25, "{checked}");
}

#[test]
fn the_readme_names_every_variable_that_is_read() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let files: Vec<PathBuf> = ["credentials", "outbound", "settings"]
        .map(|file| root().join(format!("src/config/{file}.rs")))
        .to_vec();
    let text: String = files
        .iter()
        .map(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            text.split("#[cfg(test)]").next().unwrap().to_owned()
        })
        .collect();
    for name in text.split('"').filter(|part| part.starts_with("HERALD_")) {
        let name = name.split([':', ' ']).next().unwrap();
        if name.contains("…") || name.ends_with("_PER_REPOSITORY") {
            continue;
        }
        assert!(readme.contains(name), "{name}");
    }
}
