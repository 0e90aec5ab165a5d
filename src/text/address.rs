//! Text in addresses (RFC 3986, 2.1 and 2.3).

/// A text as one part of an address: of a path, or of a query.
pub fn part(text: &str) -> String {
    keeping(text, b"-._~")
}

/// A path as it stands in an address, with its folders.
pub fn path(text: &str) -> String {
    keeping(text, b"-._~/")
}

/// Letters, digits and these bytes stay; all else is percent-encoded.
fn keeping(text: &str, kept: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{part, path};

    #[test]
    fn a_path_keeps_its_folders_in_an_address() {
        assert_eq!(path("a b/ü?#%.txt"), "a%20b/%C3%BC%3F%23%25.txt");
        assert_eq!(part("a/b&c=d+e"), "a%2Fb%26c%3Dd%2Be");
    }
}
