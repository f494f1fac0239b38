-- compatible_from: 2
-- Whose last login ended lately: a media process that starts is told.
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;
