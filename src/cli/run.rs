//! `herald run`: builds a repository on this machine as Herald would.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Context;

use super::arguments::{ReportFormat, RunEvent, RunExecutor, RunFlags};
use super::base::{Against, judge_whole, name_of};
use super::checkout::Checkout;
use super::local::Local;
use super::screen::{BOLD, DIM, GREEN, PLAIN, RED, Screen, YELLOW};
use super::{End, check, runtime, view, wrong};
use crate::app::{Ground, refusals};
use crate::domain::{BuildView, Conclusion, JobFailure, Preparation, Trust};
use crate::feedback::{AnnotationOptions, annotations, check_markdown, local_view};
use crate::ports::{Clock, Executor};
use crate::report::compare;
use crate::report::json::{Document, Extras};
use crate::spec::{self, Decision, PlannedJob};
use crate::text;
use crate::wire::{SystemClock, local_docker, process_executor};

pub(super) fn run(flags: &RunFlags, screen: &Screen) -> anyhow::Result<End> {
    let (file, parsed) = check::specification(&flags.dir, screen)?;
    let Some(specification) = parsed.specification else {
        return Ok(End::Wrong);
    };
    if specification.jobs.is_empty() {
        return Err(wrong(format!(
            "{file} builds nothing: it only names workflows whose reports are read; add `execute` to build here"
        )));
    }
    let checkout = Checkout::read(&flags.dir, flags.base.as_deref())?;
    let occasion = spec::Occasion {
        event: match flags.event {
            RunEvent::PullRequest => spec::Event::PullRequest,
            RunEvent::Push => spec::Event::Push,
        },
        branch: flags.base.as_deref().or(Some(checkout.branch.as_str())),
        tag: None,
        changed_paths: checkout.changed.as_deref(),
        by_default: true,
    };
    let plan = spec::plan(&specification, &occasion);
    let mut wanted = select(plan.jobs, flags.job.as_deref())?;
    leave_out_deployments(&mut wanted, flags.job.as_deref());
    let runtime = runtime()?;
    let executor: Box<dyn Executor> = match flags.executor {
        RunExecutor::Process => Box::new(process_executor(false)?),
        RunExecutor::Docker => Box::new(runtime.block_on(local_docker())?),
    };
    let refused = refused(executor.as_ref(), &wanted, &parsed.places);
    if !refused.is_empty() {
        screen.say(check::text(&file, &refused).trim_end());
        return Ok(End::Wrong);
    }
    let scratch = tempfile::tempdir().context("make a temporary folder")?;
    let workspace = if flags.in_place {
        std::path::absolute(&flags.dir)?
    } else {
        let copy = scratch.path().join("tree");
        checkout.copy_to(&copy)?;
        copy
    };
    let preparation = Preparation {
        publish: specification.publish.clone(),
        min_tests: specification.gates.min_tests,
        partial_lines_miss: specification.gates.coverage.partial_lines_miss,
        coverage_gates: specification.gates.coverage.clone(),
        allow_known_flaky: specification.gates.allow_known_flaky,
        ..Preparation::default()
    };
    let mut local = Local {
        flags,
        files: &checkout.files,
        commit: &checkout.commit,
        name: "change",
        workspace,
        scratch: scratch.path(),
        screen,
        preparation: &preparation,
        executor: executor.as_ref(),
        against: None,
    };
    let base = flags.base.as_deref().unwrap_or_default();
    let against = Against::new(&checkout, base, SystemClock.now_ms());
    let against = match against {
        Some((mut against, notes)) => {
            for note in notes {
                screen.say(&format!("{YELLOW}{note}{PLAIN}"));
            }
            runtime.block_on(build_base(&mut against, &local, &checkout, &wanted))?;
            Some(against)
        }
        None => None,
    };
    local.against = against.as_ref();
    let jobs = runtime.block_on(local.run_all(wanted))?;
    let mut view = local_view(jobs, preparation.clone());
    match &against {
        Some(against) => against.judge_whole(&mut view),
        None => judge_whole(&mut view, &[], None, None),
    }
    print(&view, against.as_ref(), flags, screen);
    Ok(match view.build.conclusion {
        Some(Conclusion::Success | Conclusion::Skipped | Conclusion::Neutral) => End::Good,
        _ => End::Red,
    })
}

/// The jobs to run: all, or one with all members of its matrix, and those that it needs.
fn select(jobs: Vec<PlannedJob>, only: Option<&str>) -> anyhow::Result<Vec<PlannedJob>> {
    let Some(only) = only else {
        return Ok(jobs);
    };
    let mut wanted: HashSet<String> = jobs
        .iter()
        .map(|planned| &planned.job)
        .filter(|job| job.key == only || job.file_key() == only)
        .map(|job| job.key.clone())
        .collect();
    if wanted.is_empty() {
        let mut keys: Vec<&str> = jobs.iter().map(|planned| planned.job.file_key()).collect();
        keys.dedup();
        return Err(wrong(format!(
            "--job: there is no job `{only}`; there are {}",
            keys.join(", ")
        )));
    }
    // Needs stand before dependents in the plan.
    for planned in jobs.iter().rev() {
        if wanted.contains(&planned.job.key) {
            wanted.extend(planned.job.needs.iter().cloned());
        }
    }
    Ok(jobs
        .into_iter()
        .filter(|planned| wanted.contains(&planned.job.key))
        .collect())
}

