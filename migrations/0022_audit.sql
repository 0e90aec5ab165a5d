-- What people did, the newest last. `person`: GitHub's number of them, 0 for the operator, NULL where it was
-- whoever has a token of a repository: `token` is its id.
CREATE TABLE audit (
    id TEXT NOT NULL PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    person BIGINT,
    token TEXT,
    what TEXT NOT NULL,
    repository TEXT,
    subject TEXT NOT NULL
);
CREATE INDEX audit_at ON audit (at_ms);
CREATE INDEX audit_repository ON audit (repository);
