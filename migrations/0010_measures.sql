-- What is shown of the builds of a branch over time, so that no report has to be read for it.
CREATE TABLE measures (
    repository TEXT NOT NULL,
    branch TEXT NOT NULL,
    number BIGINT NOT NULL,
    red BIGINT NOT NULL,
    duration_ms BIGINT,
    passed BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    skipped BIGINT NOT NULL,
    covered BIGINT NOT NULL,
    coverable BIGINT NOT NULL,
    PRIMARY KEY (repository, branch, number)
);
