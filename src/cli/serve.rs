//! `herald serve`.

use std::io::IsTerminal;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use super::arguments::ServeFlags;
use super::screen::{BOLD, PLAIN, Screen};
use super::{End, runtime};
use crate::config::{Config, Reader};
use crate::wire::{Server, SetupLink};

pub(super) fn config(flags: ServeFlags) -> anyhow::Result<Config> {
    let reader = Reader::new(std::env::vars(), flags.by_variable());
    Ok(Config::read(reader)?)
}

/// Starts the log on stderr.
///
/// # Errors
/// When the filter is none.
pub fn start_log(filter: &str, json: bool) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(filter).map_err(|error| super::wrong(format!("HERALD_LOG: {error}")))?;
    // A journal or a file is to be read as it is; NO_COLOR is honoured too.
    let colours = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Nobody may be reading any more: a line that cannot be written is no reason to end what was told of.
        .log_internal_errors(false)
        .with_ansi(colours)
        .with_writer(std::io::stderr);
    // Fails only where a log is running already.
    let _ = if json {
        log.json().try_init()
    } else {
        log.with_target(false).try_init()
    };
    Ok(())
}

pub(super) fn run(flags: ServeFlags, screen: &Screen) -> anyhow::Result<End> {
    let config = config(flags)?;
    start_log(&config.log, config.log_json)?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    runtime()?.block_on(async {
        let server = Server::bind(&config).await?;
        if let Some(link) = server.setup_link().filter(|_| !config.log_json) {
            tokio::spawn(invite(link, screen.clone()));
        }
        let stop = CancellationToken::new();
        tokio::spawn(stop_on_signal(stop.clone()));
        server.run(stop).await
    })?;
    Ok(End::Good)
}

/// Says where the App is registered, apart from the log, and again when the code was used.
async fn invite(mut link: SetupLink, screen: Screen) {
    let mut next = Some(link.now());
    let mut words = "Herald has no GitHub App yet. Open this address in a browser to register one:";
    while let Some(address) = next {
        screen.say(&format!(
            "\n  {words}\n\n    {BOLD}{address}{PLAIN}\n\n  The code is good for one browser.\n"
        ));
        words = "The code was used. Another browser would need this address:";
        next = link.next().await;
    }
}

/// Cancels on the first TERM or INT.
pub(super) async fn stop_on_signal(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        warn!("signals cannot be received; the server ends only when it is killed");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => info!("SIGTERM"),
        _ = interrupt.recv() => info!("SIGINT"),
    }
    stop.cancel();
}
