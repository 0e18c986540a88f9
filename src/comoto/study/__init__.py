"""The low-data study: variants x regimes x fractions x seeds x patient subsets, resumable, and its table."""
