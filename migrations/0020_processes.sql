-- Processes that share this database, and when each was heard of last.
CREATE TABLE processes (
    name TEXT PRIMARY KEY,
    -- Of this life of the process: what it holds in the queues.
    holder TEXT NOT NULL,
    -- 1 where it drains the queues.
    works BIGINT NOT NULL,
    seen_ms BIGINT NOT NULL
);
-- What one process is enough for, and which one does it until when.
CREATE TABLE leaders (
    task TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    until_ms BIGINT NOT NULL
);
-- Who has the lease, so that it ends with them.
ALTER TABLE deliveries ADD COLUMN holder TEXT;
ALTER TABLE triggers ADD COLUMN holder TEXT;
ALTER TABLE publications ADD COLUMN holder TEXT;
