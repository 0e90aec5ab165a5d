-- The App that `/setup` has registered on GitHub, in one row. `sealed`: its private key and other
-- secrets, encrypted.
CREATE TABLE app (
    one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    id BIGINT NOT NULL,
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    html_url TEXT NOT NULL,
    client_id TEXT NOT NULL,
    public_url TEXT NOT NULL,
    github_url TEXT NOT NULL,
    api_url TEXT NOT NULL,
    sealed TEXT NOT NULL,
    registered_ms BIGINT NOT NULL
);
