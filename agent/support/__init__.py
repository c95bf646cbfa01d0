"""What a service centre needs of a till in one file: the support bundle, and the journal as text. For commands alone."""
