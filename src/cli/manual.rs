//! `herald manual`: the pages for `man`, made from the same description as `--help`.
//!
//! Not for people, who have the pages when Herald is installed; so the command is hidden.

use std::path::Path;

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::End;
use super::arguments::Arguments;

/// What the pages say beside the options, by the name of the page.
const SECTIONS: [(&str, &str); 2] = [
    ("herald", include_str!("../../templates/manual/herald.roff")),
    (
        "herald-serve",
        include_str!("../../templates/manual/herald-serve.roff"),
    ),
];

/// Prints herald(1), or writes the pages of all commands into a folder.
pub(super) fn run(folder: Option<&Path>) -> anyhow::Result<End> {
    let mut program = Arguments::command();
    // Names the commands within commands by all of their words.
    program.build();
    match folder {
        None => page(program, &mut std::io::stdout().lock()).context("write the page")?,
        Some(folder) => {
            std::fs::create_dir_all(folder)
                .and_then(|()| pages(&program, folder))
                .with_context(|| format!("write the pages into {}", folder.display()))?;
        }
    }
    Ok(End::Good)
}

/// The page of a command, and of those within it.
fn pages(command: &Command, folder: &Path) -> std::io::Result<()> {
    for inner in command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set())
    {
        pages(inner, folder)?;
    }
    let path = folder.join(Man::new(command.clone()).get_filename());
    page(command.clone(), &mut std::fs::File::create(path)?)
}

fn page(command: Command, out: &mut dyn std::io::Write) -> std::io::Result<()> {
    let name = command.get_display_name().unwrap_or("herald").to_owned();
    let has_commands = command.has_subcommands();
    let page = Man::new(command);
    // Its own title loses the place of a date that is not there.
    let version = env!("CARGO_PKG_VERSION");
    writeln!(out, ".TH \"{name}\" 1 \"\" \"Herald {version}\" \"Herald\"")?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    if has_commands {
        page.render_subcommands_section(out)?;
    }
    for (_, sections) in SECTIONS.iter().filter(|(page, _)| *page == name) {
        out.write_all(sections.as_bytes())?;
    }
    Ok(())
}
