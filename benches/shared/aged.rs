//! A database as a server of some years has it.

use std::path::Path;
use std::time::SystemTime;

use sqlx::{AssertSqlSafe, Connection};

/// How much there is, of the last days.
pub(crate) struct Age<'a> {
    /// GitHub's host; repositories are `octo/project-0` and so on, with that number for an id, each in an installation of
    /// the number after it: GitHub's limits count for an installation.
    pub(crate) host: &'a str,
    pub(crate) repositories: usize,
    /// Finished ones, each with a job, a trigger and a check run.
    pub(crate) builds: usize,
    /// Handled ones.
    pub(crate) deliveries: usize,
}

impl Age<'_> {
    /// Writes all of it into a new data directory.
    pub(crate) async fn fill(&self, data: &Path) {
        std::fs::create_dir_all(data).unwrap();
        let file = data.join("herald.db");
        drop(herald::store::SqlStore::sqlite(&file).await.unwrap());
        sqlx::any::install_default_drivers();
        let address = format!("sqlite://{}", file.display());
        let mut on = sqlx::AnyConnection::connect(&address).await.unwrap();
        for statement in self.statements() {
            sqlx::query(AssertSqlSafe(statement))
                .execute(&mut on)
                .await
                .unwrap();
        }
        on.close().await.unwrap();
    }

    fn statements(&self) -> Vec<String> {
        let (host, repositories) = (self.host, self.repositories);
        let numbers = |count: usize| {
            format!(
                "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count}) INSERT INTO"
            )
        };
        let (each, builds) = (numbers(repositories), numbers(self.builds));
        let known = numbers(self.deliveries);
        let repository = format!("'{host}/' || (i % {repositories})");
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
        // One in each half second, up to now.
        let built = format!("{now} - ({} - i) * 500", self.builds);
        let received = format!("{now} - ({} - i) * 500", self.deliveries);
        vec![
            "PRAGMA synchronous=OFF".to_owned(),
            "BEGIN".to_owned(),
            format!(
                "{each} installations (host, id, account, login, selected_by_hand) \
                 SELECT '{host}', 1 + i, 77, 'octo', 1 FROM n"
            ),
            format!(
                "{each} repositories (id, installation, owner, name, private, default_branch, last_build, compared_ms) \
                 SELECT '{host}/' || i, 1 + i, 'octo', 'project-' || i, 0, 'main', {}, {now} + 3600000 FROM n",
                self.builds / repositories
            ),
            format!(
                "{each} repository_names (owner, name, repository) \
                 SELECT 'octo', 'project-' || i, '{host}/' || i FROM n"
            ),
            format!(
                "{builds} builds (id, repository, number, commit_id, tested, specification, trust, occasion, sender, \
                 preparation, state, conclusion, created_ms, started_ms, finished_ms, revision, published) \
                 SELECT printf('%032x', i), {repository}, 1 + i / {repositories}, printf('%040x', i), printf('%040x', i), \
                 printf('%064x', i), 'trusted', '{{}}', 1, '{{}}', 'finished', 'success', {built}, {built}, {built}, 5, 5 FROM n"
            ),
            format!(
                "{builds} jobs (id, build, repository, key, name, position, attempt, state, conclusion, job_order, \
                 queued_ms, started_ms, finished_ms) \
                 SELECT printf('%032x', i), printf('%032x', i), {repository}, 'build', 'build', 0, 1, 'finished', \
                 'success', '{{}}', {built}, {built}, {built} FROM n"
            ),
            format!(
                "{builds} triggers (id, repository, commit_id, subject, occasion, trust, sender, state, build, \
                 created_ms, due_ms) \
                 SELECT printf('%032x', i), {repository}, printf('%040x', i), 'pull/' || (i / {repositories}), '{{}}', \
                 'trusted', 1, 'attached', printf('%032x', i), {built}, {built} FROM n"
            ),
            format!(
                "{builds} publications (id, repository, installation, target, commit_id, build, job, content, priority, \
                 version, sent, remote, due_ms) \
                 SELECT printf('%032x', i), {repository}, 1 + i % {repositories}, 'check/' || i, \
                 printf('%040x', i), printf('%032x', i), printf('%032x', i), printf('%0200x', i), 0, 4, 4, i, {built} FROM n"
            ),
            format!(
                "{known} deliveries (guid, event, body, received_ms, state, due_ms) \
                 SELECT printf('%032x', i), 'push', '', {received}, 'handled', {received} FROM n"
            ),
            "COMMIT".to_owned(),
            "PRAGMA wal_checkpoint(TRUNCATE)".to_owned(),
        ]
    }
}
