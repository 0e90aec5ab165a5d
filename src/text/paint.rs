//! Text with the colours of a terminal, line by line.

use std::fmt;

use super::ansi::{Token, each};

/// How a piece of a line looks.
#[expect(
    clippy::struct_excessive_bools,
    reason = "a terminal turns each on and off for itself"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    bold: bool,
    dim: bool,
    italic: bool,
    underlined: bool,
    reversed: bool,
    color: Option<u8>,
    ground: Option<u8>,
}

/// The names of its classes, as in `bold c1`: `bold`, `dim`, `italic`, `under`, and `c0` to `c15` and `g0`
/// to `g15` for the colours of text and ground.
impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (color, ground) = if self.reversed {
            // Reversed, the colours that nobody named are black on white.
            (self.ground.or(Some(0)), self.color.or(Some(7)))
        } else {
            (self.color, self.ground)
        };
        let flags = [
            (self.bold, "bold"),
            (self.dim, "dim"),
            (self.italic, "italic"),
            (self.underlined, "under"),
        ];
        let flags = flags.into_iter().filter(|(set, _)| *set);
        let classes: Vec<String> = flags
            .map(|(_, class)| class.to_owned())
            .chain(color.map(|color| format!("c{color}")))
            .chain(ground.map(|ground| format!("g{ground}")))
            .collect();
        f.write_str(&classes.join(" "))
    }
}

impl Look {
    /// Whether it looks as all text does.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it is bold and red: how tools paint what went wrong.
    pub fn is_alarm(&self) -> bool {
        self.bold && matches!(self.color, Some(1 | 9)) && !self.reversed
    }

    /// Takes over parameters of SGR (ECMA-48, 8.3.117; colours beyond eight as terminals have them).
    fn change(&mut self, parameters: &str) {
        let mut numbers = parameters
            .split([';', ':'])
            .map(|number| number.parse::<u16>().unwrap_or(0));
        while let Some(number) = numbers.next() {
            match number {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underlined = true,
                7 => self.reversed = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underlined = false,
                27 => self.reversed = false,
                30..=37 => self.color = u8::try_from(number - 30).ok(),
                38 => self.color = extended(&mut numbers),
                39 => self.color = None,
                40..=47 => self.ground = u8::try_from(number - 40).ok(),
                48 => self.ground = extended(&mut numbers),
                49 => self.ground = None,
                90..=97 => self.color = u8::try_from(number - 82).ok(),
                100..=107 => self.ground = u8::try_from(number - 92).ok(),
                _ => {}
            }
        }
    }
}

/// A colour of 256 or of 16 million, as the nearest of 16.
fn extended(numbers: &mut impl Iterator<Item = u16>) -> Option<u8> {
    match numbers.next()? {
        5 => {
            let index = numbers.next()?;
            match index {
                0..=15 => u8::try_from(index).ok(),
                // A cube of six steps each.
                16..=231 => {
                    let step = |place: u16| ((index - 16) / place % 6) * 51;
                    Some(nearest([step(36), step(6), step(1)]))
                }
                232..=255 => Some(nearest([(index - 232) * 10 + 8; 3])),
                _ => None,
            }
        }
        2 => Some(nearest([numbers.next()?, numbers.next()?, numbers.next()?])),
        _ => None,
    }
}

/// The colour of 16 that is most like it: which parts are strong, and whether it is bright.
fn nearest(parts: [u16; 3]) -> u8 {
    let most = parts.into_iter().max().unwrap_or(0);
    let least = parts.into_iter().min().unwrap_or(0);
    if most - least < 32 {
        return match most {
            0..48 => 0,
            48..144 => 8,
            144..224 => 7,
            _ => 15,
        };
    }
    let [red, green, blue] = parts.map(|part| u8::from(part > u16::midpoint(most, least)));
    red + 2 * green + 4 * blue + if most > 192 { 8 } else { 0 }
}

