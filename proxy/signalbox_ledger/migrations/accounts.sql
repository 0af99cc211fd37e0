-- Accounts, slices, holders: the money side of the ledger. See accounts.py for the rules.
CREATE TABLE ledger_state (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  generation INTEGER NOT NULL CHECK (generation >= 0),
  -- Holders whose snapshot is older than this may not draw.
  min_generation INTEGER NOT NULL DEFAULT 0 CHECK (min_generation >= 0),
  -- Which history of which server this is; another one than before freezes draws.
  identity TEXT NOT NULL DEFAULT '',
  -- Why nothing may be drawn; '' where draws flow.
  frozen TEXT NOT NULL DEFAULT '',
  -- Since when (milliseconds); the oldest revision whose code may work on these tables; since when
  -- `identity` is another one than before (milliseconds, 0: it never was).
  frozen_at INTEGER NOT NULL DEFAULT 0, oldest_writer TEXT NOT NULL DEFAULT '', identity_since INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO ledger_state (id, generation) VALUES (1, 0);

CREATE TABLE budget (
  id TEXT PRIMARY KEY,
  spec TEXT NOT NULL,
  generation INTEGER NOT NULL,
  deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1))
) STRICT;

-- What a budget counted, from which generation on: one that is made again may count otherwise.
CREATE TABLE budget_basis (
  budget TEXT NOT NULL,
  since INTEGER NOT NULL,
  basis TEXT NOT NULL,
  PRIMARY KEY (budget, since)
) STRICT, WITHOUT ROWID;

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

-- The condition, which always holds, keeps statements about one account from this index: PostgreSQL
-- took it for as good as the primary key while it had no statistics, and read every user's row.
CREATE INDEX account_by_window ON account (budget, basis, window_start, granted, window_end)
  WHERE window_end >= 0;
CREATE INDEX account_by_overrun ON account (budget, basis, window_start) WHERE overrun > 0;
CREATE INDEX account_by_window_end ON account (window_end) WHERE subject <> '';

-- How many users or sessions an agent brought into a window.
CREATE TABLE new_subject (
  budget TEXT NOT NULL,
  basis TEXT NOT NULL,
  window_start INTEGER NOT NULL,
  agent TEXT NOT NULL,
  window_end INTEGER NOT NULL,
  opened INTEGER NOT NULL CHECK (opened > 0),
  PRIMARY KEY (budget, basis, window_start, agent)
) STRICT, WITHOUT ROWID;

CREATE TABLE holder (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  fenced INTEGER NOT NULL DEFAULT 0 CHECK (fenced IN (0, 1)),
  opened_at INTEGER NOT NULL,
  -- Raised by each session that is opened for it: transactions of an older session are refused.
  epoch INTEGER NOT NULL DEFAULT 0 CHECK (epoch >= 0),
  -- When it was heard of last (milliseconds, to some ten seconds); how much of its journal it was
  -- told is settled, by its own word; when it presented its slices last (milliseconds).
  seen_at INTEGER NOT NULL DEFAULT 0, acknowledged INTEGER NOT NULL DEFAULT 0, presented_at INTEGER NOT NULL DEFAULT 0
) STRICT;

-- How much of a holder's journal is settled: apart from the holder, whose row draws lock.
CREATE TABLE settled_journal (
  holder TEXT PRIMARY KEY REFERENCES holder (id),
  journal_offset INTEGER NOT NULL CHECK (journal_offset >= 0)
) STRICT, WITHOUT ROWID;

-- A slice that is closed leaves this table; what it spent stays in its account's `granted`.
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

CREATE INDEX slice_by_account ON slice (budget, basis, subject, window_start);
CREATE INDEX slice_by_holder ON slice (holder, wanted);

-- Slices whose holder is gone with its journal: charged in full, without runs.
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

-- Records that the tables of runs refused. What they spent counts; they wait for a person.
CREATE TABLE refused_record (
  holder TEXT NOT NULL,
  journal_end INTEGER NOT NULL,
  run_id TEXT NOT NULL,
  reason TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (holder, journal_end)
) STRICT, WITHOUT ROWID;

-- Which run a client's Idempotency-Key stands for, from its dispatch until it expires. Digests
-- only: a key or a body may say something of a person. Once `holder` is recovered, keys of runs
-- that were not dispatched, or not billed, are free again.
CREATE TABLE idempotency_key (
  agent TEXT NOT NULL,
  key_digest BLOB NOT NULL CHECK (length(key_digest) = 32),
  body_digest BLOB NOT NULL CHECK (length(body_digest) = 32),
  run_id TEXT NOT NULL,
  holder TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (agent, key_digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_key_by_expiry ON idempotency_key (expires_at);
CREATE INDEX idempotency_key_by_holder ON idempotency_key (holder);

-- Answers that a provider stores: whose they are (a digest of domain, agent, user and session), what
-- they are called (a digest), which lane has them, and what of them counts in what continues them.
-- `data_assets` are ids, as a JSON list.
CREATE TABLE stored_response (
  owner BLOB NOT NULL CHECK (length(owner) = 32),
  response BLOB NOT NULL CHECK (length(response) = 32),
  run_id TEXT NOT NULL,
  model TEXT NOT NULL,
  lane TEXT NOT NULL,
  tokens INTEGER NOT NULL CHECK (tokens >= 0),
  sensitivity INTEGER NOT NULL,
  data_assets TEXT NOT NULL,
  cache_write TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (owner, response)
) STRICT, WITHOUT ROWID;

CREATE INDEX stored_response_by_expiry ON stored_response (expires_at);
