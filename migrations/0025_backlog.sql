-- Deliveries are handed out in the order in which they came, from one of two lanes, however many wait.
CREATE INDEX deliveries_waiting ON deliveries
    ((CASE WHEN event IN ('issue_comment', 'check_run') THEN 1 ELSE 0 END), received_ms, guid) WHERE state = 'waiting';
DROP INDEX deliveries_due;
