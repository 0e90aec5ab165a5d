//! `herald doctor`: prints what the examination of a server finds.

use serde_json::json;

use super::arguments::ServeFlags;
use super::screen::{BOLD, GREEN, PLAIN, RED, Screen, YELLOW};
use super::{End, runtime, serve};
use crate::config::Config;
use crate::domain::Health;
use crate::wire::examine;

pub(super) fn run(flags: ServeFlags, screen: &Screen) -> anyhow::Result<End> {
    let config = serve::config(flags)?;
    let (findings, settled) = runtime()?.block_on(examine(&config));
    for finding in &findings {
        let (what, way_out) = (&finding.what, &finding.way_out);
        let mut text = match finding.health {
            Health::Good => format!("{GREEN}ok{PLAIN}      {what}\n"),
            Health::Odd => format!("{YELLOW}warning{PLAIN} {what}\n"),
            Health::Bad => format!("{RED}problem{PLAIN} {what}\n"),
        };
        if !way_out.is_empty() {
            text.push_str(&format!("        {BOLD}→{PLAIN} {way_out}\n"));
        }
        screen.result(&text);
    }
    if let Some(config) = &settled {
        ruleset(config, screen);
    }
    let bad = findings.iter().any(|finding| finding.health == Health::Bad);
    Ok(if bad { End::Wrong } else { End::Good })
}

/// The ruleset that requires Herald's check from this App and nobody else.
fn ruleset(config: &Config, screen: &Screen) {
    let Some(credentials) = &config.credentials else {
        return;
    };
    let ruleset = json!({
        "name": "Herald",
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
        "rules": [{
            "type": "required_status_checks",
            "parameters": {
                "strict_required_status_checks_policy": false,
                "required_status_checks": [
                    {"context": "herald", "integration_id": credentials.app_id},
                ],
            },
        }],
    });
    screen.result(&format!(
        "\nTo require Herald's check, from this App only, import this ruleset:\n{ruleset:#}\n"
    ));
}
