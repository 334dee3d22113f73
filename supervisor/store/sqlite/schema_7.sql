-- From version 6 to version 7: jobs have a priority, `now`, `normal` or `archive`, and take turns by that.

-- One step to the first waiting job of a priority and a model, however many wait. Those on probation come last.
DROP INDEX jobs_by_model;
CREATE INDEX jobs_by_priority ON jobs (
    (transcriber_crashes >= 2 OR daemon_deaths >= 3),
    coalesce(json_extract(options, '$.priority'), 'normal'),
    coalesce(json_extract(options, '$.model'), ''),
    id
) WHERE status = 'waiting';
