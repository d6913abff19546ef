"""The whole line on one machine: the composition root behind `conveyor up` (`engine.run`)."""
