//! `herald badge`.

use super::End;
use super::arguments::BadgeFlags;
use super::screen::Screen;
use crate::badge::{Badge, Style, render};

pub(super) fn run(flags: &BadgeFlags, screen: &Screen) -> End {
    let svg = render(&Badge {
        label: flags.label.clone(),
        message: flags.message.clone(),
        color: flags.color.clone(),
        label_color: flags.label_color.clone(),
        style: Style::parse(&flags.style),
        logo: flags.logo.clone(),
        links: [flags.link.first().cloned(), flags.link.get(1).cloned()],
    });
    screen.result(&format!("{svg}\n"));
    End::Good
}
