-- Whether a trigger ended because somebody, or the specification, wanted it so: then the comparison of
-- open pull requests leaves its head alone.
ALTER TABLE triggers ADD COLUMN settled BIGINT NOT NULL DEFAULT 0;

-- Whether a specification was found when the repository was last looked at.
ALTER TABLE repositories ADD COLUMN specified BIGINT NOT NULL DEFAULT 0;
UPDATE repositories SET specified = 1 WHERE last_build > 0;
