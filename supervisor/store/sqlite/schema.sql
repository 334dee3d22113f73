-- The queue's tables, version 1. Runs inside one transaction; later versions are scripts of their own after it.

CREATE TABLE jobs (
    -- AUTOINCREMENT: an id is never given twice, so the oldest job is the one with the smallest id for ever.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL,
    options TEXT NOT NULL,
    status TEXT NOT NULL CHECK (
        status IN ('waiting', 'transcribing', 'aligning', 'writing', 'done', 'failed', 'cancelled')
    ),
    -- JSON, as are options, attempts, outputs, error, transcribed_by and aligned_by: inodes may need 64 unsigned bits.
    identity TEXT NOT NULL,
    created_at REAL NOT NULL,
    finished_at REAL,
    note TEXT,
    timing TEXT,
    degraded_reason TEXT,
    language TEXT,
    language_probability REAL,
    audio_seconds REAL,
    transcribed_seconds REAL NOT NULL DEFAULT 0,
    transcribed_whole INTEGER NOT NULL DEFAULT 0,
    claims INTEGER NOT NULL DEFAULT 0,
    transcriber_crashes INTEGER NOT NULL DEFAULT 0,
    aligner_crashes INTEGER NOT NULL DEFAULT 0,
    quarantined INTEGER NOT NULL DEFAULT 0,
    attempts TEXT NOT NULL DEFAULT '[]',
    outputs TEXT NOT NULL DEFAULT '{}',
    error TEXT,
    transcribed_by TEXT,
    aligned_by TEXT
);

-- Who is next: jobs on probation (two dead transcribers) behind all others. Holds waiting jobs only.
CREATE INDEX jobs_in_line ON jobs ((transcriber_crashes >= 2), id) WHERE status = 'waiting';
CREATE INDEX jobs_by_status ON jobs (status, id);
CREATE INDEX jobs_by_finish ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_to_upgrade ON jobs (id) WHERE status = 'done' AND degraded_reason = 'aligner_unavailable';

-- How many jobs are in each state, kept by triggers: counting 100,000 rows for every status line would not do.
CREATE TABLE job_counts (status TEXT PRIMARY KEY, jobs INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO job_counts VALUES
    ('waiting', 0), ('transcribing', 0), ('aligning', 0), ('writing', 0), ('done', 0), ('failed', 0), ('cancelled', 0);

CREATE TRIGGER job_added AFTER INSERT ON jobs BEGIN
    UPDATE job_counts SET jobs = jobs + 1 WHERE status = new.status;
END;
CREATE TRIGGER job_moved AFTER UPDATE OF status ON jobs WHEN old.status <> new.status BEGIN
    UPDATE job_counts SET jobs = jobs - 1 WHERE status = old.status;
    UPDATE job_counts SET jobs = jobs + 1 WHERE status = new.status;
END;
CREATE TRIGGER job_forgotten AFTER DELETE ON jobs BEGIN
    UPDATE job_counts SET jobs = jobs - 1 WHERE status = old.status;
END;

CREATE TABLE segments (
    job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    id INTEGER NOT NULL,
    -- The whole Segment as JSON.
    content TEXT NOT NULL,
    timing TEXT NOT NULL,
    -- 1: final, with words or deliberately without.
    aligned INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job_id, id)
) WITHOUT ROWID;
CREATE INDEX segments_to_align ON segments (job_id, id) WHERE aligned = 0;

-- What the watch folders brought, never pruned with the jobs: an old recording must not become a new job.
CREATE TABLE seen_files (
    path TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    inode TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    PRIMARY KEY (path, sha256)
) WITHOUT ROWID;
CREATE INDEX seen_contents ON seen_files (sha256);

-- Every name stenod reserved or wrote, never pruned once written: this is how it knows its own files again.
CREATE TABLE output_files (
    path TEXT PRIMARY KEY,
    recording TEXT NOT NULL,
    job_id INTEGER NOT NULL,
    -- Of the last content written; NULL: only reserved.
    sha256 TEXT
) WITHOUT ROWID;
CREATE INDEX output_files_by_recording ON output_files (recording);
CREATE INDEX output_files_reserved ON output_files (job_id) WHERE sha256 IS NULL;

CREATE TABLE switches (name TEXT PRIMARY KEY, is_on INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO switches VALUES ('paused', 0);
