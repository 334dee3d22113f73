-- From version 1 to version 2: where a job came from, and what is still to do once it is over.

-- The watched folder that brought the recording; NULL: it was handed over.
ALTER TABLE jobs ADD COLUMN watch TEXT;
-- Where the recording was before we moved it; NULL: it was not moved.
ALTER TABLE jobs ADD COLUMN taken_from TEXT;

-- How the folder wanted it treated, as JSON: another folder with other wishes may have the same recording.
-- NULL: from before folders had wishes.
ALTER TABLE seen_files ADD COLUMN treatment TEXT;

-- Each is deleted when it is done or given up. Written in the transaction that ends the job: a kill loses none.
CREATE TABLE errands (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('move_recording', 'hook')),
    -- Which hook, `upgraded` being on_done once more; for a move, how the job ended.
    event TEXT NOT NULL CHECK (event IN ('done', 'failed', 'degraded', 'upgraded')),
    tries INTEGER NOT NULL DEFAULT 0,
    -- Seconds since the epoch.
    due_at REAL NOT NULL
);
CREATE INDEX errands_due ON errands (due_at, id);
CREATE INDEX errands_by_job ON errands (job_id);
