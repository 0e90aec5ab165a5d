-- How often things on GitHub are told on.

-- `repeats`: how often a thing was sent in the state it is in (queued, running); `quiet_ms`: until
-- when more of the same waits.
ALTER TABLE publications ADD COLUMN repeats BIGINT NOT NULL DEFAULT 0;
ALTER TABLE publications ADD COLUMN quiet_ms BIGINT NOT NULL DEFAULT 0;

-- Check runs that are not completed.
CREATE INDEX publications_open ON publications (build) WHERE priority IN (1, 2);

-- Whether it is never made any more: the check run of a former attempt that nobody has seen would be
-- newer than that of the attempt which counts.
ALTER TABLE publications ADD COLUMN former BIGINT NOT NULL DEFAULT 0;
