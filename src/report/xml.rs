//! XML as a stream of elements and texts, with our own eyes on its well-formedness.
//!
//! quick-xml is a tokenizer: it does not see open elements at the end of the file, a second
//! root, text outside of it, bad attributes, or bad characters. All that is noted here and
//! reading goes on, so that what can be read is; only broken markup ends it. Knows the five
//! entities of XML and character references; a DTD is passed over.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};

use quick_xml::Reader;
use quick_xml::errors::{Error, SyntaxError};
use quick_xml::events::{BytesStart, Event};

use super::attributes::{self, Attribute};
use super::model::Diagnostic;
use super::source::Source;

/// How deep elements may be nested.
const DEEPEST: usize = 256;

/// What a format does with the elements.
pub(super) trait Sink {
    /// An element begins.
    fn open(&mut self, tag: &Tag<'_>) -> Contents;
    /// Whether text is of use where we are.
    fn wants_text(&self) -> bool;
    /// A piece of text; several pieces may follow one another.
    fn text(&mut self, text: &str);
    /// The element that was opened last ends.
    fn close(&mut self, name: &str);
    /// Whether [`Sink::read_ahead`] ever takes anything; where it does not, nobody pays for asking.
    const READS_AHEAD: bool = false;

    /// Takes in whole elements at the beginning of what comes next in this element, where they are written as the format
    /// writes thousands of them, and says how many bytes it took. Those have to be well-formed.
    fn read_ahead(&mut self, _: &[u8]) -> usize {
        0
    }
    /// Something that is odd about the element that has just ended.
    fn remark(&mut self) -> Option<String> {
        None
    }
}

/// What to do with the inside of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contents {
    /// Tell about it.
    Read,
    /// Pass over it; it still has to be well-formed.
    Skip,
}

/// The beginning of an element.
pub(super) struct Tag<'a> {
    /// Without prefix.
    pub(super) name: &'a str,
    /// All that is between `<` and `>`.
    text: &'a str,
    attributes: &'a [Attribute],
}

impl Tag<'_> {
    /// The value of an attribute, with its references resolved.
    pub(super) fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        self.iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
    }

    /// All attributes, their references resolved.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.attributes.iter().map(|attribute| {
            let value = attribute.value_in(self.text);
            let value = if attribute.is_plain {
                Cow::Borrowed(value)
            } else {
                unescape(value)
            };
            (attribute.name_in(self.text), value)
        })
    }

    /// The same, `None` when nothing but space is in it.
    pub(super) fn filled(&self, key: &str) -> Option<Cow<'_, str>> {
        self.get(key).filter(|value| !value.trim().is_empty())
    }
}

/// The names of the open elements in one text.
#[derive(Default)]
struct Open {
    names: String,
    starts: Vec<usize>,
}

impl Open {
    fn push(&mut self, name: &str) {
        self.starts.push(self.names.len());
        self.names.push_str(name);
    }

    fn pop(&mut self) {
        self.names.truncate(self.starts.pop().unwrap_or_default());
    }

    fn depth(&self) -> usize {
        self.starts.len()
    }

    fn last(&self) -> Option<&str> {
        self.names.get(*self.starts.last()?..)
    }
}

/// Reads a whole document. Returns what is wrong with it, in the order of the file.
pub(super) fn read<R: Read>(source: Source<R>, sink: &mut impl Sink) -> Vec<Diagnostic> {
    let mut reader = Reader::from_reader(source);
    let config = reader.config_mut();
    // Found in the text and reported here, so that reading goes on.
    config.allow_dangling_amp = true;
    let mut document = Document {
        sink,
        open: Open::default(),
        attributes: Vec::new(),
        skip_from: None,
        roots: 0,
        outside: false,
        notes: Vec::new(),
    };
    let mut buffer = Vec::new();
    let mut first = true;
    loop {
        buffer.clear();
        let source = reader.get_mut();
        if document.is_deaf() {
            if pass_over(source, &mut document.notes).is_err() {
                // The source says why, here and below.
                break;
            }
            if document.read_ahead(source) {
                continue;
            }
        }
        if source.begin().is_err() {
            break;
        }
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Eof) => {
                document.end(reader.get_ref().position());
                break;
            }
            Ok(event) => {
                if !document.take(reader.get_ref(), first, event) {
                    break;
                }
            }
            Err(error) => {
                document.stop(reader.get_ref().marked(), &error);
                break;
            }
        }
        first = false;
    }
    let source = reader.get_mut();
    let mut notes = document.notes;
    if let Some(text) = source.interruption() {
        notes.push(Diagnostic::error(source.position(), text));
    }
    notes.extend(source.faults());
    notes.sort_by_key(|note| (note.line, note.column));
    notes
}

