-- From version 4 to version 5: what was audible in a recording and gave no text.

CREATE TABLE unheard (
    job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    -- Seconds from the start of the recording.
    start REAL NOT NULL,
    -- The whole Unheard as JSON.
    content TEXT NOT NULL,
    PRIMARY KEY (job_id, start)
) WITHOUT ROWID;
-- All of it together; NULL: not listened to yet, or by an older version.
ALTER TABLE jobs ADD COLUMN unheard_seconds REAL;
CREATE TRIGGER listened_to_anew AFTER UPDATE OF unheard_seconds ON jobs WHEN new.unheard_seconds IS NULL BEGIN
    DELETE FROM unheard WHERE job_id = new.id;
END;
