CREATE TABLE answer (
  event BIGINT NOT NULL,
  station TEXT NOT NULL,
  position INTEGER NOT NULL,
  answer BIGINT NOT NULL,
  PRIMARY KEY (event, station, position)
)
 WITHOUT ROWID;

CREATE TABLE cursor (
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (name)
);

CREATE TABLE decision (
  rollout TEXT NOT NULL,
  generation INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  reason TEXT NOT NULL,
  "by" TEXT NOT NULL,
  at BIGINT NOT NULL,
  evidence JSON NOT NULL,
  PRIMARY KEY (rollout, generation)
)
 WITHOUT ROWID;

CREATE TABLE delivery (
  event BIGINT NOT NULL,
  station TEXT NOT NULL,
  state INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  lease BIGINT NOT NULL,
  reason TEXT NOT NULL,
  code INTEGER NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (event, station)
)
 WITHOUT ROWID;

CREATE INDEX delivery_dead ON delivery (event) WHERE state = 3;

CREATE INDEX delivery_open ON delivery (event) WHERE state < 2;

CREATE TABLE event (
  seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL,
  source TEXT NOT NULL,
  type TEXT NOT NULL,
  subject TEXT NOT NULL,
  time TEXT NOT NULL,
  extensions JSON NOT NULL,
  data JSON NOT NULL,
  causation TEXT NOT NULL,
  correlation TEXT NOT NULL,
  stored BIGINT NOT NULL,
  CONSTRAINT event_once UNIQUE (id, source)
);

CREATE INDEX event_causation ON event (causation, seq);

CREATE INDEX event_correlation ON event (correlation, seq);

CREATE INDEX event_type ON event (type, seq);

CREATE TABLE evidence (
  revision TEXT NOT NULL,
  instance TEXT NOT NULL,
  window BIGINT NOT NULL,
  name TEXT NOT NULL,
  count BIGINT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (revision, instance, window, name)
)
 WITHOUT ROWID;

CREATE INDEX evidence_since ON evidence (revision, at, name, count);

CREATE TABLE ignored (
  "key" TEXT NOT NULL,
  reason TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY ("key")
);

CREATE TABLE mention (
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  event BIGINT NOT NULL,
  PRIMARY KEY (kind, value, event)
)
 WITHOUT ROWID;

CREATE INDEX mention_event ON mention (event);

CREATE INDEX mention_value ON mention (value);

CREATE TABLE rollout (
  number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL,
  model TEXT NOT NULL,
  candidate TEXT NOT NULL,
  stable TEXT NOT NULL,
  state TEXT NOT NULL,
  generation INTEGER NOT NULL,
  step INTEGER NOT NULL,
  split JSON NOT NULL,
  opened BIGINT NOT NULL,
  stepped BIGINT NOT NULL,
  applied BOOLEAN NOT NULL,
  paused BOOLEAN NOT NULL,
  reason TEXT NOT NULL,
  cause TEXT NOT NULL,
  UNIQUE (id)
);

CREATE UNIQUE INDEX rollout_one_open ON rollout (model) WHERE state IN ('pending', 'canary');

CREATE TABLE schema_version (
  version INTEGER NOT NULL,
  PRIMARY KEY (version)
);

INSERT INTO schema_version (version) VALUES (1);
