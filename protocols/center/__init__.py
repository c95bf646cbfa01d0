"""Messages to and from the service centre."""
