"""The plane on a steered clock: real engine, real store, simulated hosts, broker, network and deaths."""
