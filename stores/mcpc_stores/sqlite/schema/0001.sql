-- Channels, their logs and their tasks. Times to live are seconds since the epoch; leases are seconds since the boot.

CREATE TABLE channels (
    id INTEGER PRIMARY KEY,
    channel TEXT NOT NULL UNIQUE,
    principal TEXT,
    epoch TEXT NOT NULL,
    head INTEGER NOT NULL DEFAULT 0,
    oldest INTEGER NOT NULL DEFAULT 1,
    size INTEGER NOT NULL DEFAULT 0,
    cursor INTEGER NOT NULL DEFAULT 0,
    listener TEXT,
    touched REAL NOT NULL
);
CREATE INDEX channels_touched ON channels (touched);

-- One row for each entry, not each message: a tenth of the cost. The messages are joined by newlines.
CREATE TABLE log (
    id INTEGER PRIMARY KEY,
    channel INTEGER NOT NULL,
    last INTEGER NOT NULL,
    count INTEGER NOT NULL,
    size INTEGER NOT NULL,
    data BLOB NOT NULL
);
CREATE INDEX log_last ON log (channel, last);

-- The terminal messages, from their end on: so nothing has to be taken apart when the log lets go of a row.
CREATE TABLE kept (
    channel INTEGER NOT NULL,
    number INTEGER NOT NULL,
    expires REAL NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (channel, number)
);
CREATE INDEX kept_expires ON kept (expires);

CREATE TABLE writers (
    channel INTEGER NOT NULL,
    writer TEXT NOT NULL,
    seq INTEGER NOT NULL,
    first INTEGER NOT NULL,
    touched REAL NOT NULL,
    PRIMARY KEY (channel, writer)
) WITHOUT ROWID;

CREATE TABLE sessions (
    id INTEGER PRIMARY KEY,
    channel INTEGER NOT NULL,
    session TEXT NOT NULL,
    UNIQUE (channel, session)
);
CREATE INDEX sessions_session ON sessions (session);

CREATE TABLE tasks (
    id INTEGER PRIMARY KEY,
    task_id TEXT NOT NULL UNIQUE,
    channel INTEGER NOT NULL,
    tool_name TEXT NOT NULL,
    session_id TEXT NOT NULL,
    status TEXT NOT NULL,
    state BLOB NOT NULL,
    on_interrupt TEXT NOT NULL,
    max_attempts INTEGER NOT NULL,
    token INTEGER NOT NULL,
    runner TEXT,
    attempt INTEGER NOT NULL,
    interruptions INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    expires_at REAL,
    end_number INTEGER NOT NULL DEFAULT 0,
    was_interrupted INTEGER NOT NULL DEFAULT 0,
    interrupted BLOB NOT NULL,
    start_key TEXT,
    arguments BLOB,
    checkpoint BLOB,
    taken INTEGER NOT NULL DEFAULT 0,
    -- The last signal that a worker has taken at all, after the checkpoint too; and the last number that was given.
    read INTEGER NOT NULL DEFAULT 0,
    signalled INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX tasks_channel ON tasks (channel);
CREATE UNIQUE INDEX tasks_key ON tasks (channel, start_key) WHERE start_key IS NOT NULL;
CREATE INDEX tasks_queued ON tasks (tool_name, updated_at) WHERE status = 'queued';
CREATE INDEX tasks_running ON tasks (runner) WHERE status = 'running';
CREATE INDEX tasks_open ON tasks (channel) WHERE expires_at IS NULL;
CREATE INDEX tasks_expires ON tasks (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE signals (
    task INTEGER NOT NULL,
    number INTEGER NOT NULL,
    kind TEXT NOT NULL,
    prompt_id TEXT,
    value BLOB,
    PRIMARY KEY (task, number)
) WITHOUT ROWID;
CREATE UNIQUE INDEX signals_prompt ON signals (task, prompt_id) WHERE prompt_id IS NOT NULL;

-- Who uses the file now, and which of them runs tasks.
CREATE TABLE handles (handle TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE runners (
    runner TEXT PRIMARY KEY,
    handle TEXT NOT NULL,
    boot TEXT NOT NULL,
    expires REAL NOT NULL
) WITHOUT ROWID;

-- What others have to look at; written only while there are others.
CREATE TABLE bells (id INTEGER PRIMARY KEY AUTOINCREMENT, handle TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL);
