//! Sealing values for the database: AES-256-GCM under the server's key.
//!
//! A sealed value is bound to its repository and name, so that one that was copied to another row
//! does not open. Nothing here knows SQL.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use super::database::StoreError;
use crate::domain::Secret;

/// The way in which values are sealed, at the start of each.
const FORM: u8 = 1;
/// Bytes of a nonce (NIST SP 800-38D, 8.2).
const NONCE: usize = 12;
/// The place of cookies; no repository has such an id.
const COOKIE: &str = "cookie";
/// Bytes of a key.
const KEY: usize = 32;

/// The key that seals stored values. Never printed.
pub struct SealKey(RandomizedNonceKey);

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(…)")
    }
}

impl SealKey {
    /// Reads a key: 32 bytes as 64 hex digits or in base64.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let bytes = hex(text).or_else(|| {
            [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
                .iter()
                .find_map(|engine| engine.decode(text).ok())
                .filter(|bytes| bytes.len() == KEY)
        })?;
        RandomizedNonceKey::new(&AES_256_GCM, &bytes).ok().map(Self)
    }

    /// A new key by chance, as 64 hex digits.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> std::io::Result<Secret> {
        let mut bytes = [0; KEY];
        aws_lc_rs::rand::fill(&mut bytes)
            .map_err(|_| std::io::Error::other("the system gives no randomness"))?;
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Secret::new(text))
    }

    /// Seals a text that goes out to a browser as the cookie of this name; letters, digits and
    /// `+/=`. `None` when the system gives no randomness.
    pub fn seal_cookie(&self, name: &str, text: &str) -> Option<String> {
        self.seal(COOKIE, name, &Secret::new(text)).ok()
    }

    /// Opens what came back; `None` for what was not sealed by us for a cookie of this name.
    pub fn open_cookie(&self, name: &str, sealed: &str) -> Option<Secret> {
        self.open(COOKIE, name, sealed).ok()
    }

    /// Seals a value for this place.
    pub(super) fn seal(
        &self,
        repository: &str,
        name: &str,
        value: &Secret,
    ) -> Result<String, StoreError> {
        let mut bytes = value.expose().as_bytes().to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(place(repository, name)), &mut bytes)
            .map_err(|_| StoreError::Stored(format!("the secret {name} cannot be sealed")))?;
        let mut sealed = vec![FORM];
        sealed.extend(nonce.as_ref());
        sealed.extend(bytes);
        Ok(STANDARD.encode(sealed))
    }

    /// Opens what was sealed for this place.
    pub(super) fn open(
        &self,
        repository: &str,
        name: &str,
        sealed: &str,
    ) -> Result<Secret, StoreError> {
        let wrong = || {
            StoreError::Stored(format!(
                "the secret {name} does not open with this HERALD_SECRET_KEY; store it again \
                 with `herald admin secret set`, or bring back the key that it was stored with"
            ))
        };
        let bytes = STANDARD.decode(sealed).map_err(|_| wrong())?;
        let (form, rest) = bytes.split_first().ok_or_else(wrong)?;
        let (nonce, rest) = rest.split_at_checked(NONCE).ok_or_else(wrong)?;
        if *form != FORM {
            return Err(wrong());
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| wrong())?;
        let mut text = rest.to_vec();
        let text = self
            .0
            .open_in_place(nonce, Aad::from(place(repository, name)), &mut text)
            .map_err(|_| wrong())?;
        let text = std::str::from_utf8(text).map_err(|_| wrong())?;
        Ok(Secret::new(text))
    }
}

/// 256 bits of chance as 43 letters, digits, `-` and `_`.
///
/// # Errors
/// When the system gives no randomness.
pub fn chance() -> std::io::Result<String> {
    let mut bytes = [0; KEY];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| std::io::Error::other("the system gives no randomness"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Whether two texts are the same; how long it takes says nothing of where they differ.
pub fn is_same(one: &str, other: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

/// What a value is bound to. Each part with its length before it, so that no two places read the
/// same.
fn place(repository: &str, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in [repository, name] {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        bytes.extend(length.to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    bytes
}

/// The bytes of 64 hex digits.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|char| char.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    (digits.len() == 2 * KEY).then(|| {
        digits
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::SealKey;
    use crate::domain::Secret;

    fn key(digit: char) -> SealKey {
        SealKey::parse(&digit.to_string().repeat(64)).unwrap()
    }

    #[test]
    fn a_key_is_32_bytes_in_hex_or_base64() {
        let base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        assert!(SealKey::parse(base64).is_some());
        assert!(SealKey::parse(base64.trim_end_matches('=')).is_some());
        assert!(SealKey::parse(&format!("{}\n", "aF".repeat(32))).is_some());
        assert!(SealKey::parse("correct horse battery staple").is_none());
        assert!(SealKey::parse(&"a".repeat(63)).is_none());
        assert!(SealKey::parse("").is_none());
        assert!(SealKey::parse(SealKey::generate().unwrap().expose()).is_some());
    }

    #[test]
    fn what_was_sealed_opens_in_its_own_place_only() {
        let value = Secret::new("hunter2");
        let sealed = key('a').seal("h/1", "TOKEN", &value).unwrap();
        assert_eq!(key('a').open("h/1", "TOKEN", &sealed).unwrap(), value);
        assert_ne!(sealed, key('a').seal("h/1", "TOKEN", &value).unwrap());
        for (digit, repository, name) in [
            ('b', "h/1", "TOKEN"),
            ('a', "h/2", "TOKEN"),
            ('a', "h/1", "OTHER"),
            ('a', "h/1T", "OKEN"),
        ] {
            assert!(key(digit).open(repository, name, &sealed).is_err());
        }
    }

    #[test]
    fn damaged_values_do_not_open() {
        let sealed = key('a').seal("h/1", "TOKEN", &Secret::new("x")).unwrap();
        for damaged in [
            "",
            "AQ==",
            "?",
            sealed.get(4..).unwrap(),
            &sealed.replacen('A', "B", 1),
        ] {
            assert!(key('a').open("h/1", "TOKEN", damaged).is_err(), "{damaged}");
        }
    }
}
