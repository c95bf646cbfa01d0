"""What to install and whether to trust it: trust, fetch, the deployment table, its state, handlers, posrelease."""
