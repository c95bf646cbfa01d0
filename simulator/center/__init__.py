"""The simulated service centre: hawkBit DDI and Management API, OTLP intake, static TUF repository."""
