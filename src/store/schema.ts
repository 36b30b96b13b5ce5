// The SQLite schema of a certgate store and the way from any older version to the newest. A file is a certgate store
// when its application_id says so; its user_version counts the migrations it has seen. A migration, once released,
// never changes: a new one is appended. Each runs in one transaction, so that a store is at one version or the next.
// The indexes serve keyset pages by (issued_at, serial): they hold every column a filter needs, so that only the rows
// of the page itself are ever read from the table.

/** `cgat` as a 32-bit number: what tells a certgate store from any other SQLite file. */
export const APPLICATION_ID = 0x63676174;

const first = `
CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- one row; grows with every committed change, whoever makes it
CREATE TABLE revision (
  id     INTEGER PRIMARY KEY CHECK (id = 1),
  number INTEGER NOT NULL
) STRICT;
INSERT INTO revision VALUES (1, 0);

CREATE TABLE certificates (
  id               INTEGER PRIMARY KEY,
  serial           TEXT NOT NULL UNIQUE CHECK (serial <> '' AND serial NOT GLOB '*[^0-9a-f]*'),
  issuer           TEXT NOT NULL CHECK (issuer <> '' AND issuer NOT GLOB '*[^0-9a-f]*'),
  identity         TEXT NOT NULL CHECK (identity <> ''),
  profile          TEXT NOT NULL CHECK (profile IN ('client', 'server')),
  subject          TEXT NOT NULL,
  not_before       INTEGER NOT NULL,
  not_after        INTEGER NOT NULL CHECK (not_after > not_before),
  fingerprint      TEXT NOT NULL CHECK (length(fingerprint) = 64 AND fingerprint NOT GLOB '*[^0-9a-f]*'),
  issued_at        INTEGER NOT NULL CHECK (issued_at < not_after),
  revoked          INTEGER NOT NULL CHECK (revoked = (revoked_at IS NOT NULL)),
  revoked_at       INTEGER CHECK ((revoked_at IS NULL) = (reason IS NULL)),
  reason           TEXT,
  revoked_revision INTEGER CHECK ((revoked_revision IS NULL) = (revoked_at IS NULL)),
  der              BLOB NOT NULL CHECK (length(der) > 0)
) STRICT;
CREATE INDEX certificates_by_issue ON certificates (issued_at, serial, revoked, not_after);
CREATE INDEX certificates_by_identity ON certificates (identity, issued_at, serial, revoked, not_after);
CREATE INDEX certificates_by_expiry ON certificates (revoked, not_after, issued_at, serial);
CREATE INDEX certificates_revoked ON certificates (issued_at, serial, not_after) WHERE revoked = 1;
CREATE UNIQUE INDEX certificates_by_revocation ON certificates (revoked_revision, id) WHERE revoked_revision IS NOT NULL;

-- AUTOINCREMENT: a number is never given twice, not even after the newest entry was removed
CREATE TABLE audit (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  time   INTEGER NOT NULL,
  actor  TEXT NOT NULL CHECK (actor <> ''),
  action TEXT NOT NULL CHECK (action <> ''),
  object TEXT NOT NULL,
  detail TEXT NOT NULL CHECK (json_valid(detail))
) STRICT;
`;

