//! The build as a plain POSIX shell script that a person can run by hand.
//!
//! What Herald adds and a script cannot say in plain words (time-outs, `when`) is told in
//! comments.

use std::fmt::Write as _;

use super::model::{Command, JobSpecification, Network, Probe, Specification, Step, When};
use super::plan::in_order;
use crate::text;

/// The script. Run it in the root of the repository; its exit status is that of the first step
/// that fails.
pub fn explain(specification: &Specification) -> String {
    let mut script = String::from(
        "#!/bin/sh\n\
         # What .herald.yml describes, as a plain script. Run it in the root of the repository.\n\
         # Each step is a process of its own; nothing carries over from step to step.\n\
         set -u\n\
         failed=0   # exit status of the first step that fails\n",
    );
    if let Some(when) = &specification.when {
        comment(
            &mut script,
            "",
            &format!("Herald builds this {}.", words(when)),
        );
    }
    if let Some(actions) = &specification.actions {
        let workflows = actions.workflows.join(", ");
        let is_aside = !specification.jobs.is_empty();
        let also = if is_aside { " as well" } else { "" };
        comment(
            &mut script,
            "",
            &format!("Herald takes reports from the artifacts of the workflow {workflows}{also}."),
        );
    }
    let jobs = in_order(&specification.jobs);
    for (index, job) in jobs.iter().enumerate() {
        let needs: Vec<usize> = job
            .needs
            .iter()
            .filter_map(|needed| jobs.iter().position(|job| job.key == *needed))
            .collect();
        write_job(&mut script, index, job, &needs);
    }
    script.push_str("\nexit \"$failed\"\n");
    script
}

fn write_job(script: &mut String, index: usize, job: &JobSpecification, needs: &[usize]) {
    let number = index + 1;
    script.push('\n');
    let shown = job.name.as_ref().unwrap_or(&job.key);
    comment(script, "", &format!("Job {}: {shown}", job.key));
    let timeout = text::duration(std::time::Duration::from_millis(job.timeout_ms));
    comment(script, "", &format!("Herald ends it after {timeout}."));
    if let Some(image) = &job.image {
        comment(
            script,
            "",
            &format!("Made for the container image {image}."),
        );
    }
    if let Some(when) = &job.when {
        comment(script, "", &format!("It runs {}.", words(when)));
    }
    write_surroundings(script, job);
    let condition: Vec<String> = needs
        .iter()
        .map(|needed| format!("[ \"$job_{}\" = 0 ]", needed + 1))
        .collect();
    if !condition.is_empty() {
        let _ = writeln!(script, "if {}; then", condition.join(" && "));
    }
    script.push_str("(\n");
    for (name, value) in &job.environment {
        let _ = writeln!(script, "  export {name}={}", quote(value));
    }
    let _ = writeln!(
        script,
        "  export CI=true HERALD=true HERALD_ACTION=execute HERALD_JOB={}",
        quote(&job.key)
    );
    script.push_str("  (\n");
    for step in &job.setup {
        write_step(script, step, "setup", "|| exit $?");
    }
    for step in &job.execute {
        write_step(script, step, "execute", "|| exit $?");
    }
    script.push_str("    :\n  )\n  result=$?\n");
    if !job.after.is_empty() {
        comment(
            script,
            "  ",
            "Always runs, for at most 2 minutes in all; never changes the result.",
        );
        for step in &job.after {
            write_step(script, step, "after", "|| :");
        }
    }
    let _ = writeln!(script, "  exit \"$result\"\n) </dev/null\njob_{number}=$?");
    let _ = writeln!(script, "[ \"$failed\" != 0 ] || failed=$job_{number}");
    if !condition.is_empty() {
        let said = quote(&format!(
            "== {}: skipped, a job that it needs failed",
            job.key
        ));
        let _ = writeln!(
            script,
            "else\n  printf '%s\\n' {said} >&2\n  job_{number}=skipped\nfi"
        );
    }
}

