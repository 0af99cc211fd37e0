-- The record: what happened, append-only (the triggers stand in tables.py). Written for SQLite's
-- STRICT tables; tables.py has the few words that PostgreSQL spells otherwise.
--
-- Instants are milliseconds since the Unix epoch (UTC), durations are microseconds, amounts are
-- integer nano-USD, scores are ppm of 1, booleans are 0 and 1, lists and documents are JSON text.
-- Allowed values are joined by OR: of an IN with more than two SQLite makes a table for each row,
-- a third of what an insert costs.

-- One request, whatever became of it. `position` is the order of settlement, a cursor for readers
-- (positions.py says how far it may be followed in PostgreSQL).
-- tokens_input are the input tokens processed afresh (cache writes included), tokens_cached those
-- read from a provider's cache, tokens_output includes reasoning: the three never overlap.
-- cost_nano_usd is the cost known when the run was recorded; later corrections are charges.
CREATE TABLE inference_run (
  position          INTEGER PRIMARY KEY,
  run_id            TEXT    NOT NULL UNIQUE CHECK (run_id <> ''),
  timestamp         INTEGER NOT NULL CHECK (timestamp >= 0),
  domain            TEXT    NOT NULL,
  agent             TEXT    NOT NULL,
  model             TEXT    NOT NULL,
  lane              TEXT    NOT NULL,
  region            TEXT    NOT NULL,
  route_policy      TEXT    NOT NULL,
  tokens_input      INTEGER NOT NULL CHECK (tokens_input >= 0),
  tokens_cached     INTEGER NOT NULL CHECK (tokens_cached >= 0),
  tokens_output     INTEGER NOT NULL CHECK (tokens_output >= 0),
  cost_nano_usd     INTEGER NOT NULL CHECK (cost_nano_usd >= 0),
  focus_account     TEXT    NOT NULL,
  eval_score        INTEGER CHECK (eval_score BETWEEN 0 AND 1000000),
  outcome           TEXT    NOT NULL CHECK (
                      outcome = 'answered' OR outcome = 'incomplete' OR outcome = 'refused'
                      OR outcome = 'rejected' OR outcome = 'failed' OR outcome = 'unknown'),
  sensitivity       INTEGER NOT NULL CHECK (sensitivity BETWEEN 0 AND 3),
  residency_lock    TEXT,
  data_assets       TEXT    NOT NULL,
  owner_team        TEXT    NOT NULL,
  surface           TEXT    NOT NULL,
  model_asked       TEXT    NOT NULL,
  workload          TEXT    NOT NULL,
  task              TEXT    NOT NULL,
  session           TEXT    NOT NULL,
  user_id           TEXT    NOT NULL,
  snapshot_version  TEXT    NOT NULL,
  generation        INTEGER NOT NULL CHECK (generation >= 0),
  holder            TEXT    NOT NULL,
  refusal           TEXT    NOT NULL,
  refusal_detail    TEXT    NOT NULL,
  status            INTEGER NOT NULL CHECK (status >= 0),
  stream            INTEGER NOT NULL CHECK (stream IN (0, 1)),
  client_left       INTEGER NOT NULL CHECK (client_left IN (0, 1)),
  duration_us       INTEGER NOT NULL CHECK (duration_us >= 0),
  first_chunk_us    INTEGER CHECK (first_chunk_us >= 0),
  decision          TEXT    NOT NULL,
  dry_run_refusals  TEXT    NOT NULL,
  failed_verdicts   INTEGER NOT NULL CHECK (failed_verdicts >= 0),
  compliant         INTEGER NOT NULL CHECK (compliant IN (0, 1)),
  compliance_detail TEXT    NOT NULL CHECK (compliant = 1 OR compliance_detail <> ''),
  digest            BLOB    NOT NULL CHECK (length(digest) = 32),
  CHECK (outcome <> 'refused' OR refusal <> '')
) STRICT;

CREATE INDEX inference_run_by_time ON inference_run (timestamp);
CREATE INDEX inference_run_by_domain ON inference_run (domain, timestamp);
CREATE INDEX inference_run_by_agent ON inference_run (agent, timestamp);
CREATE INDEX inference_run_by_session ON inference_run (session, timestamp)
  WHERE session <> '';
