-- The tables of a SQLite ledger before there were migrations, as that release made them.
CREATE TABLE ledger_state (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  generation INTEGER NOT NULL CHECK (generation >= 0)
) STRICT;

INSERT INTO ledger_state (id, generation) VALUES (1, 0);

CREATE TABLE budget (
  id TEXT PRIMARY KEY,
  spec TEXT NOT NULL,
  generation INTEGER NOT NULL,
  deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1))
) STRICT;

CREATE TABLE account (
  budget TEXT NOT NULL,
  basis TEXT NOT NULL,
  subject TEXT NOT NULL,
  window_start INTEGER NOT NULL,
  window_end INTEGER NOT NULL,
  limit_amount INTEGER NOT NULL CHECK (limit_amount >= 0),
  enforced INTEGER NOT NULL CHECK (enforced >= 0),
  granted INTEGER NOT NULL DEFAULT 0 CHECK (granted >= 0),
  overrun INTEGER NOT NULL DEFAULT 0 CHECK (overrun >= 0),
  PRIMARY KEY (budget, basis, subject, window_start),
  CHECK (granted <= enforced)
) STRICT, WITHOUT ROWID;

CREATE INDEX account_by_window ON account (budget, basis, window_start, granted, overrun);
CREATE INDEX account_by_window_end ON account (window_end);

CREATE TABLE holder (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  journal_offset INTEGER NOT NULL DEFAULT 0 CHECK (journal_offset >= 0),
  fenced INTEGER NOT NULL DEFAULT 0 CHECK (fenced IN (0, 1)),
  opened_at INTEGER NOT NULL
) STRICT;

CREATE TABLE slice (
  id TEXT PRIMARY KEY,
  holder TEXT NOT NULL REFERENCES holder (id),
  budget TEXT NOT NULL,
  basis TEXT NOT NULL,
  subject TEXT NOT NULL,
  window_start INTEGER NOT NULL,
  amount INTEGER NOT NULL CHECK (amount >= 0),
  spent INTEGER NOT NULL DEFAULT 0 CHECK (spent >= 0),
  wanted INTEGER NOT NULL DEFAULT 0 CHECK (wanted IN (0, 1)),
  FOREIGN KEY (budget, basis, subject, window_start)
    REFERENCES account (budget, basis, subject, window_start),
  CHECK (spent <= amount)
) STRICT, WITHOUT ROWID;

CREATE INDEX slice_by_account ON slice (budget, basis, subject, window_start, amount, spent);
CREATE INDEX slice_by_holder ON slice (holder, wanted);

