//! How wide a text is.

use std::sync::LazyLock;

/// A font of badges. The tables are made as `widths/README.md` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Font {
    /// Verdana at 11 px.
    Verdana11,
    /// Verdana at 10 px.
    Verdana10,
    /// Verdana at 10 px, bold.
    Verdana10Bold,
    /// Helvetica at 11 px, bold.
    Helvetica11Bold,
}

const RECORD: usize = 8;
const ASCII: usize = 128;

/// A font's table.
struct Table {
    /// What texts consist of most, in pixels.
    ascii: [f64; ASCII],
    /// What a character is taken for that the table has not.
    other: f64,
    records: &'static [u8],
}

static TABLES: LazyLock<[Table; 4]> = LazyLock::new(|| {
    [
        Table::new(include_bytes!("widths/verdana-11.bin")),
        Table::new(include_bytes!("widths/verdana-10.bin")),
        Table::new(include_bytes!("widths/verdana-10-bold.bin")),
        Table::new(include_bytes!("widths/helvetica-11-bold.bin")),
    ]
});

impl Table {
    fn new(records: &'static [u8]) -> Self {
        let mut table = Self {
            ascii: [0.0; ASCII],
            other: look_up(records, u32::from('m')).unwrap_or_default(),
            records,
        };
        for (code, width) in (0..).zip(&mut table.ascii) {
            *width = match code {
                // Control characters.
                0..=31 | 127 => 0.0,
                code => look_up(records, code).unwrap_or(table.other),
            };
        }
        table
    }

    fn width(&self, char: char) -> f64 {
        let code = u32::from(char);
        match usize::try_from(code)
            .ok()
            .and_then(|code| self.ascii.get(code))
        {
            Some(width) => *width,
            None => look_up(self.records, code).unwrap_or(self.other),
        }
    }
}

/// Binary search over the records.
fn look_up(records: &[u8], code: u32) -> Option<f64> {
    let (mut low, mut high) = (0, records.len() / RECORD);
    while low < high {
        let middle = usize::midpoint(low, high);
        let record = records.get(middle * RECORD..)?.first_chunk::<RECORD>()?;
        let [a, b, c, d, count_low, count_high, width_low, width_high] = *record;
        let first = u32::from_le_bytes([a, b, c, d]);
        let count = u32::from(u16::from_le_bytes([count_low, count_high]));
        if code < first {
            high = middle;
        } else if code >= first + count {
            low = middle + 1;
        } else {
            let hundredths = u16::from_le_bytes([width_low, width_high]);
            return Some(f64::from(hundredths) / 100.0);
        }
    }
    None
}

impl Font {
    /// The width of a text, in pixels. Control characters have none; what the table does not know
    /// is as wide as an `m`. It is summed up as badge-maker does it, character by character in
    /// double precision, so that it is cut to the same whole number.
    pub(super) fn width(self, text: &str) -> f64 {
        let [verdana_11, verdana_10, verdana_10_bold, helvetica] = &*TABLES;
        let table = match self {
            Self::Verdana11 => verdana_11,
            Self::Verdana10 => verdana_10,
            Self::Verdana10Bold => verdana_10_bold,
            Self::Helvetica11Bold => helvetica,
        };
        text.chars().fold(0.0, |sum, char| sum + table.width(char))
    }

    /// Its whole pixels.
    pub(super) fn whole(self, text: &str) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "the rule truncates")]
        let whole = self.width(text) as i64;
        whole
    }

    /// Its whole pixels, made odd so that the middle falls on one.
    pub(super) fn odd(self, text: &str) -> i64 {
        self.whole(text) | 1
    }
}

#[cfg(test)]
mod tests {
    use super::Font;

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
            assert!(
                (Font::Verdana11.width(text) - width).abs() < 1e-9,
                "{text:?}"
            );
        }
        assert_eq!(Font::Verdana11.odd("passing"), 41);
        assert_eq!(Font::Helvetica11Bold.odd("Build"), 27);
    }
}