CREATE INDEX inference_run_by_user ON inference_run (user_id, timestamp)
  WHERE user_id <> '';
CREATE INDEX inference_run_not_answered ON inference_run (outcome, timestamp)
  WHERE outcome <> 'answered';
CREATE INDEX inference_run_failed_floor ON inference_run (timestamp)
  WHERE failed_verdicts > 0;
CREATE INDEX inference_run_not_compliant ON inference_run (timestamp)
  WHERE compliant = 0;

-- "Every run that touched asset X": the one list of data_assets, turned around.
CREATE TABLE run_data_asset (
  asset     TEXT    NOT NULL CHECK (asset <> ''),
  timestamp INTEGER NOT NULL,
  run_id    TEXT    NOT NULL REFERENCES inference_run (run_id),
  PRIMARY KEY (asset, timestamp, run_id)
) STRICT, WITHOUT ROWID;

-- One call of a provider. wire_format is '' in records from before it was kept. Token columns are NULL where no usage record came: missing is not zero.
CREATE TABLE attempt (
  run_id                TEXT    NOT NULL REFERENCES inference_run (run_id),
  number                INTEGER NOT NULL CHECK (number >= 1),
  model                 TEXT    NOT NULL,
  lane                  TEXT    NOT NULL,
  lane_class            TEXT    NOT NULL,
  provider              TEXT    NOT NULL,
  upstream_model        TEXT    NOT NULL,
  region                TEXT    NOT NULL,
  jurisdiction          TEXT    NOT NULL,
  lane_max_sensitivity  INTEGER NOT NULL CHECK (lane_max_sensitivity BETWEEN 0 AND 3),
  started_at            INTEGER NOT NULL CHECK (started_at >= 0),
  duration_us           INTEGER NOT NULL CHECK (duration_us >= 0),
  first_chunk_us        INTEGER CHECK (first_chunk_us >= 0),
  status                INTEGER CHECK (status >= 0),
  outcome               TEXT    NOT NULL CHECK (
                      outcome = 'answered' OR outcome = 'cut' OR outcome = 'rejected'
                      OR outcome = 'error' OR outcome = 'throttled' OR outcome = 'timeout'
                      OR outcome = 'unsent'),
  settlement            TEXT    NOT NULL CHECK (
                      settlement = 'usage' OR settlement = 'zero' OR settlement = 'full'
                      OR settlement = 'released'),
  bound_nano_usd        INTEGER NOT NULL CHECK (bound_nano_usd >= 0),
  bound_tokens          INTEGER NOT NULL CHECK (bound_tokens >= 0),
  expected_nano_usd     INTEGER NOT NULL CHECK (expected_nano_usd >= 0),
  cost_nano_usd         INTEGER NOT NULL CHECK (cost_nano_usd >= 0),
  tokens_input          INTEGER CHECK (tokens_input >= 0),
  tokens_cached         INTEGER CHECK (tokens_cached >= 0),
  tokens_cache_write_5m INTEGER CHECK (tokens_cache_write_5m >= 0),
  tokens_cache_write_1h INTEGER CHECK (tokens_cache_write_1h >= 0),
  tokens_output         INTEGER CHECK (tokens_output >= 0),
  tokens_reasoning      INTEGER CHECK (tokens_reasoning >= 0),
  holds                 TEXT    NOT NULL,
  provider_request_id   TEXT    NOT NULL,
  detail                TEXT    NOT NULL, wire_format TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (run_id, number)
) STRICT, WITHOUT ROWID;

