-- What stands on the left of a badge, where the specification says it.
ALTER TABLE badges ADD COLUMN label TEXT;
