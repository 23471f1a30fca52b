"""Speed, always beside a ceiling measured in the same run: ``python -m tests.benchmarks [name ...]``."""
