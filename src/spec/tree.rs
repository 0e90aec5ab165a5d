//! YAML text to a small tree in which every node knows its place.
//!
//! Bounded on purpose: a specification comes from strangers. Scalars keep their source text; what
//! a scalar means is decided by whoever reads it. Merge keys, tags and several documents are
//! refused, because a reader of the file would have to know YAML's corners to follow them.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::problem::{Place, Problems, quoted};

/// The longest specification, in bytes.
pub(super) const MAX_BYTES: usize = 256 * 1024;
/// The deepest nesting; the specification itself needs six.
const MAX_DEPTH: usize = 24;
/// How many aliases (`*name`) a file may use.
const MAX_ALIASES: usize = 200;
/// How many keys one map may have; also keeps the search for duplicates short.
const MAX_KEYS: usize = 1_000;
/// How many nodes the tree may have after all aliases were replaced.
const MAX_NODES: usize = 20_000;

/// A node of the tree.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Place,
    pub(super) value: Value,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Scalar {
        text: String,
        /// Written without quotes and not as a block.
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Name, Node)>),
}

/// A key of a mapping.
#[derive(Debug, Clone)]
pub(super) struct Name {
    pub(super) at: Place,
    pub(super) text: String,
}

impl Node {
    /// Whether nothing is written there (`key:` alone, `~`, `null`).
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// What it is, in words for a message.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            _ if self.is_null() => "nothing",
            Value::Scalar { .. } => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// Its weight against [`MAX_NODES`]: nodes, and long texts for more than one.
    fn count(&self) -> usize {
        1 + match &self.value {
            Value::Scalar { text, .. } => text.len() / 32,
            Value::List(items) => items.iter().map(Self::count).sum(),
            Value::Map(entries) => entries.iter().map(|(_, node)| 1 + node.count()).sum(),
        }
    }

    fn depth(&self) -> usize {
        1 + match &self.value {
            Value::Scalar { .. } => 0,
            Value::List(items) => items.iter().map(Self::depth).max().unwrap_or(0),
            Value::Map(entries) => entries
                .iter()
                .map(|(_, node)| node.depth())
                .max()
                .unwrap_or(0),
        }
    }
}

/// Reads the text; `None` when it has no usable tree, with the reason among the problems.
pub(super) fn read(text: &str, problems: &mut Problems) -> Option<Node> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let step = match event {
            Ok((event, span)) => builder.take(event, place(&span), problems),
            Err(error) => {
                let marker = error.marker();
                let at = place_of(marker.line(), marker.col());
                let said = error.info();
                problems.hinted(at, format!("not valid YAML: {said}"), hint(said));
                Err(Stop)
            }
        };
        if step.is_err() {
            return None;
        }
    }
    if builder.root.is_none() {
        problems.error(place_of(1, 0), "the file is empty");
    }
    builder.root
}

/// What to do about the faults that people make most.
fn hint(said: &str) -> Option<String> {
    let hint = if said.contains("mapping values are not allowed") {
        "text that contains `: ` needs quotes"
    } else if said.contains("tab") {
        "indent with spaces, not tabs"
    } else if said.contains("unexpected character") {
        "text that begins with this character needs quotes"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

/// Reading went wrong in a way that nothing after it can be trusted; the problem is noted.
struct Stop;

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    documents: usize,
    aliases: usize,
    nodes: usize,
}

/// A list or mapping that is not closed yet.
struct Open {
    node: Node,
    anchor: usize,
    /// The key that waits for its value.
    key: Option<Name>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: Place, problems: &mut Problems) -> Result<(), Stop> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    problems.error(at, "a second YAML document; one file has one specification");
                    return Err(Stop);
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                if let Some(tag) = tag {
                    refuse_tag(&tag.to_string(), at, problems);
                }
                let node = Node {
                    at,
                    value: Value::Scalar {
                        text: text.into_owned(),
                        plain: style == ScalarStyle::Plain,
                    },
                };
                self.add(node, anchor, problems)
            }
            Event::Alias(id) => {
                self.aliases += 1;
                let Some(node) = self.anchors.get(&id).cloned() else {
                    problems.error(at, "an alias inside the very thing that it stands for");
                    return Err(Stop);
                };
                self.nodes += node.count();
                if self.aliases > MAX_ALIASES
                    || self.nodes > MAX_NODES
                    || self.open.len() + node.depth() > MAX_DEPTH
                {
                    problems.error(at, "too many or too large aliases");
                    return Err(Stop);
                }
                self.add(node, 0, problems)
            }
            Event::SequenceStart(anchor, tag) => {
                if let Some(tag) = tag {
                    refuse_tag(&tag.to_string(), at, problems);
                }
                self.open(at, Value::List(Vec::new()), anchor, problems)
            }
            Event::MappingStart(anchor, tag) => {
                if let Some(tag) = tag {
                    refuse_tag(&tag.to_string(), at, problems);
                }
                self.open(at, Value::Map(Vec::new()), anchor, problems)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.add(open.node, open.anchor, problems),
                None => Ok(()),
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn open(
        &mut self,
        at: Place,
        value: Value,
        anchor: usize,
        problems: &mut Problems,
    ) -> Result<(), Stop> {
        if self.open.len() >= MAX_DEPTH {
            problems.error(at, format!("nested deeper than {MAX_DEPTH} levels"));
            return Err(Stop);
        }
        self.open.push(Open {
            node: Node { at, value },
            anchor,
            key: None,
        });
        Ok(())
    }

    fn add(&mut self, node: Node, anchor: usize, problems: &mut Problems) -> Result<(), Stop> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            problems.error(node.at, format!("more than {MAX_NODES} values"));
            return Err(Stop);
        }
        if anchor > 0 {
            self.nodes += node.count();
            self.anchors.insert(anchor, node.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut parent.node.value, parent.key.take()) {
            (Value::List(items), _) => items.push(node),
            (Value::Map(entries), Some(_)) if entries.len() >= MAX_KEYS => {
                problems.error(node.at, format!("more than {MAX_KEYS} keys in one map"));
                return Err(Stop);
            }
            (Value::Map(entries), Some(name)) => {
                if entries.iter().any(|(known, _)| known.text == name.text) {
                    problems.error(
                        name.at,
                        format!("{} is there twice in one map", quoted(&name.text)),
                    );
                } else {
                    entries.push((name, node));
                }
            }
            (Value::Map(_), None) => {
                let Value::Scalar { text, .. } = node.value else {
                    problems.error(node.at, "a key must be a plain word");
                    return Err(Stop);
                };
                parent.key = Some(Name { at: node.at, text });
            }
            // A scalar is never opened.
            (Value::Scalar { .. }, _) => {}
        }
        Ok(())
    }
}

fn refuse_tag(tag: &str, at: Place, problems: &mut Problems) {
    problems.error(at, format!("YAML tags are not used here: {}", quoted(tag)));
}

fn place(span: &Span) -> Place {
    place_of(span.start.line(), span.start.col())
}

/// The parser counts lines from 1 and columns from 0, in characters.
fn place_of(line: usize, column: usize) -> Place {
    Place {
        line: u32::try_from(line.max(1)).unwrap_or(u32::MAX),
        column: u32::try_from(column.saturating_add(1)).unwrap_or(u32::MAX),
    }
}