CREATE TABLE slice_loss (
  slice_id TEXT PRIMARY KEY,
  holder TEXT NOT NULL,
  budget TEXT NOT NULL,
  basis TEXT NOT NULL,
  subject TEXT NOT NULL,
  window_start INTEGER NOT NULL,
  amount INTEGER NOT NULL CHECK (amount >= 0),
  posted_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE refused_record (
  holder TEXT NOT NULL,
  journal_end INTEGER NOT NULL,
  run_id TEXT NOT NULL,
  reason TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (holder, journal_end)
) STRICT, WITHOUT ROWID;

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

CREATE TABLE run_data_asset (
  asset     TEXT    NOT NULL CHECK (asset <> ''),
  timestamp INTEGER NOT NULL,
  run_id    TEXT    NOT NULL REFERENCES inference_run (run_id),
  PRIMARY KEY (asset, timestamp, run_id)
) STRICT, WITHOUT ROWID;

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
  detail                TEXT    NOT NULL,
  PRIMARY KEY (run_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE charge_record (
  position              INTEGER PRIMARY KEY,
  timestamp             INTEGER NOT NULL CHECK (timestamp >= 0),
  run_id                TEXT    REFERENCES inference_run (run_id),
  attempt               INTEGER,
  meter                 TEXT    CHECK (
                      meter = 'input' OR meter = 'cached_input' OR meter = 'cache_write_5m'
                      OR meter = 'cache_write_1h' OR meter = 'output'),
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
  PRIMARY KEY (span, timestamp, domain, agent, model, lane, region, workload, focus_account)
) STRICT, WITHOUT ROWID;

CREATE VIEW run_fact AS
  SELECT position, timestamp, domain, agent, model, lane, region, workload, focus_account,
         1 AS runs, outcome = 'answered' AS answered, outcome = 'refused' AS refused,
         failed_verdicts > 0 AS failed_floor, residency_lock IS NOT NULL AS locked,
         compliant = 0 AS not_compliant, eval_score IS NOT NULL AS scored,
         coalesce(eval_score, 0) AS score_sum,
         0 AS tokens_input, 0 AS tokens_cached, 0 AS tokens_output, 0 AS cost_nano_usd,
         0 AS base_nano_usd, 0 AS premium_nano_usd, 0 AS cache_saving_nano_usd,
         0 AS batch_saving_nano_usd
    FROM inference_run
  UNION ALL
  SELECT r.position, r.timestamp, r.domain, r.agent, a.model, a.lane, a.region, r.workload,
         r.focus_account, 0, 0, 0, 0, 0, 0, 0, 0,
         a.tokens_input + a.tokens_cache_write_5m + a.tokens_cache_write_1h, a.tokens_cached,
         a.tokens_output, 0, 0, 0, 0, 0
    FROM inference_run AS r CROSS JOIN attempt AS a ON a.run_id = r.run_id
   WHERE a.tokens_input IS NOT NULL;

CREATE VIEW charge_fact AS
  SELECT c.position, c.timestamp, r.domain, r.agent, coalesce(a.model, r.model) AS model,
         coalesce(a.lane, r.lane) AS lane, coalesce(a.region, r.region) AS region, r.workload,
         r.focus_account, 0 AS runs, 0 AS answered, 0 AS refused, 0 AS failed_floor, 0 AS locked,
         0 AS not_compliant, 0 AS scored, 0 AS score_sum, 0 AS tokens_input, 0 AS tokens_cached,
         0 AS tokens_output, c.cost_nano_usd, c.base_nano_usd, c.premium_nano_usd,
         c.cache_saving_nano_usd, c.batch_saving_nano_usd
    FROM charge_record AS c
    CROSS JOIN inference_run AS r ON r.run_id = c.run_id
    LEFT JOIN attempt AS a ON a.run_id = c.run_id AND a.number = c.attempt;

CREATE VIEW run_contract AS
  SELECT run_id,
         strftime('%Y-%m-%dT%H:%M:%S', timestamp / 1000, 'unixepoch')
           || printf('.%03dZ', timestamp % 1000) AS timestamp,
         domain, agent, model, lane, region, route_policy,
         tokens_input, tokens_cached, tokens_output,
         printf('%d.%09d', cost_nano_usd / 1000000000, cost_nano_usd % 1000000000) AS cost_usd,
         focus_account, eval_score, outcome, sensitivity, residency_lock, data_assets
    FROM inference_run;

CREATE TRIGGER inference_run_no_update BEFORE UPDATE ON inference_run BEGIN
  SELECT RAISE(ABORT, 'inference_run is append-only: post a correction charge instead');
END;
CREATE TRIGGER inference_run_no_delete BEFORE DELETE ON inference_run BEGIN
  SELECT RAISE(ABORT, 'inference_run is append-only: rows are never deleted');
END;
CREATE TRIGGER run_data_asset_no_update BEFORE UPDATE ON run_data_asset BEGIN
  SELECT RAISE(ABORT, 'run_data_asset is append-only: rows are never changed');
END;
CREATE TRIGGER run_data_asset_no_delete BEFORE DELETE ON run_data_asset BEGIN
  SELECT RAISE(ABORT, 'run_data_asset is append-only: rows are never deleted');
END;
CREATE TRIGGER attempt_no_update BEFORE UPDATE ON attempt BEGIN
  SELECT RAISE(ABORT, 'attempt is append-only: post a correction charge instead');
END;
CREATE TRIGGER attempt_no_delete BEFORE DELETE ON attempt BEGIN
  SELECT RAISE(ABORT, 'attempt is append-only: rows are never deleted');
END;
CREATE TRIGGER charge_record_no_update BEFORE UPDATE ON charge_record BEGIN
  SELECT RAISE(ABORT, 'charge_record is append-only: post a correction charge instead');
END;
CREATE TRIGGER charge_record_no_delete BEFORE DELETE ON charge_record BEGIN
  SELECT RAISE(ABORT, 'charge_record is append-only: rows are never deleted');
END;
CREATE TRIGGER eval_result_no_update BEFORE UPDATE ON eval_result BEGIN
  SELECT RAISE(ABORT, 'eval_result is append-only: record a new verdict instead');
END;
CREATE TRIGGER eval_result_no_delete BEFORE DELETE ON eval_result BEGIN
  SELECT RAISE(ABORT, 'eval_result is append-only: rows are never deleted');
END;

PRAGMA user_version = 1;
