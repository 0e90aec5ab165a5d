//! Logos of badges: a dozen of our own, and images as data URIs.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The logos that go by a name: paths on a field of 24 by 24.
pub const LOGOS: [(&str, &str); 12] = [
    (
        "herald",
        "M3 9v6h3l9 5V4L6 9H3zm14-1.5v9a5 5 0 0 0 0-9zM7 17l1.5 5h3L10 16.5z",
    ),
    ("check", "M9.5 18.5 3 12l2.2-2.2 4.3 4.3L18.8 4.8 21 7z"),
    (
        "cross",
        "m5.2 3 6.8 6.8L18.8 3 21 5.2 14.2 12l6.8 6.8-2.2 2.2-6.8-6.8L5.2 21 3 \
         18.8 9.8 12 3 5.2z",
    ),
    (
        "tests",
        "M9 2h6v2h-1v5l5.6 9.8A2.1 2.1 0 0 1 17.8 22H6.2a2.1 2.1 0 0 \
         1-1.8-3.2L10 9V4H9zm2.7 8L8 16.5h8L12.3 10z",
    ),
    (
        "coverage",
        "M12 2 3 5.5V12c0 4.8 3.7 8.6 9 10 5.3-1.4 9-5.2 9-10V5.5zm-1.3 14.5-4-4 \
         1.8-1.8 2.2 2.2 5-5 1.8 1.8z",
    ),
    (
        "gear",
        "m10 2-.6 2.7-1.7 1L5 4.8l-2 3.4 2.1 1.9v2L3 14l2 3.4 2.7-.9 1.7 1L10 \
         20.2h4l.6-2.7 1.7-1 2.7.9 2-3.4-2.1-1.9v-2L21 8.2l-2-3.4-2.7.9-1.7-1L14 \
         2zm2 6a3.1 3.1 0 1 1 0 6.2A3.1 3.1 0 0 1 12 8z",
    ),
    (
        "rocket",
        "M21 3c-5 0-9 2-12 6L5 9.5 2.5 13l4 .5 4 4 .5 4 3.5-2.5.5-4c4-3 6-7 \
         6-12zm-6 4.5a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6zM5 16c-1.5 1-2 5-2 \
         5s4-.5 5-2z",
    ),
    (
        "tag",
        "M3 3h9l9.5 9.5-9 9L3 12zm4.5 2.7a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 \
         0-3.6z",
    ),
    (
        "branch",
        "M7 2a3 3 0 0 1 1.2 5.7v8.6A3 3 0 1 1 5.8 16.3V7.7A3 3 0 0 1 7 2zm10 2a3 \
         3 0 0 1 1.2 5.7c-.1 3.4-2.6 4.8-7 5l-.4-2.4c3.5-.2 4.9-.9 5-2.6A3 3 0 0 \
         1 17 4z",
    ),
    (
        "clock",
        "M12 2a10 10 0 1 1 0 20 10 10 0 0 1 0-20zm0 2.5a7.5 7.5 0 1 0 0 15 7.5 \
         7.5 0 0 0 0-15zM11 7h2v4.5l3.5 2.1-1 1.7L11 12.6z",
    ),
    (
        "book",
        "M3 4c3.5-.7 6.5-.2 9 1.7C14.5 3.8 17.5 3.3 21 4v14.5c-3.5-.7-6.5-.2-9 \
         1.7-2.5-1.9-5.5-2.4-9-1.7zm8.2 3.5C9.5 6.3 7.5 5.9 5 6.1v10.3c2.3-.1 \
         4.4.3 6.2 1.3z",
    ),
    (
        "star",
        "m12 2 3 6.6 7.2.8-5.4 4.9 1.5 7.1L12 17.8l-6.3 3.6 1.5-7.1L1.8 9.4 9 \
         8.6z",
    ),
];

/// The longest data URI that is taken over, in bytes.
const MOST: usize = 16 * 1024;

/// Whether there is such a logo, by its name or as an image in a data URI.
pub fn is_logo(logo: &str) -> bool {
    address(logo, "#fff").is_some()
}

/// The address of a logo: of one of ours by its name, painted in `fill`, or an image in a data URI.
/// `None` for anything else: an image in a README loads nothing from elsewhere.
pub(super) fn address<'a>(logo: &'a str, fill: &str) -> Option<Cow<'a, str>> {
    let own = LOGOS.iter().find(|(name, _)| *name == logo);
    if let Some((_, path)) = own {
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 24 24\">\
             <path fill=\"{fill}\" d=\"{path}\"/></svg>"
        );
        let address = format!("data:image/svg+xml;base64,{}", STANDARD.encode(svg));
        return Some(Cow::Owned(address));
    }
    let types = ["png", "jpeg", "gif", "webp", "svg+xml"];
    let (kind, data) = logo.strip_prefix("data:image/")?.split_once(";base64,")?;
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    let fine = types.contains(&kind) && logo.len() <= MOST && data.bytes().all(base64);
    fine.then_some(Cow::Borrowed(logo))
}

#[cfg(test)]
mod tests {
    use super::{LOGOS, address};

    #[test]
    fn a_logo_has_a_name_or_is_an_image() {
        for (name, _) in LOGOS {
            let own = address(name, "#fff").unwrap();
            assert_eq!(address(&own, "#333").as_deref(), Some(&*own), "{name}");
        }
        let png = "data:image/png;base64,iVBORw0KGgo=";
        assert_eq!(address(png, "#fff").as_deref(), Some(png));
        for other in [
            "",
            "nobody",
            "https://a.example/logo.svg",
            "data:text/html;base64,PHA+",
            "data:image/png,<svg>",
            "data:image/svg+xml;base64,\"/><script>",
        ] {
            assert_eq!(address(other, "#fff"), None, "{other}");
        }
        let long = format!("data:image/png;base64,{}", "A".repeat(20_000));
        assert_eq!(address(&long, "#fff"), None);
    }
}
