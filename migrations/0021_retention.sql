-- What is forgotten when. A delivery that was handled is never read again: its body goes with that.
UPDATE deliveries SET body = '' WHERE state = 'handled';
CREATE INDEX deliveries_received ON deliveries (received_ms);
CREATE INDEX builds_finished ON builds (finished_ms, id) WHERE finished_ms IS NOT NULL;
-- When the App was taken out of an account or a repository for good; what is known of it goes some time later.
ALTER TABLE installations ADD COLUMN removed_ms BIGINT;
ALTER TABLE repositories ADD COLUMN removed_ms BIGINT;
UPDATE repositories SET removed_ms = updated_ms WHERE state = 'removed';
CREATE INDEX repositories_removed ON repositories (removed_ms, id) WHERE removed_ms IS NOT NULL;
CREATE INDEX measures_number ON measures (repository, number);
CREATE INDEX publications_build ON publications (build);
CREATE INDEX publications_repository ON publications (repository);
CREATE INDEX tokens_person ON tokens (person);
