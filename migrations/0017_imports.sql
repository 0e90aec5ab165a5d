-- Reports that no build of ours leaves behind: where they come from, as JSON, and its key, by which
-- builds of it are told apart from those of the specification ('').
ALTER TABLE triggers ADD COLUMN import TEXT;
ALTER TABLE triggers ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE builds ADD COLUMN origin TEXT NOT NULL DEFAULT '';
-- Such a job takes no place where others run.
ALTER TABLE jobs ADD COLUMN imported BIGINT NOT NULL DEFAULT 0;
-- Pull requests are looked for by their heads.
CREATE INDEX pulls_head ON pulls (repository, head);
