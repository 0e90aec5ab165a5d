//! The signature of a webhook delivery.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::Secret;

/// Whether `header` (the value of `X-Hub-Signature-256`, `sha256=` and 64 hex digits) is the
/// HMAC-SHA256 of the raw body under one of the secrets. Compares in constant time.
pub fn verify(secrets: &[Secret], body: &[u8], header: &str) -> bool {
    let Some(signature) = header.strip_prefix("sha256=").and_then(hex) else {
        return false;
    };
    secrets.iter().any(|secret| {
        Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).is_ok_and(|mut mac| {
            mac.update(body);
            mac.verify_slice(&signature).is_ok()
        })
    })
}

/// 64 hex digits as 32 bytes.
fn hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::verify;
    use crate::domain::Secret;

    // The example of GitHub's documentation ("Validating webhook deliveries").
    const BODY: &[u8] = b"Hello, World!";
    const HEADER: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn secret(text: &str) -> Secret {
        Secret::new(text)
    }

    #[test]
    fn the_documented_example_holds() {
        assert!(verify(
            &[secret("It's a Secret to Everybody")],
            BODY,
            HEADER
        ));
    }

    #[test]
    fn either_of_two_secrets_will_do() {
        let secrets = [secret("new"), secret("It's a Secret to Everybody")];
        assert!(verify(&secrets, BODY, HEADER));
    }

    #[test]
    fn anything_else_is_refused() {
        let right = [secret("It's a Secret to Everybody")];
        assert!(!verify(&right, b"Hello, World?", HEADER));
        assert!(!verify(&[secret("other")], BODY, HEADER));
        assert!(!verify(&[], BODY, HEADER));
        for header in [
            "",
            "sha256=",
            "sha1=757107ea0eb2509fc211221cce984b8a37570b6d",
            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e1",
            "sha256=+57107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            "sha256=éé7107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e",
        ] {
            assert!(!verify(&right, BODY, header), "{header}");
        }
    }
}
