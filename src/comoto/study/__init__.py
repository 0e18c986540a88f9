"""The low-data study: arms x regimes x fractions x seeds x patient subsets, resumable, and its table."""
