//! Which columns may name a person: the data map that erasing and exporting go by.
//!
//! Every column of the schema is in it, which a test sees to; `PRIVACY.md` says the same for people.

use serde::de::DeserializeOwned;

use crate::domain::{
    Content, Import, JobResult, Judgement, Occasion, Preparation, StepRecord, UploadRequest,
};
use crate::spec::JobSpecification;

/// What a table holds of people.
pub(super) struct Table {
    /// Its name.
    pub(super) name: &'static str,
    /// The primary key.
    pub(super) key: &'static [&'static str],
    /// Columns with texts in which a name can stand; also those of the key.
    pub(super) texts: &'static [&'static str],
    /// Which of them are JSON, and what each has to be read as.
    pub(super) json: &'static [(&'static str, Reads)],
    /// Other sets of columns that no two rows have in common.
    pub(super) unique: &'static [&'static [&'static str]],
    /// The condition for rows that nothing is done with any more: others are left as they are.
    pub(super) at_rest: &'static str,
    /// Columns with GitHub's number of a person.
    pub(super) ids: &'static [&'static str],
    /// Columns in which neither can be: ids, numbers, states, hashes, what is sealed.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "what a test compares with the schema")
    )]
    pub(super) others: &'static [&'static str],
}

/// In JSON, the fields with GitHub's number of a person.
pub(super) const ID_FIELDS: [&str; 5] = ["account", "actor", "author", "person", "sender"];

/// Whether a text can be read as what it is kept as.
pub(super) type Reads = fn(&str) -> bool;

/// Whether a text is a value of this type.
fn is<T: DeserializeOwned>(text: &str) -> bool {
    serde_json::from_str::<T>(text).is_ok()
}

macro_rules! table {
    ($name:literal, key $key:expr, texts $texts:expr, ids $ids:expr, others $others:expr
        $(, json $json:expr)? $(, unique $unique:expr)? $(, at_rest $at_rest:literal)?) => {
        #[allow(clippy::needless_update, reason = "what most tables have not")]
        Table {
            name: $name,
            key: &$key,
            texts: &$texts,
            ids: &$ids,
            others: &$others,
            $(json: &$json,)?
            $(unique: &$unique,)?
            $(at_rest: $at_rest,)?
            ..NONE
        }
    };
}

/// A table with nothing special.
const NONE: Table = Table {
    name: "",
    key: &[],
    texts: &[],
    json: &[],
    unique: &[],
    at_rest: "1 = 1",
    ids: &[],
    others: &[],
};

