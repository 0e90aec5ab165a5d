-- The first schema. Written for SQLite and PostgreSQL alike: text ids, whole milliseconds since
-- the unix epoch, words for states.

CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- Webhook deliveries as they arrived. `state`: waiting, handled, failed.
CREATE TABLE deliveries (
    guid TEXT NOT NULL PRIMARY KEY,
    event TEXT NOT NULL,
    body TEXT NOT NULL,
    received_ms BIGINT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    due_ms BIGINT NOT NULL,
    lease_ms BIGINT NOT NULL DEFAULT 0,
    tries BIGINT NOT NULL DEFAULT 0,
    error TEXT
);
CREATE INDEX deliveries_due ON deliveries (state, due_ms);

-- `state`: active, removed.
CREATE TABLE installations (
    host TEXT NOT NULL,
    id BIGINT NOT NULL,
    account BIGINT NOT NULL,
    login TEXT NOT NULL,
    selected_by_hand BIGINT NOT NULL,
    state TEXT NOT NULL DEFAULT 'active',
    PRIMARY KEY (host, id)
);

-- `id` is `host/number`. `state`: active, paused.
CREATE TABLE repositories (
    id TEXT NOT NULL PRIMARY KEY,
    installation BIGINT NOT NULL,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    private BIGINT NOT NULL,
    default_branch TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'active',
    updated_ms BIGINT NOT NULL DEFAULT 0,
    last_build BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX repositories_name ON repositories (owner, name);

-- Every name that led to a repository, in lower case. A name belongs to the repository that had
-- it last.
CREATE TABLE repository_names (
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    repository TEXT NOT NULL,
    PRIMARY KEY (owner, name)
);

-- Pull requests as last heard of; `updated_ms` tells an old delivery from a new one.
CREATE TABLE pulls (
    repository TEXT NOT NULL,
    number BIGINT NOT NULL,
    head TEXT NOT NULL,
    updated_ms BIGINT NOT NULL,
    PRIMARY KEY (repository, number)
);

-- Reasons to build. `state`: waiting (no build yet), attached, ended (superseded, closed, or
-- nothing wanted).
CREATE TABLE triggers (
    id TEXT NOT NULL PRIMARY KEY,
    repository TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    occasion TEXT NOT NULL,
    trust TEXT NOT NULL,
    sender BIGINT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    build TEXT,
    created_ms BIGINT NOT NULL,
    due_ms BIGINT NOT NULL,
    lease_ms BIGINT NOT NULL DEFAULT 0,
    tries BIGINT NOT NULL DEFAULT 0,
    error TEXT
);
CREATE INDEX triggers_due ON triggers (state, due_ms);
CREATE INDEX triggers_subject ON triggers (repository, subject, state);
CREATE INDEX triggers_build ON triggers (build);
CREATE INDEX triggers_commit ON triggers (repository, commit_id, state);

-- The result of a build is keyed by repository, commit, tested tree, specification and trust.
CREATE TABLE builds (
    id TEXT NOT NULL PRIMARY KEY,
    repository TEXT NOT NULL,
    number BIGINT NOT NULL,
    commit_id TEXT NOT NULL,
    tested TEXT NOT NULL,
    specification TEXT NOT NULL,
    trust TEXT NOT NULL,
    occasion TEXT NOT NULL,
    sender BIGINT NOT NULL,
    preparation TEXT NOT NULL,
    state TEXT NOT NULL,
    conclusion TEXT,
    reason TEXT,
    cancel_reason TEXT,
    attempt BIGINT NOT NULL DEFAULT 1,
    created_ms BIGINT NOT NULL,
    started_ms BIGINT,
    finished_ms BIGINT,
    revision BIGINT NOT NULL DEFAULT 1,
    published BIGINT NOT NULL DEFAULT 0,
    UNIQUE (repository, number),
    UNIQUE (repository, commit_id, tested, specification, trust)
);
CREATE INDEX builds_unpublished ON builds (repository, number) WHERE revision > published;

-- One row an attempt of a job; `newest` marks the one that counts. `lease_ms` and `worker` while it
-- runs; `skipped`: why `when` leaves it out; `interrupted`: how often trouble of ours ended it.
CREATE TABLE jobs (
    id TEXT NOT NULL PRIMARY KEY,
    build TEXT NOT NULL,
    repository TEXT NOT NULL,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    position BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    newest BIGINT NOT NULL DEFAULT 1,
    state TEXT NOT NULL,
    conclusion TEXT,
    job_order TEXT NOT NULL,
    skipped TEXT,
    interrupted BIGINT NOT NULL DEFAULT 0,
    steps TEXT NOT NULL DEFAULT '[]',
    queued_ms BIGINT NOT NULL,
    due_ms BIGINT NOT NULL DEFAULT 0,
    started_ms BIGINT,
    finished_ms BIGINT,
    worker TEXT,
    lease_ms BIGINT,
    UNIQUE (build, key, attempt)
);
CREATE INDEX jobs_state ON jobs (state, queued_ms);
CREATE INDEX jobs_build ON jobs (build, newest);

-- What came of a job, apart so that lists need not read it.
CREATE TABLE job_results (
    job TEXT NOT NULL PRIMARY KEY,
    result TEXT NOT NULL
);

-- Things on GitHub and what they should say. `target` is unique; a check run's is that of one
-- attempt. `version > sent`: to be sent.
CREATE TABLE publications (
    id TEXT NOT NULL PRIMARY KEY,
    repository TEXT NOT NULL,
    installation BIGINT NOT NULL,
    target TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    build TEXT,
    job TEXT,
    content TEXT NOT NULL,
    priority BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    sent BIGINT NOT NULL DEFAULT 0,
    remote TEXT,
    annotations_sent BIGINT NOT NULL DEFAULT 0,
    uncertain BIGINT NOT NULL DEFAULT 0,
    lease_ms BIGINT NOT NULL DEFAULT 0,
    tries BIGINT NOT NULL DEFAULT 0,
    due_ms BIGINT NOT NULL,
    error TEXT,
    UNIQUE (target)
);
CREATE INDEX publications_due ON publications (priority, due_ms) WHERE version > sent;

-- Until when an installation's requests must wait (rate limits).
CREATE TABLE throttles (
    installation BIGINT NOT NULL PRIMARY KEY,
    until_ms BIGINT NOT NULL
);

-- Values of badges, kept current so that serving one is a look-up.
CREATE TABLE badges (
    repository TEXT NOT NULL,
    kind TEXT NOT NULL,
    branch TEXT NOT NULL,
    job TEXT NOT NULL,
    message TEXT NOT NULL,
    color TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (repository, kind, branch, job)
);
