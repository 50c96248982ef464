"""What every service shares: settings, errors, lifecycle, RPC, PostgreSQL, JetStream, storage and telemetry."""
