//! `herald admin`.

use std::io::{IsTerminal, Read};
use std::path::Path;

use anyhow::Context;

use super::arguments::{AdminCommand, AdminFlags, DeliveriesCommand, SecretCommand, TokenCommand};
use super::screen::Screen;
use super::{End, runtime, wrong};
use crate::admin::{self, Answer, Request};
use crate::config::{Config, Database, Reader};
use crate::domain::secret::MOST;
use crate::ports::Clock;
use crate::wire::{SystemClock, lock, open_store};

pub(super) fn run(flags: AdminFlags, screen: &Screen) -> anyhow::Result<End> {
    let reader = Reader::new(std::env::vars(), [("HERALD_DATA_DIR", flags.data_dir)]);
    let config = Config::read(reader)?;
    let (request, done) = match flags.command {
        AdminCommand::Secret { command } => secret(command, screen)?,
        AdminCommand::Approve {
            repository,
            pull,
            commit,
        } => {
            let done = format!("{commit} is approved; the server builds it now.");
            let request = Request::Approve {
                repository,
                pull,
                commit,
            };
            (request, done)
        }
        AdminCommand::Token { command } => token(command),
        AdminCommand::Deliveries { command } => deliveries(command),
    };
    match runtime()?.block_on(ask(&config, request))? {
        Answer::Done => screen.say(&done),
        Answer::Secrets { secrets } => {
            for secret in secrets {
                screen.result(&format!("{}\t{}\n", secret.name, time(secret.updated_ms)));
            }
        }
        Answer::Token { token } => {
            screen.result(&format!("{token}\n"));
            screen.say("Keep it now; it cannot be shown again.");
        }
        Answer::Tokens { tokens } => {
            for token in tokens {
                // One line each, whatever the name says.
                screen.result(&format!(
                    "{}\t{}\t{}\t{}\t{}\t{}\n",
                    token.id,
                    token.holder,
                    token.scope,
                    time(token.created_ms),
                    token.ends_ms.map_or_else(|| "never".to_owned(), time),
                    token.name.replace(['\t', '\n'], " "),
                ));
            }
        }
        Answer::Deliveries { deliveries } => {
            for delivery in deliveries {
                // One line each, whatever the error says.
                let error = delivery
                    .error
                    .unwrap_or_default()
                    .replace(['\t', '\n'], " ");
                screen.result(&format!(
                    "{}\t{}\t{}\t{}\t{error}\n",
                    delivery.guid,
                    delivery.event,
                    time(delivery.received_ms),
                    delivery.state,
                ));
            }
        }
        Answer::Wrong { text } => return Err(wrong(text)),
        Answer::Failed { text } => anyhow::bail!("failed to {text}"),
    }
    Ok(End::Good)
}

fn time(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms).map_or_else(String::new, |at| {
        at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    })
}

/// The request, and what is said when it is done.
fn deliveries(command: DeliveriesCommand) -> (Request, String) {
    match command {
        DeliveriesCommand::List { failed, limit } => {
            (Request::ListDeliveries { failed, limit }, String::new())
        }
        DeliveriesCommand::Replay { guid } => {
            let done = format!("{guid} is handled again as soon as the server gets to it.");
            (Request::ReplayDelivery { guid }, done)
        }
    }
}

/// The request, and what is said when it is done.
fn token(command: TokenCommand) -> (Request, String) {
    match command {
        TokenCommand::Create {
            person,
            repository,
            scope,
            name,
            days,
        } => {
            let request = Request::CreateToken {
                person,
                repository,
                scope,
                name,
                days: (days > 0).then_some(days),
            };
            (request, String::new())
        }
        TokenCommand::List => (Request::ListTokens, String::new()),
        TokenCommand::Revoke { id } => {
            let done = format!("{id} is revoked.");
            (Request::RevokeToken { id }, done)
        }
    }
}

/// The request, and what is said when it is done.
fn secret(command: SecretCommand, screen: &Screen) -> anyhow::Result<(Request, String)> {
    Ok(match command {
        SecretCommand::Set {
            repository,
            name,
            from_file,
        } => {
            let value = value(from_file.as_deref(), screen)?;
            if value.len() < 4 {
                screen.say("A value this short cannot be hidden in logs.");
            }
            let done = format!("{name} is stored for {repository}.");
            let request = Request::SetSecret {
                repository,
                name,
                value,
            };
            (request, done)
        }
        SecretCommand::List { repository } => (Request::ListSecrets { repository }, String::new()),
        SecretCommand::Remove { repository, name } => {
            let done = format!("{name} is removed from {repository}.");
            (Request::RemoveSecret { repository, name }, done)
        }
    })
}

/// By the running server; without one, on the database.
async fn ask(config: &Config, request: Request) -> anyhow::Result<Answer> {
    let asked = admin::ask(&config.data_dir, &request).await;
    let socket = config.data_dir.join(admin::SOCKET);
    if let Some(answer) = asked.with_context(|| format!("ask through {}", socket.display()))? {
        return Ok(answer);
    }
    let dir = config.data_dir.display();
    let _lock = match config.database {
        Database::Sqlite => {
            if !config.data_dir.join("herald.db").exists() {
                return Err(wrong(format!(
                    "there is no Herald in {dir}; name its data directory by --data-dir or \
                     HERALD_DATA_DIR"
                )));
            }
            Some(lock(&config.data_dir)?)
        }
        Database::Postgres(_) => None,
    };
    let store = open_store(config).await?;
    Ok(admin::carry_out(store.as_ref(), request, SystemClock.now_ms()).await)
}

/// A file as it is, or standard input without the line ends at its end. Never an argument: those
/// are seen by everybody on the machine.
fn value(file: Option<&Path>, screen: &Screen) -> anyhow::Result<String> {
    // One byte more, so that too much is noticed and not cut.
    let most = MOST as u64 + 1;
    let mut bytes = Vec::new();
    match file {
        Some(path) => {
            let read =
                std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
            read.map_err(|error| wrong(format!("cannot read {}: {error}", path.display())))?;
        }
        None => {
            let input = std::io::stdin();
            if input.is_terminal() {
                screen.say("Type the value; Ctrl-D on a line of its own ends it.");
            }
            input
                .lock()
                .take(most)
                .read_to_end(&mut bytes)
                .context("read standard input")?;
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        wrong("the value is not UTF-8, which a variable has to be; store it in base64")
    })?;
    Ok(match file {
        Some(_) => text,
        None => text.trim_end_matches(['\r', '\n']).to_owned(),
    })
}
