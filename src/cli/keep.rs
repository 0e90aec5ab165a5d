//! `herald admin backup`, `restore` and `migrate`: all of it at once.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::admin::is_there;
use super::screen::Screen;
use super::{End, wrong};
use crate::config::{Config, Database};
use crate::depot::backup::{DATABASE, FOLDERS, KEY, Manifest, Packer, move_in, unpack};
use crate::domain::Deed;
use crate::ports::error::PortError;
use crate::ports::{Audit, Clock};
use crate::store::{SealKey, SqlStore};
use crate::wire::{SystemClock, known_key, lock, open_beside};

/// The name of the stream instead of a file.
const STREAM: &str = "-";

fn failed(PortError { message, .. }: PortError) -> anyhow::Error {
    anyhow::anyhow!("failed to {message}")
}

/// Keeps it in the audit log.
async fn note(store: &SqlStore, what: &'static str) -> anyhow::Result<()> {
    let deed = Deed::of_operator(what, None, "");
    let noted = store.note(&deed, SystemClock.now_ms()).await;
    noted.map_err(failed)
}

/// A file or folder that is removed with this.
struct Scratch(PathBuf);

impl Scratch {
    fn new(folder: &Path, name: &str) -> Self {
        Self(folder.join(format!("{name}-{}", uuid::Uuid::now_v7().simple())))
    }
}

/// Removes what a command that was killed left behind: copies of the whole database, and the key of a backup.
fn sweep(config: &Config) {
    const OLD: Duration = Duration::from_hours(24);
    for folder in [&config.data_dir, &config.storage_dir] {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let ours = name.starts_with("backup-") || name.starts_with("restore-");
            let age = entry.metadata().and_then(|data| data.modified());
            let age = age.ok().and_then(|at| at.elapsed().ok());
            if ours && age.is_some_and(|age| age > OLD) {
                drop(Scratch(entry.path()));
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes a backup, also while a server runs: the database of one moment, and the files as they are.
pub(super) async fn backup(
    config: &Config,
    file: &Path,
    with_key: bool,
    screen: &Screen,
) -> anyhow::Result<End> {
    is_there(config)?;
    sweep(config);
    if with_key && config.secret_key.is_some() {
        return Err(wrong(
            "--with-key is for the key in the data directory; yours is HERALD_SECRET_KEY, keep it yourself",
        ));
    }
    let store = open_beside(config).await?;
    let database = Scratch::new(&config.data_dir, "backup");
    store.snapshot(&database.0).await.map_err(failed)?;
    let manifest = Manifest::now(SystemClock.now_ms(), with_key);
    let (config, snapshot) = (config.clone(), database.0.clone());
    let to_stream = file == Path::new(STREAM);
    let part = part_of(file);
    let target = part.clone();
    let files = tokio::task::spawn_blocking(move || {
        if to_stream {
            return pack(&config, &manifest, &snapshot, std::io::stdout().lock());
        }
        let out = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&target)?;
        let files = pack(&config, &manifest, &snapshot, &out)?;
        out.sync_all()?;
        Ok(files)
    })
    .await?;
    let files = files.with_context(|| format!("write the backup {}", file.display()));
    if files.is_err() && !to_stream {
        let _ = fs::remove_file(&part);
    }
    let files = files?;
    if !to_stream {
        fs::rename(&part, file).with_context(|| format!("write {}", file.display()))?;
    }
    screen.say(&format!("Backed up: the database and {} files.", files - 1));
    if !with_key {
        screen.say(
            "The key that opens its secrets is not in it: keep secret.key of the data directory, or HERALD_SECRET_KEY, in \
             another place.",
        );
    }
    Ok(End::Good)
}

fn part_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.part", uuid::Uuid::new_v4().simple()));
    PathBuf::from(name)
}

fn pack(
    config: &Config,
    manifest: &Manifest,
    database: &Path,
    to: impl Write,
) -> std::io::Result<u64> {
    let mut packer = Packer::new(BufWriter::new(to), manifest)?;
    packer.file(DATABASE, database)?;
    for folder in FOLDERS {
        packer.folder(folder, &config.storage_dir.join(folder))?;
    }
    if manifest.with_key {
        packer.file(KEY, &config.data_dir.join(KEY))?;
    }
    let (mut out, files) = packer.finish()?;
    out.flush()?;
    Ok(files)
}

/// Brings a backup back where there is no Herald yet.
pub(super) async fn restore(config: &Config, file: &Path, screen: &Screen) -> anyhow::Result<End> {
    let _lock = lock(&config.data_dir)?;
    sweep(config);
    is_free(config)?;
    let scratch = Scratch::new(&config.storage_dir, "restore");
    fs::create_dir_all(&scratch.0).with_context(|| format!("make {}", scratch.0.display()))?;
    let (from, into) = (file.to_owned(), scratch.0.clone());
    let unpacked = tokio::task::spawn_blocking(move || {
        let stream: Box<dyn Read> = if from == Path::new(STREAM) {
            Box::new(std::io::stdin().lock())
        } else {
            let opened = File::open(&from);
            let opened = opened
                .map_err(|error| wrong(format!("cannot read {}: {error}", from.display())))?;
            Box::new(BufReader::new(opened))
        };
        unpack(stream, &into).map_err(|error| wrong(format!("{}: {error}", from.display())))
    })
    .await??;
    if !scratch.0.join(DATABASE).exists() {
        return Err(wrong(format!(
            "{}: there is no database in it",
            file.display()
        )));
    }
    is_same_key(config, &scratch.0)?;
    let store = SqlStore::sqlite(&scratch.0.join(DATABASE))
        .await
        .map_err(failed)?;
    let faults = store.faults().await.map_err(failed)?;
    if let Some(fault) = faults.first() {
        bail!("the database of the backup is damaged: {fault}");
    }
    let (builds, repositories) = store.numbers().await.map_err(failed)?;
    let store = match key(config, &scratch.0)? {
        Some(key) => store.with_key(key),
        None => store,
    };
    let sealed = store.sealed().await.map_err(failed)?;
    note(&store, "restore").await?;
    if let Database::Postgres(address) = &config.database {
        let other = SqlStore::postgres(address.expose()).await.map_err(failed)?;
        store.copy_into(&other).await.map_err(failed)?;
        store.close().await;
        fs::remove_file(scratch.0.join(DATABASE)).context("remove the copied database")?;
    } else {
        store.close().await;
    }
    move_in(&scratch.0, &config.data_dir, &config.storage_dir)
        .context("move the backup into its place")?;
    screen.say(&format!(
        "Restored: {builds} builds of {repositories} repositories, and {} files, as of {}.",
        unpacked.files - 1,
        super::admin::time(unpacked.manifest.made_ms),
    ));
    if sealed.closed > 0 {
        screen.say(&format!(
            "{} of {} secrets do not open with the key that there is. Put the key of that server into {} or \
             HERALD_SECRET_KEY before the first start; else store them again.",
            sealed.closed,
            sealed.closed + sealed.opens,
            config.data_dir.join(KEY).display(),
        ));
        return Ok(End::Red);
    }
    if sealed.opens > 0 {
        screen.say(&format!("All {} secrets open.", sealed.opens));
    }
    Ok(End::Good)
}

/// A key that is there is never written over: other things may be sealed with it.
fn is_same_key(config: &Config, unpacked: &Path) -> anyhow::Result<()> {
    let (theirs, ours) = (unpacked.join(KEY), config.data_dir.join(KEY));
    if !theirs.exists() || !ours.exists() {
        return Ok(());
    }
    let read = |path: &Path| {
        fs::read_to_string(path).with_context(|| format!("read the key {}", path.display()))
    };
    if read(&theirs)?.trim() == read(&ours)?.trim() {
        return Ok(());
    }
    Err(wrong(format!(
        "{} is another key than that of the backup; put it elsewhere first",
        ours.display()
    )))
}

/// The key that there will be: as configured, in the backup, or in the data directory.
fn key(config: &Config, unpacked: &Path) -> anyhow::Result<Option<SealKey>> {
    let file = unpacked.join(KEY);
    if config.secret_key.is_none() && file.exists() {
        let text = fs::read_to_string(&file).context("read the key of the backup")?;
        return Ok(SealKey::parse(&text));
    }
    known_key(config)
}

/// Nothing is written over.
fn is_free(config: &Config) -> anyhow::Result<()> {
    let taken = |path: PathBuf| -> anyhow::Result<()> {
        Err(wrong(format!(
            "{} is there already; a backup is restored into an empty data directory only",
            path.display()
        )))
    };
    // A log that another database left would be read into this one.
    for name in [
        DATABASE,
        "herald.db-wal",
        "herald.db-shm",
        "herald.db-journal",
    ] {
        let path = config.data_dir.join(name);
        if path.exists() {
            return taken(path);
        }
    }
    for folder in FOLDERS.map(|folder| config.storage_dir.join(folder)) {
        match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(format!("read {}", folder.display())),
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return taken(folder);
                }
            }
        }
    }
    Ok(())
}