/// Nobody deploys from their own machine by the way: only a job that is asked for by its name does.
fn leave_out_deployments(jobs: &mut [PlannedJob], only: Option<&str>) {
    for planned in jobs {
        let job = &planned.job;
        let named = only.is_some_and(|only| job.key == only || job.file_key() == only);
        if let (Some(deploy), Decision::Run, false) = (&job.deploy, &planned.decision, named) {
            planned.decision = Decision::Skipped(format!(
                "it deploys to {}; `--job {}` does that from here",
                deploy.environment,
                job.file_key()
            ));
        }
    }
}

/// Builds those of the wanted jobs that the base has, unless an earlier run has done so.
async fn build_base(
    against: &mut Against,
    local: &Local<'_>,
    checkout: &Checkout,
    wanted: &[PlannedJob],
) -> anyhow::Result<()> {
    let (screen, commit) = (local.screen, against.commit().to_owned());
    let short = commit.get(..7).unwrap_or(&commit);
    let base = local.flags.base.as_deref().unwrap_or_default();
    let executor = local.executor.name();
    let due = wanted
        .iter()
        .filter(|planned| planned.decision == Decision::Run);
    let asked: Vec<String> = due
        .map(|planned| name_of(&planned.job).to_owned())
        .collect();
    if against.take_kept(checkout, executor, asked.iter().map(String::as_str)) {
        screen.say(&format!(
            "{DIM}held against {base} at {short}, built before{PLAIN}"
        ));
        return Ok(());
    }
    screen.say(&format!(
        "{BOLD}building the base, {base} at {short}, to hold the change against{PLAIN}"
    ));
    let dir = local.scratch.join("base");
    checkout.write_out(&commit, &dir)?;
    let Some(specification) = check::quietly(&dir) else {
        screen.say(&format!(
            "{YELLOW}{base} at {short} has no specification that can be read: nothing is compared with it{PLAIN}"
        ));
        return Ok(());
    };
    let occasion = spec::Occasion {
        event: spec::Event::Push,
        branch: Some(base),
        tag: None,
        changed_paths: None,
        by_default: true,
    };
    let mut jobs = spec::plan(&specification, &occasion).jobs;
    jobs.retain(|planned| asked.iter().any(|name| name == name_of(&planned.job)));
    let scratch = local.scratch.join("base-scratch");
    let of_base = Local {
        files: &checkout.files_at(&commit),
        commit: &commit,
        name: "base",
        workspace: dir,
        scratch: &scratch,
        against: None,
        ..*local
    };
    let jobs = of_base.run_all(jobs).await?;
    against.take(checkout, executor, asked, jobs);
    screen.say(&format!("{BOLD}building the change{PLAIN}"));
    Ok(())
}

/// Why jobs that are wanted cannot run on this machine.
fn refused(
    executor: &dyn Executor,
    wanted: &[PlannedJob],
    places: &spec::Places,
) -> Vec<spec::Problem> {
    let ground = Ground {
        executor: executor.name(),
        abilities: executor.abilities(),
        server: false,
    };
    let due = wanted
        .iter()
        .filter(|planned| planned.decision == Decision::Run)
        .map(|planned| &planned.job);
    refusals(due, &ground, Trust::Trusted, places)
}

/// Prints the report on stdout.
fn print(view: &BuildView, against: Option<&Against>, flags: &RunFlags, screen: &Screen) {
    let report = view.report();
    match flags.format {
        ReportFormat::Text => {
            screen.say("");
            let mut out = view::report(&report, Some(&flags.dir), false, &view.verdicts());
            out.push_str(&view::insight(view));
            for job in &view.jobs {
                let Some(result) = &job.result else { continue };
                for failure in &result.failures {
                    if let JobFailure::Step { text } | JobFailure::Report { text } = failure {
                        out.push_str(&format!("{RED}✗{PLAIN} {}: {text}\n", job.check_name()));
                    }
                }
            }
            let (title, _) = check_markdown(view);
            let (color, word) = match view.build.conclusion {
                Some(Conclusion::Success) => (GREEN, "success"),
                Some(conclusion) => (RED, conclusion.as_str()),
                None => (RED, "unknown"),
            };
            out.push_str(&format!("{color}{BOLD}{word}{PLAIN} {title}\n"));
            screen.result(&out);
        }
        ReportFormat::Json => {
            let base = against.and_then(Against::report);
            let extras = Extras {
                comparison: base.map(|base| compare(&base, &report)),
                patch: view.patch(),
                gates: view
                    .judgement
                    .as_ref()
                    .map_or_else(Vec::new, |judgement| judgement.gates.clone()),
                build: Some(build_value(view)),
                ..Extras::default()
            };
            Screen::document(&Document::new(report, extras));
        }
        ReportFormat::Markdown => {
            let (title, summary) = check_markdown(view);
            screen.result(&format!(
                "# {}\n\n{summary}\n",
                text::markdown::escape(&title)
            ));
        }
        ReportFormat::Annotations => {
            let all = annotations(
                &report,
                AnnotationOptions {
                    show_locals: view.build.plan.publish.show_locals,
                    ..AnnotationOptions::default()
                },
            );
            Screen::document(&all);
        }
    }
}

/// The `build` of the JSON document: its jobs and steps.
fn build_value(view: &BuildView) -> serde_json::Value {
    let jobs: Vec<serde_json::Value> = view
        .jobs
        .iter()
        .map(|job| {
            serde_json::json!({
                "key": job.key,
                "name": job.name,
                "conclusion": job.conclusion,
                "title": job.result.as_ref().map(|result| &result.title),
                "duration_seconds": job.result.as_ref().map(|result| Duration::from_millis(result.duration_ms).as_secs_f64()),
                "steps": job.steps,
            })
        })
        .collect();
    let (title, _) = check_markdown(view);
    serde_json::json!({"conclusion": view.build.conclusion, "title": title, "jobs": jobs})
}