/// The tables that people may be named in.
#[rustfmt::skip]
pub(super) const TABLES: [Table; 22] = [
    table!("deliveries", key ["guid"], texts ["body", "error"], ids [],
        others ["event", "received_ms", "state", "due_ms", "lease_ms", "tries", "holder"]),
    table!("installations", key ["host", "id"], texts ["login"], ids ["account"],
        others ["selected_by_hand", "state", "removed_ms"]),
    table!("repositories", key ["id"], texts ["owner", "name", "default_branch"], ids [],
        others ["installation", "private", "state", "updated_ms", "last_build", "specified", "removed_ms", "compared_ms"],
        at_rest "state <> 'active'"),
    table!("repository_names", key ["owner", "name"], texts ["owner", "name"], ids [],
        others ["repository"],
        at_rest "NOT EXISTS (SELECT 1 FROM repositories r WHERE r.id = repository_names.repository AND r.state = 'active')"),
    table!("triggers", key ["id"], texts ["subject", "occasion", "error", "import", "origin"], ids ["sender"],
        others ["repository", "commit_id", "trust", "state", "build", "created_ms", "due_ms", "lease_ms",
            "tries", "again", "settled", "holder", "delivery"],
        json [("occasion", is::<Occasion>), ("import", is::<Import>)], at_rest "state <> 'waiting'"),
    table!("builds", key ["id"],
        texts ["occasion", "preparation", "reason", "cancel_reason", "origin"], ids ["sender"],
        others ["repository", "number", "commit_id", "tested", "specification", "trust", "state", "conclusion",
            "attempt", "created_ms", "started_ms", "finished_ms", "revision", "published", "judge_ms", "cancel_wanted", "delivery"],
        json [("occasion", is::<Occasion>), ("preparation", is::<Preparation>)],
        at_rest "state = 'finished'"),
    table!("jobs", key ["id"],
        texts ["key", "name", "job_order", "skipped", "steps", "image", "environment"], ids [],
        others ["build", "repository", "position", "attempt", "newest", "state", "conclusion", "interrupted",
            "queued_ms", "due_ms", "started_ms", "finished_ms", "worker", "lease_ms", "priority", "deploy_ms", "imported"],
        json [("job_order", is::<JobSpecification>), ("steps", is::<Vec<StepRecord>>)],
        unique [&["build", "key", "attempt"]], at_rest "state = 'finished'"),
    table!("job_results", key ["job"], texts ["result"], ids [], others [],
        json [("result", is::<JobResult>)]),
    table!("judgements", key ["build"], texts ["judgement"], ids [], others ["attempt"],
        json [("judgement", is::<Judgement>)]),
    table!("publications", key ["id"], texts ["target", "content", "error"], ids [],
        others ["repository", "installation", "commit_id", "build", "job", "priority", "version", "sent", "remote",
            "annotations_sent", "uncertain", "lease_ms", "tries", "due_ms", "repeats", "quiet_ms", "former", "holder", "delivery"],
        json [("content", is::<Content>)], unique [&["target"]]),
    table!("badges", key ["repository", "kind", "branch", "job"], texts ["branch", "job", "message", "label"], ids [],
        others ["color", "at_ms"]),
    table!("measures", key ["repository", "branch", "number"], texts ["branch"], ids [],
        others ["red", "duration_ms", "passed", "failed", "skipped", "covered", "coverable"]),
    table!("tests", key ["repository", "id"], texts ["suite", "class", "name"], ids [],
        others ["number", "seen_ms"]),
    table!("attempts", key ["repository", "job", "build", "attempt"], texts ["job"], ids [],
        others ["commit_id", "tested", "at_ms", "runs"]),
    table!("approvals", key ["repository", "pull", "commit_id", "specification"], texts [], ids ["person"],
        others ["at_ms"]),
    table!("deploy_approvals", key ["build", "job"], texts ["job"], ids ["person"], others ["at_ms"]),
    table!("quarantines", key ["repository", "test"], texts ["name", "reason"], ids ["person"],
        others ["until_ms", "created_ms"]),
    table!("tokens", key ["id"], texts ["name"], ids ["person"],
        others ["hash", "repository", "scope", "sealed", "created_ms", "ends_ms"]),
    table!("report_sets", key ["id"], texts ["name", "occasion", "pushed"], ids ["sender"],
        others ["repository", "commit_id", "trust", "expected", "wait_ms", "first_ms", "last_ms", "due_ms",
            "published", "closed", "committed_ms"],
        json [("occasion", is::<Occasion>), ("pushed", is::<Occasion>)],
        unique [&["repository", "commit_id", "name"]]),
    table!("report_parts", key ["report_set", "label"], texts ["label", "path"], ids [],
        others ["upload", "bytes", "sha256", "came_ms"]),
    table!("audit", key ["id"], texts ["subject"], ids ["person"],
        others ["at_ms", "token", "what", "repository"]),
    table!("uploads", key ["id"], texts ["request"], ids [],
        others ["repository", "length", "received", "report_set", "updated_ms"],
        json [("request", is::<UploadRequest>)]),
];

/// Tables in which nobody is named, or only the operator: what they call their secrets, and the App that they own.
#[cfg(test)]
const NOBODY: [&str; 7] = [
    "settings",
    "pulls",
    "throttles",
    "secrets",
    "app",
    "processes",
    "leaders",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sqlx::Row;

    use super::{NOBODY, TABLES};
    use crate::store::SqlStore;

    #[tokio::test]
    async fn every_column_of_the_schema_is_in_the_map() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqlStore::sqlite(&dir.path().join("herald.db"))
            .await
            .unwrap();
        let mut on = store.database.read().await.unwrap();
        let columns = "SELECT m.name AS place, c.name AS part, c.pk AS pk FROM sqlite_master m \
                       JOIN pragma_table_info(m.name) c WHERE m.type = 'table' \
                       AND m.name NOT LIKE 'sqlite_%' AND m.name <> '_sqlx_migrations'";
        let rows = sqlx::query(columns).fetch_all(&mut *on).await.unwrap();
        let mut schema: BTreeSet<(String, String)> = BTreeSet::new();
        let mut keys: BTreeSet<(String, String)> = BTreeSet::new();
        for row in rows {
            let column: (String, String) = (row.get("place"), row.get("part"));
            if NOBODY.contains(&column.0.as_str()) {
                continue;
            }
            if row.get::<i64, _>("pk") > 0 {
                keys.insert(column.clone());
            }
            schema.insert(column);
        }
        let named =
            |columns: &dyn Fn(&super::Table) -> Vec<&'static str>| -> BTreeSet<(String, String)> {
                let all = TABLES.iter().flat_map(|table| {
                    columns(table)
                        .into_iter()
                        .map(|column| (table.name.to_owned(), column.to_owned()))
                });
                all.collect()
            };
        let known = named(&|table| [table.key, table.texts, table.ids, table.others].concat());
        assert_eq!(known, schema);
        assert_eq!(named(&|table| table.key.to_vec()), keys);
    }

    #[test]
    fn the_page_on_privacy_names_every_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/PRIVACY.md");
        let page = std::fs::read_to_string(path).unwrap();
        for table in TABLES {
            assert!(
                page.contains(&format!("`{}`", table.name)),
                "{}",
                table.name
            );
        }
    }
}
