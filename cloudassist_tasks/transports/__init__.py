"""Ways to an instance: over SSH with two engines, and this machine itself, both through the same helper."""
