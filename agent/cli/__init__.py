"""The commands of posagent: the only place that draws for a person."""