/// Copies the SQLite database into PostgreSQL.
pub(super) async fn migrate(config: &Config, screen: &Screen) -> anyhow::Result<End> {
    let Database::Postgres(address) = &config.database else {
        return Err(wrong(
            "set HERALD_DATABASE_URL to the PostgreSQL that the database is to be copied into",
        ));
    };
    let file = config.data_dir.join(DATABASE);
    if !file.exists() {
        return Err(wrong(format!(
            "there is no {}; name the server's data directory by --data-dir or HERALD_DATA_DIR",
            file.display()
        )));
    }
    // The server has to be stopped: what it took in meanwhile would be missing.
    let _lock = lock(&config.data_dir)?;
    let store = SqlStore::sqlite(&file).await.map_err(failed)?;
    let store = match known_key(config)? {
        Some(key) => store.with_key(key),
        None => store,
    };
    let sealed = store.sealed().await.map_err(failed)?;
    if sealed.closed > 0 {
        return Err(wrong(format!(
            "{} secrets do not open with HERALD_SECRET_KEY; take the key that they were stored with: \
             HERALD_SECRET_KEY_FILE={}",
            sealed.closed,
            config.data_dir.join(KEY).display()
        )));
    }
    let other = SqlStore::postgres(address.expose()).await.map_err(failed)?;
    let copied = store.copy_into(&other).await.map_err(failed)?;
    store.close().await;
    note(&other, "migrate").await?;
    screen.say(&format!(
        "Copied: {copied} rows. From now on start Herald with HERALD_DATABASE_URL; {} is not used any more, and stays as it \
         was. Logs and artifacts stay where they are.",
        file.display()
    ));
    Ok(End::Good)
}
