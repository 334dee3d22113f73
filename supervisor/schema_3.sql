-- From version 2 to version 3: who is next is asked for each model.

-- The oldest waiting job of a model is found in one step, as is the next model that any waits for. Jobs on probation
-- (two dead transcribers) stand behind all others.
DROP INDEX jobs_in_line;
CREATE INDEX jobs_by_model ON jobs ((transcriber_crashes >= 2), coalesce(json_extract(options, '$.model'), ''), id)
    WHERE status = 'waiting';
