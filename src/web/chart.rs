//! Trends over builds as small charts, and the graph of a build's jobs: geometry for the templates.

use std::collections::HashMap;
use std::time::Duration;

use super::test_pages::seconds;
use super::view::Mark;
use crate::badge;
use crate::domain::history::{Size, TestRun};
use crate::domain::{Job, Measure};
use crate::report::Outcome;
use crate::text;

/// The box of a trend, in units of its view box.
const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 72.0;
/// Room for dots at the edges.
const EDGE: f64 = 5.0;

/// A value of a build in a chart.
#[derive(Debug)]
pub(super) struct Dot {
    pub(super) x: String,
    pub(super) y: String,
    pub(super) class: &'static str,
    /// As in `#12: 1m 3s`.
    pub(super) title: String,
}

/// A line over builds, the oldest left.
#[derive(Debug)]
pub(super) struct Trend {
    pub(super) title: &'static str,
    /// The newest value.
    pub(super) last: String,
    /// What a screen reader says.
    pub(super) words: String,
    /// `points` of a polyline.
    pub(super) line: String,
    pub(super) dots: Vec<Dot>,
    /// The values between which it goes.
    pub(super) range: String,
}

/// What a chart shows of a build.
struct Value {
    number: i64,
    at: f64,
    text: String,
    red: bool,
}

