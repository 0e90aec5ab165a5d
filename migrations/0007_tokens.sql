-- Tokens of the API and of badges. `hash` is SHA-256 of the token in hex. A token belongs to a person
-- or to a repository; `scope`: badges, read, write. Only tokens of badges, which stand in READMEs, can
-- be shown again: `sealed`.
CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL,
    person BIGINT,
    repository TEXT,
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    sealed TEXT,
    created_ms BIGINT NOT NULL,
    ends_ms BIGINT
);
CREATE UNIQUE INDEX tokens_hash ON tokens (hash);
CREATE INDEX tokens_repository ON tokens (repository, scope);
