"""Every topic (topics.yaml) and every event's Avro schema, by version; versions are append-only."""
