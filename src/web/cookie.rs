//! Cookies (RFC 6265): only those of this server, sealed, for no script to see.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

use crate::store::SealKey;

/// A cookie of ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cookie {
    /// What it is called.
    pub(super) name: &'static str,
    /// The addresses it is sent to.
    pub(super) path: &'static str,
    /// How long it is kept, in seconds.
    pub(super) seconds: i64,
}

impl Cookie {
    /// The value of `Set-Cookie` that keeps a text in the browser, sealed. `secure`: whether it goes
    /// over https only. `SameSite=Lax`: links from GitHub find people signed in, forms of other sites
    /// do not.
    pub(super) fn keep(self, key: &SealKey, text: &str, secure: bool) -> Option<HeaderValue> {
        let value = key.seal_cookie(self.name, text)?;
        self.header(&value, self.seconds, secure)
    }

    /// The value of `Set-Cookie` that has the browser forget it.
    pub(super) fn forget(self, secure: bool) -> Option<HeaderValue> {
        self.header("", 0, secure)
    }

    /// What the browser sent, opened.
    pub(super) fn read(self, key: &SealKey, headers: &HeaderMap) -> Option<String> {
        // Another site on the same domain may have set one of this name as well.
        let text = sent(headers, self.name).find_map(|value| key.open_cookie(self.name, value))?;
        Some(text.expose().to_owned())
    }

    fn header(self, value: &str, seconds: i64, secure: bool) -> Option<HeaderValue> {
        let secure = if secure { "; Secure" } else { "" };
        HeaderValue::from_str(&format!(
            "{}={value}; Path={}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}",
            self.name, self.path
        ))
        .ok()
    }
}

/// The values of all cookies of this name that the browser sent.
pub(super) fn sent<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(move |(of, value)| (of == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use axum::http::header::COOKIE;
    use axum::http::{HeaderMap, HeaderValue};

    use super::Cookie;
    use crate::store::SealKey;

    const JAR: Cookie = Cookie {
        name: "jar",
        path: "/",
        seconds: 60,
    };

    fn key(digit: char) -> SealKey {
        SealKey::parse(&digit.to_string().repeat(64)).unwrap()
    }

    fn sent(cookies: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(cookies).unwrap());
        headers
    }

    #[test]
    fn what_was_kept_is_read_and_nothing_else() {
        let header = JAR.keep(&key('a'), "in it", true).unwrap();
        let header = header.to_str().unwrap();
        for part in [
            "; HttpOnly",
            "; SameSite=Lax",
            "; Secure",
            "; Path=/",
            "; Max-Age=60",
        ] {
            assert!(header.contains(part), "{header}");
        }
        let pair = header.split(';').next().unwrap();
        assert!(!pair.contains("in it"));
        let read = |key: &SealKey, cookies: &str| JAR.read(key, &sent(cookies));
        assert_eq!(read(&key('a'), pair).as_deref(), Some("in it"));
        let beside = format!(
            "jar=forged; other={}; {pair}",
            pair.trim_start_matches("jar=")
        );
        assert_eq!(read(&key('a'), &beside).as_deref(), Some("in it"));
        assert_eq!(read(&key('b'), pair), None, "another key");
        assert_eq!(read(&key('a'), &pair.replace("jar=", "jam=")), None);
        assert_eq!(read(&key('a'), "jar=in it"), None);
        let moved = Cookie { name: "jam", ..JAR };
        assert_eq!(
            moved.read(&key('a'), &sent(&pair.replace("jar=", "jam="))),
            None,
            "sealed for another name"
        );
    }
}
