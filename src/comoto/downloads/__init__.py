"""Open data sets from the Imaging Data Commons: what a manifest needs, and no more."""
