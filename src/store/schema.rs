//! The schema: every migration there ever was, in order. One that has been published is never changed.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Number, description and content of a file.
macro_rules! file {
    ($version:literal, $name:literal, $file:literal) => {
        (
            $version,
            $name,
            include_str!(concat!("../../migrations/", $file)),
        )
    };
}

pub(super) const FILES: [(i64, &str, &str); 24] = [
    file!(1, "start", "0001_start.sql"),
    file!(2, "secrets", "0002_secrets.sql"),
    file!(3, "images", "0003_images.sql"),
    file!(4, "approvals", "0004_approvals.sql"),
    file!(5, "writing", "0005_writing.sql"),
    file!(6, "settled", "0006_settled.sql"),
    file!(7, "tokens", "0007_tokens.sql"),
    file!(8, "app", "0008_app.sql"),
    file!(10, "measures", "0010_measures.sql"),
    file!(11, "labels", "0011_labels.sql"),
    file!(12, "history", "0012_history.sql"),
    file!(13, "test_names", "0013_test_names.sql"),
    file!(14, "judgements", "0014_judgements.sql"),
    file!(15, "quarantines", "0015_quarantines.sql"),
    file!(16, "deployments", "0016_deployments.sql"),
    file!(17, "imports", "0017_imports.sql"),
    file!(18, "uploads", "0018_uploads.sql"),
    file!(19, "upload branches", "0019_upload_branches.sql"),
    file!(20, "processes", "0020_processes.sql"),
    file!(21, "retention", "0021_retention.sql"),
    file!(22, "audit", "0022_audit.sql"),
    file!(23, "delivery", "0023_delivery.sql"),
    file!(24, "compared", "0024_compared.sql"),
    file!(25, "backlog", "0025_backlog.sql"),
];

/// The migrations, in the dialect of the engine.
pub(super) fn migrator(engine: &str) -> Migrator {
    migrator_until(engine, i64::MAX)
}

/// Those up to a version.
pub(super) fn migrator_until(engine: &str, last: i64) -> Migrator {
    let migrations = FILES
        .iter()
        .filter(|(version, ..)| *version <= last)
        .map(|(version, name, sql)| {
            Migration::new(
                *version,
                (*name).into(),
                MigrationType::Simple,
                sqlx::AssertSqlSafe(dialect(engine, sql)).into_sql_str(),
                false,
            )
        })
        .collect();
    Migrator::with_migrations(migrations)
}

/// A migration as the engine has it.
pub(super) fn dialect(engine: &str, sql: &str) -> String {
    match engine {
        "postgres" => sql.replace(" BLOB", " BYTEA"),
        _ => sql.to_owned(),
    }
}