-- One line of a bill: `unit_price` is nano-USD per million tokens, per million characters, per image,
-- per 1000 searches, per 60 seconds of audio (meters.py). `timestamp` is the run's for what was recorded with it (so that a run and its
-- cost fall into the same window), the instant of posting for corrections and losses.
-- cost = base - cache_saving - batch_saving + premium. A cache write costs more than the base: its
-- saving is negative. So is the premium of a lane that is cheaper than its model's list price.
-- slice_loss is budget lost with its holder, not a provider's bill: it has no run and no cost, its
-- quantity is what one account was charged, and a report shows it apart by account.
CREATE TABLE charge_record (
  position              INTEGER PRIMARY KEY,
  timestamp             INTEGER NOT NULL CHECK (timestamp >= 0),
  run_id                TEXT    REFERENCES inference_run (run_id),
  attempt               INTEGER,
  meter                 TEXT    CHECK (
                      meter = 'input' OR meter = 'cached_input' OR meter = 'cache_write_5m'
                      OR meter = 'cache_write_1h' OR meter = 'output' OR meter = 'audio_input'
                      OR meter = 'images' OR meter = 'searches' OR meter = 'audio_seconds'
                      OR meter = 'characters'),
  kind                  TEXT    NOT NULL CHECK (
                      kind = 'usage' OR kind = 'unknown' OR kind = 'correction'
                      OR kind = 'slice_loss'),
  quantity              INTEGER NOT NULL CHECK (quantity >= 0 OR kind = 'correction'),
  unit_price            INTEGER NOT NULL CHECK (unit_price >= 0),
  cost_nano_usd         INTEGER NOT NULL CHECK (cost_nano_usd >= 0 OR kind = 'correction'),
  base_nano_usd         INTEGER NOT NULL CHECK (base_nano_usd >= 0 OR kind = 'correction'),
  premium_nano_usd      INTEGER NOT NULL,
  cache_saving_nano_usd INTEGER NOT NULL,
  batch_saving_nano_usd INTEGER NOT NULL,
  slice_id              TEXT,
  budget                TEXT,
  holder                TEXT,
  CHECK (cost_nano_usd
         = base_nano_usd - cache_saving_nano_usd - batch_saving_nano_usd + premium_nano_usd),
  CHECK (CASE kind
         WHEN 'slice_loss' THEN run_id IS NULL AND attempt IS NULL AND meter IS NULL
              AND slice_id IS NOT NULL AND budget IS NOT NULL AND holder IS NOT NULL
         ELSE run_id IS NOT NULL AND attempt IS NOT NULL AND meter IS NOT NULL
              AND slice_id IS NULL AND budget IS NULL AND holder IS NULL
         END)
) STRICT;

CREATE INDEX charge_record_by_run ON charge_record (run_id)
  WHERE run_id IS NOT NULL;
CREATE INDEX charge_record_by_time ON charge_record (timestamp);
CREATE UNIQUE INDEX charge_record_by_slice ON charge_record (slice_id)
  WHERE kind = 'slice_loss';

-- One assertion about an answer.
CREATE TABLE eval_result (
  run_id    TEXT    NOT NULL REFERENCES inference_run (run_id),
  number    INTEGER NOT NULL CHECK (number >= 1),
  spec      TEXT    NOT NULL,
  assertion TEXT    NOT NULL,
  passed    INTEGER NOT NULL CHECK (passed IN (0, 1)),
  score     INTEGER NOT NULL CHECK (score BETWEEN 0 AND 1000000),
  detail    TEXT    NOT NULL,
  PRIMARY KEY (run_id, number)
) STRICT, WITHOUT ROWID;

-- Sums by hour and by day (UTC), kept in the transaction that adds the facts, so that a quarter of
-- ten million runs is answered from some ten thousand rows. `span` is the length of the period and
-- `timestamp` its start. Rows of equal key and different `writer` add up: with many authorities on
-- one database, those that settle for different holders do not queue for one row. Derived:
-- run_store.rebuild_sums computes it anew from the facts. Money and
-- tokens stand under the lane of the attempt that caused them, counts of runs under the lane that
-- answered.
CREATE TABLE period_sum (
  span                  INTEGER NOT NULL CHECK (span IN (3600000, 86400000)),
  timestamp             INTEGER NOT NULL CHECK (timestamp % span = 0),
  domain                TEXT    NOT NULL,
  agent                 TEXT    NOT NULL,
  model                 TEXT    NOT NULL,
  lane                  TEXT    NOT NULL,
  region                TEXT    NOT NULL,
  workload              TEXT    NOT NULL,
  focus_account         TEXT    NOT NULL,
  writer                INTEGER NOT NULL DEFAULT 0 CHECK (writer BETWEEN 0 AND 15),
  runs                  INTEGER NOT NULL,
  answered              INTEGER NOT NULL,
  refused               INTEGER NOT NULL,
  failed_floor          INTEGER NOT NULL,
  locked                INTEGER NOT NULL,
  not_compliant         INTEGER NOT NULL,
  scored                INTEGER NOT NULL,
  score_sum             INTEGER NOT NULL,
  tokens_input          INTEGER NOT NULL,
  tokens_cached         INTEGER NOT NULL,
  tokens_output         INTEGER NOT NULL,
  cost_nano_usd         INTEGER NOT NULL,
  base_nano_usd         INTEGER NOT NULL,
  premium_nano_usd      INTEGER NOT NULL,
  cache_saving_nano_usd INTEGER NOT NULL,
  batch_saving_nano_usd INTEGER NOT NULL,
  PRIMARY KEY (
    span, timestamp, domain, agent, model, lane, region, workload, focus_account, writer
  )
) STRICT, WITHOUT ROWID;

