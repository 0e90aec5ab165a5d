//! `herald admin`.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Read};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::admin_flags::{
    AdminCommand, AdminFlags, DeliveriesCommand, PersonFlags, PrivacyCommand, SecretCommand,
    TokenCommand,
};
use super::screen::Screen;
use super::{End, keep, runtime, wrong};
use crate::admin::{self, Answer, Request};
use crate::app::{App, Forgotten, KnownOf};
use crate::config::{Config, Database, Reader};
use crate::domain::secret::MOST;
use crate::ports::Store;
use crate::wire::{self, Place, SystemClock, install_crypto, lock, open_beside, open_store};

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
        AdminCommand::Backup { file, with_key } => {
            return runtime()?.block_on(keep::backup(&config, &file, with_key, screen));
        }
        AdminCommand::Restore { file } => {
            return runtime()?.block_on(keep::restore(&config, &file, screen));
        }
        AdminCommand::Migrate => return runtime()?.block_on(keep::migrate(&config, screen)),
        AdminCommand::Privacy {
            command: PrivacyCommand::Export(person),
        } => return runtime()?.block_on(export(&config, person)),
        AdminCommand::Privacy {
            command: PrivacyCommand::Erase { person, yes },
        } => {
            if !yes {
                return runtime()?.block_on(foretell(&config, person, screen));
            }
            (erase(person, screen), String::new())
        }
        AdminCommand::Audit { limit } => (Request::ListDeeds { limit }, String::new()),
        AdminCommand::Prune => (Request::Prune, String::new()),
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
        Answer::Deeds { deeds } => {
            for deed in deeds {
                // One line each, whatever the subject says.
                screen.result(&format!(
                    "{}\t{}\t{}\t{}\t{}\n",
                    time(deed.at_ms),
                    deed.by,
                    deed.what,
                    deed.repository,
                    deed.subject.replace(['\t', '\n'], " "),
                ));
            }
        }
        Answer::Erased { forgotten } => return Ok(told(&forgotten, screen)),
        Answer::Pruned { dropped } => screen.say(&format!("Let go: {dropped}.")),
        Answer::Wrong { text } => return Err(wrong(text)),
        Answer::Failed { text } => anyhow::bail!("failed to {text}"),
    }
    Ok(End::Good)
}

pub(super) fn time(ms: i64) -> String {
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
    let _lock = match config.database {
        Database::Sqlite => {
            is_there(config)?;
            Some(lock(&config.data_dir)?)
        }
        Database::Postgres(_) => None,
    };
    let store = open_store(config).await?;
    let app = at_rest(config, store)?;
    Ok(admin::carry_out(&app, request).await)
}

/// Whether there is a database in the data directory, before one is made by opening it.
pub(super) fn is_there(config: &Config) -> anyhow::Result<()> {
    if config.database == Database::Sqlite && !config.data_dir.join("herald.db").exists() {
        return Err(wrong(format!(
            "there is no Herald in {}; name its data directory by --data-dir or HERALD_DATA_DIR",
            config.data_dir.display()
        )));
    }
    Ok(())
}

/// The use cases without a server around them.
fn at_rest(config: &Config, store: Arc<dyn Store>) -> anyhow::Result<App> {
    let (executor, clock) = (Place::nowhere().executor, Arc::new(SystemClock));
    install_crypto();
    wire::app(
        config,
        None,
        store,
        executor,
        "admin".to_owned(),
        clock,
        true,
    )
}

fn names(person: PersonFlags) -> (Option<i64>, Vec<String>) {
    let mut names = vec![person.login];
    names.extend(person.also);
    (person.id, names)
}

/// What is known of a person, beside a server that runs.
async fn known(config: &Config, person: PersonFlags) -> anyhow::Result<KnownOf> {
    is_there(config)?;
    let store = open_beside(config).await?;
    let app = at_rest(config, Arc::new(store))?;
    let (id, names) = names(person);
    let person = admin::person(id, names).map_err(|error| wrong(error.message))?;
    let known = app.known_of(&person).await;
    known.map_err(|error| anyhow::anyhow!("failed to {error}"))
}

async fn export(config: &Config, person: PersonFlags) -> anyhow::Result<End> {
    let known = known(config, person).await?;
    Screen::document(&known);
    Ok(End::Good)
}

/// What erasing would change.
async fn foretell(config: &Config, person: PersonFlags, screen: &Screen) -> anyhow::Result<End> {
    let no_id = person.id.is_none();
    let login = person.login.clone();
    let known = known(config, person).await?;
    let mut tables: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &known.database {
        *tables.entry(row.table).or_default() += 1;
    }
    for (table, rows) in tables {
        screen.result(&format!("{table}\t{rows}\n"));
    }
    screen.result(&format!("files\t{}\n", known.files.len()));
    screen.result(&format!(
        "copies of repositories\t{}\n",
        known.repositories.len()
    ));
    if no_id {
        screen.say(NO_ID);
    }
    screen.say(&format!(
        "This is where {login} is named. Look at it with `export`; a login that is a usual word is found where it means \
         something else. `--yes` erases it."
    ));
    Ok(End::Good)
}

/// What is said to who gives no number.
const NO_ID: &str =
    "Rows that have only GitHub's number of a person are not looked for; --id names it.";

fn erase(person: PersonFlags, screen: &Screen) -> Request {
    if person.id.is_none() {
        screen.say(NO_ID);
    }
    let (id, names) = names(person);
    Request::Erase { id, names }
}

/// What was taken out; red where something had to stay.
fn told(forgotten: &Forgotten, screen: &Screen) -> End {
    screen.say(&format!(
        "Erased in {} rows and {} files; {} files and {} copies of repositories went as a whole.",
        forgotten.rows, forgotten.files, forgotten.removed, forgotten.repositories
    ));
    screen.say("Earlier backups and what you have exported still have it.");
    for left in &forgotten.left {
        screen.say(&format!("Left: {left}."));
    }
    if forgotten.left.is_empty() {
        End::Good
    } else {
        End::Red
    }
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