const second = `
-- the CA certificates of this CA: what it trusts, and which issuer it issues with
CREATE TABLE authorities (
  key_id     TEXT PRIMARY KEY CHECK (key_id <> '' AND key_id NOT GLOB '*[^0-9a-f]*'),
  role       TEXT NOT NULL CHECK (role IN ('root', 'intermediate', 'issuer')),
  generation INTEGER NOT NULL CHECK (generation > 0),
  parent     TEXT NOT NULL CHECK (parent <> ''),
  state      TEXT NOT NULL CHECK (state IN ('prepared', 'active', 'retiring', 'retired')),
  der        BLOB NOT NULL CHECK (length(der) > 0),
  added_at   INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  UNIQUE (role, generation)
) STRICT;
CREATE UNIQUE INDEX authorities_active ON authorities (role) WHERE state = 'active' AND role <> 'intermediate';

CREATE TABLE locks (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  scope       TEXT NOT NULL CHECK (scope IN ('identity', 'serial', 'all')),
  subject     TEXT NOT NULL CHECK ((subject = '') = (scope = 'all')),
  reason      TEXT NOT NULL,
  actor       TEXT NOT NULL CHECK (actor <> ''),
  locked_at   INTEGER NOT NULL,
  until       INTEGER CHECK (until > locked_at),
  unlocked_at INTEGER
) STRICT;
CREATE UNIQUE INDEX locks_standing ON locks (scope, subject) WHERE unlocked_at IS NULL;

-- the number of the newest CRL of each issuer; it never goes back
CREATE TABLE crls (
  issuer TEXT PRIMARY KEY CHECK (issuer <> ''),
  number INTEGER NOT NULL CHECK (number > 0)
) STRICT, WITHOUT ROWID;

-- which trust bundle the holder of a certificate was last seen to have
CREATE TABLE bundles_taken (
  serial   TEXT PRIMARY KEY CHECK (serial <> ''),
  identity TEXT NOT NULL CHECK (identity <> ''),
  bundle   TEXT NOT NULL CHECK (length(bundle) = 64),
  taken_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`;

/** What must never be certified again is found without going through all that was revoked for other reasons. */
const third = `
CREATE INDEX certificates_compromised ON certificates (revoked_revision, id) WHERE reason = 'keyCompromise';
`;

const fourth = `
-- one-time tokens, as hashes
CREATE TABLE tokens (
  id          TEXT PRIMARY KEY CHECK (length(id) = 16 AND id NOT GLOB '*[^0-9a-f]*'),
  secret_hash TEXT NOT NULL CHECK (length(secret_hash) = 64 AND secret_hash NOT GLOB '*[^0-9a-f]*'),
  subject     TEXT NOT NULL CHECK (subject <> ''),
  uses        INTEGER NOT NULL CHECK (uses > 0),
  uses_left   INTEGER NOT NULL CHECK (uses_left BETWEEN 0 AND uses),
  ttl         INTEGER NOT NULL CHECK (ttl > 0),
  expires_at  INTEGER NOT NULL CHECK (expires_at > created_at),
  created_at  INTEGER NOT NULL,
  created_by  TEXT NOT NULL CHECK (created_by <> ''),
  revoked_at  INTEGER,
  flagged_at  INTEGER,
  flag        TEXT CHECK ((flag IS NULL) = (flagged_at IS NULL))
) STRICT, WITHOUT ROWID;

-- a key uses a token once
CREATE TABLE token_uses (
  token    TEXT NOT NULL REFERENCES tokens (id),
  key_hash TEXT NOT NULL CHECK (length(key_hash) = 64),
  identity TEXT NOT NULL CHECK (identity <> ''),
  serial   TEXT NOT NULL UNIQUE CHECK (serial <> ''),
  used_at  INTEGER NOT NULL,
  PRIMARY KEY (token, key_hash)
) STRICT;
CREATE INDEX token_uses_by_identity ON token_uses (token, identity);

-- which certificate took the place of which, and when it was first seen
CREATE TABLE successions (
  serial   TEXT NOT NULL UNIQUE CHECK (serial <> ''),
  replaces TEXT NOT NULL CHECK (replaces <> '' AND replaces <> serial),
  key_hash TEXT NOT NULL CHECK (length(key_hash) = 64),
  seen_at  INTEGER
) STRICT;
CREATE INDEX successions_by_replaced ON successions (replaces);
`;

/** A renewal gives what was wanted, not what the end of an issuer left of it. */
const fifth = `
ALTER TABLE certificates ADD COLUMN wanted_ttl INTEGER;
`;

/** That a key was compromised may be learned after its certificate was revoked: a list that names it is made anew. */
const sixth = `
ALTER TABLE certificates ADD COLUMN regraded INTEGER NOT NULL DEFAULT 0;
`;

/** The groups of an identity, a line each. */
const seventh = `
ALTER TABLE certificates ADD COLUMN member_of TEXT CHECK (member_of <> '');
ALTER TABLE tokens ADD COLUMN member_of TEXT CHECK (member_of <> '');
`;

