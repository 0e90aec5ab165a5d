//! `herald report`: reads reports and prints what they say.

use std::path::{Path, PathBuf};

use super::arguments::{FailOn, ReportFlags, ReportFormat};
use super::screen::Screen;
use super::{End, files, view};
use crate::domain::history::Verdicts;
use crate::feedback::{AnnotationOptions, annotations, report_markdown};
use crate::report::json::{Document, Extras};
use crate::report::{FileStatus, Report, compare};

pub(super) fn run(flags: &ReportFlags, screen: &Screen) -> anyhow::Result<End> {
    let source: PathBuf = flags.source.clone().unwrap_or_else(|| PathBuf::from("."));
    // Only JSON names every test, and only a comparison has to know them all.
    let brief = flags.base.is_empty() && (flags.format != ReportFormat::Json || flags.failures);
    let mut report = files::read(&flags.paths, &flags.coverage, &source, brief, screen)?;
    report.locate(&files::index(&source));
    let base = if flags.base.is_empty() {
        None
    } else {
        Some(files::read(&flags.base, &[], &source, false, screen)?)
    };
    let comparison = base.as_ref().map(|base| compare(base, &report));
    let bad = is_bad(&report);
    match flags.format {
        ReportFormat::Text => {
            let mut text = view::report(
                &report,
                Some(Path::new(&source)),
                flags.failures,
                &Verdicts::default(),
            );
            if let (Some(base), Some(comparison)) = (&base, &comparison) {
                text.push_str(&view::comparison(base, &report, comparison));
            }
            screen.result(&text);
        }
        ReportFormat::Json => {
            let extras = Extras {
                comparison,
                failures_only: flags.failures,
                ..Extras::default()
            };
            Screen::document(&Document::new(report, extras));
        }
        ReportFormat::Markdown => screen.result(&format!("{}\n", report_markdown(&report))),
        ReportFormat::Annotations => {
            Screen::document(&annotations(&report, AnnotationOptions::default()));
        }
    }
    Ok(if bad && flags.fail_on == FailOn::Failures {
        End::Red
    } else {
        End::Good
    })
}

/// Whether a test failed, or a report is broken, partial or empty.
pub(super) fn is_bad(report: &Report) -> bool {
    let totals = report.totals();
    totals.failed + totals.errors > 0
        || report
            .files
            .iter()
            .any(|file| file.status != FileStatus::Ok)
        || (totals.tests == 0 && report.coverage.is_none())
}
