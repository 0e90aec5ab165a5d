-- What tests are called, so that pages need no report for it, and when they were last seen (within a month: it is not
-- written down each time), so that those of which no attempt is left can go.
ALTER TABLE tests ADD COLUMN suite TEXT NOT NULL DEFAULT '';
ALTER TABLE tests ADD COLUMN class TEXT NOT NULL DEFAULT '';
ALTER TABLE tests ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE tests ADD COLUMN seen_ms BIGINT NOT NULL DEFAULT 0;
-- Of those that are there nothing better is known than that no attempt is newer. A month before that is as good, and
-- has their names written down as soon as they are seen again.
UPDATE tests SET seen_ms = (SELECT COALESCE(MAX(at_ms), 0) - 2592000000 FROM attempts);
CREATE INDEX tests_by_seen ON tests (seen_ms);
CREATE INDEX attempts_by_time ON attempts (at_ms);
