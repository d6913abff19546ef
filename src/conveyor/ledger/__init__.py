"""The durable record of events, deliveries, rollouts and evidence, and of what caused what."""