/// A line in pieces that look alike.
pub type Line = Vec<(Look, String)>;

/// The lines of a text, without what would move the cursor. A carriage return starts its line anew.
pub fn lines(text: &str) -> Vec<Line> {
    lines_after(Look::default(), text).0
}

/// The same where what came before looked like this; with the look of what follows.
pub fn lines_after(mut look: Look, text: &str) -> (Vec<Line>, Look) {
    let mut lines = vec![Line::new()];
    each(text, |token| {
        let Some(line) = lines.last_mut() else {
            return;
        };
        match token {
            Token::Look(parameters) => look.change(parameters),
            Token::Return => line.clear(),
            Token::Char('\n') => lines.push(Line::new()),
            Token::Char(char) => match line.last_mut() {
                Some((same, piece)) if *same == look => piece.push(char),
                _ => line.push((look, char.to_string())),
            },
        }
    });
    // A text that ends with its last line has no empty one after it.
    if lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    (lines, look)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::lines;
    use crate::text::ansi::strip;

    /// Lines as `class(text)`, plain pieces as they are.
    fn painted(text: &str) -> Vec<String> {
        let piece = |(look, text): &(super::Look, String)| {
            if look.is_plain() {
                text.clone()
            } else {
                format!("{look}({text})")
            }
        };
        let lines = lines(text);
        lines
            .iter()
            .map(|line| line.iter().map(piece).collect())
            .collect()
    }

    #[test]
    fn colours_are_kept_and_everything_else_is_not() {
        for (text, wanted) in [
            ("plain\n", vec!["plain"]),
            ("\u{1b}[31mred\u{1b}[0m off\n", vec!["c1(red) off"]),
            ("\u{1b}[1;92mok\u{1b}[22m\u{1b}[39m.", vec!["bold c10(ok)."]),
            ("\u{1b}[33ma\nb\u{1b}[m", vec!["c3(a)", "c3(b)"]),
            (
                "\u{1b}[38;5;196mx\u{1b}[48;2;0;0;90my",
                vec!["c9(x)c9 g4(y)"],
            ),
            ("\u{1b}[38;5;240mgrey", vec!["c8(grey)"]),
            ("\u{1b}[7mback", vec!["c0 g7(back)"]),
            ("10%\r\u{1b}[32mdone\u{1b}[K", vec!["c2(done)"]),
            (
                "\u{1b}]8;;javascript:x\u{7}a\u{1b}]8;;\u{7}\u{1b}[2Ab\n\n",
                vec!["ab", ""],
            ),
            ("\u{1b}[38;5m\u{1b}[99999mx", vec!["x"]),
        ] {
            assert_eq!(painted(text), wanted, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn parts_of_a_text_look_as_in_the_whole(
            one in "([ab\r]|\u{1b}\\[3[0-3]m|\u{1b}\\[|\u{1b}\\]){0,12}\n",
            two in "([ab\r]|\u{1b}\\[3[0-3]m|\u{1b}\\[|\u{1b}\\]){0,12}",
        ) {
            let (mut parts, look) = super::lines_after(super::Look::default(), &one);
            parts.extend(super::lines_after(look, &two).0);
            prop_assert_eq!(parts, lines(&(one + &two)));
        }

        #[test]
        fn the_text_is_that_without_colours(text in "[ab\n\r\u{1b}\\[0-9;mK]{0,40}") {
            let pieces = |line: &super::Line| -> String {
                line.iter().map(|(_, text)| text.as_str()).collect()
            };
            let joined: Vec<String> = lines(&text).iter().map(pieces).collect();
            let stripped = strip(&text).into_owned();
            let wanted: Vec<&str> = stripped.strip_suffix('\n').unwrap_or(&stripped).split('\n').collect();
            let wanted = if stripped.is_empty() { Vec::new() } else { wanted };
            prop_assert_eq!(joined, wanted);
        }
    }
}
