-- Which image a job ran in, pinned; for jobs in containers.

ALTER TABLE jobs ADD COLUMN image TEXT;
CREATE INDEX jobs_green ON jobs (repository, key, finished_ms) WHERE conclusion = 'success';
