//! Files with an object a line, as test runners write while they run.

use super::json_stream::{self, Node, walk};
use super::source::Source;

/// Reads a line that should be an object. What is wrong otherwise has its column, from 1.
pub(super) fn object<N: Node + Default>(line: &str) -> Result<N, (u64, String)> {
    let mut node = N::default();
    let mut json = serde_json::Deserializer::from_str(line);
    let Err(error) = walk(&mut node, &mut json).and_then(|()| json.end()) else {
        return Ok(node);
    };
    // Half a character, as JavaScript writes it, is none for `serde_json`; that is rare.
    if line.contains("\\ud") || line.contains("\\uD") {
        let mut node = N::default();
        let source = Source::new(line.as_bytes(), b"", usize::MAX, u64::MAX);
        if json_stream::read(source, usize::MAX, &mut node).is_empty() {
            return Ok(node);
        }
    }
    let column = u64::try_from(error.column()).unwrap_or(1).max(1);
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    Err((column, text.get(..end).unwrap_or_default().to_owned()))
}

/// Whether this is the beginning of an object.
pub(super) fn is_object(line: &str) -> bool {
    line.trim_start().starts_with('{')
}

#[cfg(test)]
mod tests {
    use super::super::json_stream::Text;
    use super::object;

    #[test]
    fn half_a_character_is_replaced() {
        assert_eq!(
            object(r#""a\ud83d""#),
            Ok(Text(Some("a\u{FFFD}".to_owned())))
        );
    }

    #[test]
    fn what_is_wrong_has_its_column() {
        let column = |line| object::<Text>(line).map_err(|(column, _)| column);
        assert_eq!(column(r#"{"a": x}"#), Err(7));
        assert_eq!(column("{} {}"), Err(4));
        assert_eq!(column(""), Err(1));
    }
}
