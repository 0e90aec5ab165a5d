-- Secrets, and who comes first in the queue.

-- `sealed`: encrypted, bound to repository and name.
CREATE TABLE secrets (
    repository TEXT NOT NULL,
    name TEXT NOT NULL,
    sealed TEXT NOT NULL,
    updated_ms BIGINT NOT NULL,
    PRIMARY KEY (repository, name)
);

-- 0: a push to the default branch or a tag; 1: everything else.
ALTER TABLE jobs ADD COLUMN priority BIGINT NOT NULL DEFAULT 1;
CREATE INDEX jobs_queued ON jobs (priority, queued_ms) WHERE state = 'queued';
