-- What others upload. A report set is what is sent for one commit under one name, and is published as one.
CREATE TABLE report_sets (
    id TEXT PRIMARY KEY,
    repository TEXT NOT NULL REFERENCES repositories (id),
    commit_id TEXT NOT NULL,
    name TEXT NOT NULL,
    trust TEXT NOT NULL,
    occasion TEXT NOT NULL,
    sender BIGINT NOT NULL,
    -- How many parts there will be, and how long is waited for them; NULL where nobody said so.
    expected BIGINT,
    wait_ms BIGINT,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    -- When it is published; NULL while all of it is.
    due_ms BIGINT,
    published BIGINT NOT NULL DEFAULT 0,
    -- Its parts are not kept any more.
    closed BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX report_sets_of ON report_sets (repository, commit_id, name);
CREATE INDEX report_sets_due ON report_sets (due_ms);
CREATE INDEX report_sets_last ON report_sets (closed, last_ms);
-- The parts of a set; the content is the file of that upload.
CREATE TABLE report_parts (
    report_set TEXT NOT NULL REFERENCES report_sets (id),
    label TEXT NOT NULL,
    upload TEXT NOT NULL,
    path TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    came_ms BIGINT NOT NULL,
    PRIMARY KEY (report_set, label)
);
CREATE UNIQUE INDEX report_parts_upload ON report_parts (upload);
-- Uploads that are being received, and those that were lately, so that who missed the answer may ask again.
CREATE TABLE uploads (
    id TEXT PRIMARY KEY,
    repository TEXT NOT NULL REFERENCES repositories (id),
    -- What was asked for, and for which head.
    request TEXT NOT NULL,
    length BIGINT NOT NULL,
    received BIGINT NOT NULL,
    -- NULL until it is a part of it.
    report_set TEXT,
    updated_ms BIGINT NOT NULL
);
CREATE INDEX uploads_of ON uploads (repository, report_set);
CREATE INDEX uploads_updated ON uploads (updated_ms);
