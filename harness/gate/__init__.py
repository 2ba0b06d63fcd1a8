"""Did anything regress? A candidate judged by a policy, for machines and people."""
