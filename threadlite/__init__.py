"""The door: commands, plans and the engine that runs them. Nothing imports it."""