/// The trends that these builds, the newest first, have something for.
pub(super) fn trends(measures: &[Measure]) -> Vec<Trend> {
    let oldest_first = || measures.iter().rev();
    let duration: Vec<Value> = oldest_first()
        .filter_map(|measure| {
            let ms = measure.duration_ms?;
            Some(Value {
                number: measure.number,
                at: float(ms),
                text: text::duration(Duration::from_millis(ms)),
                red: measure.red,
            })
        })
        .collect();
    let coverage: Vec<Value> = oldest_first()
        .filter(|measure| measure.coverable > 0)
        .map(|measure| Value {
            number: measure.number,
            at: float(measure.covered) / float(measure.coverable) * 100.0,
            text: badge::coverage(measure.covered, measure.coverable).0,
            red: false,
        })
        .collect();
    [
        trend("Duration", "build", &duration, true),
        counts(measures),
        trend("Coverage", "build", &coverage, false),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// How many tests these builds, the newest first, had.
pub(super) fn counts(measures: &[Measure]) -> Option<Trend> {
    let all = measures.iter();
    tests(all.map(|measure| Size {
        build: measure.number,
        attempt: 1,
        passed: measure.passed,
        failed: measure.failed,
        skipped: measure.skipped,
    }))
}

/// How many tests a job had in these attempts, the newest first; of each build the last one counts.
pub(super) fn sizes(newest_first: impl Iterator<Item = Size>) -> Option<Trend> {
    let mut last: Vec<Size> = newest_first.collect();
    last.dedup_by_key(|size| size.build);
    tests(last.into_iter())
}

fn tests(newest_first: impl DoubleEndedIterator<Item = Size>) -> Option<Trend> {
    let with = newest_first.filter(|size| size.passed + size.failed > 0);
    let values: Vec<Value> = with
        .rev()
        .map(|size| Value {
            number: size.build,
            at: float(size.passed + size.failed),
            text: badge::tests(size.passed, size.failed, size.skipped).0,
            red: size.failed > 0,
        })
        .collect();
    trend("Tests", "build", &values, true)
}

/// How long a test took in the last of these runs, which are the newest first.
pub(super) fn times(newest_first: &[TestRun]) -> Option<Trend> {
    const RUNS: usize = 60;
    let timed = newest_first
        .iter()
        .filter(|one| one.run.outcome != Outcome::Skipped);
    let mut values: Vec<Value> = timed
        .filter_map(|one| {
            let took = one.run.seconds?;
            Some(Value {
                number: one.build,
                at: took,
                text: seconds(took),
                red: one.run.failed(),
            })
        })
        .take(RUNS)
        .collect();
    values.reverse();
    trend("Duration", "run", &values, true)
}

/// `of`: what each value is of; `from_zero`: whether the lower edge is zero; else the least value, a little lower.
fn trend(title: &'static str, of: &str, values: &[Value], from_zero: bool) -> Option<Trend> {
    let last = values.last()?;
    if values.len() < 2 {
        return None;
    }
    let by_size = |one: &&Value, other: &&Value| one.at.total_cmp(&other.at);
    let highest = values.iter().max_by(by_size)?;
    let lowest = values.iter().min_by(by_size)?;
    let low = if from_zero { 0.0 } else { lowest.at };
    let span = (highest.at - low).max(f64::EPSILON);
    let step = (WIDTH - 2.0 * EDGE) / float(values.len() - 1);
    let flat = !from_zero && highest.at <= lowest.at;
    let place = |at: usize, value: &Value| {
        let share = if flat { 0.5 } else { (value.at - low) / span };
        let y = HEIGHT - EDGE - share * (HEIGHT - 2.0 * EDGE);
        (unit(EDGE + step * float(at)), unit(y))
    };
    let mut line = Vec::new();
    let mut dots = Vec::new();
    for (at, value) in values.iter().enumerate() {
        let (x, y) = place(at, value);
        line.push(format!("{x},{y}"));
        // Many dots are none.
        if value.red || at + 1 == values.len() || values.len() <= 30 {
            dots.push(Dot {
                x,
                y,
                class: if value.red { "bad" } else { "good" },
                title: format!("#{}: {}", value.number, value.text),
            });
        }
    }
    let words = format!(
        "{title} over the last {}: least {}, most {}, now {}.",
        text::plural(values.len() as u64, of),
        lowest.text,
        highest.text,
        last.text
    );
    Some(Trend {
        title,
        last: last.text.clone(),
        words,
        line: line.join(" "),
        range: if flat {
            String::new()
        } else if from_zero {
            format!("at most {}", highest.text)
        } else {
            format!("{} to {}", lowest.text, highest.text)
        },
        dots,
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a pixel more or less of a chart is not seen"
)]
fn float(number: impl TryInto<u64>) -> f64 {
    number.try_into().unwrap_or(u64::MAX) as f64
}

/// A coordinate with a tenth.
fn unit(at: f64) -> String {
    format!("{at:.1}")
}

/// A job in the graph.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) key: String,
    /// Cut to what fits.
    pub(super) name: String,
    pub(super) full_name: String,
    pub(super) mark: Mark,
    pub(super) took: String,
}

/// The jobs of a build, those that need others to their right.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) nodes: Vec<Node>,
    /// `d` of a path for each need.
    pub(super) edges: Vec<String>,
}

/// A node's box, and the room between boxes.
pub(super) const NODE: (u32, u32) = (172, 44);
const GAP: (u32, u32) = (48, 12);
/// More jobs than these are not drawn.
const MOST: usize = 60;
/// Letters of a name that fit into a box.
const LETTERS: usize = 20;

/// The graph, where jobs need one another and can be drawn. `mark_of` and `took_of` say how a job
/// stands.
pub(super) fn graph(jobs: &[Job], look: impl Fn(&Job) -> (Mark, String)) -> Option<Graph> {
    if jobs.len() > MOST || jobs.iter().all(|job| job.order.needs.is_empty()) {
        return None;
    }
    // Jobs come in the order of the plan: needs before those that need them.
    let mut columns: HashMap<&str, u32> = HashMap::new();
    let mut rows: HashMap<u32, u32> = HashMap::new();
    let mut places: HashMap<&str, (u32, u32)> = HashMap::new();
    let mut graph = Graph {
        width: 0,
        height: 0,
        nodes: Vec::new(),
        edges: Vec::new(),
    };
    for job in jobs {
        let needs = job.order.needs.iter();
        let before = needs.filter_map(|need| columns.get(need.as_str())).max();
        let column = before.map_or(0, |before| before + 1);
        let row = rows.entry(column).or_default();
        let (x, y) = (column * (NODE.0 + GAP.0), *row * (NODE.1 + GAP.1));
        *row += 1;
        columns.insert(&job.key, column);
        places.insert(&job.key, (x, y));
        graph.width = graph.width.max(x + NODE.0);
        graph.height = graph.height.max(y + NODE.1);
        let (mark, took) = look(job);
        let letters = job.name.chars().count();
        let mut name: String = job.name.chars().take(LETTERS).collect();
        if letters > LETTERS {
            name.push('…');
        }
        graph.nodes.push(Node {
            x,
            y,
            key: job.key.clone(),
            name,
            full_name: job.name.clone(),
            mark,
            took,
        });
        for (from_x, from_y) in job
            .order
            .needs
            .iter()
            .filter_map(|need| places.get(need.as_str()))
        {
            let (start, end) = (from_x + NODE.0, x);
            let middle = u32::midpoint(start, end);
            let (from, to) = (from_y + NODE.1 / 2, y + NODE.1 / 2);
            graph.edges.push(format!(
                "M{start} {from}C{middle} {from} {middle} {to} {end} {to}"
            ));
        }
    }
    Some(graph)
}

#[cfg(test)]
mod tests {
    use super::trends;
    use crate::domain::Measure;

    fn measure(number: i64, seconds: u64, passed: u64, failed: u64, covered: u64) -> Measure {
        Measure {
            number,
            red: failed > 0,
            duration_ms: Some(seconds * 1000),
            passed,
            failed,
            skipped: 0,
            covered,
            coverable: 200,
        }
    }

    #[test]
    fn a_trend_goes_from_left_to_right_between_its_edges() {
        let newest_first = [measure(2, 60, 9, 1, 100), measure(1, 30, 10, 0, 150)];
        let trends = trends(&newest_first);
        let titles: Vec<&str> = trends.iter().map(|trend| trend.title).collect();
        assert_eq!(titles, ["Duration", "Tests", "Coverage"]);
        assert_eq!(trends[0].line, "5.0,36.0 315.0,5.0");
        assert_eq!(trends[0].last, "1m");
        assert_eq!(trends[0].range, "at most 1m");
        assert_eq!(trends[2].range, "50% to 75%");
        assert_eq!(trends[1].dots[1].class, "bad");
        assert_eq!(trends[2].line, "5.0,5.0 315.0,67.0");
        assert_eq!(
            trends[2].words,
            "Coverage over the last 2 builds: least 50%, most 75%, now 50%."
        );
    }

    #[test]
    fn one_build_is_no_trend_and_what_never_changes_is_in_the_middle() {
        assert!(trends(&[measure(1, 30, 10, 0, 150)]).is_empty());
        let same = [measure(2, 0, 0, 0, 150), measure(1, 0, 0, 0, 150)];
        let trends = trends(&same);
        assert_eq!(trends.len(), 2, "no tests, no line");
        assert_eq!(trends[1].line, "5.0,36.0 315.0,36.0");
        assert!(!trends[0].line.contains("NaN"), "{:?}", trends[0]);
    }
}