-- The same sums, fact by fact: what period_sum is made of, and what answers for broken hours.
-- CROSS JOIN fixes the order of SQLite's loops: from the rows in question to what hangs on them.
CREATE VIEW run_fact AS
  SELECT position, run_id, timestamp, domain, agent, model, lane, region, workload, focus_account,
         1 AS runs, CASE WHEN outcome = 'answered' THEN 1 ELSE 0 END AS answered,
         CASE WHEN outcome = 'refused' THEN 1 ELSE 0 END AS refused,
         CASE WHEN failed_verdicts > 0 THEN 1 ELSE 0 END AS failed_floor,
         CASE WHEN residency_lock IS NOT NULL THEN 1 ELSE 0 END AS locked,
         1 - compliant AS not_compliant,
         CASE WHEN eval_score IS NOT NULL THEN 1 ELSE 0 END AS scored,
         coalesce(eval_score, 0) AS score_sum,
         0 AS tokens_input, 0 AS tokens_cached, 0 AS tokens_output, 0 AS cost_nano_usd,
         0 AS base_nano_usd, 0 AS premium_nano_usd, 0 AS cache_saving_nano_usd,
         0 AS batch_saving_nano_usd
    FROM inference_run
  UNION ALL
  SELECT r.position, r.run_id, r.timestamp, r.domain, r.agent, a.model, a.lane, a.region,
         r.workload, r.focus_account, 0, 0, 0, 0, 0, 0, 0, 0,
         a.tokens_input + a.tokens_cache_write_5m + a.tokens_cache_write_1h, a.tokens_cached,
         a.tokens_output, 0, 0, 0, 0, 0
    FROM inference_run AS r CROSS JOIN attempt AS a
   WHERE a.run_id = r.run_id AND a.tokens_input IS NOT NULL;

CREATE VIEW charge_fact AS
  SELECT c.position, c.run_id, c.timestamp, r.domain, r.agent, coalesce(a.model, r.model) AS model,
         coalesce(a.lane, r.lane) AS lane, coalesce(a.region, r.region) AS region, r.workload,
         r.focus_account, 0 AS runs, 0 AS answered, 0 AS refused, 0 AS failed_floor, 0 AS locked,
         0 AS not_compliant, 0 AS scored, 0 AS score_sum, 0 AS tokens_input, 0 AS tokens_cached,
         0 AS tokens_output, c.cost_nano_usd, c.base_nano_usd, c.premium_nano_usd,
         c.cache_saving_nano_usd, c.batch_saving_nano_usd
    FROM charge_record AS c
    CROSS JOIN inference_run AS r
    LEFT JOIN attempt AS a ON a.run_id = c.run_id AND a.number = c.attempt
   WHERE r.run_id = c.run_id;

-- The sixteen contractual fields of a run, as they are promised to people and tools.
CREATE VIEW run_contract AS
  SELECT run_id,
         utc_seconds(timestamp) || '.' || substr((1000 + timestamp % 1000) || '', 2) || 'Z'
           AS timestamp,
         domain, agent, model, lane, region, route_policy,
         tokens_input, tokens_cached, tokens_output,
         (cost_nano_usd / 1000000000) || '.'
           || substr((1000000000 + cost_nano_usd % 1000000000) || '', 2) AS cost_usd,
         focus_account, eval_score, outcome, sensitivity, residency_lock, data_assets
    FROM inference_run;
