-- When the open pull requests of a repository were compared with what was built; 0: not yet.
ALTER TABLE repositories ADD COLUMN compared_ms BIGINT NOT NULL DEFAULT 0;
-- New ones come before those that were there.
UPDATE repositories SET compared_ms = 1;
CREATE INDEX repositories_compared ON repositories (compared_ms, id) WHERE state = 'active';
