-- What is said of a build as a whole, when its jobs have ended (`domain::judgement`). Until it is said, the build has no
-- conclusion; `judge_ms` is when the next try is due.
ALTER TABLE builds ADD COLUMN judge_ms BIGINT;
CREATE INDEX builds_judge ON builds (judge_ms) WHERE judge_ms IS NOT NULL;
CREATE TABLE judgements (
    build TEXT NOT NULL PRIMARY KEY,
    attempt BIGINT NOT NULL,
    judgement TEXT NOT NULL
);
