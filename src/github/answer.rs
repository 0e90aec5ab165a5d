//! What is read from GitHub's answers, good and bad.

use http::Method;
use http::header::{HeaderMap, LINK};
use rustls::CertificateError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ports::PortError;
use crate::ports::error::Result;

/// An error with its causes on one line, certificates in words that say what to do.
pub(super) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = distrusted(inner).map_or_else(|| inner.to_string(), str::to_owned);
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

/// Why a certificate was not taken, where the words of rustls are for those who know it.
fn distrusted(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    // An error of IO hides the one in it from whoever asks for its cause.
    let mut error = error;
    while let Some(inner) = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
    {
        error = inner;
    }
    let Some(rustls::Error::InvalidCertificate(why)) = error.downcast_ref() else {
        return None;
    };
    match why {
        CertificateError::UnknownIssuer => Some(
            "its certificate is signed by an authority that this machine does not know; name the authority's \
             certificate in HERALD_CA_FILE",
        ),
        // What `openssl req -x509` makes without more words, put to use as it is.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => Some(
            "its certificate is that of an authority, which no server may show; give it one of its own, signed \
             by the authority",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Some("its certificate has ended, or the clock of this machine is wrong")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Some("its certificate is not good yet, or the clock of this machine is wrong")
        }
        _ => None,
    }
}

/// Reads the body of a good answer.
pub(super) fn understand<T: DeserializeOwned>(
    method: &Method,
    path: &str,
    body: &[u8],
) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| {
        PortError::transient(format!("understand the answer to {method} {path}: {error}"))
    })
}

/// The words of a refusal.
#[derive(Deserialize, Default)]
pub(super) struct Said {
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    pub(super) errors: Value,
}

/// What a refusal says; nothing where it is not in words.
pub(super) fn said(body: &[u8]) -> Said {
    serde_json::from_slice(body).unwrap_or_default()
}

/// The `cursor` of the next page. Nothing else is taken from the address: it names a host, and a
/// token must go to the configured host only.
pub(super) fn cursor(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let next = link.split(',').find(|link| link.contains("rel=\"next\""))?;
    let address = next.split_once('<')?.1.split_once('>')?.0;
    let query = address.split_once('?')?.1;
    let cursor = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("cursor="))?;
    // It goes back as it came: still escaped, and nothing that could end the query.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
    (!cursor.is_empty() && cursor.bytes().all(plain)).then(|| cursor.to_owned())
}

#[cfg(test)]
mod tests {
    use super::cursor;
    use http::header::{HeaderMap, HeaderValue, LINK};

    #[test]
    fn of_a_next_page_only_the_cursor_is_taken() {
        let next = |link: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(LINK, HeaderValue::from_static(link));
            cursor(&headers)
        };
        let link =
            "<https://elsewhere/app/hook/deliveries?per_page=100&cursor=v1_9%3D>; rel=\"next\"";
        assert_eq!(next(link).as_deref(), Some("v1_9%3D"));
        let last = "<https://a/b?cursor=1>; rel=\"prev\", <https://a/b?page=2>; rel=\"next\"";
        assert_eq!(next(last), None);
        assert_eq!(next("<https://a/b?cursor=1#x>; rel=\"next\""), None);
    }
}
