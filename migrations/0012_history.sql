-- Every run of every test. Tests have numbers, so that the runs of one attempt of a job are few bytes in one row
-- (`domain::history`); old months are a handful of rows.
CREATE TABLE tests (
    repository TEXT NOT NULL,
    id TEXT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (repository, id),
    UNIQUE (repository, number)
);
CREATE TABLE attempts (
    repository TEXT NOT NULL,
    job TEXT NOT NULL,
    build BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    commit_id TEXT NOT NULL,
    tested TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    runs BLOB NOT NULL,
    PRIMARY KEY (repository, job, build, attempt)
);
