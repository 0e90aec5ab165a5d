//! How wide a text is.

/// See `widths/README.md`.
const VERDANA_11: &[u8] = include_bytes!("widths/verdana-11.bin");
const RECORD: usize = 8;

/// The width of a text in Verdana at 11 px, in pixels. Control characters have none; what the
/// table does not know is as wide as an `m`.
pub(super) fn verdana_11(text: &str) -> f64 {
    let hundredths: u64 = text.chars().map(|char| u64::from(hundredths(char))).sum();
    // Exact: sums of badges are far below 2^53.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let width = hundredths as f64 / 100.0;
    width
}

fn hundredths(char: char) -> u16 {
    let code = u32::from(char);
    if code <= 31 || code == 127 {
        return 0;
    }
    look_up(code)
        .or_else(|| look_up(u32::from('m')))
        .unwrap_or_default()
}

/// Binary search over the records.
fn look_up(code: u32) -> Option<u16> {
    let (mut low, mut high) = (0, VERDANA_11.len() / RECORD);
    while low < high {
        let middle = usize::midpoint(low, high);
        let record = VERDANA_11.get(middle * RECORD..)?.first_chunk::<RECORD>()?;
        let [a, b, c, d, count_low, count_high, width_low, width_high] = *record;
        let first = u32::from_le_bytes([a, b, c, d]);
        let count = u32::from(u16::from_le_bytes([count_low, count_high]));
        if code < first {
            high = middle;
        } else if code >= first + count {
            low = middle + 1;
        } else {
            return Some(u16::from_le_bytes([width_low, width_high]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::verdana_11;

    #[test]
    fn known_characters_have_their_widths() {
        for (text, width) in [
            (" ", 3.87),
            ("%", 11.84),
            ("a", 6.61),
            ("中", 11.0),
            ("\u{0}", 0.0),
            ("\u{1f600}", 10.7),
            ("am", 17.31),
        ] {
            assert!((verdana_11(text) - width).abs() < 1e-9, "{text:?}");
        }
    }
}
