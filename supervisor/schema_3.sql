-- From version 2 to version 3: how fast this machine is, and how much sound there is in a file.

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
