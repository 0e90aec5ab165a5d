-- The delivery (its GUID) that something follows from, so that the log tells of all of it under one id.
ALTER TABLE triggers ADD COLUMN delivery TEXT;
ALTER TABLE builds ADD COLUMN delivery TEXT;
ALTER TABLE publications ADD COLUMN delivery TEXT;
