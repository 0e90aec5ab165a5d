-- A set of a pull request's head may be uploaded for a branch as well, that came to the same commit: that push.
ALTER TABLE report_sets ADD COLUMN pushed TEXT;
-- When the commit was made, in unix milliseconds, where GitHub was asked.
ALTER TABLE report_sets ADD COLUMN committed_ms BIGINT;
