-- Jobs that are deployments: into which environment (in lower case), and at which moment that was asked for: of a first
-- attempt when the event came, of one that a person asked for when they did. Of two in one environment the later one counts.
ALTER TABLE jobs ADD COLUMN environment TEXT;
ALTER TABLE jobs ADD COLUMN deploy_ms BIGINT;
CREATE INDEX jobs_environment ON jobs (repository, environment, deploy_ms) WHERE environment IS NOT NULL;

-- Whether a person wants a build to end: that ends a deployment that runs too.
ALTER TABLE builds ADD COLUMN cancel_wanted BIGINT NOT NULL DEFAULT 0;

-- Deployments that a person has approved: this job of this build. `person` is 0 for the operator.
CREATE TABLE deploy_approvals (
    build TEXT NOT NULL,
    job TEXT NOT NULL,
    person BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (build, job)
);
