"""Use cases of meetings: the one place where rules, store and the house meet."""
