"""posrelease: the service centre makes keys, signs and publishes a repository, and assigns releases to tills."""