/// What Herald puts around a job and a script cannot.
fn write_surroundings(script: &mut String, job: &JobSpecification) {
    let standard = JobSpecification::default();
    if job.resources != standard.resources {
        let of = &job.resources;
        let cpus = f64::from(of.cpus_milli) / 1000.0;
        let memory = of.memory_bytes >> 20;
        let said = format!(
            "It may use {cpus} cores, {memory} MiB of memory and {} processes.",
            of.pids
        );
        comment(script, "", &said);
    }
    if job.network == Network::None {
        comment(script, "", "It has no network, except for its services.");
    }
    for (name, port) in &job.ports {
        let said = format!(
            "Its port {port} is reachable; HERALD_PORT_{} says where.",
            name.to_ascii_uppercase()
        );
        comment(script, "", &said);
    }
    for service in &job.services {
        let said = format!(
            "Beside it runs {}, reachable by this name: the container image {}.",
            service.name, service.image
        );
        comment(script, "", &said);
        for (name, value) in &service.environment {
            comment(script, "", &format!("  with {name}={}", quote(value)));
        }
        if let Some(ready) = &service.ready {
            let probe = match &ready.probe {
                Probe::Port(port) => format!("its port {port} accepts connections"),
                Probe::Command(words) => format!("in it ends well: {}", line(words)),
            };
            let timeout = text::duration(std::time::Duration::from_millis(ready.timeout_ms));
            comment(
                script,
                "",
                &format!("  ready, within {timeout}, when {probe}"),
            );
        }
    }
    if let Some(deploy) = &job.deploy {
        let approval = if deploy.approval {
            " Somebody with write permission has to approve it."
        } else {
            ""
        };
        let said = format!(
            "It deploys to {}: to Herald it is a deployment on GitHub, one at a time.{approval}",
            deploy.environment
        );
        comment(script, "", &said);
    }
    if !job.secrets.is_empty() {
        let names = job.secrets.join(" ");
        comment(
            script,
            "",
            &format!("Herald sets from its stored secrets: {names}"),
        );
    }
    if let Some(cache) = &job.cache {
        let said = format!(
            "Herald keeps between builds, as {}: {}",
            cache.key,
            cache.paths.join(" ")
        );
        comment(script, "", &said);
    }
}

fn write_step(script: &mut String, step: &Step, phase: &str, otherwise: &str) {
    let said = quote(&format!("== {phase}: {}", step.name));
    let _ = writeln!(script, "    printf '%s\\n' {said} >&2");
    if let Some(timeout) = step.timeout_ms {
        let timeout = text::duration(std::time::Duration::from_millis(timeout));
        comment(script, "    ", &format!("Herald ends it after {timeout}."));
    }
    script.push_str("    (\n");
    if let Some(folder) = &step.working_directory {
        let _ = writeln!(script, "      cd -- {} || exit $?", quote(folder));
    }
    for (name, value) in &step.environment {
        let _ = writeln!(script, "      export {name}={}", quote(value));
    }
    let command = match &step.command {
        Command::Sh(text) => format!("sh -e -c {}", quote(text)),
        Command::Bash(text) => format!("bash -eo pipefail -c {}", quote(text)),
        Command::Argv(words) => line(words),
    };
    let _ = writeln!(script, "      {command}");
    let otherwise = if step.continue_on_error {
        "|| echo \"   failed (exit $?), which is allowed\" >&2"
    } else {
        otherwise
    };
    let _ = writeln!(script, "    ) {otherwise}");
}

/// Words as a line of the shell.
fn line(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
    words.join(" ")
}

/// A text as one word of the shell.
fn quote(text: &str) -> String {
    let plain = !text.is_empty()
        && text.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/' | b':' | b',')
        });
    if plain {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// A comment on one line, whatever the text is.
fn comment(script: &mut String, indent: &str, text: &str) {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let _ = writeln!(script, "{indent}# {text}");
}

/// A `when` in words after "Herald builds this".
fn words(when: &When) -> String {
    let mut parts = Vec::new();
    if let Some(events) = &when.events {
        let names: Vec<_> = events.iter().map(|event| event.name()).collect();
        parts.push(format!("on {}", names.join(" or ")));
    }
    let globs = [
        ("for the branches", &when.branches),
        ("for the tags", &when.tags),
        ("for changes to", &when.paths),
        ("not for changes to", &when.paths_ignore),
    ];
    for (words, globs) in globs {
        if let Some(globs) = globs {
            parts.push(format!("{words} {}", globs.join(" or ")));
        }
    }
    if parts.is_empty() {
        "always".to_owned()
    } else {
        parts.join(", ")
    }
}
