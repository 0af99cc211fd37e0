-- Corrections by providers' bills, and what people ordered: who, when, by what. Append-only.

-- One booking. `digest` is the SHA-256 of the export; the period (milliseconds, 0 for none) is what
-- it was said to hold all of.
CREATE TABLE reconciliation (
  id           TEXT    PRIMARY KEY CHECK (length(id) = 64),
  posted_at    INTEGER NOT NULL,
  posted_by    TEXT    NOT NULL CHECK (posted_by <> ''),
  source       TEXT    NOT NULL,
  digest       TEXT    NOT NULL CHECK (length(digest) = 64),
  period_start INTEGER NOT NULL,
  period_end   INTEGER NOT NULL CHECK (period_end >= period_start)
) STRICT;

-- One attempt that a line of a bill corrected; the money stands in charge_record. A line counts once.
CREATE TABLE correction (
  position       INTEGER PRIMARY KEY,
  run_id         TEXT    NOT NULL,
  attempt        INTEGER NOT NULL,
  line           TEXT    NOT NULL CHECK (length(line) = 64),
  reconciliation TEXT    NOT NULL REFERENCES reconciliation (id),
  request_id     TEXT    NOT NULL,
  before_nano    INTEGER NOT NULL CHECK (before_nano >= 0),
  after_nano     INTEGER NOT NULL CHECK (after_nano >= 0),
  tokens         INTEGER CHECK (tokens >= 0),
  UNIQUE (run_id, attempt, line),
  FOREIGN KEY (run_id, attempt) REFERENCES attempt (run_id, number)
) STRICT;

-- What a person ordered of the authority, beside corrections.
CREATE TABLE desk_order (
  position   INTEGER PRIMARY KEY,
  ordered_at INTEGER NOT NULL,
  ordered_by TEXT    NOT NULL CHECK (ordered_by <> ''),
  kind       TEXT    NOT NULL,
  detail     TEXT    NOT NULL
) STRICT;
