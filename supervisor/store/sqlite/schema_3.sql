-- From version 2 to version 3: how fast this machine is, how much sound there is in a file, who is next for each
-- model.

-- Sums in which older jobs count less and less. Written with the end of a job.
CREATE TABLE speeds (
    stage TEXT NOT NULL CHECK (stage IN ('decoding', 'transcribing', 'aligning')),
    -- As the worker names them; empty for decoding, which is the same for all.
    engine TEXT NOT NULL,
    model TEXT NOT NULL,
    device TEXT NOT NULL,
    audio_seconds REAL NOT NULL,
    work_seconds REAL NOT NULL,
    -- Seconds since the epoch.
    measured_at REAL NOT NULL,
    PRIMARY KEY (stage, engine, model, device)
) WITHOUT ROWID;

CREATE TABLE sizes (
    -- Of a recording's name: `.m4a`.
    suffix TEXT PRIMARY KEY,
    audio_seconds REAL NOT NULL,
    bytes REAL NOT NULL,
    measured_at REAL NOT NULL
) WITHOUT ROWID;

-- The oldest waiting job of a model is found in one step, as is the next model that any waits for. Jobs on probation
-- (two dead transcribers) stand behind all others.
DROP INDEX jobs_in_line;
CREATE INDEX jobs_by_model ON jobs ((transcriber_crashes >= 2), coalesce(json_extract(options, '$.model'), ''), id)
    WHERE status = 'waiting';
