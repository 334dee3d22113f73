-- From version 3 to version 4: what was read of a recording, whose fault a death was, one job for one request.

-- RecordingFacts as JSON; NULL: nothing was decoded yet, or by an older version.
ALTER TABLE jobs ADD COLUMN recording TEXT;
-- How far the transcript reached when a transcriber last died on it; progress beyond that clears the crash count.
ALTER TABLE jobs ADD COLUMN crashed_at_seconds REAL;
-- How often in a row the daemon itself died while this job ran, without any progress in between.
ALTER TABLE jobs ADD COLUMN daemon_deaths INTEGER NOT NULL DEFAULT 0;
-- How often it died so again once the job ran alone, behind all others.
ALTER TABLE jobs ADD COLUMN deaths_alone INTEGER NOT NULL DEFAULT 0;
-- Jobs on probation, as before and those during which the daemon died three times, stand behind all others.
DROP INDEX jobs_by_model;
CREATE INDEX jobs_by_model ON jobs
    ((transcriber_crashes >= 2 OR daemon_deaths >= 3), coalesce(json_extract(options, '$.model'), ''), id)
    WHERE status = 'waiting';
-- The client's name for its request: a second request with the same key is answered with this job.
ALTER TABLE jobs ADD COLUMN idempotency_key TEXT;
CREATE UNIQUE INDEX jobs_by_idempotency_key ON jobs (idempotency_key) WHERE idempotency_key IS NOT NULL;
-- SHA-256 of that request's body: the same key on another request is a mistake, and no second request.
ALTER TABLE jobs ADD COLUMN request_sha256 TEXT;
-- How old the queue was (queue_age.py) when the job was over: what is kept for days is judged by this, for the clock
-- on the wall may leap. Jobs from before have their days once more.
ALTER TABLE jobs ADD COLUMN finished_age REAL;
UPDATE jobs SET finished_age = 0 WHERE finished_at IS NOT NULL;
DROP INDEX jobs_by_finish;
CREATE INDEX jobs_by_finish ON jobs (finished_age) WHERE finished_age IS NOT NULL;

-- The job a watched file became; NULL: none, or taken by an older version; 0: one that was forgotten and had failed or
-- been cancelled: copies of its recording are new.
ALTER TABLE seen_files ADD COLUMN job_id INTEGER;
CREATE INDEX seen_files_by_job ON seen_files (job_id);
CREATE TRIGGER nothing_came_of_it AFTER DELETE ON jobs WHEN old.status IN ('failed', 'cancelled') BEGIN
    UPDATE seen_files SET job_id = 0 WHERE job_id = old.id;
END;
-- Which content of a path came last: the largest number. Only that one is known to lie there.
ALTER TABLE seen_files ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;

-- Single facts about this installation.
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- Names our temporary files in folders that others, or other queues, write into as well.
INSERT INTO facts VALUES ('installation', lower(hex(randomblob(8))));

-- A path that was handed over with every link in it followed, once, and the folder it is in; NULL: from a watched
-- folder, or from before.
ALTER TABLE jobs ADD COLUMN target TEXT;
ALTER TABLE jobs ADD COLUMN home TEXT;
-- The sha256s of what was about to be written there, divided by spaces: one of them may be there after a kill.
ALTER TABLE output_files ADD COLUMN promised TEXT;
