//! Specifications to begin with, for the tools that a repository uses.

/// A specification to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Starter {
    /// Its name in addresses.
    pub key: &'static str,
    /// What it is for.
    pub title: &'static str,
    /// Files in the root of such a repository; a leading `*` stands for anything.
    marks: &'static [&'static str],
    /// The text of `.herald.yml`.
    pub text: &'static str,
}

macro_rules! starter {
    ($key:literal, $title:literal, $($mark:literal),*) => {
        Starter {
            key: $key,
            title: $title,
            marks: &[$($mark),*],
            text: include_str!(concat!("../../templates/starters/", $key, ".yml")),
        }
    };
}

/// All of them. Where several fit, the earliest does: a `package.json` is often only beside the thing
/// itself.
pub const STARTERS: [Starter; 8] = [
    starter!("rust", "Rust", "Cargo.toml"),
    starter!("go", "Go", "go.mod"),
    starter!("dotnet", ".NET", "*.sln", "*.slnx", "*.csproj", "*.fsproj"),
    starter!(
        "gradle",
        "Java, Kotlin: Gradle",
        "gradlew",
        "build.gradle",
        "build.gradle.kts"
    ),
    starter!("maven", "Java: Maven", "pom.xml"),
    starter!(
        "python",
        "Python",
        "pyproject.toml",
        "requirements.txt",
        "setup.py",
        "setup.cfg",
        "tox.ini"
    ),
    starter!("node", "Node.js", "package.json"),
    starter!("shell", "Anything else",),
];

/// The starter for a repository with these files in its root, where one fits.
pub fn starter_for(files: &[String]) -> Option<&'static Starter> {
    let fits = |mark: &str| match mark.strip_prefix('*') {
        Some(end) => files.iter().any(|file| file.ends_with(end)),
        None => files.iter().any(|file| file == mark),
    };
    STARTERS
        .iter()
        .find(|starter| starter.marks.iter().any(|mark| fits(mark)))
}

#[cfg(test)]
mod tests {
    use super::{STARTERS, starter_for};
    use crate::spec::parse;

    #[test]
    fn every_starter_is_a_good_specification_without_a_warning() {
        for starter in STARTERS {
            let parsed = parse(starter.text.as_bytes());
            assert!(
                parsed.problems.is_empty(),
                "{}: {:?}",
                starter.key,
                parsed.problems
            );
            let specification = parsed.specification.unwrap();
            assert_eq!(specification.jobs.len(), 1);
            let job = &specification.jobs[0];
            assert!(!job.execute.is_empty());
            // Without a declared report nothing says that tests ran.
            assert_eq!(job.reports.tests.is_none(), starter.key == "shell");
        }
    }

    #[test]
    fn the_files_of_a_repository_say_what_fits() {
        let of = |files: &[&str]| {
            let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
            starter_for(&files).map(|starter| starter.key)
        };
        assert_eq!(of(&["package.json", "Cargo.toml"]), Some("rust"));
        assert_eq!(of(&["README.md", "package.json"]), Some("node"));
        assert_eq!(of(&["Shop.sln"]), Some("dotnet"));
        assert_eq!(of(&["pom.xml"]), Some("maven"));
        assert_eq!(of(&["build.gradle.kts"]), Some("gradle"));
        assert_eq!(of(&["requirements.txt"]), Some("python"));
        assert_eq!(of(&["go.mod"]), Some("go"));
        assert_eq!(of(&["README.md"]), None);
    }
}
