-- Tests whose failures do not count for a while, because a person said so (`domain::quarantine`).
CREATE TABLE quarantines (
    repository TEXT NOT NULL,
    test TEXT NOT NULL,
    name TEXT NOT NULL,
    until_ms BIGINT NOT NULL,
    reason TEXT NOT NULL,
    person BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (repository, test)
);