struct Document<'a, S> {
    sink: &'a mut S,
    open: Open,
    /// Those of the tag that is read, and their memory.
    attributes: Vec<Attribute>,
    /// The depth of the element whose inside is passed over.
    skip_from: Option<usize>,
    roots: usize,
    /// Text outside of the root has been noted.
    outside: bool,
    notes: Vec<Diagnostic>,
}

impl<S: Sink> Document<'_, S> {
    /// Whether nobody wants to hear the text that comes next. Outside of the root there must be
    /// none.
    fn is_deaf(&self) -> bool {
        self.skip_from.is_some() || (self.open.depth() > 0 && !self.sink.wants_text())
    }

    /// Whether there were elements that the sink has taken in.
    fn read_ahead<R: Read>(&mut self, source: &mut Source<R>) -> bool {
        if !S::READS_AHEAD || self.skip_from.is_some() || self.open.depth() >= DEEPEST {
            return false;
        }
        // What fails here fails again where it is told.
        let Ok(ahead) = source.fill_buf() else {
            return false;
        };
        let taken = self.sink.read_ahead(ahead);
        source.consume(taken);
        source.mark();
        taken > 0
    }

    /// `false` when reading cannot go on.
    fn take<R: Read>(&mut self, source: &Source<R>, first: bool, event: Event<'_>) -> bool {
        match event {
            Event::Start(start) => return self.start(source, &start, false),
            Event::Empty(start) => return self.start(source, &start, true),
            Event::End(_) => self.close(source),
            Event::Text(text) => {
                // What is left of an `&` that begins no reference.
                if let Some(offset) = memchr::memchr(b'&', text.as_bytes()) {
                    let at = position(source.marked(), &text, offset);
                    let problem = "an `&` that is not written as `&amp;`";
                    self.note(Diagnostic::error(at, problem));
                }
                if source.cut().is_some() {
                    self.shortened(source, &text, 0);
                } else {
                    self.text(source, &text.xml10_content());
                }
            }
            Event::CData(text) => {
                if source.cut().is_some() {
                    self.shortened(source, &text, "<![CDATA[".len());
                } else {
                    self.text(source, &text.xml10_content());
                }
            }
            Event::GeneralRef(name) => {
                let mut buffer = [0; 4];
                match resolve(&name) {
                    Ok(char) => self.text(source, char.encode_utf8(&mut buffer)),
                    Err(problem) => {
                        self.note(Diagnostic::error(source.marked(), problem));
                        self.text(source, &substitute(&name));
                    }
                }
            }
            Event::Decl(_) if !first => {
                self.note(Diagnostic::warning(
                    source.marked(),
                    "the XML declaration is not at the beginning of the file",
                ));
            }
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::DocType(_) | Event::Eof => {}
        }
        true
    }

    fn start<R: Read>(&mut self, source: &Source<R>, start: &BytesStart<'_>, empty: bool) -> bool {
        if self.open.depth() == 0 {
            self.roots += 1;
            if self.roots == 2 {
                self.note(Diagnostic::error(source.marked(), "a second root element"));
            }
        }
        if self.open.depth() >= DEEPEST {
            self.note(Diagnostic::error(
                source.marked(),
                format!("elements are nested deeper than {DEEPEST}"),
            ));
            return false;
        }
        let whole = start.name().into_inner();
        let behind_name = whole.len();
        // Hardly any has a prefix.
        let name = match memchr::memchr(b':', whole.as_bytes()) {
            Some(_) => start.local_name().into_inner(),
            None => whole,
        };
        let (notes, begin) = (&mut self.notes, || source.marked());
        attributes::scan(
            start,
            behind_name,
            &mut self.attributes,
            |offset, problem| {
                // Offsets are relative to the tag, behind its `<`.
                let begin = begin();
                let (line, column) = position(begin, start, offset);
                let at = (line, column + u64::from(line == begin.0));
                note(notes, Diagnostic::error(at, problem));
            },
        );
        for attribute in &self.attributes {
            if !attribute.is_plain
                && let Some(problem) = problem_in_value(attribute.value_in(start))
            {
                let text = format!("in attribute `{}`: {problem}", attribute.name_in(start));
                note(&mut self.notes, Diagnostic::error(source.marked(), text));
            }
        }
        self.open.push(name);
        if self.skip_from.is_none() {
            let tag = Tag {
                name,
                text: start,
                attributes: &self.attributes,
            };
            if self.sink.open(&tag) == Contents::Skip {
                self.skip_from = Some(self.open.depth());
            }
        }
        if empty {
            self.close(source);
        }
        true
    }

    fn close<R: Read>(&mut self, source: &Source<R>) {
        if self.skip_from == Some(self.open.depth()) {
            self.skip_from = None;
        }
        if self.skip_from.is_none() {
            self.sink.close(self.open.last().unwrap_or_default());
            if let Some(remark) = self.sink.remark() {
                self.note(Diagnostic::warning(source.marked(), remark));
            }
        }
        self.open.pop();
    }

    fn text<R: Read>(&mut self, source: &Source<R>, text: &str) {
        if self.open.depth() > 0 {
            if self.skip_from.is_none() {
                self.sink.text(text);
            }
        } else if !self.outside
            && let Some(offset) =
                text.find(|char: char| !char.is_whitespace() && char != '\u{FEFF}')
        {
            self.outside = true;
            self.note(Diagnostic::error(
                position(source.marked(), text, offset),
                "text outside of the root element",
            ));
        }
    }

    /// A text whose middle the source has left out.
    fn shortened<R: Read>(&mut self, source: &Source<R>, text: &str, prefix: usize) {
        let (at, left_out) = source.cut().unwrap_or_default();
        let mut at = at.saturating_sub(prefix).min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let (head, tail) = text.split_at(at);
        self.text(source, head);
        self.text(source, &format!("\n… {left_out} bytes are left out …\n"));
        self.text(source, tail);
    }

    fn end(&mut self, at: (u64, u64)) {
        if let Some(name) = self.open.last() {
            let text = format!("the file ends inside of <{name}>");
            self.note(Diagnostic::error(at, text));
        } else if self.roots == 0 {
            self.note(Diagnostic::error(at, "there is no root element"));
        }
    }

    fn stop(&mut self, at: (u64, u64), error: &Error) {
        let text = match error {
            // The source knows more about it.
            Error::Io(_) => return,
            Error::Syntax(SyntaxError::InvalidBangMarkup) => "unknown markup".to_owned(),
            other => other.to_string(),
        };
        let text = text
            .trim_start_matches("syntax error: ")
            .trim_start_matches("ill-formed document: ");
        self.note(Diagnostic::error(at, text));
    }

    fn note(&mut self, diagnostic: Diagnostic) {
        note(&mut self.notes, diagnostic);
    }
}

