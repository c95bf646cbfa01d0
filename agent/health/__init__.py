"""What is wrong with a till, from readings alone: pure."""
