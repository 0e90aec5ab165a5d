-- Whether a trigger builds anew what was built before: the pull request has another base.
ALTER TABLE triggers ADD COLUMN again BIGINT NOT NULL DEFAULT 0;

-- Code of strangers that may be built: exactly this commit and specification, for this pull
-- request. `person` is 0 for the operator.
CREATE TABLE approvals (
    repository TEXT NOT NULL,
    pull BIGINT NOT NULL,
    commit_id TEXT NOT NULL,
    specification TEXT NOT NULL,
    person BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (repository, pull, commit_id, specification)
);