/// More than this about one file helps nobody.
const MOST_NOTES: usize = 20;

fn note(notes: &mut Vec<Diagnostic>, diagnostic: Diagnostic) {
    if notes.len() < MOST_NOTES {
        notes.push(diagnostic);
    }
}

fn position(at: (u64, u64), text: &str, offset: usize) -> (u64, u64) {
    Source::<&[u8]>::position_in(at, text.get(..offset).unwrap_or_default())
}

/// Consumes text, sections of `CDATA` and comments up to the next tag, without holding them.
fn pass_over<R: Read>(source: &mut Source<R>, notes: &mut Vec<Diagnostic>) -> io::Result<()> {
    loop {
        let text = source.fill_buf()?;
        // Nearly always a tag comes next.
        if text.is_empty() || matches!(text, [b'<', next, ..] if *next != b'!') {
            return Ok(());
        }
        let stop = memchr::memchr2(b'<', b'&', text);
        let amount = stop.unwrap_or(text.len());
        source.consume(amount);
        source.mark();
        if stop.is_none() {
            continue;
        }
        let ahead = source.peek(64)?;
        let ahead = ahead.get(..64).unwrap_or(ahead);
        if ahead.starts_with(b"<![CDATA[") {
            source.consume(9);
            if !pass_behind(source, b"]]>")? {
                note(
                    notes,
                    Diagnostic::error(source.marked(), "CDATA not closed"),
                );
            }
        } else if ahead.starts_with(b"<!--") {
            source.consume(4);
            if !pass_behind(source, b"-->")? {
                note(
                    notes,
                    Diagnostic::error(source.marked(), "comment not closed"),
                );
            }
        } else if ahead.starts_with(b"&") {
            let name = ahead
                .iter()
                .position(|byte| *byte == b';')
                .and_then(|end| std::str::from_utf8(ahead.get(1..end)?).ok())
                .filter(|name| !name.contains(|char: char| char.is_whitespace() || char == '<'));
            let problem = match name.map(resolve) {
                Some(Ok(_)) => None,
                Some(Err(problem)) => Some(problem),
                None => Some("an `&` that is not written as `&amp;`".to_owned()),
            };
            source.consume(1);
            if let Some(problem) = problem {
                note(notes, Diagnostic::error(source.marked(), problem));
            }
        } else {
            return Ok(());
        }
    }
}

