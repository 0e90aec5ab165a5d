//! What a change did to coverage, and the conditions on it, as rows of pages.

use super::view::Mark;
use crate::domain::BuildView;
use crate::feedback::signed;
use crate::report::json::Conclusion;
use crate::report::{ChangedFile, CoverageChange, Share, stretch};

/// A condition of the specification.
pub(super) struct GateRow {
    pub(super) mark: Mark,
    pub(super) name: String,
    pub(super) text: String,
}

/// The conditions and how they turned out.
pub(super) fn gates(view: &BuildView) -> Vec<GateRow> {
    let gates = view.judgement.iter().flat_map(|judgement| &judgement.gates);
    gates
        .map(|gate| GateRow {
            mark: match gate.status {
                Conclusion::Success => mark("met", "good"),
                Conclusion::Failure => mark("not met", "bad"),
                Conclusion::Neutral => mark("unknown", "dull"),
            },
            name: gate.name.clone(),
            text: gate.text.clone(),
        })
        .collect()
}

fn mark(word: &'static str, class: &'static str) -> Mark {
    Mark { word, class }
}

/// A file that the change is about, or that it affects.
pub(super) struct ChangedRow {
    pub(super) path: String,
    /// Covered lines of those that it adds; `None` where it adds none.
    pub(super) patch: Option<(u64, u64)>,
    pub(super) whole: String,
    pub(super) moved: String,
    pub(super) missed: String,
    pub(super) lost: String,
    pub(super) gained: u64,
}

/// What a change did to coverage.
pub(super) struct ChangeRows {
    /// Against which build, and by how many points.
    pub(super) against: Option<(i64, String)>,
    pub(super) files: Vec<ChangedRow>,
    pub(super) more: u64,
    pub(super) unmentioned: Vec<String>,
    /// Jobs that did not run, and the builds whose coverage counts for them.
    pub(super) carried: Vec<(String, i64)>,
    pub(super) notes: Vec<String>,
}

/// What the change of a build did to coverage, when it was judged.
pub(super) fn rows(view: &BuildView) -> Option<ChangeRows> {
    let judgement = view.judgement.as_ref()?;
    let change = judgement.coverage.as_ref()?;
    let difference = CoverageChange::difference(change).map(signed);
    let carried = judgement.carried.iter();
    Some(ChangeRows {
        against: judgement.base.zip(difference),
        files: change.files.iter().map(row).collect(),
        more: change.more,
        unmentioned: change.unmentioned.clone(),
        carried: carried.map(|one| (one.job.clone(), one.build)).collect(),
        notes: judgement.notes.clone(),
    })
}

fn row(file: &ChangedFile) -> ChangedRow {
    let ranges = |lines: &[(u32, u32)]| {
        let texts: Vec<String> = lines.iter().copied().map(stretch).collect();
        texts.join(", ")
    };
    let before = file.before.filter(|before| before.total > 0);
    let moved = before
        .zip(file.now)
        .map(|(before, now)| now.percent() - before.percent());
    ChangedRow {
        path: file.path.clone(),
        patch: (file.patch.total > 0).then_some((file.patch.covered, file.patch.total)),
        whole: file.now.map_or_else(String::new, Share::rounded),
        moved: moved.map_or_else(String::new, signed),
        missed: ranges(&file.missed),
        lost: match file.now {
            Some(_) => ranges(&file.lost),
            None => "in no report any more".to_owned(),
        },
        gained: file.gained,
    }
}
