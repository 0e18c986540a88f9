"""How mammograms look beside tomosynthesis slices: the gap between two stores, and what makes it smaller.

``spectra`` is the one definition of the figures, of 8-bit pictures; ``sample`` takes them from the training
patients of a store; ``gap`` compares two stores; ``looks`` changes a plane; ``match`` writes a changed store.
"""