/// Says whether the mark was found.
fn pass_behind<R: Read>(source: &mut Source<R>, mark: &[u8]) -> io::Result<bool> {
    loop {
        let text = source.peek(3)?;
        let found = memchr::memmem::find(text, mark);
        let amount = match found {
            Some(at) => at + 3,
            None if text.len() < 3 => text.len(),
            None => text.len() - 2,
        };
        let ended = found.is_some() || text.len() < 3;
        source.consume(amount);
        source.pass();
        if ended {
            return Ok(found.is_some());
        }
    }
}

/// The character of a reference, without `&` and `;`.
fn resolve(name: &str) -> Result<char, String> {
    let number = match name {
        "lt" => return Ok('<'),
        "gt" => return Ok('>'),
        "amp" => return Ok('&'),
        "quot" => return Ok('"'),
        "apos" => return Ok('\''),
        _ => match (name.strip_prefix("#x"), name.strip_prefix('#')) {
            (Some(hex), _) => u32::from_str_radix(hex, 16).ok(),
            (None, Some(decimal)) => decimal.parse().ok(),
            (None, None) => return Err(format!("the entity `&{name};` is not defined")),
        },
    };
    number
        .and_then(char::from_u32)
        .filter(|char| crate::text::xml::is_allowed(*char))
        .ok_or_else(|| format!("`&{name};` refers to a character that XML does not allow"))
}

/// What stands for a reference that cannot be resolved: an escape character, so that colours
/// can be told and taken out, and else what is written there.
fn substitute(name: &str) -> Cow<'static, str> {
    match name {
        "#27" | "#x1b" | "#x1B" | "#x001b" | "#x001B" => Cow::Borrowed("\u{1b}"),
        _ if name.starts_with('#') => Cow::Borrowed("\u{FFFD}"),
        _ => Cow::Owned(format!("&{name};")),
    }
}

/// The references in `text`: where each begins, where it ends, and its name.
fn references(text: &str) -> impl Iterator<Item = (usize, usize, Option<&str>)> {
    memchr::memchr_iter(b'&', text.as_bytes()).map(|at| {
        let rest = text.get(at + 1..).unwrap_or_default();
        let name = rest
            .find(';')
            .and_then(|end| rest.get(..end))
            .filter(|name| name.len() < 32 && !name.contains(['&', ' ', '\n']));
        (at, at + 2 + name.map_or(0, str::len), name)
    })
}

fn problem_in_value(value: &str) -> Option<String> {
    if value.contains('<') {
        return Some("a `<` that is not written as `&lt;`".to_owned());
    }
    references(value).find_map(|(_, _, name)| match name.map(resolve) {
        Some(Ok(_)) => None,
        Some(Err(problem)) => Some(problem),
        None => Some("an `&` that is not written as `&amp;`".to_owned()),
    })
}

/// A value of an attribute with its references resolved.
fn unescape(value: &str) -> Cow<'_, str> {
    if !value.contains('&') {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len());
    let mut done = 0;
    for (start, end, name) in references(value) {
        let Some(name) = name else { continue };
        text.push_str(value.get(done..start).unwrap_or_default());
        match resolve(name) {
            Ok(char) => text.push(char),
            Err(_) => text.push_str(&substitute(name)),
        }
        done = end;
    }
    text.push_str(value.get(done..).unwrap_or_default());
    Cow::Owned(text)
}

/// The first element of a document, found in its beginning alone.
pub(super) struct Root<'a> {
    /// Without prefix.
    pub(super) name: &'a str,
}

/// Looks for the first element in the beginning of a file, whatever is before it.
pub(super) fn root(text: &str) -> Option<Root<'_>> {
    let mut rest = text;
    loop {
        rest = rest.get(rest.find('<')?..)?;
        let behind = |mark: &str| rest.find(mark).and_then(|at| rest.get(at + mark.len()..));
        if rest.starts_with("<?") {
            rest = behind("?>")?;
        } else if rest.starts_with("<!--") {
            rest = behind("-->")?;
        } else if rest.starts_with("<!") {
            // A document type; its internal subset, if there is one, ends with `]`.
            let end = rest.find('>')?;
            rest = match rest.find('[') {
                Some(subset) if subset < end => behind("]")?,
                _ => rest.get(end..)?,
            };
        } else {
            rest = rest.get(1..)?;
            let end = rest
                .find(|char: char| char.is_whitespace() || matches!(char, '>' | '/' | '<'))
                .unwrap_or(rest.len());
            let name = rest.get(..end)?;
            if name.starts_with(|char: char| char.is_alphabetic() || char == '_')
                && rest.get(end..).is_some_and(|after| !after.starts_with('<'))
            {
                let name = name.rsplit(':').next()?;
                return Some(Root { name });
            }
        }
    }
}

#[cfg(test)]
#[path = "xml_tests.rs"]
mod tests;