const eighth = `
-- which certificates an identity token (JWT) was used for, until nobody would take it any more; it is kept as a hash
CREATE TABLE identity_token_uses (
  token      TEXT NOT NULL CHECK (length(token) = 64),
  key_hash   TEXT NOT NULL CHECK (length(key_hash) = 64),
  identity   TEXT NOT NULL CHECK (identity <> ''),
  serial     TEXT NOT NULL UNIQUE CHECK (serial <> ''),
  used_at    INTEGER NOT NULL,
  ends_at    INTEGER NOT NULL,
  flagged_at INTEGER,
  PRIMARY KEY (token, key_hash)
) STRICT;
CREATE INDEX identity_token_uses_by_end ON identity_token_uses (ends_at);
`;

/** Pages in the order of issue, narrowed to names that begin alike, are found without reading a row that is not on them. */
const ninth = `
DROP INDEX certificates_by_issue;
CREATE INDEX certificates_by_issue ON certificates (issued_at, serial, revoked, not_after, identity);
DROP INDEX certificates_revoked;
CREATE INDEX certificates_revoked ON certificates (issued_at, serial, not_after, identity) WHERE revoked = 1;
`;

/**
 * Each act names the hash of the one before it (sqlite-acts.ts); those of before have none. The newest checkpoint, signed, is kept
 * here as well as in the gate's record.
 */
const tenth = `
ALTER TABLE audit ADD COLUMN prev TEXT CHECK (length(prev) = 64 AND prev NOT GLOB '*[^0-9a-f]*');
CREATE TABLE checkpoint (
  id   INTEGER PRIMARY KEY CHECK (id = 1),
  line TEXT NOT NULL CHECK (json_valid(line))
) STRICT;
`;

/** Who has to come again, a person say, has a certificate that is not renewed. */
const eleventh = `
ALTER TABLE certificates ADD COLUMN renewable INTEGER NOT NULL DEFAULT 1 CHECK (renewable IN (0, 1));
`;

/** Pages of what is revoked, and of what is not, each in the order of issue: neither has to go past the other. */
const twelfth = `
DROP INDEX certificates_revoked;
DROP INDEX certificates_by_issue;
CREATE INDEX certificates_by_issue ON certificates (revoked, issued_at, serial, not_after, identity);
`;

/**
 * A use of a token stands in one tree, by its key. Who has used it is told only where the token leaves the name to who uses it:
 * then a name has one use, and is looked up. That a serial occurs once, the certificates see to.
 */
const thirteenth = `
CREATE TABLE uses_of_tokens (
  token    TEXT NOT NULL REFERENCES tokens (id),
  key_hash TEXT NOT NULL CHECK (length(key_hash) = 64),
  name     TEXT CHECK (name <> ''),
  serial   TEXT NOT NULL CHECK (serial <> ''),
  used_at  INTEGER NOT NULL,
  PRIMARY KEY (token, key_hash)
) STRICT, WITHOUT ROWID;
INSERT INTO uses_of_tokens
  SELECT token, key_hash, nullif(identity, subject), serial, used_at FROM token_uses JOIN tokens ON tokens.id = token;
DROP TABLE token_uses;
ALTER TABLE uses_of_tokens RENAME TO token_uses;
CREATE INDEX token_uses_by_name ON token_uses (token, name) WHERE name IS NOT NULL;
`;

const fourteenth = `
-- identities that showed a sign of being two, and the first such sign, until a person has looked
CREATE TABLE flags (
  identity   TEXT PRIMARY KEY CHECK (identity <> ''),
  reason     TEXT NOT NULL CHECK (reason <> ''),
  flagged_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO flags
  SELECT subject, flag, min(flagged_at) FROM tokens WHERE flag <> '' AND subject NOT GLOB '*[*]' GROUP BY subject;
`;

/** Migration n brings a store from version n to n + 1. */
export const migrations: readonly string[] = [
  first,
  second,
  third,
  fourth,
  fifth,
  sixth,
  seventh,
  eighth,
  ninth,
  tenth,
  eleventh,
  twelfth,
  thirteenth,
  fourteenth,
];

/** The schema version this certgate writes. */
export const SCHEMA_VERSION = migrations.length;
