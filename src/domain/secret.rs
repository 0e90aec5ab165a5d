//! Text that must not be shown.

use crate::protocol::StepOrder;

/// A secret value: never printed by `Debug`, never serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The largest value, in bytes.
pub const MOST: usize = 48 * 1024;

/// Why something cannot be a stored secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotASecret {
    /// Its name.
    #[error(
        "`{0}` is no name of a secret: it is a variable of the steps, as in DEPLOY_TOKEN, of \
         A to Z, 0 to 9 and _, not beginning with a digit, and at most 128 long"
    )]
    Name(String),
    /// A name that Herald itself sets.
    #[error("`{0}` is set by Herald for every step; take another name for the secret")]
    Fixed(String),
    /// Nothing in it.
    #[error("the value is empty")]
    Empty,
    /// Too much in it.
    #[error("the value has {0} bytes; a secret has at most {MOST}")]
    Large(usize),
    /// A byte that no variable can hold.
    #[error("the value has a NUL byte, which no environment variable can hold; store it in base64")]
    Nul,
}

/// Whether steps can get a secret of this name.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(name: &str) -> Result<(), NotASecret> {
    let shown = || name.chars().take(128).collect();
    let right = name
        .bytes()
        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && (1..=128).contains(&name.len());
    if !right {
        return Err(NotASecret::Name(shown()));
    }
    if StepOrder::fixed(name) {
        return Err(NotASecret::Fixed(shown()));
    }
    Ok(())
}

/// Whether steps can get this value.
///
/// # Errors
/// What is wrong with it.
pub fn check_value(value: &str) -> Result<(), NotASecret> {
    if value.is_empty() {
        Err(NotASecret::Empty)
    } else if value.len() > MOST {
        Err(NotASecret::Large(value.len()))
    } else if value.contains('\0') {
        Err(NotASecret::Nul)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{NotASecret, Secret, check_name, check_value};

    #[test]
    fn a_name_is_a_variable_that_herald_does_not_set() {
        for name in ["TOKEN", "_A", "A1_B2"] {
            assert_eq!(check_name(name), Ok(()));
        }
        for name in [
            "",
            "token",
            "1A",
            "A-B",
            "A B",
            "Ä",
            "A=B",
            &"A".repeat(129),
        ] {
            assert!(
                matches!(check_name(name), Err(NotASecret::Name(_))),
                "{name}"
            );
        }
        for name in [
            "CI",
            "PATH",
            "HOME",
            "TMPDIR",
            "LANG",
            "HERALD",
            "HERALD_SHA",
        ] {
            assert!(
                matches!(check_name(name), Err(NotASecret::Fixed(_))),
                "{name}"
            );
        }
    }

    #[test]
    fn a_value_fits_into_a_variable() {
        assert_eq!(check_value("x"), Ok(()));
        assert_eq!(check_value(""), Err(NotASecret::Empty));
        assert_eq!(check_value("a\0b"), Err(NotASecret::Nul));
        assert_eq!(check_value(&"x".repeat(49_152)), Ok(()));
        assert_eq!(
            check_value(&"x".repeat(49_153)),
            Err(NotASecret::Large(49_153))
        );
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }
}
